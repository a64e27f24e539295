"""Reading the audit log backwards, without reading all of it: the newest lines first, through rotated files."""

import os
from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 256 * 1024
"""Bytes that are read at once."""

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Ends of the names of rotated files that are packed, and not read."""


def lines_backwards(path: Path) -> Iterator[bytes]:
    """The whole lines of the log, and of the files that it was rotated to, newest first. Raises `OSError`."""
    for part in (path, *_rotated(path)):
        try:
            yield from _backwards(part)
        except FileNotFoundError:
            continue


def _rotated(path: Path) -> list[Path]:
    """The files beside the log that begin with its name, as `logrotate` makes them: the one written last first."""
    found = [*path.parent.glob(f"{path.name}.*"), *path.parent.glob(f"{path.name}-*")]
    return sorted((part for part in found if part.suffix not in PACKED), key=lambda part: -part.stat().st_mtime)


def _backwards(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        end, rest = file.seek(0, os.SEEK_END), b""
        while end:
            start = max(0, end - CHUNK_BYTES)
            file.seek(start)
            first, *whole = (file.read(end - start) + rest).split(b"\n")
            yield from (line for line in reversed(whole) if line)
            end, rest = start, first
        if rest:
            yield rest
