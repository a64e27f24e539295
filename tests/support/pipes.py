"""An audit log that is full exactly when a test says so: a pipe of one page, which a disk could not be."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

PIPE_BYTES = 4096
"""Bytes that fit: the fewest that Linux gives a pipe."""


class PipeLog:
    """A pipe at a path, which takes bytes until it is full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._reads = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._writes = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._taken = b""

    def fill(self, *, but: int = 0) -> None:
        """Leave room for so many bytes."""
        self.empty()
        os.write(self._writes, b" " * (PIPE_BYTES - but))

    def empty(self) -> None:
        """Take all that is in it."""
        try:
            while data := os.read(self._reads, PIPE_BYTES):
                self._taken += data
        except BlockingIOError:
            pass

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that it has taken by now."""
        self.empty()
        return [json.loads(line) for line in self._taken.split(b"\n") if line.strip()]

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)
