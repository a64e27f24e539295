"""The tools for more than one deployment at a time: what runs where, switching many, replacing a version."""

from functools import cache
from typing import Annotated, Any

from mcp.server.mcpserver import Resolve
from mcp_types import CallToolResult
from pydantic import Field

from patchworks_deployments.api.pacing import report
from patchworks_deployments.api.selection import Selected, Selection, read_selected
from patchworks_deployments.app.shown import board
from patchworks_deployments.caller import may_write, shows_pages
from patchworks_deployments.consent.decision import Decision
from patchworks_deployments.consent.services import services
from patchworks_deployments.model.deployment import Maybe
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
    OptionalPart,
    Page,
    Reason,
)
from patchworks_deployments.resources.attention import Show
from patchworks_deployments.resources.overview import Overview, summarise, to_text
from patchworks_deployments.tools.asking import consent_to, counted
from patchworks_deployments.tools.base import Ctx, DeploymentTool, act, answer
from patchworks_deployments.writes.outcome import ReplaceResult, SwitchResult
from patchworks_deployments.writes.replacement import Replace, Replacement
from patchworks_deployments.writes.switching import Switch, SwitchPlan

Part = Annotated[OptionalPart, Field(description="Id, name, or part of it.")]


async def deployment_overview(
    ctx: Ctx,
    flow: Part = None,
    environment: Part = None,
    package: Part = None,
    enabled: OptionalFlag = None,
    deployment_id: Annotated[OptionalIdentifier, Field(description="Find one by its id alone.")] = None,
    show: Maybe[Show] = None,
    page: Maybe[Page] = 1,
) -> Annotated[CallToolResult, Overview]:
    """What runs where: counts, what is odd, and up to 25 deployments with all ids; `show` pages through the rest."""
    selection = Selection(
        flow=flow, environment=environment, package=package, enabled=enabled, deployment_id=deployment_id
    )
    selected = await read_selected(services(ctx).client, selection, report)
    if deployment_id and not selected.deployments:
        selected.require_whole(f"Deployment {deployment_id} did not show.")
        selected.require_some()
    overview = summarise(selected, services(ctx).client.account(), show, page or 1)
    return answer(to_text(overview), overview, for_page=_board(ctx, selected) if shows_pages(ctx) else None)


def _board(ctx: Ctx, selected: Selected) -> dict[str, Any]:
    held = services(ctx)
    may_change = may_write() and not held.read_only
    return board(selected, held.policy, held.client.account().name, may_change=may_change)


async def plan_switching(
    ctx: Ctx,
    enabled: bool,
    deployments: list[str] | None,
    flow: str | None,
    environment: str | None,
    package: str | None,
    if_state: str | None,
) -> SwitchPlan:
    write = Switch(
        enabled=enabled,
        selection=Selection(flow=flow, environment=environment, package=package),
        deployments=tuple(deployments or ()),
    )
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def set_deployments_enabled(
    ctx: Ctx,
    enabled: bool,
    plan: Annotated[SwitchPlan, Resolve(plan_switching)],
    agreed: Annotated[Decision, consent_to(plan_switching)],
    deployments: Annotated[OptionalDeploymentNames, Field(description="Ids, or flow_version_id/deployment_id.")] = None,
    flow: Part = None,
    environment: Part = None,
    package: Part = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Annotated[CallToolResult, SwitchResult]:
    return await act(ctx, plan, agreed, reason)


async def plan_replacement(
    ctx: Ctx,
    flow_version_id: str,
    deployment_id: str,
    new_flow_version_id: str,
    priority: int | None,
    enabled: bool | None,
    if_state: str | None,
) -> Replacement:
    write = Replace(
        flow_version_id=flow_version_id,
        deployment_id=deployment_id,
        new_flow_version_id=new_flow_version_id,
        priority=priority,
        enabled=enabled,
    )
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def replace_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    new_flow_version_id: FlowVersionId,
    plan: Annotated[Replacement, Resolve(plan_replacement)],
    agreed: Annotated[Decision, consent_to(plan_replacement)],
    priority: OptionalNumber = None,
    enabled: OptionalFlag = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Annotated[CallToolResult, ReplaceResult]:
    return await act(ctx, plan, agreed, reason)


@cache
def overview_tool() -> DeploymentTool:
    """The tool that every server offers."""
    return DeploymentTool.reading(deployment_overview, "What runs where", has_page=True)


@cache
def many_write_tools() -> tuple[DeploymentTool, ...]:
    """The tools that a read-only server leaves out; each is described by its write."""
    return (
        DeploymentTool.writing(set_deployments_enabled, Switch),
        DeploymentTool.writing(replace_deployment, Replace),
    )
