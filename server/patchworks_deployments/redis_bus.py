"""Change notifications across processes, over Redis pub/sub. Needs the extra `redis`."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent

from patchworks_deployments.errors import SettingsError

logger = logging.getLogger(__name__)

CHANNEL = "patchworks-deployments:updated"
RECONNECT_AFTER = 1.0
"""Seconds between attempts while Redis is away; events of that time are lost, as clients are built to expect."""


class RedisBus:
    """A bus whose events reach the listeners of every process; while Redis is away, those of this one.

    Only resource updates travel: this server publishes no other kind.
    """

    def __init__(self, url: str) -> None:
        try:
            from redis.asyncio import Redis  # noqa: PLC0415 - an extra
        except ImportError:
            raise SettingsError(
                "PATCHWORKS_REDIS_URL needs the extra `redis`: install patchworks-deployments-mcp[redis]"
            ) from None
        self._redis: Any = Redis.from_url(url, socket_connect_timeout=5)
        self._local = InMemorySubscriptionBus()
        self.connected = anyio.Event()

    async def publish(self, event: ServerEvent) -> None:
        """Tell every process; if that fails, this one."""
        if isinstance(event, ResourceUpdated):
            try:
                await self._redis.publish(CHANNEL, json.dumps({"uri": event.uri}))
            except OSError as error:
                self._report(error)
            except Exception as error:  # noqa: BLE001 - redis' errors share no importable base without the extra
                self._report(error)
            else:
                if self.connected.is_set():
                    return
        await self._local.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener of this process."""
        return self._local.subscribe(listener)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Listen to the other processes while the server runs."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._redis.aclose()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        await self._pass_on(message)
            except Exception as error:  # noqa: BLE001 - see publish
                self._report(error)
            self.connected = anyio.Event()
            await anyio.sleep(RECONNECT_AFTER)

    async def _pass_on(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self.connected.set()
        elif message["type"] == "message":
            await self._local.publish(ResourceUpdated(uri=json.loads(message["data"])["uri"]))

    def _report(self, error: Exception) -> None:
        logger.warning("Redis is not reachable (%s): notifications stay in this process", type(error).__name__)
