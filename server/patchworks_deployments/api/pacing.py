"""Many requests at once, but not too many, and later where the API throttles."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import anyio.lowlevel
import stamina

from patchworks_deployments.errors import Throttled

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAX_CONCURRENT_REQUESTS = 8
"""Requests under way for one call: polite to a throttled API, and far below the client's connection limit."""

MAX_THROTTLED_ATTEMPTS = 6
"""How often a throttled request is tried, on top of the client's own attempts."""

MAX_PAUSE_SECONDS = 65.0
"""Seconds: Laravel throttles by the minute. A longer `Retry-After` is reported instead of waited for."""


async def each(function: Callable[[Item], Awaitable[Outcome]], items: Iterable[Item]) -> list[Outcome]:
    """`function` of each item, in order, several at a time; the first error stops the rest and is raised.

    A cancellation takes effect before the next item, even where no item ever has to wait.
    """
    waiting = enumerate(items)
    outcomes: dict[int, Outcome] = {}

    async def work() -> None:
        for index, item in waiting:
            await anyio.lowlevel.checkpoint_if_cancelled()
            outcomes[index] = await function(item)

    try:
        async with anyio.create_task_group() as group:
            for _ in range(MAX_CONCURRENT_REQUESTS):
                group.start_soon(work)
    except ExceptionGroup as failed:
        raise _first(failed) from failed
    return [outcomes[index] for index in sorted(outcomes)]


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def patiently(attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Again, later, while the API throttles: a 429 says that nothing was done. At most about six minutes in all.

    Raises `Throttled` when that was not enough, or at once when the API wants a longer pause.
    """
    turns = stamina.retry_context(
        on=_pause, attempts=MAX_THROTTLED_ATTEMPTS, timeout=None, wait_initial=2.0, wait_max=30.0
    )
    async for turn in turns:
        with turn:
            return await attempt()
    raise AssertionError


def _pause(error: Exception) -> bool | float:
    """Whether to wait, and for how many seconds where the API said it."""
    if not isinstance(error, Throttled):
        return False
    return error.retry_after is None or (error.retry_after <= MAX_PAUSE_SECONDS and max(error.retry_after, 0.1))
