"""What the commands print, and how they end; the only place that prints."""

import contextlib
import errno
import sys
from collections.abc import Iterator
from typing import NoReturn

UNWRITTEN, USAGE_ERROR, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
"""Exit statuses, as shells have them."""


def end(status: int, why: str = "") -> NoReturn:
    """Say why on stderr, where there is anything to say, and end the process with this status."""
    with contextlib.suppress(OSError):  # stderr may be no better
        if why:
            tell(why)
    sys.exit(status)


def is_broken_pipe(error: OSError) -> bool:
    """Whether nobody reads any more what was written; Windows calls that an invalid argument."""
    return isinstance(error, BrokenPipeError) or error.errno == errno.EINVAL


class Unwritten(Exception):
    """stdout takes nothing any more. No line says so where a reader, such as `head`, has only seen enough."""

    def __init__(self, error: OSError) -> None:
        self.is_broken_pipe = is_broken_pipe(error)
        super().__init__("" if self.is_broken_pipe else f"The output could not be written: {error.strerror}.")


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Write to stdout in the body. Raises `Unwritten` for what it does not take."""
    try:
        yield
    except OSError as error:
        raise Unwritten(error) from None


def say(line: object) -> None:
    """Print the line at once. Raises `Unwritten`."""
    with writing():
        print(line, flush=True)


def tell(line: str) -> None:
    """Print the line on stderr, for a person, where stdout is for a program."""
    if sys.stderr:  # else Python would print it on stdout
        print(line, file=sys.stderr, flush=True)
