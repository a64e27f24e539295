"""Many requests at once, but not too many."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import anyio.lowlevel

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

AT_ONCE = 8
"""Requests under way for one call: polite to a throttled API, and far below the client's connection limit."""


async def each(function: Callable[[Item], Awaitable[Outcome]], items: Iterable[Item]) -> list[Outcome]:
    """`function` of each item, in order, `AT_ONCE` at a time; the first error stops the rest and is raised.

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
            for _ in range(AT_ONCE):
                group.start_soon(work)
    except ExceptionGroup as failed:
        raise _first(failed) from failed
    return [outcomes[index] for index in sorted(outcomes)]


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
