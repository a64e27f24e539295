"""The time that a request has, by its kind, and progress for the host that asks for it."""

from collections.abc import Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from patchworks_deployments.api.pacing import READ_SECONDS, serving_call

SECONDS: Mapping[str, float] = {
    "tools/call": READ_SECONDS,
    "resources/read": READ_SECONDS,
    "completion/complete": 10.0,
}
"""Seconds for which these requests read and wait; whoever types waits for no completion. Others ask nobody."""

REACHING = SECONDS.keys()
"""The requests that reach Patchworks, or wait for a person."""


async def in_time(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware around all others, because what they wait for counts."""
    seconds = SECONDS.get(ctx.method)
    if seconds is None:
        return await call_next(ctx)
    wants_progress = "progress_token" in (ctx.meta or {})
    async with serving_call(seconds, ctx.session.report_progress if wants_progress else None):
        return await call_next(ctx)
