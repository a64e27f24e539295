"""What a call is answered with while the server stops."""

from dataclasses import dataclass
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, CallToolResult, TextContent

from patchworks_deployments.startup import STOPPING, Stop
from patchworks_deployments.tools.middleware.timing import REACHING

_ENDLESS = "subscriptions/listen"


@dataclass(frozen=True)
class UntilStopped:
    """Middleware: a stop ends what has sent no write yet, and lets nothing more begin."""

    stop: Stop

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass the request on, and answer it where the server stops before it has sent a write."""
        if ctx.method == _ENDLESS:
            return await call_next(ctx)
        if ctx.method not in REACHING:
            with self.stop.running_one():
                return await call_next(ctx)
        if not self.stop.has_begun.is_set():
            with self.stop.running_one(), self.stop.waiting():
                return await call_next(ctx)
        if ctx.method == "tools/call":
            return CallToolResult(content=[TextContent(type="text", text=STOPPING)], is_error=True)
        raise MCPError(code=CONNECTION_CLOSED, message=STOPPING)
