"""The tools that change something. Each declares its plan; how it is agreed to and carried out is the same for all.

A call runs in three steps: the plan (`changes.py`) reads the target, `consent_to` decides or asks
(`confirmation.py`), and the tool's body acts (`outcome.py`).
"""

import json
from typing import Annotated, Any

from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp_types import CallToolResult, ContentBlock, TextContent
from pydantic import Field

from patchworks_deployments.model import rendering
from patchworks_deployments.model.comparing import differences
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
from patchworks_deployments.resources.subscriptions import tell
from patchworks_deployments.resources.uris import deployment_link
from patchworks_deployments.tools.base import WriteTool, consent_to, write_hints
from patchworks_deployments.writes import changes
from patchworks_deployments.writes.changes import Change, NewDeployment, Update
from patchworks_deployments.writes.consent import Answer
from patchworks_deployments.writes.outcome import FAILURES, carry_out
from patchworks_deployments.writes.results import WriteResult
from patchworks_deployments.writes.services import Services, is_stateless, services

Ctx = Context[Services, Any]
Result = Annotated[CallToolResult, WriteResult]


async def _act(ctx: Ctx, change: Change, answer: ElicitationResult[Answer]) -> CallToolResult:
    result = await carry_out(services(ctx), change, answer, asked_live=not is_stateless(ctx))
    if result.status == "done" and result.verified:
        await tell(ctx, change.flow_version_id, result.before, result.after)
    return tool_result(change, result)


async def plan_create(
    ctx: Ctx,
    flow_version_id: str,
    virtual_environment_id: str | None,
    priority: int | None,
    deploy_disabled: bool | None,
) -> Change:
    """Read what is deployed of this flow version."""
    new = NewDeployment(
        virtual_environment_id=virtual_environment_id, priority=priority, deploy_disabled=deploy_disabled
    )
    return await changes.plan_create(services(ctx).client, flow_version_id, new)


async def create_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    change: Annotated[Change, Resolve(plan_create)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_create)],
    virtual_environment_id: OptionalIdentifier = None,
    priority: Annotated[OptionalNumber, Field(description="Queue priority; default: the flow's.")] = None,
    deploy_disabled: Annotated[OptionalFlag, Field(description="Deploy without enabling.")] = None,
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
) -> Result:
    """Deploy a flow version into a virtual environment, enabled unless deploy_disabled.

    An environment holds one version of a flow: delete the old deployment first.
    """
    return await _act(ctx, change, answer)


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
    """Read the deployment and lay the wanted fields over it."""
    update = Update(
        virtual_environment_id=virtual_environment_id,
        priority=priority,
        enabled_at=enabled_at,
        deploy_disabled=deploy_disabled,
        clear=tuple(clear or ()),
    )
    change = await changes.plan_update(services(ctx).client, flow_version_id, deployment_id, update)
    return change.only_if(if_state)


async def update_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_update)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_update)],
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
    """Change a deployment's environment, queue priority or enabled time. Fields not given stay as they are.

    To switch it on or off use enable_deployment or disable_deployment.
    """
    return await _act(ctx, change, answer)


async def plan_delete(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    """Read the deployment that would go."""
    return (await changes.plan_delete(services(ctx).client, flow_version_id, deployment_id)).only_if(if_state)


async def delete_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_delete)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_delete)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    """Delete a deployment for good. To only stop it, use disable_deployment."""
    return await _act(ctx, change, answer)


async def plan_enable(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    """Read the deployment to switch on."""
    return (await changes.plan_enable(services(ctx).client, flow_version_id, deployment_id)).only_if(if_state)


async def enable_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_enable)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_enable)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    """Enable a deployment: its triggers start runs by themselves."""
    return await _act(ctx, change, answer)


async def plan_disable(ctx: Ctx, flow_version_id: str, deployment_id: str, if_state: str | None) -> Change:
    """Read the deployment to switch off."""
    return (await changes.plan_disable(services(ctx).client, flow_version_id, deployment_id)).only_if(if_state)


async def disable_deployment(
    ctx: Ctx,
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    change: Annotated[Change, Resolve(plan_disable)],
    answer: Annotated[ElicitationResult[Answer], consent_to(plan_disable)],
    dry_run: DryRun = False,
    reason: Reason = None,
    confirmation_code: Code = None,
    if_state: IfState = None,
) -> Result:
    """Disable a deployment: it stops processing runs and stays deployed."""
    return await _act(ctx, change, answer)


def tool_result(change: Change, result: WriteResult) -> CallToolResult:
    """The result for the wire: lines for people, the same facts structured."""
    target = result.after or result.before or change.after
    assert target is not None
    lines = [result.message]
    lines.append(f"Deployment {target.id}: {rendering.place(target)}")
    if result.status in {"preview", "confirmation_required"}:
        lines += [change.effect, *change.consequences()]
    elif result.before and result.after:
        lines += differences(result.before, result.after)
    elif result.after or result.status != "done":
        lines.append(f"state: {rendering.state(target)}; queue priority {rendering.priority(target)}")
    if result.also_changed:
        lines.append(f"Changed without being asked: {'; '.join(result.also_changed)}")
    if result.undo:
        lines.append(f"Undo: {result.undo.tool} {json.dumps(result.undo.arguments)}")
    if result.lost and result.status == "done":
        lines.append(f"Undo cannot bring back: {', '.join(result.lost)}")
    if result.confirmation_code:
        lines.append(f"confirmation_code: {result.confirmation_code}")
    content: list[ContentBlock] = [TextContent(type="text", text="\n".join(lines))]
    if result.after and result.status == "done":
        content.append(deployment_link(change.flow_version_id, result.after.id))
    return CallToolResult(
        content=content,
        structured_content=result.to_json(),
        is_error=result.status in FAILURES,
    )


WRITE_TOOLS = (
    (create_deployment, "Deploy a flow version", False),
    (update_deployment, "Update a deployment", True),
    (delete_deployment, "Delete a deployment", False),
    (enable_deployment, "Enable a deployment", True),
    (disable_deployment, "Disable a deployment", True),
)
"""Each with its title, and whether calling it twice is the same as once."""


def write_tools() -> list[WriteTool]:
    """The tools that a read-only server leaves out."""
    return [
        WriteTool.create(function, title, write_hints(function.__name__, idempotent=idempotent))
        for function, title, idempotent in WRITE_TOOLS
    ]
