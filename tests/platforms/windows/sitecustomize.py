"""What a process finds on Windows, as far as that can be played elsewhere: put this folder into PYTHONPATH.

Only what this package and the SDK's stdio meet is played: what is missing there, the C library's ways to lock and to
append, its ends of lines, what a closed pipe says, Ctrl-Break (as SIGUSR1), and a clock with coarse ticks.
"""

import builtins
import errno
import fcntl
import io
import os
import signal
import struct
import sys
import time
from types import ModuleType
from typing import Any

TICK_SECONDS = 1 / 64
"""Seconds between two ticks of the clocks."""

_import, _open, _os_open, _monotonic = builtins.__import__, io.open, os.open, time.monotonic


def _importing(name: str, given: Any = None, *rest: Any, **more: Any) -> Any:
    """What our package finds on Windows; of its own modules the branch for Windows, where one locks."""
    is_ours = (given or {}).get("__name__", "").startswith("patchworks_deployments")
    if name == "uvloop" or (is_ours and name in {"fcntl", "resource"}):
        raise ModuleNotFoundError(name, name=name)
    if is_ours and name == "msvcrt":
        return msvcrt
    system = sys.platform
    if name == "patchworks_deployments.audit.locking":
        sys.platform = "win32"
    try:
        return _import(name, given, *rest, **more)
    finally:
        sys.platform = system


class _File(io.FileIO):
    """Appends as the C library does it: it looks for the end, and then writes there."""

    def __init__(self, name: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:  # noqa: FBT001, FBT002 - as Python has it
        super().__init__(name, mode, closefd, opener)
        self._appends = "a" in mode

    def write(self, data: Any) -> int:
        if self._appends:
            flags = fcntl.fcntl(self.fileno(), fcntl.F_GETFL)
            fcntl.fcntl(self.fileno(), fcntl.F_SETFL, flags & ~os.O_APPEND)
            end = self.seek(0, os.SEEK_END)
            time.sleep(0.001)
            self.seek(end)
        try:
            return super().write(data)
        except BrokenPipeError:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None


class _Text(io.TextIOWrapper):
    """Ends lines with two characters where nobody has said how."""

    def __init__(self, buffer: Any, encoding: Any = None, errors: Any = None, newline: Any = None, *rest: Any) -> None:
        super().__init__(buffer, encoding, errors, "\r\n" if newline is None else newline, *rest)


def _opening(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
    if isinstance(file, int) and mode == "w":
        return _Text(io.BufferedWriter(_File(file, "w", more.pop("closefd", True))), **more)
    return _open(file, mode, *rest, **more)


def _os_opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
    """Refuses to make text of what the audit log writes."""
    if flags & os.O_CREAT and not flags & O_BINARY and os.fspath(path).endswith("log"):
        raise AssertionError(path)
    return _os_open(path, flags & ~O_BINARY, *rest, **more)


def locking(file: int, mode: int, size: int) -> None:
    """As its documentation says: a lock of the handle, from where the file is read on; EACCES where another has it."""
    kind = fcntl.F_UNLCK if mode == msvcrt.LK_UNLCK else fcntl.F_WRLCK
    wanted = struct.pack("hhqqi4x", kind, os.SEEK_SET, os.lseek(file, 0, os.SEEK_CUR), size, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except (BlockingIOError, PermissionError):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


msvcrt: Any = ModuleType("msvcrt")
msvcrt.LK_UNLCK, msvcrt.LK_LOCK, msvcrt.LK_NBLCK, msvcrt.locking = 0, 1, 2, locking

O_BINARY = 1 << 30
vars(os)["O_BINARY"] = O_BINARY
for name in ("O_NONBLOCK", "O_NOFOLLOW", "fork", "setsid", "mkfifo"):
    delattr(os, name)
signal.SIGBREAK = signal.SIGUSR1  # type: ignore[attr-defined]
time.monotonic = lambda: _monotonic() // TICK_SECONDS * TICK_SECONDS
io.FileIO, io.TextIOWrapper = _File, _Text  # type: ignore[misc, assignment]
os.open, builtins.open = _os_opening, _opening
if sys.stdout:
    encoding = os.environ.get("PYTHONIOENCODING", "cp1252")
    sys.stdout = _Text(io.BufferedWriter(_File(1, "w", closefd=False)), encoding)
builtins.__import__ = _importing  # type: ignore[assignment]
