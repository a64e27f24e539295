"""Which lines of the audit log may tell of what is asked for, by their bytes alone: reading each whole takes too long.

What passes here is read and judged by what it says.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.audit.line import INTENT, OUTCOME, key, piece
from patchworks_deployments.audit.reading import lines_of
from patchworks_deployments.history.filters import NAMED, Wanted
from patchworks_deployments.history.record import UNFINISHED

PLAIN = re.compile(r"[\w.@:-]{1,100}", re.ASCII)
"""Callers that are shown as they are written, and none of whom is shown like another."""

MAX_PIECES = 3
"""Pieces that are each looked for; more are looked for together, which takes longer than one of them alone."""

Clue = Callable[[bytes], object]
"""Tells whether a line, or one of the lines of a block, holds what is asked for."""


def clues(wanted: Wanted) -> list[Clue]:
    """What a line has to hold to be asked for."""
    found: list[Clue] = []
    if wanted.change:
        found.append(_holds([key("id") + wanted.change.encode()]))
    for part, given in wanted.named.items():
        ids = ids_in(given)
        id_field, name_field = NAMED[part]
        found.append(_one_of(id_field, ids.split(",")) if ids else _one_of(name_field, wanted.meant[part]))
    if wanted.outcome and wanted.outcome != UNFINISHED:
        found.append(_one_of("outcome", [wanted.outcome]))
    if wanted.tools:
        found.append(_one_of("tool", [f"{tool}: {verb}" if step else tool for tool, step, verb in wanted.tools]))
    if wanted.caller and PLAIN.fullmatch(wanted.caller):
        found.append(_one_of("caller", [wanted.caller]))
    return found


def _one_of(field: str, texts: Iterable[str]) -> Clue:
    return _holds([piece(field, text) for text in sorted(texts)])


def _holds(pieces: Sequence[bytes]) -> Clue:
    """Whether it holds one of the pieces."""
    if len(pieces) > MAX_PIECES:
        return re.compile(b"|".join(map(re.escape, pieces))).search
    return lambda block: any(piece in block for piece in pieces)


def candidates(block: bytes, wanted: Sequence[Clue]) -> list[bytes]:
    """The lines of the block that hold all clues, the last first."""
    if not all(clue(block) for clue in wanted):
        return []
    return [line for line in lines_of(block) if all(clue(line) for clue in wanted)]


def unfinished(block: bytes, ended: set[bytes]) -> list[bytes]:
    """The intents of the block that have no outcome, the last first; `ended` has the ids of the outcomes so far."""
    ended.update(part[: part.find(b'"')] for part in block.split(OUTCOME)[1:])
    parts = reversed(block.split(INTENT)[1:])
    return [INTENT + part.partition(b"\n")[0] for part in parts if part[: part.find(b'"')] not in ended]
