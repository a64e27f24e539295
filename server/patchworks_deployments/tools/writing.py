"""The tools that change one deployment.

A call runs in three steps, of which the SDK takes the first two: `plan_...` reads what the call is about, `consent_to`
decides whether the plan goes ahead, for which it may ask a person, and the body acts. In the protocol's newer era a
question ends the call, and all steps run again when the answer comes with the next call.
"""

from functools import cache
from typing import Annotated

from mcp.server.mcpserver import Resolve
from mcp_types import CallToolResult
from pydantic import Field

from patchworks_deployments.consent.decision import Decision
from patchworks_deployments.consent.services import services
from patchworks_deployments.model.deployment import Clearable
from patchworks_deployments.model.values import (
    Code,
    DeploymentId,
    DryRun,
    FlowVersionId,
    IfState,
    OptionalClear,
    OptionalFlag,
    OptionalIdentifier,
    OptionalNumber,
    OptionalTime,
    Reason,
)
from patchworks_deployments.tools.asking import consent_to, counted
from patchworks_deployments.tools.base import Ctx, DeploymentTool, act
from patchworks_deployments.writes.change import Change
from patchworks_deployments.writes.operations import Create, Delete, Disable, Enable, Update
from patchworks_deployments.writes.outcome import WriteResult

Result = Annotated[CallToolResult, WriteResult]


async def plan_create(
    ctx: Ctx,
    flow_version_id: str,
    virtual_environment_id: str | None,
    priority: int | None,
    deploy_disabled: bool | None,
    if_state: str | None,
) -> Change:
    write = Create(
        flow_version_id=flow_version_id,
        virtual_environment_id=virtual_environment_id,
        priority=priority,
        deploy_disabled=deploy_disabled,
        if_state=if_state,
    )
    return await counted(ctx, await write.plan(services(ctx).client))


async def create_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    change: Annotated[Change, Resolve(plan_create)],
    agreed: Annotated[Decision, consent_to(plan_create)],
    virtual_environment_id: OptionalIdentifier = None,
    priority: Annotated[OptionalNumber, Field(description="Queue priority; default: the flow's.")] = None,
    deploy_disabled: OptionalFlag = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    return await act(ctx, change, agreed, reason)


async def plan_update(
    ctx: Ctx,
    flow_version_id: str,
    deployment_id: str,
    virtual_environment_id: str | None,
    priority: int | None,
    enabled_at: str | None,
    deploy_disabled: bool | None,
    clear: list[Clearable] | None,
    if_state: str | None,
) -> Change:
    write = Update(
        flow_version_id=flow_version_id,
        deployment_id=deployment_id,
        virtual_environment_id=virtual_environment_id,
        priority=priority,
        enabled_at=enabled_at,
        deploy_disabled=deploy_disabled,
        clear=tuple(clear or ()),
    )
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def update_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_update)],
    agreed: Annotated[Decision, consent_to(plan_update)],
    virtual_environment_id: OptionalIdentifier = None,
    priority: OptionalNumber = None,
    enabled_at: Annotated[OptionalTime, Field(description="ISO 8601.")] = None,
    deploy_disabled: OptionalFlag = None,
    clear: Annotated[OptionalClear, Field(description="Fields to reset to null.")] = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    return await act(ctx, change, agreed, reason)


async def plan_delete(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    write = Delete(flow_version_id=flow_version_id, deployment_id=deployment_id)
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def delete_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_delete)],
    agreed: Annotated[Decision, consent_to(plan_delete)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    return await act(ctx, change, agreed, reason)


async def plan_enable(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    write = Enable(flow_version_id=flow_version_id, deployment_id=deployment_id)
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def enable_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_enable)],
    agreed: Annotated[Decision, consent_to(plan_enable)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    return await act(ctx, change, agreed, reason)


async def plan_disable(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    write = Disable(flow_version_id=flow_version_id, deployment_id=deployment_id)
    return await counted(ctx, (await write.plan(services(ctx).client)).only_if(if_state))


async def disable_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_disable)],
    agreed: Annotated[Decision, consent_to(plan_disable)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    return await act(ctx, change, agreed, reason)


@cache
def write_tools() -> tuple[DeploymentTool, ...]:
    """The tools that a read-only server leaves out; each is described by its write."""
    return (
        DeploymentTool.writing(create_deployment, Create),
        DeploymentTool.writing(update_deployment, Update),
        DeploymentTool.writing(delete_deployment, Delete),
        DeploymentTool.writing(enable_deployment, Enable),
        DeploymentTool.writing(disable_deployment, Disable),
    )
