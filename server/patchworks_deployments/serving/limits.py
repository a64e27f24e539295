"""A limit of requests per caller, so that one runaway agent does not use up everybody's allowance."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from patchworks_deployments.caller import Who, caller, client_name
from patchworks_deployments.tools.base import Refusals

LIMITED = {"tools/call", "resources/read", "completion/complete"}
"""What costs a request to Patchworks."""

MAX_CALLERS = 10_000
RATE_LIMITED = -32_000


@dataclass
class RateLimit:
    """A token bucket per caller: `per_minute` requests, which refill evenly."""

    per_minute: int
    refusals: Refusals
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - the SDK's middleware
        """Middleware: refuse what is too much, in words that reach the model where it called a tool."""
        wait = self.take(caller()) if ctx.method in LIMITED else 0.0
        if wait <= 0:
            return await call_next(ctx)
        text = (
            f"Too many requests: the limit is {self.per_minute} a minute. Nothing was changed. "
            f"Wait {wait:.0f} seconds, then call again."
        )
        if ctx.method == "tools/call":
            self.refusals.record(ctx.params or {}, Who(caller(), client_name(ctx.session)), text)
            return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
        raise MCPError(code=RATE_LIMITED, message=text)

    def take(self, who: str) -> float:
        """Take one; the seconds to wait if there is none."""
        now = self.clock()
        left, then = self._buckets.pop(who, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - then) * self.per_minute / 60)
        self._buckets[who] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if left >= 1 else max(1.0, (1 - left) * 60 / self.per_minute)


ARRIVAL_SECONDS = 10.0
"""Seconds for a request's head, and again for its body; a call with all its arguments is a few kilobytes."""


class PromptBody:
    """ASGI middleware: answers 408 where a body is not complete in time, and is silent where the client gives up.

    Nothing is read that the application does not ask for, so a refusal at the door comes first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, but give it up when its body does not arrive."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with anyio.CancelScope() as call:
            arriving = _Arriving(receive, call, anyio.current_time() + ARRIVAL_SECONDS)
            await self.app(scope, arriving, send)
        if arriving.is_late:
            await _TOO_LATE(scope, receive, send)


_TOO_LATE = PlainTextResponse(
    f"The request was not complete after {ARRIVAL_SECONDS:.0f} seconds. Nothing was changed. Send it again.",
    status_code=408,
    headers={"Connection": "close"},
)


@dataclass
class _Arriving:
    """The request's messages; gives up the whole `call` when they stop before the body is complete."""

    receive: Receive
    call: anyio.CancelScope
    deadline: float
    is_complete: bool = False
    is_late: bool = False

    async def __call__(self) -> Message:
        if self.is_complete:
            return await self.receive()
        message: Message = {"type": "http.disconnect"}
        with anyio.CancelScope(deadline=self.deadline) as waiting:
            message = await self.receive()
        self.is_late = waiting.cancelled_caught
        if message["type"] == "http.disconnect":
            self.call.cancel()
            await checkpoint()
        self.is_complete = not message.get("more_body", False)
        return message


class PromptHead(H11Protocol):
    """uvicorn's protocol, which closes a connection whose next request's head is not complete in time.

    On h11 whatever else is installed: it bounds the size of a head, which uvicorn's other parser does not.

    Between requests uvicorn's own keep-alive limit holds, which ends with the first byte.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, unless that completed a head."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
