"""A limit of requests per caller, so that one runaway agent does not use up everybody's allowance."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from patchworks_deployments.tools.refusals import Refusals
from patchworks_deployments.writes.audit import Who
from patchworks_deployments.writes.services import caller, client_name

LIMITED = {"tools/call", "resources/read", "completion/complete"}
"""What costs a request to Patchworks."""

MOST_CALLERS = 10_000
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
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if left >= 1 else max(1.0, (1 - left) * 60 / self.per_minute)
