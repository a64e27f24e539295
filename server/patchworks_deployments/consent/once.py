"""One yes, one write: what somebody agreed to is carried out once, and not after somebody has declined it.

What a person or a code agrees to is a write on a state that was read, and how often that very write on that very state
has been tried or declined before. The number is part of the question and of the code, so all that was agreed to before
is void after a write, even if the state comes back, and after a person's no; and of several calls that carry the same
agreement at once, one gets to write.
"""

import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio

from patchworks_deployments.consent.codes import CODE_SECONDS
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.startup import open_redis
from patchworks_deployments.writes.plan import AnyPlan

REMEMBERED_SECONDS = 2 * CODE_SECONDS
"""Seconds for which a write or a no is remembered: longer than anything that was agreed to before it is good for."""

REDIS_SECONDS = 2.0
"""Seconds that Redis has to answer."""

PREFIX = "patchworks-deployments:written:"


class RedisAway(DeploymentsError):
    """Redis, which remembers what was carried out, does not answer."""

    default_next_step = "Call again when Redis is back, which PATCHWORKS_REDIS_URL names."


class Once(Protocol):
    """Remembers which writes on which states were tried or declined."""

    async def times(self, key: str) -> int:
        """How often the write with this key was tried or declined lately. Raises `RedisAway`."""

    async def take(self, key: str, times: int) -> bool:
        """Let it be tried or declined once more; False unless that has still happened this many times."""


def key_of(plan: AnyPlan, account: str) -> str:
    """What tells one write on one state from all others: a digest of both, and of the account."""
    told = [account, plan.write.name, plan.write.arguments, plan.fingerprint]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class OnceHere:
    """Remembers what this process has tried, and what was declined in it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[str, tuple[int, float]] = {}
        """How often, and until when that is remembered."""

    async def times(self, key: str) -> int:
        """How often the write with this key was tried or declined lately."""
        return self._known(key)

    async def take(self, key: str, times: int) -> bool:
        """Let it be tried or declined once more; False unless that has still happened this many times."""
        is_first = self._known(key) == times
        if is_first:
            self._written[key] = times + 1, self._clock() + REMEMBERED_SECONDS
        return is_first

    def _known(self, key: str) -> int:
        now = self._clock()
        self._written = {known: told for known, told in self._written.items() if told[1] > now}
        return self._written.get(key, (0, now))[0]


class OnceInRedis:
    """Remembers it for all processes that share a Redis. Needs the extra `redis`."""

    def __init__(self, redis: Any) -> None:  # noqa: ANN401 - an extra, so its types may not be there
        self._redis = redis

    async def times(self, key: str) -> int:
        """How often the write with this key was tried or declined lately. Raises `RedisAway`."""
        return int(await self._ask(self._redis.get, PREFIX + key) or 0)

    async def take(self, key: str, times: int) -> bool:
        """Let it be tried or declined once more; False unless that has still happened this many times."""
        # Redis does one thing after the other, so that one caller alone gets the number that follows.
        steps = self._redis.pipeline().incr(PREFIX + key).expire(PREFIX + key, REMEMBERED_SECONDS)
        number, _ = await self._ask(steps.execute)
        return int(number) == times + 1

    async def _ask(self, command: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - redis has no types
        try:
            with anyio.fail_after(REDIS_SECONDS):
                return await command(*arguments)
        except Exception as error:
            raise RedisAway(
                f"Redis does not answer ({type(error).__name__}), so it cannot be seen whether this was done already."
            ) from error


@asynccontextmanager
async def open_once(redis_url: str | None) -> AsyncIterator[Once]:
    """What remembers it for all processes that share this Redis, or for this process alone."""
    if redis_url is None:
        yield OnceHere()
        return
    redis = open_redis(redis_url)
    try:
        yield OnceInRedis(redis)
    finally:
        with anyio.CancelScope(shield=True):
            await redis.aclose()
