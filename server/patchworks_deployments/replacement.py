"""Putting another version of a flow where one is: delete and create under one consent, with a way back.

An environment holds one version of a flow, so the old deployment has to go before the new one can come. Nothing
is deleted before the new version is known to exist, to be of the same flow, and not to be there already.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from patchworks_deployments import rendering, states
from patchworks_deployments.audit import Trail
from patchworks_deployments.changes import (
    RISKS,
    Change,
    NewDeployment,
    Risk,
    environments_of,
    plan_create,
    plan_delete,
)
from patchworks_deployments.client import DeploymentsClient
from patchworks_deployments.errors import DeploymentsError, InvalidArgument
from patchworks_deployments.models import ConfirmedBy, Deployment, ReplaceResult, Status, ToolCall, WriteResult
from patchworks_deployments.outcome import NotAgreed, write
from patchworks_deployments.services import Services

TOOL = "replace_deployment"


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """The deployment that goes, and the version that comes with its queue priority and state unless told otherwise."""

    old: Deployment
    new_flow_version_id: str
    new_basis: tuple[Deployment, ...]
    new: NewDeployment
    arguments: Mapping[str, Any]
    tool: str = TOOL
    must_be_typed: None = None
    is_needed: bool = True

    @property
    def risk(self) -> Risk:
        """It deletes."""
        return RISKS[TOOL]

    @property
    def fingerprint(self) -> str:
        """Changes with the old deployment and with the new version's other deployments."""
        return states.fingerprint([self.old, *self.new_basis])

    @property
    def environments(self) -> list[tuple[str | None, str | None]]:
        """The one that both are about."""
        return environments_of([self.old])

    @property
    def flow_is_known(self) -> bool:
        """The API tells a version's flow only where it is deployed."""
        return any(d.flow_id for d in self.new_basis)

    def question(self) -> str:
        """Both deployments, side by side."""
        example = next((d for d in self.new_basis if d.flow_id), None)
        comes = rendering.flow_and_iteration(example) if example else f"flow version {self.new_flow_version_id}"
        state = "disabled" if self.new.deploy_disabled else "enabled"
        kept = "inherited" if self.new.priority is None else str(self.new.priority)
        goes = (
            f"deployment {self.old.id}, {rendering.flow_and_iteration(self.old)} (version {self.old.flow_version_id})"
        )
        lines = [
            "Replace a deployment: the old one is deleted, then the new one is created.",
            "",
            f"Where: {rendering.environment(self.old)}",
            f"Goes: {goes}, {rendering.state(self.old)}, queue priority {rendering.priority(self.old)}",
            f"Comes: {comes} (version {self.new_flow_version_id}), {state}, queue priority {kept}",
        ]
        if self.old.updated_at:
            lines.append(f"Last changed: {rendering.moment(self.old.updated_at)}")
        if not self.flow_is_known:
            lines.append("Checked first: a trial deployment, disabled and without environment, must show the same flow")
        lines.append(f"As read: state {self.fingerprint}")
        return "\n".join(lines)


async def plan_replace(
    client: DeploymentsClient,
    old_ids: tuple[str, str],
    new_flow_version_id: str,
    *,
    priority: int | None,
    enabled: bool | None,
) -> Replacement:
    """Read both sides. Raises `InvalidArgument` when the new version is another flow's, or is there already."""
    old = await client.get(*old_ids)
    if new_flow_version_id == old.flow_version_id:
        raise InvalidArgument("That version is the one deployed there.", next_step="Name another version's id.")
    if old.unreadable or old.enabled is None:
        raise InvalidArgument("The old deployment cannot be read completely, so it could not be restored.")
    present = tuple(await client.every_deployment_of(new_flow_version_id))
    flow = next((d.flow_id for d in present if d.flow_id), None)
    if flow and flow != old.flow_id:
        raise _other_flow(new_flow_version_id, flow, old)
    if any(d.virtual_environment_id == old.virtual_environment_id for d in present):
        raise InvalidArgument("The new version is already deployed there.", next_step="Look at both deployments.")
    wanted_priority = old.priority if priority is None else priority
    is_enabled = old.enabled if enabled is None else enabled
    given = {"priority": priority, "enabled": enabled}
    return Replacement(
        old=old,
        new_flow_version_id=new_flow_version_id,
        new_basis=present,
        new=NewDeployment(
            virtual_environment_id=old.virtual_environment_id,
            priority=wanted_priority,
            deploy_disabled=None if is_enabled else True,
        ),
        arguments={
            "flow_version_id": old_ids[0],
            "deployment_id": old_ids[1],
            "new_flow_version_id": new_flow_version_id,
            **{name: value for name, value in given.items() if value is not None},
        },
    )


def _other_flow(version: str, flow: str, old: Deployment) -> InvalidArgument:
    return InvalidArgument(
        f"Flow version {version} belongs to flow {flow}, the deployment to flow {old.flow_id}.",
        next_step="Name a version of the same flow.",
    )


# Carrying out -------------------------------------------------------------------------------------


@dataclass
class _Steps:
    """The writes of one replacement, each recorded when it is over."""

    services: Services
    agreed: ConfirmedBy
    trail: Trail

    async def take(self, change: Change) -> WriteResult:
        """One write; what certainly did not happen is `failed`."""
        started = time.monotonic()
        try:
            result = await write(self.services, change, self.agreed)
        except DeploymentsError as error:
            result = WriteResult(status="failed", message=str(error), before=change.before)
        step = change.tool.removesuffix("_deployment")
        self.trail.record(step, change.arguments, result.to_json(), time.monotonic() - started)
        return result


async def carry_out_replacement(
    services: Services, plan: Replacement, agreed: ConfirmedBy, trail: Trail
) -> ReplaceResult:
    """Check, delete, create; if the create fails, restore the old one and say so."""
    services.audit.ensure_writable()
    client, old = services.client, plan.old
    steps = _Steps(services, agreed, trail)
    if (await client.get(old.flow_version_id or "", old.id)) != old:
        return not_replaced(plan, NotAgreed("refused", "The old deployment changed meanwhile. Nothing was changed."))
    # Between delete and create nobody may interrupt.
    with anyio.CancelScope(shield=True):
        result = await _exchange(steps, plan)
    return result  # noqa: RET504 - by its type the scope could swallow an exception


async def _exchange(steps: _Steps, plan: Replacement) -> ReplaceResult:
    client, old = steps.services.client, plan.old
    if not plan.flow_is_known and (problem := await _try_out(steps, plan)):
        return _failed(plan, steps.agreed, problem)
    removal = await plan_delete(client, old.flow_version_id or "", old.id)
    gap_began = time.monotonic()
    removed = await steps.take(removal)
    if removed.status != "done":
        message = f"The old deployment could not be deleted. {removed.message}"
        return _failed(plan, steps.agreed, message, "unknown" if removed.status == "unknown" else "failed")
    created = await _create(steps, plan.new_flow_version_id, plan.new)
    gap = round((time.monotonic() - gap_began) * 1000)
    if created.status == "done":
        return _replaced(plan, created, steps.agreed, gap)
    return await _restore(steps, plan, created, removal)


async def _create(steps: _Steps, flow_version_id: str, new: NewDeployment) -> WriteResult:
    try:
        change = await plan_create(steps.services.client, flow_version_id, new)
    except DeploymentsError as error:
        return WriteResult(status="failed", message=str(error))
    return await steps.take(change)


async def _try_out(steps: _Steps, plan: Replacement) -> str | None:
    """Learn the new version's flow from a disabled deployment without environment; None if it is the right one."""
    client = steps.services.client
    trial = await _create(steps, plan.new_flow_version_id, NewDeployment(deploy_disabled=True))
    if trial.status != "done" or trial.after is None:
        return f"The new version could not be tried out, so nothing was deleted. {trial.message}"
    removed = await steps.take(await plan_delete(client, plan.new_flow_version_id, trial.after.id))
    leftover = "" if removed.status == "done" else f" The trial deployment {trial.after.id} may be left over."
    if trial.after.flow_id != plan.old.flow_id:
        return f"The new version is not of the same flow, so nothing was deleted.{leftover}"
    return f"The trial could not be cleared away, so nothing was deleted.{leftover}" if leftover else None


async def _restore(steps: _Steps, plan: Replacement, created: WriteResult, removal: Change) -> ReplaceResult:
    old = plan.old
    again = NewDeployment(
        virtual_environment_id=old.virtual_environment_id,
        priority=old.priority,
        deploy_disabled=None if old.enabled else True,
    )
    what = f"The new deployment was not created: {created.message}"
    if created.status == "unknown":
        return ReplaceResult(
            status="unknown",
            message=f"The old deployment {old.id} is deleted. {created.message} If it is not there, use `repair`.",
            before=old,
            confirmed_by=steps.agreed,
            repair=removal.undo,
        )
    restored = await _create(steps, old.flow_version_id or "", again)
    if restored.status == "done" and restored.after:
        return ReplaceResult(
            status="failed",
            message=f"{what} The old version was restored, as deployment {restored.after.id}.",
            before=old,
            restored=restored.after,
            verified=restored.verified,
            confirmed_by=steps.agreed,
        )
    return ReplaceResult(
        status="failed",
        message=f"{what} The old deployment {old.id} is deleted and could NOT be restored: {restored.message} "
        f"Missing: {rendering.place(old)}, {rendering.state(old)}. The call in `repair` restores it.",
        before=old,
        confirmed_by=steps.agreed,
        repair=removal.undo,
    )


def _replaced(plan: Replacement, created: WriteResult, agreed: ConfirmedBy, gap: int) -> ReplaceResult:
    undo = None
    if created.after:
        back: dict[str, Any] = {
            "flow_version_id": plan.new_flow_version_id,
            "deployment_id": created.after.id,
            "new_flow_version_id": plan.old.flow_version_id,
            "priority": plan.old.priority,
            "enabled": plan.old.enabled,
        }
        undo = ToolCall(tool=TOOL, arguments={name: value for name, value in back.items() if value is not None})
    return ReplaceResult(
        status="done",
        message=f"Replaced, and verified by reading back; the environment held neither version for {gap} ms."
        if created.verified
        else f"Replaced. {created.message}",
        before=plan.old,
        after=created.after,
        verified=created.verified,
        gap_milliseconds=gap,
        confirmed_by=agreed,
        undo=undo,
    )


def _failed(plan: Replacement, agreed: ConfirmedBy, message: str, status: Status = "failed") -> ReplaceResult:
    return ReplaceResult(status=status, message=message, before=plan.old, confirmed_by=agreed)


def not_replaced(plan: Replacement, reason: NotAgreed) -> ReplaceResult:
    """The result of a replacement that does not go ahead."""
    return ReplaceResult(status=reason.status, message=reason.message, before=plan.old, confirmation_code=reason.code)


def replace_text(plan: Replacement, result: ReplaceResult) -> str:
    """The lines for people."""
    lines = [result.message]
    if result.status in {"preview", "confirmation_required", "refused"}:
        lines.append(plan.question())
    if result.after:
        lines.append(f"Deployment {result.after.id}: {rendering.place(result.after)}, {rendering.state(result.after)}")
    for word, call in (("Undo", result.undo), ("Repair", result.repair)):
        if call:
            lines.append(f"{word}: {call.tool} {rendering.as_json(call.arguments)}")
    if result.confirmation_code:
        lines.append(f"confirmation_code: {result.confirmation_code}")
    return "\n".join(lines)
