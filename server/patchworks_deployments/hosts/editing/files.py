"""Reading and replacing a file of another program: whole or not at all, and with a backup of what was there."""

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from patchworks_deployments.errors import SettingsError

BOM = "\ufeff"
PRIVATE = 0o600


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
    mode: int | None

    @property
    def is_shared(self) -> bool:
        """Whether others on this machine may read it; on Windows nobody knows."""
        return os.name == "posix" and self.mode is not None and bool(self.mode & (stat.S_IRGRP | stat.S_IROTH))


def read(path: Path) -> File:
    """The file, or an empty one where none is. Raises `Untouched`."""
    try:
        path = path.resolve()
        raw, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return File(path, None, "", None)
    except IsADirectoryError:
        raise Untouched(path, "is a folder, where a file belongs") from None
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, before Python 3.13
        raise Untouched(path, f"cannot be read ({getattr(error, 'strerror', error)})") from None
    try:
        return File(path, raw, raw.decode(), mode)
    except UnicodeDecodeError:
        raise Untouched(path, "is not in UTF-8: save it so with an editor, then try again") from None


def replace(file: File, text: str, *, is_secret: bool) -> Path | None:
    """Put the text into the file's place; the backup, where there was one. Raises `Untouched`.

    A new file that holds a secret is readable for its owner alone; another one keeps its permissions.
    """
    path = file.path
    backup = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if read(path).raw != file.raw:
            raise Untouched(path, "was changed by another program just now: run the command again")
        if file.raw is not None:
            backup = _backed_up(file)
        _put(path, text.encode(), PRIVATE if is_secret and file.mode is None else file.mode)
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
        try:
            with os.fdopen(descriptor, "wb") as copy:
                _fill(copy.fileno(), file.raw or b"")
            backup.chmod(file.mode or PRIVATE)
        except BaseException:  # half a copy is none
            backup.unlink(missing_ok=True)
            raise
        return backup
    raise FileExistsError(0, "too many backups in one second")


def _put(path: Path, content: bytes, mode: int | None) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as new:
            _fill(new.fileno(), content)
        beside.chmod(_default_mode() if mode is None else mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _fill(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _default_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
