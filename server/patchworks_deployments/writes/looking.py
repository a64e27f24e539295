"""Looking again at what a write has done, because what the API shows may lag behind it."""

import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import stamina

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import GLANCE_SECONDS, deadline
from patchworks_deployments.errors import NoAnswer, UpstreamError

Outcome = TypeVar("Outcome")

LOOK = stamina.AsyncRetryingCaller(attempts=6, timeout=None, wait_initial=0.25, wait_max=2.0, wait_jitter=0.0)
"""Looks for some five seconds in all (0.25 + 0.5 + 1 + 2 + 2): what the API shows may lag behind what it has done."""

MAX_LOOKING_SECONDS = 10.0
"""Seconds after which no further look is begun, so that the call ends where Patchworks does not answer."""


async def look_until(
    is_enough: Callable[[Outcome], bool],
    look: Callable[[DeploymentsClient], Awaitable[Outcome]],
    client: DeploymentsClient,
) -> tuple[Outcome, None] | tuple[None, UpstreamError]:
    """Look again, after growing pauses, until what is seen is enough; for some five seconds.

    The first look is short, so that there is time for another where an answer hangs. Returns what the last one that
    could read has seen; or why none could.
    """
    ends = anyio.current_time() + min(MAX_LOOKING_SECONDS, deadline().left)
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
        if anyio.current_time() < ends:
            raise _NotYet

    with contextlib.suppress(_NotYet):
        await LOOK(_NotYet, attempt)
    return (seen[-1], None) if seen else (None, unread)


class _NotYet(Exception):
    pass
