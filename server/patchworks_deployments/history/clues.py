"""Which lines of the audit log may tell of what is asked for, by their bytes alone: reading each whole takes too long.

What passes here is read and judged by what it says. Inside a text of JSON a quotation mark has a backslash before it,
so that `"flow_id": "` is found only where that is a field.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.history.filters import NAMED, Wanted
from patchworks_deployments.history.record import UNFINISHED

_HEAD = b'{"event": "'
CALL, INTENT, OUTCOME = (_HEAD + event + b'", "id": "' for event in (b"call", b"intent", b"outcome"))
OLD = b'{"time": "'
"""What lines begin with; an old one has no event."""

TIME = b'"time": "'
TIME_BYTES = 23
"""Bytes of a time that are compared: down to the millisecond."""

ID_BYTES = 17
"""Bytes of the longest id. What follows a shorter one is the same in each line."""

PLAIN = re.compile(r"[\w.@:-]{1,100}", re.ASCII)
"""Callers that are shown as they are written, and none of whom is shown like another."""

MAX_PIECES = 3
"""Pieces that are each looked for; where there are more, every name that stands there is looked at instead."""


class Clue(Protocol):
    """Something that a line has to hold."""

    def places(self, block: bytes) -> Iterator[int]:
        """Where in the block it is found; at least once in each line that holds it, in any order."""


@dataclass(frozen=True)
class Piece:
    """One of several pieces of a line."""

    pieces: Sequence[bytes]

    def places(self, block: bytes) -> Iterator[int]:
        """Where one of the pieces is."""
        for piece in self.pieces:
            place = block.find(piece)
            while place >= 0:
                yield place
                place = block.find(piece, place + len(piece))


@dataclass(frozen=True)
class Text:
    """One of several texts behind a key."""

    key: bytes
    texts: frozenset[bytes]

    def places(self, block: bytes) -> Iterator[int]:
        """Where the key is that one of the texts follows."""
        for place in Piece([self.key]).places(block):
            start = place + len(self.key)
            if _text_at(block, start) in self.texts:
                yield place


def clues(wanted: Wanted) -> list[Clue]:
    """What a line has to hold to be asked for."""
    found: list[Clue] = []
    if wanted.change:
        found.append(Piece([key("id") + wanted.change.encode()]))
    for part, given in wanted.named.items():
        ids = ids_in(given)
        id_field, name_field = NAMED[part]
        found.append(_one_of(id_field, ids.split(",")) if ids else _one_of(name_field, wanted.meant[part]))
    if wanted.outcome and wanted.outcome != UNFINISHED:
        found.append(_one_of("outcome", [wanted.outcome]))
    if wanted.tools:
        found.append(_one_of("tool", {f"{t}: {verb}" if step else t for t, step, verb in wanted.tools}))
    if wanted.caller and PLAIN.fullmatch(wanted.caller):
        found.append(_one_of("caller", [wanted.caller]))
    return found


def key(field: str) -> bytes:
    """What stands before the text of this field."""
    return f'"{field}": "'.encode()


def _one_of(field: str, texts: Sequence[str] | frozenset[str] | set[str]) -> Clue:
    written = frozenset(json.dumps(text)[1:-1].encode() for text in texts)
    if len(written) > MAX_PIECES:
        return Text(key(field), written)
    return Piece([key(field) + text + b'"' for text in sorted(written)])


def candidates(block: bytes, wanted: Sequence[Clue]) -> list[bytes]:
    """The lines of the block that hold all clues, the last first."""
    if not wanted:
        return [line for line in reversed(block.split(b"\n")) if line]
    if not all(_is_in(block, clue) for clue in wanted):
        return []
    starts = sorted({block.rfind(b"\n", 0, place) + 1 for place in wanted[0].places(block)}, reverse=True)
    lines = (line_at(block, start) for start in starts)
    return [line for line in lines if all(_is_in(line, clue) for clue in wanted[1:])]


def _is_in(block: bytes, clue: Clue) -> bool:
    return next(clue.places(block), None) is not None


def line_at(block: bytes, start: int) -> bytes:
    """The line that begins there, or what is left of it."""
    end = block.find(b"\n", start)
    return block[start:] if end < 0 else block[start:end]


def unfinished(block: bytes, ended: set[bytes]) -> list[bytes]:
    """The intents of the block without an outcome, the last first; `ended` has `ID_BYTES` of each outcome so far."""
    parts = block.split(_HEAD)[1:]
    of_outcome, of_intent = OUTCOME.removeprefix(_HEAD), INTENT.removeprefix(_HEAD)
    at, to = len(of_outcome), len(of_intent)
    ended.update([part[at : at + ID_BYTES] for part in parts if part.startswith(of_outcome)])
    intents = {part[to : to + ID_BYTES]: part for part in parts if part.startswith(of_intent)}
    found = [_HEAD + line_at(part, 0) for of, part in intents.items() if of not in ended]
    ended.difference_update(intents)
    return found[::-1]


def id_of(line: bytes, head: bytes) -> bytes:
    """The id of the line that begins with this head."""
    return _text_at(line, len(head))


def texts_behind(block: bytes, key: bytes) -> set[bytes]:
    """All texts that stand behind the key, as JSON writes them."""
    parts = block.split(key)[1:]
    found = {part[: part.find(b'"')] for part in parts}
    if any(text.endswith(b"\\") for text in found):
        return {_text_at(part, 0) for part in parts}
    return found


def _text_at(block: bytes, start: int) -> bytes:
    end = block.find(b'"', start)
    while end > start and block[end - 1 : end] == b"\\":
        end = block.find(b'"', end + 1)
    return block[start:end] if end >= 0 else b""


def time_of(line: bytes) -> bytes | None:
    """The time of a line, or of the first line of a block, to be compared with others; None where it has none."""
    place = line.find(TIME, 0, 256)
    return _time_at(line, place) if place >= 0 else None


def times(block: bytes) -> list[bytes]:
    """The times of the first and of the last line of a block, as far as these tell them."""
    last = block.rfind(TIME)
    return [time for time in (time_of(block), _time_at(block, last) if last >= 0 else None) if time]


def _time_at(block: bytes, place: int) -> bytes:
    start = place + len(TIME)
    return block[start : start + TIME_BYTES]
