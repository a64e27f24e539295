"""Telling subscribers what a write has changed, in both eras, through one bus.

Clients of 2026-07-28 open `subscriptions/listen` streams; those of the older era call `resources/subscribe`. Both are
matched by exact URI, so `ListingBus` also delivers to the filtered listings that somebody watches. Where callers bring
their own Patchworks keys, a change is told only to subscribers with the key it was made with: nobody else is known to
be allowed to see it.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent, SubscriptionBus
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from patchworks_deployments.api.credentials import caller_tag
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.resources import uris
from patchworks_deployments.sdk import connection_of

RequestContext = ServerRequestContext[Any, Any]


async def tell(ctx: Context[Any, Any], flow_version_id: str, *states: Deployment | None) -> None:
    """Tell subscribers that the deployment read as `states` (before, after) has changed."""
    # Subscribers must hear of it even when the caller has gone away.
    with anyio.CancelScope(shield=True):
        for uri in uris.concerned_by(flow_version_id, *states):
            await ctx.notify_resource_updated(uri)


class ListingBus:
    """A bus that, when a deployment changes, also tells those who watch a filtered listing that may hold it."""

    def __init__(self, inner: SubscriptionBus) -> None:
        self._inner = inner
        self._watched: Counter[str] = Counter()

    async def publish(self, event: ServerEvent) -> None:
        """Pass the event on, with the caller whose request this is."""
        if isinstance(event, ResourceUpdated):
            event = DeploymentUpdated(event.uri, caller_tag())
        await self._inner.publish(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener for the caller whose request this is; it also hears of filtered listings."""
        own = caller_tag()
        return self.hear(lambda event: listener(event) if made_by(event) == own else None)

    def hear(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener for every caller's changes, which looks at `made_by` itself."""
        return self._inner.subscribe(partial(self._deliver, listener))

    def _deliver(self, listener: Callable[[ServerEvent], None], event: ServerEvent) -> None:
        listener(event)
        if isinstance(event, ResourceUpdated):
            for watched in [uri for uri in self._watched if _may_hold(uri, event.uri)]:
                listener(DeploymentUpdated(watched, made_by(event)))

    def watch(self, uri: str) -> None:
        """Somebody watches the URI from now on."""
        self._watched[uri] += 1

    def unwatch(self, uri: str) -> None:
        """Somebody stopped watching it."""
        self._watched[uri] -= 1
        if self._watched[uri] <= 0:
            del self._watched[uri]

    @contextlib.contextmanager
    def watching(self, watched: Collection[str]) -> Iterator[None]:
        """Somebody watches these URIs meanwhile."""
        self._watched.update(watched)
        try:
            yield
        finally:
            for uri in watched:
                self.unwatch(uri)


def _may_hold(watched: str, told: str) -> bool:
    try:
        return uris.may_hold(watched, told)
    except DeploymentsError:
        return False


MAX_STREAMS = 2_000
"""`subscriptions/listen` streams open at once; an idle one costs about 60 KiB."""


class Streams:
    """The open `subscriptions/listen` streams: the SDK's, whose URIs the bus watches meanwhile."""

    def __init__(self, bus: ListingBus, max_streams: int = MAX_STREAMS) -> None:
        self._bus = bus
        self._handler = ListenHandler(bus, max_subscriptions=max_streams)

    async def listen(self, ctx: RequestContext, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Serve one stream until its client leaves or `end` is called."""
        with self._bus.watching(params.notifications.resource_subscriptions or ()):
            return await self._handler(ctx, params)

    def end(self) -> None:
        """End every stream, so that its client knows it was on purpose."""
        self._handler.close()


class OlderSubscribers:
    """`resources/subscribe` and `resources/unsubscribe`, until the connection ends."""

    def __init__(self, bus: ListingBus) -> None:
        self._bus = bus
        self._watched: dict[Connection, dict[str, str | None]] = {}
        """For each connection the URIs, and for each URI the `caller_tag` of the subscription."""

    async def subscribe(self, ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
        """Tell this connection of changes to the URI."""
        connection = connection_of(ctx)
        if connection not in self._watched:
            self._watched[connection] = {}
            connection.exit_stack.callback(self._forget, connection)
        if params.uri not in self._watched[connection]:
            self._bus.watch(params.uri)
        self._watched[connection][params.uri] = caller_tag()
        return EmptyResult()

    def _forget(self, connection: Connection) -> None:
        for uri in self._watched.pop(connection):
            self._bus.unwatch(uri)

    async def unsubscribe(self, ctx: RequestContext, params: UnsubscribeRequestParams) -> EmptyResult:
        """Tell it no more."""
        watched = self._watched.get(connection_of(ctx), {})
        if params.uri in watched:
            del watched[params.uri]
            self._bus.unwatch(params.uri)
        return EmptyResult()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Pass events on while the server runs."""
        async with anyio.create_task_group() as group:
            stop = self._bus.hear(partial(self._pass_on, group))
            try:
                yield
            finally:
                stop()
                group.cancel_scope.cancel()

    def _pass_on(self, group: TaskGroup, event: ServerEvent) -> None:
        if isinstance(event, ResourceUpdated):
            for connection, watched in list(self._watched.items()):
                if event.uri in watched and watched[event.uri] == made_by(event):
                    group.start_soon(connection.notify, "notifications/resources/updated", {"uri": event.uri})


@dataclass(frozen=True)
class DeploymentUpdated(ResourceUpdated):
    """An update of what shows a deployment; `made_by` is the `caller_tag` of who made the change."""

    made_by: str | None = None


def made_by(event: ServerEvent) -> str | None:
    """Whose change it was; None where callers bring no keys of their own."""
    return event.made_by if isinstance(event, DeploymentUpdated) else None
