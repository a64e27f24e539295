"""What the names that are asked for mean: of all names that stand in the log, those that are meant."""

import json
from collections.abc import Iterable
from dataclasses import replace

from patchworks_deployments.audit.line import OLD, key
from patchworks_deployments.audit.reading import lines_of
from patchworks_deployments.history.filters import NAMED, Part, Wanted
from patchworks_deployments.model.text import folded


def with_meanings(wanted: Wanted, account: bytes, blocks: Iterable[bytes], *, with_old: bool) -> Wanted:
    """What is wanted, with the names that are meant: those that are the whole name, or else all that contain it.

    Only names that the `account` has told count; an old line tells no account, and counts only `with_old`.
    """
    sought = [_Sought(part, folded(name)) for part, name in wanted.names.items()]
    for block in blocks if sought else ():
        for one in sought:
            for text in one.new_in(block):
                if _is_told(block, one.key + text + b'"', account, with_old=with_old):
                    one.told[text] = one.fitting[text]
        if all(one.whole for one in sought):
            break
    meant = {one.part: frozenset(one.whole or one.told.values()) for one in sought}
    return replace(wanted, meant=meant, whole=frozenset(one.part for one in sought if one.whole))


class _Sought:
    """A name that is asked for: which texts of the log are `fitting`, and which of these the account has `told`."""

    def __init__(self, part: Part, name: str) -> None:
        self.part, self.name, self.key = part, name, key(NAMED[part][1])
        self.told: dict[bytes, str] = {}
        self.fitting: dict[bytes, str] = {}
        self._seen: set[bytes] = set()

    def new_in(self, block: bytes) -> set[bytes]:
        """The fitting texts of the block that the account has not told so far."""
        found = _texts_behind(block, self.key)
        for text in found - self._seen:
            told = _read(text)
            if told and self.name and self.name in folded(told):
                self.fitting[text] = told
        self._seen |= found
        return found & self.fitting.keys() - self.told.keys()

    @property
    def whole(self) -> list[str]:
        """Those that are the whole name."""
        return [told for told in self.told.values() if folded(told) == self.name]


def _read(text: bytes) -> str | None:
    try:
        told = json.loads(b'"' + text + b'"')
    except ValueError:
        return None
    return told if isinstance(told, str) else None


def _is_told(block: bytes, piece: bytes, account: bytes, *, with_old: bool) -> bool:
    lines = (line for line in lines_of(block) if piece in line)
    return any(account in line or (with_old and line.lstrip().startswith(OLD)) for line in lines)


def _texts_behind(block: bytes, key: bytes) -> set[bytes]:
    """All texts that stand behind the key, as JSON writes them."""
    parts = block.split(key)[1:]
    found = {part[: part.find(b'"')] for part in parts}
    if any(text.endswith(b"\\") for text in found):  # it ends with a quotation mark of its own
        return {_text_at_start(part) for part in parts}
    return found


def _text_at_start(part: bytes) -> bytes:
    end = part.find(b'"')
    while end > 0 and part[end - 1 : end] == b"\\":
        end = part.find(b'"', end + 1)
    return part[:end] if end >= 0 else b""
