"""An event loop whose clock jumps to the next timer when nothing else is left to do."""

import asyncio
import contextlib
import functools
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import stamina

Outcome = TypeVar("Outcome")

GRACE_SECONDS = 0.001
"""Real seconds without an event after which nothing is under way any more: what is on its way over loopback to a
socket of the same process is there at once, and only a thread may take longer."""

real_monotonic = time.monotonic


class _Jumping(selectors.DefaultSelector):
    """Waits for the grace alone, and says that the rest of the time has passed."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= GRACE_SECONDS:
            return super().select(timeout)
        began = real_monotonic()
        ready = super().select(GRACE_SECONDS)
        if not ready:
            self.skipped += timeout - (real_monotonic() - began)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is real while there is something to do, and costs nothing where all wait."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return real_monotonic() + self._jumping.skipped


@contextlib.contextmanager
def _told_by(loop: VirtualLoop) -> Iterator[None]:
    """`time.monotonic` is the loop's time, for those who measure by that."""
    time.monotonic = loop.time
    try:
        yield
    finally:
        time.monotonic = real_monotonic


def run(main: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run it to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        with _told_by(loop):
            return runner.run(main)


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test of it whose pauses are as long as in production, and cost no time."""

    @functools.wraps(test)
    def timed() -> None:
        stamina.set_testing(False)
        run(test())

    return timed
