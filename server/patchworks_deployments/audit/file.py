"""The file of the audit log: what is appended to it in one piece, and the room that is kept for it. It may block."""

import contextlib
import errno
import os
import random
import stat
import tempfile
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import IO, Any

from patchworks_deployments.audit.line import MAX_LINE_BYTES
from patchworks_deployments.audit.locking import APPENDS_IN_ONE_PIECE, lock, unlock

resource: Any = None
fcntl: Any = None
with contextlib.suppress(ImportError):  # not on Windows, where no file has a largest size and flushing is all there is
    import fcntl
    import resource

LOOKS, LOOK_SECONDS = 3, 0.01
"""How often, and after how many seconds at least, the end of the file is looked at: somebody may be writing."""

TURNS = 100
"""How often, after as many seconds, whoever mends the end of the file looks whether another still does."""

_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
"""A pipe that nobody reads is an error at once, and not waited for."""

_AS_IT_IS = getattr(os, "O_BINARY", 0)
"""Windows makes two characters of the end of a line otherwise."""

_CANNOT_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""What a pipe, a device, or a disk that is somewhere else says to flushing: it knows no such thing."""


class Room:
    """The file, held open, and disk space for some lines: so that neither can lack once a write was sent.

    Where the file was renamed meanwhile, as rotating logs does, or deleted, the lines go to a new one in its place.
    Raises `OSError`.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self._path = path
        self._lines = lines
        self._file = _open(path)
        self._is_new = _is_empty(self._file)
        self._space: IO[bytes] | None = None
        try:
            # A tab, which JSON ignores before a line and never holds within: only a real write finds a full disk.
            _append(self._file, b"\t")
            self._space = _space(self._file, path, lines * MAX_LINE_BYTES)
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes, *, is_durable: bool = False) -> None:
        """Append one of the lines, in the space of one. One that `is_durable` is on the disk when this returns."""
        if self._space:
            self._lines = max(0, self._lines - 1)
            self._space.truncate(self._lines * MAX_LINE_BYTES)
        self._follow()
        _append(self._file, line)
        if is_durable:
            _flush(self._file, self._path.parent if self._is_new else None)
            self._is_new = False

    def close(self) -> None:
        """Give up what is left of the space."""
        if self._space:
            self._space.close()
        self._file.close()

    def _follow(self) -> None:
        """Go on in the file that has the path now."""
        status = os.fstat(self._file.fileno())
        with contextlib.suppress(OSError):
            if os.path.samestat(self._path.stat(), status):
                return
        try:
            new = _open(self._path)
        except OSError:
            if status.st_nlink == 0:
                raise
            return  # too many files are open, or the folder is gone: the line is better in the old file than in none
        self._file.close()
        self._file, self._is_new = new, _is_empty(new)


def append_to(path: Path, line: bytes) -> None:
    """Append a line for which no room was kept. Raises `OSError`."""
    with _open(path) as file:
        _append(file, line)


def _open(path: Path) -> FileIO:
    """Open it for appending; for reading too, to see its end, if it may be read and is no pipe."""

    def opened(mode: str, access: int) -> FileIO:
        flags = access | os.O_APPEND | os.O_CREAT | _NOT_WAITING | _AS_IT_IS
        return FileIO(str(path), mode, opener=lambda name, _: os.open(name, flags, 0o600))

    with contextlib.suppress(PermissionError):
        if not path.is_fifo():
            return opened("ab+", os.O_RDWR)
    return opened("ab", os.O_WRONLY)


def _is_empty(file: FileIO) -> bool:
    return os.fstat(file.fileno()).st_size == 0


def _append(file: FileIO, data: bytes) -> None:
    with contextlib.ExitStack() as appending:
        if not APPENDS_IN_ONE_PIECE or _is_cut_short(file):
            # Of all who see the same stump one begins the new line, and the others see that when their turn comes.
            appending.enter_context(_alone(file))
            if _is_cut_short(file):
                data = b"\n" + data
        if file.write(data) != len(data):
            raise _error(errno.ENOSPC)


@contextlib.contextmanager
def _alone(file: FileIO) -> Iterator[None]:
    """Others who want to be alone with the file wait; none waits for long, or where the file cannot be locked."""
    with contextlib.suppress(OSError):
        for _ in range(TURNS):
            try:
                lock(file.fileno())
                break
            except BlockingIOError:
                time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            unlock(file.fileno())


def _flush(file: FileIO, folder: Path | None) -> None:
    """Have it on the disk, should the power fail; and its name in the folder, where that is new."""
    _fsync(file.fileno())
    if folder:
        with contextlib.suppress(PermissionError):  # also on Windows, which keeps names by itself
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                _fsync(descriptor)
            finally:
                os.close(descriptor)


def _fsync(descriptor: int) -> None:
    if hasattr(fcntl, "F_FULLFSYNC"):  # on macOS the rest only brings it to the drive, which may keep it in memory
        with contextlib.suppress(OSError):  # not every file system can
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def _is_cut_short(file: FileIO) -> bool:
    """Whether a full disk has kept the last line from being written whole, by whichever process."""
    if not file.readable() or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return False
    seen = 0
    for _ in range(LOOKS):
        end = file.seek(0, os.SEEK_END)
        if end in {0, seen}:  # it may have been truncated between two looks
            return end > 0
        file.seek(end - 1)
        if file.read(1) in {b"\n", b"\t"}:
            return False
        seen = end
        # Not all for as long: of two who look at once, one must see what the other begins.
        time.sleep(LOOK_SECONDS * random.uniform(1, 4))  # noqa: S311 - a pause, no secret
    return False


def _space(file: FileIO, path: Path, size: int) -> IO[bytes] | None:
    """So much space on the disk of the file: one without a name, beside it. None where its folder takes no files."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    if resource and 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < status.st_size + size:
        raise _error(errno.EFBIG)
    try:
        space = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115 - the room closes it
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return None
        raise
    written = 0
    with contextlib.ExitStack() as closing_it:
        closing_it.callback(space.close)
        written = space.write(os.urandom(MAX_LINE_BYTES) * (size // MAX_LINE_BYTES))
        if written == size:
            closing_it.pop_all()
    if written != size:
        raise _error(errno.ENOSPC)
    return space


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
