"""Locking an open file against other processes, as the system does it. A lock ends with its process at the latest."""

import os
import sys

if sys.platform == "win32":
    import msvcrt

    APPENDS_IN_ONE_PIECE = False
    """The C library looks for the end and writes there: what two processes append at once would overlap."""

    LOCKED_BYTE = 2**40
    """The byte that stands for the file, far behind its end: while it is locked, nobody else can even read it."""

    def lock(file: int) -> None:
        """Lock the file, at once or not at all. Raises `BlockingIOError` where another has it, or another `OSError`."""
        try:
            _at_locked_byte(file, msvcrt.LK_NBLCK)
        except PermissionError as error:  # a lock of another, as the C library tells it
            raise BlockingIOError(error.errno, error.strerror) from None

    def unlock(file: int) -> None:
        """Give up the lock. Raises `OSError`."""
        _at_locked_byte(file, msvcrt.LK_UNLCK)

    def _at_locked_byte(file: int, mode: int) -> None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)  # what appends looks for the end by itself
        msvcrt.locking(file, mode, 1)

else:
    import fcntl

    APPENDS_IN_ONE_PIECE = True

    def lock(file: int) -> None:
        """Lock the file, at once or not at all. Raises `BlockingIOError` where another has it, or another `OSError`."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(file: int) -> None:
        """Give up the lock. Raises `OSError`."""
        fcntl.flock(file, fcntl.LOCK_UN)
