"""Reading and replacing a file of another program: whole or not at all, and with a backup of what was there."""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from patchworks_deployments.errors import SettingsError

BOM = "\ufeff"
PRIVATE = 0o600
MAX_BYTES = 1024 * 1024
"""Bytes of a file that is read: no configuration of a person is as large."""


class Untouched(SettingsError):
    """A file of a host stays as it is; the message says which, why, and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}. Nothing was changed.")


@dataclass(frozen=True)
class File:
    """A file as it was read; `path` is that of the file itself, where a link leads to it."""

    path: Path
    raw: bytes | None
    text: str
    status: os.stat_result | None

    @property
    def is_shared(self) -> bool:
        """Whether others on this machine may read it; on Windows nobody knows."""
        return (
            os.name == "posix" and self.status is not None and bool(self.status.st_mode & (stat.S_IRGRP | stat.S_IROTH))
        )


def read(path: Path) -> File:
    """The file, or an empty one where none is. Raises `Untouched`."""
    try:
        path = path.resolve()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise Untouched(path, "is no file but a device or a pipe")
        if status.st_size > MAX_BYTES:
            raise Untouched(path, f"has more than {MAX_BYTES:,} bytes: no configuration is as large")
        raw = path.read_bytes()
    except FileNotFoundError:
        return File(path, None, "", None)
    except IsADirectoryError:
        raise Untouched(path, "is a folder, where a file belongs") from None
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, before Python 3.13
        raise Untouched(path, f"cannot be read ({getattr(error, 'strerror', error)})") from None
    try:
        return File(path, raw, raw.decode(), status)
    except UnicodeDecodeError:
        raise Untouched(path, "is not in UTF-8: save it so with an editor, then try again") from None


def replace(file: File, text: str, *, is_secret: bool) -> Path | None:
    """Put the text into the file's place; the backup, where there was one. Raises `Untouched`.

    A new file that holds a secret is readable for its owner alone; another one keeps its owner and its permissions.
    """
    path = file.path
    backup = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if read(path).raw != file.raw:
            raise Untouched(path, "was changed by another program just now: run the command again")
        if file.raw is not None:
            backup = _backed_up(file)
        _put(file, text.encode(), is_secret=is_secret)
    except OSError as error:
        if backup:
            with contextlib.suppress(OSError):
                backup.unlink()
        raise Untouched(path, f"cannot be written ({error.strerror})") from None
    return backup


def _backed_up(file: File) -> Path:
    """A copy beside the file, with the same permissions, under a name that no file has."""
    when = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for number in range(1, 100):
        backup = file.path.with_name(f"{file.path.name}.{when}{f'-{number}' if number > 1 else ''}.backup")
        try:
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE)
        except FileExistsError:
            continue
        with _removed_if_unfinished(backup):
            with os.fdopen(descriptor, "wb") as copy:
                _fill(copy.fileno(), file.raw or b"")
            _make_like(file, backup)
        return backup
    raise FileExistsError(0, "too many backups in one second")


def _put(file: File, content: bytes, *, is_secret: bool) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.path.parent, prefix=f".{file.path.name}.", suffix=".new")
    beside = Path(name)
    with _removed_if_unfinished(beside):
        with os.fdopen(descriptor, "wb") as new:
            _fill(new.fileno(), content)
        if file.status:
            _make_like(file, beside)
        else:
            beside.chmod(PRIVATE if is_secret else _default_mode())
        beside.replace(file.path)


@contextlib.contextmanager
def _removed_if_unfinished(path: Path) -> Iterator[None]:
    """Remove the file if the body fails: half a copy looks like a whole one."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _make_like(file: File, copy: Path) -> None:
    """Give the copy the file's owner and permissions. Raises `OSError` where it cannot have that owner."""
    assert file.status
    made = copy.stat()
    if sys.platform != "win32" and (made.st_uid, made.st_gid) != (file.status.st_uid, file.status.st_gid):
        os.chown(copy, file.status.st_uid, file.status.st_gid)  # as for root: else the owner's host could not read it
    copy.chmod(stat.S_IMODE(file.status.st_mode))


def _fill(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _default_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
