"""An event loop whose clock jumps to the next timer when nothing else is left to do."""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar
from unittest import mock

import stamina

Given = ParamSpec("Given")
Outcome = TypeVar("Outcome")

GRACE_SECONDS = 0.001
"""Real seconds without an event after which nothing is under way any more: what one socket of a process sends to
another over loopback is there at once, and there are no threads."""

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


async def _at_once(function: Callable[..., Outcome], *arguments: Any, **_: object) -> Outcome:
    """What would run in a thread: a loop that jumps does not know of it."""
    return function(*arguments)


def run(main: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run it to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        with (
            mock.patch("time.monotonic", loop.time),
            mock.patch("anyio.to_thread.run_sync", _at_once),
            mock.patch("anyio.from_thread.check_cancelled"),
        ):
            return runner.run(main)


def in_virtual_time(test: Callable[Given, Coroutine[Any, Any, None]]) -> Callable[Given, None]:
    """Make a test of it whose pauses are as long as in production, and cost no time."""

    @functools.wraps(test)
    def timed(*args: Given.args, **kwargs: Given.kwargs) -> None:
        stamina.set_testing(False)
        run(test(*args, **kwargs))

    return timed
