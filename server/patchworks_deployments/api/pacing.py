"""Many requests at once, but not too many, and later where the API throttles."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import anyio.lowlevel
import stamina

from patchworks_deployments.api.failures import throttle_wait
from patchworks_deployments.errors import Throttled

Argument = TypeVar("Argument")
Outcome = TypeVar("Outcome")

MAX_CONCURRENT_REQUESTS = 8
"""Requests under way for one call: polite to a throttled API, and far below the client's connection limit."""

MAX_PAUSE_SECONDS = 65.0
"""Seconds: Laravel throttles by the minute. A longer `Retry-After` is reported instead of waited for."""

RETRY_THROTTLED = stamina.AsyncRetryingCaller(attempts=6, timeout=None, wait_initial=2.0, wait_max=30.0)
"""Tries a throttled request on top of the client's own attempts; waits are in seconds."""


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


async def patiently(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Again, later, while the API throttles: a 429 says that nothing was done. At most about six minutes in all.

    Raises `Throttled` when that was not enough, or at once when the API wants a longer pause.
    """
    return await RETRY_THROTTLED(_pause, attempt)


def _pause(error: Exception) -> bool | float:
    """Whether to wait, and for how many seconds where the API said it."""
    return isinstance(error, Throttled) and throttle_wait(error, MAX_PAUSE_SECONDS)
