"""The audit log: one JSON line for each attempt to change something, whatever became of it."""

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from patchworks_deployments.caller import Who
from patchworks_deployments.errors import AuditLogUnwritable

logger = logging.getLogger(__name__)

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on Windows, where a single write has to be enough
    import fcntl

MAX_TEXT_CHARACTERS = 500
"""Characters of one argument that are recorded; no argument that is accepted is longer."""

MAX_LIST_ITEMS = 200
"""Items of one argument that are recorded; no list that is accepted is longer."""


class AuditLog:
    """Appends to one file, each line in one write and unbuffered, so several processes can share it.

    Without a path it records nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def ensure_writable(self) -> None:
        """Raise `AuditLogUnwritable` if a line could not be recorded.

        Appends one tab, which JSON ignores before a line and never holds within: only a real write finds a full disk.
        """
        if self._path:
            self._append(b"\t")

    def record(
        self, tool: str, arguments: Mapping[str, Any], result: Mapping[str, Any], who: Who, seconds: float
    ) -> AuditLogUnwritable | None:
        """Append the line of one attempt; what kept it from being written is logged and returned.

        `result` is a result of a write as JSON, or its status and message alone. What the caller sent is bounded: text
        to `MAX_TEXT_CHARACTERS`, lists to `MAX_LIST_ITEMS`.
        """
        if self._path is None:
            return None
        line = _line(tool, arguments, result, who, seconds)
        try:
            self._append(json.dumps(line, ensure_ascii=True, default=str).encode() + b"\n")
        except AuditLogUnwritable as error:
            logger.error("%s %s: %s", tool, result.get("status"), error.what)  # noqa: TRY400 - the traceback says no more
            return error
        return None

    def _append(self, data: bytes) -> None:
        assert self._path
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # Processes take turns until the descriptor is closed: what another has half written is not cut short.
                if fcntl:
                    with contextlib.suppress(OSError):
                        fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_cut_short():
                    data = b"\n" + data
                written = os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditLogUnwritable(f"The audit log cannot be written ({error.strerror}).") from error
        if written != len(data):
            raise AuditLogUnwritable("The audit log cannot be written (the disk is full).")

    def _is_cut_short(self) -> bool:
        """Whether a full disk has kept the last line from being written whole, by whichever process."""
        assert self._path
        if not self._path.is_file():
            return False
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) not in {b"\n", b"\t"}
        return False


_NOT_ARGUMENTS = {"reason", "confirmation_code"}
"""The reason has its own place; a code is a key and is not recorded."""


def _line(
    tool: str, arguments: Mapping[str, Any], result: Mapping[str, Any], who: Who, seconds: float
) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "tool": tool,
        "outcome": result.get("status"),
        "arguments": {name: _bounded(value) for name, value in arguments.items() if name not in _NOT_ARGUMENTS},
        "target": _bounded(arguments.get("deployment_id")),
        "before": result.get("before"),
        "after": result.get("after"),
        "verified": result.get("verified"),
        "confirmed_by": result.get("confirmed_by"),
        "reason": _bounded(arguments.get("reason")),
        "caller": who.caller,
        "client": _bounded(who.client),
        "message": result.get("message"),
        "milliseconds": round(seconds * 1000),
    }


def _bounded(value: object) -> object:
    if isinstance(value, list):
        return [_bounded_scalar(item) for item in value[:MAX_LIST_ITEMS]]
    return _bounded_scalar(value)


def _bounded_scalar(value: object) -> object:
    """The value, a text cut; but the type's name of what no argument can be: nested data, numbers beyond all ids."""
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT_CHARACTERS else f"{value[:MAX_TEXT_CHARACTERS]}…"
    is_small = value is None or (isinstance(value, int | float) and abs(value) < 10**18)
    return value if is_small else f"[{type(value).__name__}]"
