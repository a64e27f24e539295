"""Telling subscribers what a write has changed, in both eras, through one bus.

The 2026-07-28 era's `subscriptions/listen` streams are served by the SDK from the bus. Clients of the older era
call `resources/subscribe`; `OlderSubscribers` serves them and listens on the same bus. Both match URIs exactly, so
`ListingBus` also delivers to the filtered listings that somebody watches. Where callers bring their own Patchworks
keys, a change is told only to subscribers with the key it was made with: nobody else is known to be allowed to see it.
"""

import contextlib
import weakref
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
from mcp.server.subscriptions import ResourceUpdated, ServerEvent, SubscriptionBus
from mcp_types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from patchworks_deployments.api.credentials import caller_tag
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.resources import uris

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
        for uri in watched:
            self.watch(uri)
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


_Watched = dict[str, str | None]
"""URIs, and for each the `caller_tag` of the subscription."""


class OlderSubscribers:
    """`resources/subscribe` and `resources/unsubscribe`; a connection that ends is forgotten by itself."""

    def __init__(self, bus: ListingBus) -> None:
        self._bus = bus
        self._watched: weakref.WeakKeyDictionary[Connection, _Watched] = weakref.WeakKeyDictionary()

    async def subscribe(self, ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
        """Tell this connection of changes to the URI."""
        watched = self._watched_by(_connection(ctx))
        if str(params.uri) not in watched:
            self._bus.watch(str(params.uri))
        watched[str(params.uri)] = caller_tag()
        return EmptyResult()

    def _watched_by(self, connection: Connection) -> _Watched:
        if connection not in self._watched:
            watched = self._watched[connection] = {}
            weakref.finalize(connection, self._forget, watched)
        return self._watched[connection]

    def _forget(self, watched: _Watched) -> None:
        for uri in watched:
            self._bus.unwatch(uri)

    async def unsubscribe(self, ctx: RequestContext, params: UnsubscribeRequestParams) -> EmptyResult:
        """Tell it no more."""
        watched = self._watched.get(_connection(ctx), {})
        if str(params.uri) in watched:
            del watched[str(params.uri)]
            self._bus.unwatch(str(params.uri))
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


def _connection(ctx: RequestContext) -> Connection:
    """What outlives the request."""
    return ctx.session._connection  # noqa: SLF001 - the SDK hands out a proxy per request and no way to its connection


@dataclass(frozen=True)
class DeploymentUpdated(ResourceUpdated):
    """An update of what shows a deployment; `made_by` is the `caller_tag` of who made the change."""

    made_by: str | None = None


def made_by(event: ServerEvent) -> str | None:
    """Whose change it was; None where callers bring no keys of their own."""
    return event.made_by if isinstance(event, DeploymentUpdated) else None
