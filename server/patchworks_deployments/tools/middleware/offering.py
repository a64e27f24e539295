"""Which tools a client is offered: what only a page can use, those alone that show pages."""

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import ListToolsResult

from patchworks_deployments.caller import shows_pages
from patchworks_deployments.tools.confirming import CONFIRM


async def without_pages(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: a client that shows no pages is offered what it would be offered if there were none."""
    result = await call_next(ctx)
    if ctx.method != "tools/list" or shows_pages(ctx):
        return result
    listed = result if isinstance(result, ListToolsResult) else ListToolsResult.model_validate(result)
    tools = [tool.model_copy(update={"meta": None}) for tool in listed.tools if tool.name != CONFIRM]
    return listed.model_copy(update={"tools": tools})
