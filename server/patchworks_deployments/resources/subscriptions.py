"""Telling subscribers what a write has changed, in both eras, through one bus.

Clients of 2026-07-28 open `subscriptions/listen` streams; those of the older era call `resources/subscribe`. Both name
exact URIs, and `ListingBus` finds those that a write concerns, filtered listings too. Where callers bring their own
Patchworks keys, a change is told only to subscribers with the key it was made with: nobody else is known to be allowed
to see it.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent, SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from patchworks_deployments.api.credentials import caller_tag
from patchworks_deployments.caller import Shares, caller
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.resources import uris
from patchworks_deployments.resources.watching import Hear, Watchers
from patchworks_deployments.sdk import connection_of

logger = logging.getLogger(__name__)

RequestContext = ServerRequestContext[Any, Any]


async def tell(ctx: Context[Any, Any], flow_version_id: str, *states: Deployment | None) -> None:
    """Tell subscribers that the deployment read as `states` (before, after) has changed."""
    # Subscribers must hear of it even when the caller has gone away.
    with anyio.CancelScope(shield=True):
        for uri in uris.concerned_by(flow_version_id, *states):
            await ctx.notify_resource_updated(uri)


MAX_WAITING_EVENTS = 1_000
"""Changes that have not been told yet; of one that comes again meanwhile, watchers hear once."""

TOLD_AT_ONCE = 50
"""Watchers who are told before other work gets its turn."""


class ListingBus:
    """A bus that finds who watches what has changed, and tells them beside the write that changed it."""

    def __init__(self, inner: SubscriptionBus) -> None:
        self._inner = inner
        self.watchers = Watchers()
        self._untold: dict[tuple[str, str | None], None] = {}
        self._is_untold = anyio.Event()

    async def publish(self, event: ServerEvent) -> None:
        """Pass the event on, with the caller whose request this is."""
        if isinstance(event, ResourceUpdated):
            event = DeploymentUpdated(event.uri, caller_tag())
        await self._inner.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener for every event of every caller, found by nobody's URIs."""
        return self._inner.subscribe(listener)

    def watch(self, watched: Mapping[str, uris.Watch], hear: Hear) -> Callable[[], None]:
        """Let whoever makes this request hear of these URIs, until the returned function is called."""
        return self.watchers.add(watched, (caller_tag(), hear))

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Tell watchers while the server runs."""
        stop = self._inner.subscribe(self._take)
        async with anyio.create_task_group() as group:
            group.start_soon(self._tell_watchers)
            try:
                yield
            finally:
                stop()
                group.cancel_scope.cancel()

    def _take(self, event: ServerEvent) -> None:
        if not isinstance(event, ResourceUpdated):
            return
        if len(self._untold) >= MAX_WAITING_EVENTS:
            logger.warning("Changes come faster than they can be told: watchers do not hear of one")
            return
        self._untold[event.uri, made_by(event)] = None
        self._is_untold.set()

    async def _tell_watchers(self) -> None:
        while True:
            await self._is_untold.wait()
            self._is_untold = anyio.Event()
            while self._untold:
                told, tag = next(iter(self._untold))
                del self._untold[told, tag]
                for number, (uri, hear) in enumerate(self.watchers.of(uris.Told.of(told), tag), 1):
                    hear(uri)
                    if number % TOLD_AT_ONCE == 0:
                        await checkpoint()
                await checkpoint()


MAX_STREAMS, MAX_STREAMS_OF_ONE = 2_000, 200
"""`subscriptions/listen` streams open at once, in all and of one caller; an idle one costs about 60 KiB."""


class Streams:
    """The open `subscriptions/listen` streams: the SDK's, each of which hears of what it watches."""

    def __init__(self, bus: ListingBus, max_streams: int = MAX_STREAMS) -> None:
        self._bus = bus
        self._shares = Shares("streams of changes", MAX_STREAMS_OF_ONE, max_streams, "Close one first.")
        self._open: set[ListenHandler] = set()

    async def listen(self, ctx: RequestContext, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Serve one stream until its client leaves or `end` is called; it acknowledges the URIs that it can watch.

        Raises `MCPError` where it would be one too many, or its URIs would be.
        """
        watched = self._bus.watchers.watchable(params.notifications.resource_subscriptions or ())
        notifications = params.notifications.model_copy(update={"resource_subscriptions": [*watched]})
        stream = ListenHandler(_Ear(self._bus, watched))
        with contextlib.ExitStack() as held:
            held.callback(self._shares.take(caller()))
            held.callback(self._bus.watchers.shares.take(caller(), len(watched)))
            self._open.add(stream)
            held.callback(self._open.discard, stream)
            return await stream(ctx, params.model_copy(update={"notifications": notifications}))

    def end(self) -> None:
        """End every stream, so that its client knows it was on purpose."""
        for stream in self._open:
            stream.close()


@dataclass(frozen=True)
class _Ear:
    """The bus as one stream knows it: what concerns the URIs that it watches."""

    bus: ListingBus
    watched: Mapping[str, uris.Watch]

    async def publish(self, event: ServerEvent) -> None:
        await self.bus.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        return self.bus.watch(self.watched, lambda uri: listener(ResourceUpdated(uri)))


@dataclass(eq=False)
class _Subscriber:
    """One connection of the older era: how each of its URIs is watched no more, and of which it has yet to hear."""

    connection: Connection
    stops: dict[str, Callable[[], None]] = field(default_factory=dict)
    untold: dict[str, None] = field(default_factory=dict)
    is_being_told: bool = False

    def stop(self, uri: str) -> None:
        if uri in self.stops:
            self.stops.pop(uri)()
        self.untold.pop(uri, None)

    def stop_all(self) -> None:
        for uri in [*self.stops]:
            self.stop(uri)

    async def tell(self) -> None:
        """Send what is untold. One who does not read waits here alone, and for each URI once."""
        while self.untold:
            uri = next(iter(self.untold))
            del self.untold[uri]
            await self.connection.notify("notifications/resources/updated", {"uri": uri})
        self.is_being_told = False


class OlderSubscribers:
    """`resources/subscribe` and `resources/unsubscribe`, until the connection ends."""

    def __init__(self, bus: ListingBus) -> None:
        self._bus = bus
        self._subscribers: dict[Connection, _Subscriber] = {}
        self._group: TaskGroup | None = None

    async def subscribe(self, ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
        """Tell this connection of changes to the URI. Raises `MCPError` for one that is not ours, or is too many."""
        try:
            watch = uris.watch_of(params.uri)
        except InvalidArgument as error:
            raise MCPError(code=INVALID_PARAMS, message=error.said(is_read=True)) from error
        connection = connection_of(ctx)
        if connection not in self._subscribers:
            self._subscribers[connection] = _Subscriber(connection)
            connection.exit_stack.callback(self._forget, connection)
        subscriber = self._subscribers[connection]
        subscriber.stop(params.uri)
        with contextlib.ExitStack() as held:
            held.callback(self._bus.watchers.shares.take(caller()))
            held.callback(self._bus.watch({params.uri: watch}, partial(self._hear, subscriber)))
            subscriber.stops[params.uri] = held.pop_all().close
        return EmptyResult()

    def _forget(self, connection: Connection) -> None:
        self._subscribers.pop(connection).stop_all()

    async def unsubscribe(self, ctx: RequestContext, params: UnsubscribeRequestParams) -> EmptyResult:
        """Tell it no more."""
        if subscriber := self._subscribers.get(connection_of(ctx)):
            subscriber.stop(params.uri)
        return EmptyResult()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Tell subscribers while the server runs."""
        async with self._bus.served(), anyio.create_task_group() as self._group:
            try:
                yield
            finally:
                self._group.cancel_scope.cancel()

    def _hear(self, subscriber: _Subscriber, uri: str) -> None:
        subscriber.untold[uri] = None
        if self._group and not subscriber.is_being_told:
            subscriber.is_being_told = True
            self._group.start_soon(subscriber.tell)


@dataclass(frozen=True)
class DeploymentUpdated(ResourceUpdated):
    """An update of what shows a deployment; `made_by` is the `caller_tag` of who made the change."""

    made_by: str | None = None


def made_by(event: ServerEvent) -> str | None:
    """Whose change it was; None where callers bring no keys of their own."""
    return event.made_by if isinstance(event, DeploymentUpdated) else None
