"""The tool that tells what was changed."""

from functools import cache
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from patchworks_deployments.consent.services import services
from patchworks_deployments.history.changes import Changes, Filters, read_changes, to_text
from patchworks_deployments.history.unfinished.settling import settle
from patchworks_deployments.model.deployment import Maybe
from patchworks_deployments.model.values import OptionalPart, OptionalText, Page
from patchworks_deployments.tools.base import Ctx, DeploymentTool, answer


async def list_changes(
    ctx: Ctx,
    since: Annotated[OptionalText, Field(description="Time, or span back: 24h, 7d.")] = None,
    until: OptionalText = None,
    tool_name: OptionalText = None,
    flow: OptionalPart = None,
    environment: OptionalPart = None,
    caller: OptionalText = None,
    outcome: OptionalText = None,
    change: Annotated[OptionalText, Field(description="Id: tells it in whole.")] = None,
    page: Maybe[Page] = 1,
) -> Annotated[CallToolResult, Changes]:
    """What this server changed, newest first: who, why, and the calls that undo it."""
    filters = Filters(
        since=since,
        until=until,
        tool_name=tool_name,
        flow=flow,
        environment=environment,
        caller=caller,
        outcome=outcome,
        change=change,
        page=page or 1,
    )
    held = services(ctx)
    await settle(held.audit, held.client, waits=False)
    changes = await read_changes(held.audit, held.client, filters, own_only=held.own_only)
    return answer(to_text(changes), changes)


@cache
def changes_tool() -> DeploymentTool:
    """The tool that every server offers."""
    return DeploymentTool.reading(list_changes, "What was changed")
