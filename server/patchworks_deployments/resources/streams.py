"""`subscriptions/listen` over HTTP, where streams may be many and are nearly always idle.

The SDK keeps whatever served the request for as long as its stream is open: about 50 KiB. Here it only opens the
stream: it checks and acknowledges the request and writes the result that ends a stream. `HeldStreams` holds that end
back until the server stops, lets go of the rest, and sends the updates meanwhile. Over stdio a stream stays the SDK's.
"""

import json
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ListenHandler, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_matches, event_to_notification
from mcp_types import (
    INTERNAL_ERROR,
    RequestId,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.resources.subscriptions import ListingBus

MOST = 2_000
"""Streams open at once."""

PING_AFTER = 15.0
"""Seconds of silence after which a stream gets a comment, so that no proxy takes it for dead."""

PING = b": ping\r\n\r\n"

_LISTEN = (b"mcp-method", b"subscriptions/listen")
_OPENED = "patchworks_deployments.opened"
"""Where in the scope the handler leaves the stream that it has opened."""


class Stream:
    """What a client asked to hear of, and what it has not been told yet."""

    __slots__ = ("_filter", "_is_ending", "_meta", "_ping_after", "_waiting", "_woken", "end", "uris")

    def __init__(self, request_id: RequestId, asked: SubscriptionFilter, ping_after: float = PING_AFTER) -> None:
        self._filter = asked
        self._ping_after = ping_after
        self._meta = {SUBSCRIPTION_ID_META_KEY: request_id}
        # An event says "read it again", so one of a kind is enough however slowly a client reads.
        self._waiting: dict[ServerEvent, None] = {}
        self._woken = anyio.Event()
        self.uris = frozenset(asked.resource_subscriptions or ())
        self.end: bytes | None = None
        self._is_ending = False

    def deliver(self, event: ServerEvent) -> None:
        """Keep the event for the client if it asked for it."""
        if event_matches(self._filter, self.uris, event):
            self._waiting[event] = None
            self._woken.set()

    def finish(self) -> None:
        """End the stream when what is waiting has been sent."""
        self._is_ending = True
        self._woken.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Send events and comments until the client goes away or the server stops."""
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            while body := await self._next():
                await send(_part(body))
            await send(_part(self.end or b"", more=False))
            group.cancel_scope.cancel()

    async def _next(self) -> bytes:
        """What to send next, which may take a while to come; nothing at the end."""
        if not self._waiting and not self._is_ending:
            self._woken = anyio.Event()
            with anyio.move_on_after(self._ping_after):
                await self._woken.wait()
        if not self._waiting:
            return b"" if self._is_ending else PING
        frames = [_frame(event_to_notification(event, self._meta)) for event in self._waiting]
        self._waiting.clear()
        return b"".join(frames)


def _frame(notification: ServerNotification) -> bytes:
    message = {"jsonrpc": "2.0", **notification.model_dump(mode="json", by_alias=True, exclude_none=True)}
    return f"event: message\r\ndata: {json.dumps(message, separators=(',', ':'))}\r\n\r\n".encode()


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class Listeners:
    """The open streams, and the handler of `subscriptions/listen`.

    At most `most` streams are open at once; one that is silent for `ping_after` seconds gets a comment.
    """

    def __init__(self, bus: ListingBus) -> None:
        self.most, self.ping_after = MOST, PING_AFTER
        self._bus = bus
        self._over_stdio = ListenHandler(bus)
        self._open: dict[Stream, Callable[[], None]] = {}

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve the request or, where `HeldStreams` goes on with it, only open its stream."""
        opened: list[Stream] | None = ctx.request.scope.get(_OPENED) if ctx.request else None
        if opened is None or ctx.request_id is None:
            with self._bus.watching(params.notifications.resource_subscriptions or ()):
                return await self._over_stdio(ctx, params)
        if len(self._open) >= self.most:
            raise MCPError(INTERNAL_ERROR, "Too many subscriptions are open: try again later")
        asked = SubscriptionFilter(**{kind: wanted for kind, wanted in params.notifications if wanted})
        stream = Stream(ctx.request_id, asked, self.ping_after)
        opened.append(stream)
        self._open[stream] = self._bus.subscribe(stream.deliver)
        for uri in stream.uris:
            self._bus.watch(uri)
        meta: Any = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        acknowledged = SubscriptionsAcknowledgedNotificationParams(notifications=asked, _meta=meta)
        await ctx.session.send_notification(
            SubscriptionsAcknowledgedNotification(params=acknowledged), related_request_id=ctx.request_id
        )
        return SubscriptionsListenResult(_meta=meta)

    def forget(self, stream: Stream) -> None:
        """The stream is over."""
        if unsubscribe := self._open.pop(stream, None):
            unsubscribe()
            for uri in stream.uris:
                self._bus.unwatch(uri)

    def finish(self) -> None:
        """End every stream, so that its client knows it was on purpose."""
        for stream in self._open:
            stream.finish()


class HeldStreams:
    """ASGI middleware, outermost: what the SDK opens for `subscriptions/listen` is held open here."""

    def __init__(self, app: ASGIApp, listeners: Listeners) -> None:
        self.app = app
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; if it opened a stream, run that."""
        if _LISTEN not in scope.get("headers", ()):
            await self.app(scope, receive, send)
            return
        opened: list[Stream] = []
        scope[_OPENED] = opened
        try:
            await self.app(scope, receive, _but_the_end(opened, send))
            for stream in opened:
                if stream.end is not None:
                    await stream.run(receive, send)
        finally:
            for stream in opened:
                self._listeners.forget(stream)


def _but_the_end(opened: list[Stream], send: Send) -> Send:
    """`send`, which keeps the last part of the answer for later if the answer is a stream."""

    async def send_or_keep(message: Message) -> None:
        if opened and message["type"] == "http.response.body" and not message.get("more_body"):
            opened[0].end = message["body"]
        else:
            await send(message)

    return send_or_keep
