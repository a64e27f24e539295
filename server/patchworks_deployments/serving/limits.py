"""How much a caller may ask for, and how large a request may be and how long under way."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.caller import caller

COSTLY_METHODS = {"tools/call", "resources/read", "completion/complete"}
"""What makes a request to Patchworks."""

MAX_CALLERS = 10_000
"""Callers whose requests are counted; beyond, who was silent for longest is forgotten."""

RATE_LIMITED = -32_000
"""The JSON-RPC error code."""


@dataclass
class RateLimit:
    """A bucket of `per_minute` requests per caller, refilled evenly: one runaway agent uses up nobody else's."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: refuse what is too much, in words that reach the model where it called a tool."""
        wait = self.take(caller()) if ctx.method in COSTLY_METHODS else 0.0
        if wait <= 0:
            return await call_next(ctx)
        text = (
            f"Too many requests: the limit is {self.per_minute} a minute. Nothing was changed. "
            f"Wait {wait:.0f} seconds, then call again."
        )
        if ctx.method == "tools/call":
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


MAX_BODY_BYTES = 1024 * 1024
"""Bytes of a request's body; a call with all its arguments is a few kilobytes."""

BODY_SECONDS = 10.0
"""Seconds for a request's body to arrive."""

_TOO_LATE = PlainTextResponse(
    f"The request was not complete after {BODY_SECONDS:.0f} seconds. Nothing was changed. Send it again.",
    status_code=408,
    headers={"Connection": "close"},
)


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
        until, is_complete, has_left = anyio.current_time() + BODY_SECONDS, False, False
        with anyio.CancelScope() as call:

            async def arriving() -> Message:
                nonlocal is_complete, has_left
                if is_complete:
                    return await receive()
                call.deadline = until  # counts only while the application waits for the body
                message = await receive()
                call.deadline = math.inf
                is_complete, has_left = not message.get("more_body", False), message["type"] == "http.disconnect"
                if has_left:
                    call.cancel()
                    await checkpoint()
                return message

            await self.app(scope, arriving, send)
        if call.cancelled_caught and not has_left:
            await _TOO_LATE(scope, receive, send)
