"""One line of the audit log: who asked for what, and what became of it, in at most so many bytes."""

import bisect
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from patchworks_deployments.caller import Who

MAX_LINE_BYTES = 8192
"""Bytes of a line with its end: so few that the system appends it in one piece, whoever else appends."""

MAX_TEXT_BYTES = 2048
"""Bytes that one text of a line takes at most; half as many where the line would be too long, and so on."""

MAX_VALUES = 200
"""Values that are recorded of one list or object; half as many where the line would be too long, and so on."""

_NOT_ARGUMENTS = {"reason", "confirmation_code"}
"""The reason has its own place; a code is a key and is not recorded."""


def line_of(
    tool: str | None, arguments: Mapping[str, Any], result: Mapping[str, Any], who: Who, seconds: float
) -> bytes:
    """The line; `result` is a result of a write as JSON, or its status and message alone; and the answer, if it asked.

    Where it would be longer than `MAX_LINE_BYTES`, all texts and lists are cut, visibly and alike, until it fits; an id
    is never so long that it would be. What is no JSON is recorded as the name of its type.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "tool": tool,
        "outcome": result.get("status"),
        "arguments": {name: value for name, value in arguments.items() if name not in _NOT_ARGUMENTS},
        "target": arguments.get("deployment_id"),
        "before": result.get("before"),
        "after": result.get("after"),
        "verified": result.get("verified"),
        "confirmed_by": result.get("confirmed_by"),
        "answer": result.get("answer"),
        "answer_milliseconds": result.get("answer_milliseconds"),
        "reason": arguments.get("reason"),
        "caller": who.caller,
        "client": who.client,
        "message": result.get("message"),
        "milliseconds": round(seconds * 1000),
    }
    halvings = 0
    while len(data := _encoded(line, MAX_TEXT_BYTES >> halvings, MAX_VALUES >> halvings)) > MAX_LINE_BYTES:
        halvings += 1
    return data


def _encoded(line: Mapping[str, Any], text_bytes: int, values: int) -> bytes:
    bounded = {name: _bounded(value, text_bytes, values, depth=2) for name, value in line.items()}
    return json.dumps(bounded, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _bounded(value: object, text_bytes: int, values: int, depth: int) -> object:
    """The value with texts and lists cut, and with the type's name for what is nested deeper or too large a number."""
    match value:
        case None | bool():
            return value
        case str():
            return _cut(value, text_bytes)
        case int() | float() if abs(value) < 10**18:
            return value
        case list() | tuple() if depth:
            kept = [_bounded(item, text_bytes, values, depth - 1) for item in value[:values]]
            return [*kept, f"… and {len(value) - values} more"] if len(value) > values else kept
        case Mapping() if depth:
            first = islice(value.items(), values)
            inner = {_cut(str(name), text_bytes): _bounded(of, text_bytes, values, depth - 1) for name, of in first}
            return inner | ({"…": f"and {len(value) - values} more"} if len(value) > values else {})
    return f"[{type(value).__name__}]"


def _cut(text: str, size: int) -> str:
    """The text, or as much of it as JSON writes in so many bytes, with an ellipsis."""
    if len(text) <= size and _size(text) <= size:
        return text
    room = size - _size("…")
    kept = bisect.bisect_right(range(max(0, room) + 1), room, lo=1, key=lambda length: _size(text[:length])) - 1
    return f"{text[:kept]}…"


def _size(text: str) -> int:
    """Bytes of the text in JSON, without its quotation marks."""
    return len(json.dumps(text)) - 2
