"""One line of the audit log, in at most so many bytes: what is about to be sent, or what became of an attempt.

Inside a text of JSON a quotation mark has a backslash before it, so that `"flow_id": "` is found in the bytes of a line
only where that is a field.
"""

import bisect
import json
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

MAX_LINE_BYTES = 8192
"""Bytes of a line with its end: so few that the system appends it in one piece, whoever else appends."""

MAX_TEXT_BYTES = 2048
"""Bytes that one text of a line takes at most; half as many where the line would be too long, and so on."""

MAX_VALUES = 200
"""Values that are recorded of one list or object; half as many where the line would be too long, and so on."""


def head_of(event: str, of: str, tool: str | None, now: datetime) -> dict[str, Any]:
    """The fields that a line begins with, in this order, so that it can be told from others without reading it whole.

    An `intent` says what is about to be sent, and the `outcome` with its id what became of that. A `call` tells the
    result of one that sent several writes, and an `attempt` is one that sent nothing.
    """
    return {"event": event, "id": of, "time": now.isoformat(timespec="milliseconds"), "tool": tool}


HEAD = re.compile(rb'\s*\{(?:"event": "(\w+)", "id": "([\w/]+)", )?"time": "([\w:.+-]+)"')
"""What a line begins with, in groups: event, id and time. One of an older release has no event and no id."""

HEAD_BYTES = 256
"""Bytes within which a line tells its time and names its tool."""

INTENT, OUTCOME, CALL = (b'{"event": "' + event + b'", "id": "' for event in (b"intent", b"outcome", b"call"))
OLD = b'{"time": "'
"""What lines begin with; an old one has no event."""


def key(field: str) -> bytes:
    """What stands before the text of this field."""
    return f'"{field}": "'.encode()


def piece(field: str, text: str) -> bytes:
    """What a line holds whose field has this text."""
    return key(field) + json.dumps(text)[1:].encode()


MAX_DEPTH = 3
"""Lists and objects within one another that a field may have: those of a call's arguments."""


def line_of(fields: Mapping[str, Any]) -> bytes:
    """The line with these fields, in their order.

    Where it would be longer than `MAX_LINE_BYTES`, all texts and lists are cut, visibly and alike, until it fits; an id
    is never so long that it would be. A call that undoes is not cut but left out: half of it would be another one. What
    is no JSON is recorded as the name of its type.
    """
    undo, halvings = fields.get("undo"), 0
    while len(data := _encoded(fields, MAX_TEXT_BYTES >> halvings, MAX_VALUES >> halvings)) > MAX_LINE_BYTES:
        halvings += 1
        if undo and bounded(undo, MAX_TEXT_BYTES >> halvings, MAX_VALUES >> halvings, MAX_DEPTH) != undo:
            fields, undo, halvings = {**fields, "undo": None}, None, 0
    return data


def _encoded(line: Mapping[str, Any], text_bytes: int, values: int) -> bytes:
    line = {name: bounded(value, text_bytes, values, depth=MAX_DEPTH) for name, value in line.items()}
    return json.dumps(line, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def bounded(value: object, text_bytes: int, values: int, depth: int) -> object:
    """The value with texts and lists cut, and with the type's name for what is nested deeper or too large a number."""
    match value:
        case None | bool():
            return value
        case str():
            return _cut(value, text_bytes)
        case int() | float() if abs(value) < 10**18:
            return value
        case list() | tuple() if depth:
            kept = [bounded(item, text_bytes, values, depth - 1) for item in value[:values]]
            return [*kept, f"… and {len(value) - values} more"] if len(value) > values else kept
        case Mapping() if depth:
            first = islice(value.items(), values)
            inner = {_cut(str(name), text_bytes): bounded(of, text_bytes, values, depth - 1) for name, of in first}
            return inner | ({"…": f"and {len(value) - values} more"} if len(value) > values else {})
    return f"[{type(value).__name__}]"


MAX_ESCAPE_BYTES = 12
"""Bytes that JSON writes for one character at most: two escapes."""


def _cut(text: str, size: int) -> str:
    """The text, or as much of it as JSON writes in so many bytes, with an ellipsis."""
    if MAX_ESCAPE_BYTES * len(text) <= size or (len(text) <= size and _size(text) <= size):
        return text
    room = size - _size("…")
    kept = bisect.bisect_right(range(max(0, room) + 1), room, lo=1, key=lambda length: _size(text[:length])) - 1
    return f"{text[:kept]}…"


def _size(text: str) -> int:
    """Bytes of the text in JSON, without its quotation marks."""
    return len(json.dumps(text)) - 2
