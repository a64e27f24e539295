"""The tools for more than one deployment at a time: what runs where, switching many, replacing a version."""

from functools import partial
from typing import Annotated, Any

from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp_types import CallToolResult, TextContent
from pydantic import Field

from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model import rendering
from patchworks_deployments.model.values import (
    Code,
    DeploymentId,
    DryRun,
    FlowVersionId,
    IfState,
    OptionalDeploymentNames,
    OptionalFlag,
    OptionalIdentifier,
    OptionalNumber,
    OptionalText,
    Reason,
)
from patchworks_deployments.resources.overview import Overview, summarise, to_text
from patchworks_deployments.resources.subscriptions import tell
from patchworks_deployments.tools.base import READ_ONLY, StrictTool, WriteTool, consent_to, write_hints
from patchworks_deployments.writes.audit import Trail
from patchworks_deployments.writes.consent import Answer
from patchworks_deployments.writes.outcome import FAILURES, NotAgreed, agreement
from patchworks_deployments.writes.replacement import TOOL as REPLACE
from patchworks_deployments.writes.replacement import (
    Replacement,
    carry_out_replacement,
    not_replaced,
    plan_replace,
    replace_text,
)
from patchworks_deployments.writes.results import ReplaceResult, SwitchResult
from patchworks_deployments.writes.services import Services, services, who
from patchworks_deployments.writes.switching import TOOL as SWITCH
from patchworks_deployments.writes.switching import (
    Reporting,
    Switch,
    carry_out_switch,
    not_switched,
    plan_switch,
    switch_text,
)

Ctx = Context[Services, Any]

Part = Annotated[OptionalText, Field(description="Id or part of the name.")]


async def deployment_overview(
    ctx: Ctx,
    flow: Part = None,
    environment: Part = None,
    package: Part = None,
    enabled: OptionalFlag = None,
    deployment_id: Annotated[OptionalIdentifier, Field(description="Find one by its id alone.")] = None,
) -> Annotated[CallToolResult, Overview]:
    """Show what runs where: counts per environment, flows by environments, and what deserves attention.

    Use it for "how many", "where does this flow run", and to find ids; without a filter it covers everything.
    """
    selection = Selection(
        flow=flow, environment=environment, package=package, enabled=enabled, deployment_id=deployment_id
    )
    estate = await read_selected(services(ctx).client, selection, ctx.report_progress)
    if deployment_id and not estate.deployments:
        raise InvalidArgument(f"There is no deployment {deployment_id} among those selected.")
    overview = summarise(estate)
    text = rendering.describe(estate.deployments[0]) if deployment_id else to_text(overview)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=overview.to_json())


async def _no_progress(done: int, total: int) -> None:
    """Reading comes before the question; progress is told of the switching alone."""


async def plan_switching(
    ctx: Ctx,
    enabled: bool,
    deployments: list[str] | None,
    flow: str | None,
    environment: str | None,
    package: str | None,
    if_state: str | None,
) -> Switch:
    """Read what would be switched."""
    selection = Selection(flow=flow, environment=environment, package=package)
    client = services(ctx).client
    plan = await plan_switch(client, selection, deployments or (), enabled=enabled, progress=_no_progress)
    return plan.only_if(if_state)


async def set_deployments_enabled(
    ctx: Ctx,
    enabled: Annotated[bool, Field(description="true enables, false disables.")],
    plan: Annotated[Switch, Resolve(plan_switching)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_switching)],
    deployments: Annotated[
        OptionalDeploymentNames, Field(description="Ids, or flow_version_id/deployment_id; or use the filters.")
    ] = None,
    flow: Part = None,
    environment: Part = None,
    package: Part = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Annotated[CallToolResult, SwitchResult]:
    """Enable or disable many deployments (up to 200) under one consent: those named, or all that match the filters.

    Calling again finishes what was left.
    """
    agreed = agreement(plan, answer)
    if isinstance(agreed, NotAgreed):
        result = not_switched(plan, agreed)
    else:
        trail = Trail(services(ctx).audit, SWITCH, reason, who(ctx))
        reporting = Reporting(trail, ctx.report_progress, partial(tell, ctx))
        result = await carry_out_switch(services(ctx), plan, agreed, reporting)
    return _result(switch_text(plan, result), result)


async def plan_replacement(
    ctx: Ctx,
    flow_version_id: str,
    deployment_id: str,
    new_flow_version_id: str,
    priority: int | None,
    enabled: bool | None,
    if_state: str | None,
) -> Replacement:
    """Read both sides."""
    client, old = services(ctx).client, (flow_version_id, deployment_id)
    plan = await plan_replace(client, old, new_flow_version_id, priority=priority, enabled=enabled)
    return plan.only_if(if_state)


async def replace_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    new_flow_version_id: FlowVersionId,
    plan: Annotated[Replacement, Resolve(plan_replacement)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_replacement)],
    priority: OptionalNumber = None,
    enabled: OptionalFlag = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Annotated[CallToolResult, ReplaceResult]:
    """Put another version of the same flow where a deployment is: deletes it, then creates the new one.

    Queue priority and enabled carry over unless given. If creating fails, the old version is restored.
    """
    agreed = agreement(plan, answer)
    if isinstance(agreed, NotAgreed):
        result = not_replaced(plan, agreed)
    else:
        trail = Trail(services(ctx).audit, REPLACE, reason, who(ctx))
        result = await carry_out_replacement(services(ctx), plan, agreed, trail, partial(tell, ctx))
    return _result(replace_text(plan, result), result)


def _result(text: str, result: SwitchResult | ReplaceResult) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=result.to_json(),
        is_error=result.status in FAILURES,
    )


def overview_tools() -> list[StrictTool]:
    """The tool that every server offers."""
    return [StrictTool.create(deployment_overview, "What runs where", READ_ONLY)]


def estate_write_tools() -> list[WriteTool]:
    """The tools that a read-only server leaves out."""
    switch = write_hints(SWITCH, idempotent=True)
    replace = write_hints(REPLACE, idempotent=False)
    return [
        WriteTool.create(set_deployments_enabled, "Enable or disable many deployments", switch),
        WriteTool.create(replace_deployment, "Replace a flow version", replace),
    ]
