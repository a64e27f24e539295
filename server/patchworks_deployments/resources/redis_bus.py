"""Change notifications across processes, over Redis pub/sub. Needs the extra `redis`."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent

from patchworks_deployments.resources.subscriptions import DeploymentUpdated, made_by
from patchworks_deployments.startup import open_redis

logger = logging.getLogger(__name__)

CHANNEL = "patchworks-deployments:updated"
RECONNECT_SECONDS = 1.0
"""Seconds between attempts while Redis is away; events of that time are lost, as clients are built to expect."""

MAX_WAITING_EVENTS = 1_000
"""Events on their way to Redis; those beyond stay in this process."""

SEND_SECONDS = 2.0
"""Seconds that Redis has to take an event."""


class RedisBus:
    """A bus whose events reach the listeners of every process; while Redis is away, those of this one.

    Only resource updates travel: this server publishes no other kind.
    """

    def __init__(self, url: str) -> None:
        self._redis: Any = open_redis(url)
        self._local = InMemorySubscriptionBus()
        self._to_send, self._sending = anyio.create_memory_object_stream[ResourceUpdated](MAX_WAITING_EVENTS)
        self.connected = anyio.Event()

    async def publish(self, event: ServerEvent) -> None:
        """Hand the event to Redis without waiting, so that no write does; while Redis is away, tell this process."""
        try:
            if isinstance(event, ResourceUpdated) and self.connected.is_set():
                self._to_send.send_nowait(event)
                return
        except anyio.WouldBlock as error:
            self._report(error)
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
                async with anyio.create_task_group() as sender:
                    sender.start_soon(self._send)
                    yield
                    # What a stopping process still has to tell gets its chance.
                    self._to_send.close()
                    sender.cancel_scope.deadline = anyio.current_time() + SEND_SECONDS
            finally:
                group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._redis.aclose()

    async def _send(self) -> None:
        async for event in self._sending:
            try:
                with anyio.fail_after(SEND_SECONDS):
                    await self._redis.publish(CHANNEL, json.dumps({"uri": event.uri, "made_by": made_by(event)}))
            except Exception as error:  # noqa: BLE001 - redis' errors share no importable base without the extra
                self._report(error)
                await self._local.publish(event)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "subscribe":
                            self.connected.set()
                        elif message["type"] == "message":
                            told = json.loads(message["data"])
                            await self._local.publish(DeploymentUpdated(told["uri"], told["made_by"]))
            except Exception as error:  # noqa: BLE001 - see above
                self._report(error)
            self.connected = anyio.Event()
            await anyio.sleep(RECONNECT_SECONDS)

    def _report(self, error: Exception) -> None:
        logger.warning("Redis is not reachable (%s): notifications stay in this process", type(error).__name__)
