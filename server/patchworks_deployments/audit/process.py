"""Which processes run that have begun to change something: each keeps a small hidden file locked beside the log.

The system gives up the lock when the process ends, however it ends. What such a process has left without an outcome is
for the next one to settle, which holds the lock meanwhile, so that no two do.
"""

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from patchworks_deployments.audit.locking import lock

TRIES, TRY_SECONDS = 20, 0.01
"""How often a process tries to lock its own file, which another may be looking at, and the pause between."""

_NOT_FOLLOWED = getattr(os, "O_NOFOLLOW", 0)
"""No link leads a process to another file."""


class Held:
    """The locked file of a process: of this one, or of one that runs no more."""

    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file
        self.process = path.name.rpartition(".")[2]
        """The id of the process, as its lines have it."""
        self.since = os.fstat(file).st_mtime
        """When the file was made, in seconds since the epoch: the first line of the process came after it."""

    @property
    def is_there(self) -> bool:
        """Whether the file is still where others look for it."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._file), self._path.lstat())
        return False

    def remove(self) -> None:
        """Give up the lock, and leave nothing to settle."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.close()
        with contextlib.suppress(OSError):  # Windows removes nothing that is open
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock, and leave the file to be looked at again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Presence:
    """Shows that this process runs, from its first intent on, and knows which of them have no outcome on record."""

    def __init__(self, log: Path, process: str) -> None:
        self._log, self._process = log, process
        self._unfinished: set[str] = set()
        self._held: Held | None = None

    @contextlib.contextmanager
    def recording(self, event: str, of: str) -> Iterator[None]:
        """Record a line in the body. Where no file can be locked, an intent is recorded all the same."""
        if event == "intent":
            if self._held and not self._held.is_there:
                self.end()  # somebody has tidied up, or put another folder in place
            self._held = self._held or _hold(self._log, self._process)
            self._unfinished.add(of)
        yield
        if event != "intent":
            self._unfinished.discard(of)

    @property
    def is_shown(self) -> bool:
        """Whether there is a file, which `end` gives up."""
        return self._held is not None

    def end(self) -> None:
        """Run no more: leave the file only if something has to be settled."""
        held, self._held = self._held, None
        if held:
            (held.close if self._unfinished else held.remove)()


def left_behind(log: Path) -> list[Path]:
    """The files of processes beside this log; those of running ones are among them."""
    found: list[Path] = []
    for first in _places(log, ""):
        is_one = re.compile(re.escape(first.name) + "[0-9a-f]{12}").fullmatch
        with contextlib.suppress(OSError), os.scandir(first.parent) as entries:
            found += [Path(entry.path) for entry in entries if is_one(entry.name)]
    return found


def claim(path: Path) -> Held | None:
    """The file, locked: its process runs no more, and nobody else settles what it has left. None otherwise."""
    with contextlib.suppress(OSError):
        return _locked(path, os.O_RDWR)
    return None


def _hold(log: Path, process: str) -> Held | None:
    """The file of this process, made and locked; None where no folder takes one."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(log.stat().st_mode):
            return None  # what goes into a pipe cannot be read again
    for path in _places(log, process):
        for _ in range(TRIES):
            try:
                if held := _locked(path, os.O_RDWR | os.O_CREAT):
                    return held
            except BlockingIOError:
                pass
            except OSError:
                break
            time.sleep(TRY_SECONDS)
    return None


def _places(log: Path, process: str) -> Iterator[Path]:
    """Where the file of a process may be: beside the log, or else in the system's folder for temporary files."""
    log = Path(os.path.realpath(log))
    yield log.parent / f".{log.name}.{process}"
    digest = hashlib.sha256(os.fsencode(log)).hexdigest()[:16]
    yield Path(tempfile.gettempdir()) / f".patchworks-deployments.{digest}.{process}"


def _locked(path: Path, flags: int) -> Held | None:
    """The file, locked; None where it was removed meanwhile. Raises `OSError`, a `BlockingIOError` if it is locked."""
    file = os.open(path, flags | _NOT_FOLLOWED, 0o600)
    try:
        lock(file)
        # Whoever settled what was left may have removed the file between the two.
        if os.path.samestat(os.fstat(file), path.lstat()):
            held = Held(path, file)
            file = -1
            return held
    except FileNotFoundError:
        return None
    finally:
        if file >= 0:
            os.close(file)
    return None
