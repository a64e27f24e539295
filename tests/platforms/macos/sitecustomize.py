"""What a process finds on macOS, as far as that can be played elsewhere: put this folder into PYTHONPATH."""

import fcntl
import os
import resource
import socket
from pathlib import Path
from typing import Any

_fcntl = fcntl.fcntl
fcntl.F_FULLFSYNC = 51  # type: ignore[attr-defined]


def _full(file: Any, command: int, *rest: Any) -> Any:
    if command != 51:
        return _fcntl(file, command, *rest)
    if os.environ.get("CANNOT_FLUSH"):
        raise OSError(45, "Operation not supported")
    Path(os.environ["FLUSHED"]).write_text("to the disk", encoding="utf-8")
    return 0


def _sync(file: int) -> None:
    Path(os.environ["FLUSHED"]).write_text(f"to the drive {file}", encoding="utf-8")


def _refuse(_: int, limits: object) -> None:
    raise ValueError(f"current limit exceeds maximum limit: {limits}")


fcntl.fcntl, os.fsync, resource.setrlimit = _full, _sync, _refuse  # type: ignore[assignment]
del socket.TCP_USER_TIMEOUT
