"""Many requests at once, but not too many; again, where the API throttles or lags; and a sign of life meanwhile."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import TypeVar

import anyio
import anyio.lowlevel
import stamina

from patchworks_deployments.api.client import GLANCE_SECONDS, DeploymentsClient
from patchworks_deployments.api.failures import throttle_wait
from patchworks_deployments.errors import NoAnswer, Throttled, Unreachable, UpstreamError

Argument = TypeVar("Argument")
Outcome = TypeVar("Outcome")

MAX_CONCURRENT_REQUESTS = 8
"""Requests under way for one call: polite to a throttled API, and far below the client's connection limit."""

MAX_PAUSE_SECONDS = 65.0
"""Seconds: Laravel throttles by the minute. A longer `Retry-After` is reported instead of waited for."""

PATIENCE_SECONDS = 360.0
"""Seconds that a call waits in all where the API throttles."""

RETRY_UNSENT = stamina.AsyncRetryingCaller(attempts=6, timeout=None, wait_initial=2.0, wait_max=30.0)
"""Tries what was not done on top of the client's own attempts; waits are in seconds."""

LOOK = stamina.AsyncRetryingCaller(attempts=6, timeout=None, wait_initial=0.25, wait_max=2.0, wait_jitter=0.0)
"""Looks for some five seconds in all (0.25 + 0.5 + 1 + 2 + 2): what the API shows may lag behind what it has done."""

MAX_LOOKING_SECONDS = 10.0
"""Seconds after which no further look is begun, so that the call ends where Patchworks does not answer."""

BEAT_SECONDS = 3.0
"""Seconds between two signs of life of a call that waits."""

Progress = Callable[[float, float | None], Awaitable[None]]
"""Is told how many steps are done, and of how many, where that is known."""


async def each(function: Callable[[Argument], Awaitable[Outcome]], arguments: Iterable[Argument]) -> list[Outcome]:
    """`function` of each argument, in order, several at a time; the first error stops the rest and is raised.

    A cancellation takes effect before the next call, even where no call ever has to wait.
    """
    waiting = enumerate(arguments)
    outcomes: dict[int, Outcome] = {}

    async def work() -> None:
        for index, argument in waiting:
            await anyio.lowlevel.checkpoint_if_cancelled()
            outcomes[index] = await function(argument)

    try:
        async with anyio.create_task_group() as group:
            for _ in range(MAX_CONCURRENT_REQUESTS):
                group.start_soon(work)
    except ExceptionGroup as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from failed
    return [outcomes[index] for index in sorted(outcomes)]


async def patiently(attempt: Callable[[], Awaitable[Outcome]], *, unreachable_seconds: float = 0.0) -> Outcome:
    """`Patience` for one request."""
    return await Patience()(attempt, unreachable_seconds=unreachable_seconds)


class Patience:
    """Waits, for all the requests of a call, where the API throttles: a 429 says that nothing was done."""

    def __init__(self) -> None:
        self._ends = anyio.current_time() + PATIENCE_SECONDS

    async def __call__(self, attempt: Callable[[], Awaitable[Outcome]], *, unreachable_seconds: float = 0.0) -> Outcome:
        """Make the attempt, and again, later, while the API throttles, or, for so long, cannot be reached.

        Raises `Throttled` or `Unreachable` when that was not enough, or at once when the API wants a longer pause.
        """
        gives_up = anyio.current_time() + unreachable_seconds

        def pause(error: Exception) -> bool | float:
            now = anyio.current_time()
            if isinstance(error, Throttled):
                wait = throttle_wait(error, MAX_PAUSE_SECONDS)
                return wait if now + wait < self._ends else False
            return isinstance(error, Unreachable) and now < gives_up

        return await RETRY_UNSENT(pause, attempt)


async def look_until(
    is_enough: Callable[[Outcome], bool],
    look: Callable[[DeploymentsClient], Awaitable[Outcome]],
    client: DeploymentsClient,
) -> tuple[Outcome, None] | tuple[None, UpstreamError]:
    """Look again, after growing pauses, until what is seen is enough; for some five seconds.

    The first look is short, so that there is time for another where an answer hangs. Returns what the last one that
    could read has seen; or why none could.
    """
    ends = anyio.current_time() + MAX_LOOKING_SECONDS
    seen: list[Outcome] = []
    unread: UpstreamError = NoAnswer("Nothing was read.")
    is_short = True

    async def attempt() -> None:
        nonlocal unread, is_short
        try:
            seen.append(await look(client.glancing(GLANCE_SECONDS if is_short else math.inf)))
            is_short = True
            if is_enough(seen[-1]):
                return
        except UpstreamError as error:
            unread, is_short = error, not isinstance(error, NoAnswer)
        if anyio.current_time() <= ends:
            raise _NotYet

    with contextlib.suppress(_NotYet):
        await LOOK(_NotYet, attempt)
    return (seen[-1], None) if seen else (None, unread)


class _NotYet(Exception):
    pass


_report: ContextVar[Progress | None] = ContextVar("report", default=None)


async def report(done: float, total: float | None) -> None:
    """Tell who waits for the call that so many steps are done, if it is `beating`."""
    if tell := _report.get():
        await tell(done, total)


@contextlib.asynccontextmanager
async def beating(progress: Progress) -> AsyncIterator[None]:
    """Give signs of life while the body runs, between the steps that it reports with `report`."""
    done, of = 0.0, None

    async def tell(steps: float, total: float | None) -> None:
        nonlocal done, of
        done, of = max(steps, done), total
        # Whoever has gone away needs no sign of life; the body goes on without.
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await progress(done, of)

    async def beat() -> None:
        while True:
            await anyio.sleep(BEAT_SECONDS)
            await tell(done + 0.001, of)  # the protocol wants every number to be higher than the last

    token, task = _report.set(tell), asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        _report.reset(token)
