"""The audit log: one JSON line for each attempt to change something, whatever became of it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchworks_deployments.errors import AuditLogUnwritable


class AuditLog:
    """Appends to one file, each line in one write and unbuffered, so several processes can share it.

    Without a path it records nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def ensure_writable(self) -> None:
        """Raise `AuditLogUnwritable` if a line could not be recorded.

        Appends one space, which JSON ignores before a line: only a real write finds a full disk.
        """
        if self._path:
            self._append(b" ")

    def record(self, line: Mapping[str, Any]) -> None:
        """Append one line. Raises `AuditLogUnwritable`."""
        if self._path:
            self._append(json.dumps(line, ensure_ascii=True, default=str).encode() + b"\n")

    def _append(self, data: bytes) -> None:
        assert self._path
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                written = os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditLogUnwritable(f"The audit log cannot be written ({error.strerror}).") from error
        if written != len(data):
            raise AuditLogUnwritable("The audit log cannot be written (the disk is full).")
