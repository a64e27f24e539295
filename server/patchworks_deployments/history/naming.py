"""What the names that are asked for mean: of all names that stand in the log, those that are meant."""

import json
from collections.abc import Iterable
from dataclasses import replace

from patchworks_deployments.history.clues import OLD, Piece, key, line_at, texts_behind
from patchworks_deployments.history.filters import NAMED, Part, Wanted
from patchworks_deployments.model.text import folded


def with_meanings(wanted: Wanted, account: bytes, blocks: Iterable[bytes], *, with_old: bool) -> Wanted:
    """What is wanted, with the names that are meant: those that are the whole name, or else all that contain it.

    Only what the `account` has tells a whole name; an old line tells no account.
    """
    sought = {part: (key(NAMED[part][1]), folded(name)) for part, name in wanted.names.items()}
    fitting: dict[Part, dict[bytes, str]] = {part: {} for part in sought}
    seen: dict[Part, set[bytes]] = {part: set() for part in sought}
    whole: dict[Part, frozenset[str]] = {}
    for block in blocks if sought else ():
        for part, (behind, name) in sought.items():
            found = texts_behind(block, behind)
            for text in found - seen[part]:
                if (told := _read(text)) and name and name in folded(told):
                    fitting[part][text] = told
            seen[part] |= found
            for text in found & fitting[part].keys():
                if folded(fitting[part][text]) == name and _is_told(block, behind + text + b'"', account, with_old):
                    whole[part] = frozenset(t for t in fitting[part].values() if folded(t) == name)
        if len(whole) == len(sought):
            break
    meant = {part: whole.get(part, frozenset(fitting[part].values())) for part in sought}
    return replace(wanted, meant=meant, whole=frozenset(whole))


def _read(text: bytes) -> str | None:
    try:
        told = json.loads(b'"' + text + b'"')
    except ValueError:
        return None
    return told if isinstance(told, str) else None


def _is_told(block: bytes, piece: bytes, account: bytes, with_old: bool) -> bool:  # noqa: FBT001 - passed on
    lines = (line_at(block, block.rfind(b"\n", 0, place) + 1) for place in Piece([piece]).places(block))
    return any(account in line or (with_old and line.startswith(OLD)) for line in lines)
