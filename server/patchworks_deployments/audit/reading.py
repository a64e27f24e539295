"""Reading the audit log and the files that it was rotated to backwards, without holding more than a part of it."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

READ_BYTES = 1024 * 1024
"""Bytes that are read at once: after each time, a thread waits until Python lets it go on."""

CHUNK_BYTES = 64 * 1024
"""Bytes that are looked through at once; more of them no longer fit into a processor's cache."""

LONGEST_LINE_BYTES = 64 * 1024
"""Bytes of a line that is read: no line of this server is as long. A longer one is passed over."""

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Ends of the names of rotated files that are packed, and not read."""


_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
"""To open a pipe without waiting for somebody to write into it."""


def lines_of(block: bytes) -> list[bytes]:
    """The lines of a block, the newest first."""
    return [line for line in reversed(block.split(b"\n")) if line]


def blocks_backwards(path: Path) -> Iterator[bytes]:
    """The whole lines of the log, and of the files that it was rotated to: many in their order, the newest block first.

    A file that gets another name meanwhile is not read twice, nor missed. Raises `OSError`.
    """
    read: set[tuple[int, int]] = set()
    while part := next((part for part, identity in _parts(path) if identity not in read), None):
        with contextlib.suppress(FileNotFoundError), _opened(part) as file:
            status = os.fstat(file.fileno())
            if (is_what := (status.st_dev, status.st_ino)) not in read:  # it may have been renamed before it was opened
                read.add(is_what)
                yield from _backwards(file)


def has_packed(path: Path) -> bool:
    """Whether some of the log is in packed files, which are not read."""
    return any(part.suffix in PACKED for part in _beside(path))


def _parts(path: Path) -> list[tuple[Path, tuple[int, int]]]:
    """The log, and then the files that it was rotated to, the one written last first; with what tells each file."""
    found = []
    for part in (path, *_beside(path)):
        with contextlib.suppress(FileNotFoundError):
            status = part.stat()
            if part == path or (part.suffix not in PACKED and stat.S_ISREG(status.st_mode)):
                found.append((part != path, -status.st_mtime, part, (status.st_dev, status.st_ino)))
    return [(part, identity) for *_, part, identity in sorted(found)]


def _beside(path: Path) -> list[Path]:
    """The files beside the log that begin with its name, as `logrotate` makes them."""
    if not path.parent.is_dir():
        return []
    return [part for part in path.parent.iterdir() if part.name.startswith((f"{path.name}.", f"{path.name}-"))]


def _opened(path: Path) -> FileIO:
    """Open it for reading. Raises `OSError` for what is no file, such as a pipe, of which nothing can be read again."""
    file = FileIO(str(path), opener=lambda name, flags: os.open(name, flags | _NOT_WAITING))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.ESPIPE, "it is no file that can be read again")
    return file


def _backwards(file: FileIO) -> Iterator[bytes]:
    """Its lines in blocks, the last block first."""
    cut: bytes | None = b""  # the end of a line that begins further to the front; None of one that is too long
    for data, is_first in _chunks(file):
        head, newline, whole = _after_first_line(data, is_first=is_first)
        if newline:
            yield whole[: whole.rfind(b"\n") + 1] if cut is None else whole + cut
            cut = head
        elif cut is not None:
            cut = head + cut if len(head) + len(cut) <= LONGEST_LINE_BYTES else None


def _chunks(file: FileIO) -> Iterator[tuple[bytes, bool]]:
    """Its bytes in chunks, the last one first, and whether it is the first of the file."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - READ_BYTES)
        file.seek(start)
        data = file.read(end - start)
        end = start
        for at in reversed(range(0, len(data), CHUNK_BYTES)):
            yield data[at : at + CHUNK_BYTES], start + at == 0


def _after_first_line(data: bytes, *, is_first: bool) -> tuple[bytes, bytes, bytes]:
    """The end of a line that begins before the data, the newline after that if there is one, and what follows."""
    return (b"", b"\n", data) if is_first else data.partition(b"\n")
