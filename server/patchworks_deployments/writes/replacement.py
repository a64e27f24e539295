"""Putting another version of a flow where one is: delete and create under one consent, with a way back.

An environment holds one version of a flow, so the old deployment has to go before the new one can come. Nothing
is deleted before the new version is known to exist, to be of the same flow, and not to be there already.
"""

import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from patchworks_deployments.api.client import DeploymentQuery, DeploymentsClient
from patchworks_deployments.api.pacing import patiently
from patchworks_deployments.errors import DeploymentsError, InvalidArgument, UpstreamError
from patchworks_deployments.model import comparing as states
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.audit import Trail
from patchworks_deployments.writes.changes import (
    RISKS,
    NewDeployment,
    Risk,
    deletion_of,
    environments_of,
    plan_create,
    recreation_of,
)
from patchworks_deployments.writes.outcome import NotAgreed, write
from patchworks_deployments.writes.results import ConfirmedBy, ReplaceResult, Status, WriteResult
from patchworks_deployments.writes.services import Services

TOOL = "replace_deployment"

Tell = Callable[..., Awaitable[None]]
"""Told a flow version's id and the states of a deployment before and after."""


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """The deployment that goes, and the version that comes with its queue priority and state unless told otherwise."""

    old: Deployment
    old_flow_version_id: str
    new_flow_version_id: str
    new_basis: tuple[Deployment, ...]
    new: NewDeployment
    lost: tuple[str, ...]
    arguments: Mapping[str, Any]
    replan: Callable[[], Awaitable["Replacement"]]
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

    def repair(self) -> ToolCall:
        """The call that brings the old version back where nothing is."""
        return recreation_of(self.old_flow_version_id, self.old)

    def only_if(self, state: str | None) -> "Replacement":
        """This replacement, if `state` is None or still the old deployment's fingerprint. Raises `StateMoved`."""
        states.require(state, [self.old])
        return self

    def question(self) -> str:
        """Both deployments, side by side, and what does not come back."""
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
            f"Lost for good: {', '.join(self.lost)}",
        ]
        if self.old.updated_at:
            lines.append(f"Last changed: {rendering.moment(self.old.updated_at)}")
        if not self.flow_is_known:
            lines.append("Checked first: a trial deployment, disabled and without environment, must show the same flow")
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
    if new_flow_version_id == old_ids[0]:
        raise InvalidArgument("That version is the one deployed there.", next_step="Name another version's id.")
    if old.unreadable or old.enabled is None or old.flow_id is None:
        raise InvalidArgument("The old deployment cannot be read completely, so it could not be restored.")
    present = tuple(await client.every_deployment_of(new_flow_version_id))
    _require_fit(old, new_flow_version_id, present)
    new = NewDeployment.like(old)
    if priority is not None:
        new = dataclasses.replace(new, priority=priority)
    if enabled is not None:
        new = dataclasses.replace(new, deploy_disabled=None if enabled else True)
    given = {"priority": priority, "enabled": enabled}
    return Replacement(
        old=old,
        old_flow_version_id=old_ids[0],
        new_flow_version_id=new_flow_version_id,
        new_basis=present,
        new=new,
        lost=deletion_of(client, old_ids[0], old).lost,
        arguments={
            "flow_version_id": old_ids[0],
            "deployment_id": old_ids[1],
            "new_flow_version_id": new_flow_version_id,
            **{name: value for name, value in given.items() if value is not None},
        },
        replan=partial(plan_replace, client, old_ids, new_flow_version_id, priority=priority, enabled=enabled),
    )


def _require_fit(old: Deployment, new_flow_version_id: str, present: Sequence[Deployment]) -> None:
    flow = next((d.flow_id for d in present if d.flow_id), None)
    if flow and flow != old.flow_id:
        raise InvalidArgument(
            f"Flow version {new_flow_version_id} belongs to flow {flow}, the deployment to flow {old.flow_id}.",
            next_step="Name a version of the same flow.",
        )
    if any(d.virtual_environment_id == old.virtual_environment_id for d in present):
        raise InvalidArgument("The new version is already deployed there.", next_step="Look at both deployments.")


# Carrying out -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """The writes of one replacement; each is recorded, and told to subscribers, as soon as it is over."""

    services: Services
    agreed: ConfirmedBy
    trail: Trail
    tell: Tell

    async def delete(self, flow_version_id: str, deployment: Deployment) -> WriteResult:
        """Delete it, at once or not at all: by a later turn it may have changed."""
        change = deletion_of(self.services.client, flow_version_id, deployment)
        return await self._take("delete", change.arguments, partial(write, self.services, change, self.agreed))

    async def create(self, flow_version_id: str, new: NewDeployment) -> WriteResult:
        """Deploy it, patiently; `unchanged` when it is there already."""

        async def attempt() -> WriteResult:
            change = await plan_create(self.services.client, flow_version_id, new)
            if not change.is_needed:
                return WriteResult(status="unchanged", message="It is there already.", after=change.before)
            return await write(self.services, change, self.agreed)

        arguments = {"flow_version_id": flow_version_id, **new.body()}
        return await self._take("create", arguments, partial(patiently, attempt))

    async def _take(
        self, step: str, arguments: Mapping[str, Any], attempt: Callable[[], Awaitable[WriteResult]]
    ) -> WriteResult:
        started = time.monotonic()
        try:
            result = await attempt()
        except DeploymentsError as error:
            result = WriteResult(status="failed", message=error.what)
        self.trail.record(step, arguments, result.to_json(), time.monotonic() - started)
        if result.status == "done" and result.verified:
            await self.tell(arguments["flow_version_id"], result.before, result.after)
        return result


async def carry_out_replacement(
    services: Services, plan: Replacement, agreed: ConfirmedBy, trail: Trail, tell: Tell
) -> ReplaceResult:
    """Check, delete, create; if the create fails, restore the old one and say so."""
    services.audit.ensure_writable()
    if (await plan.replan()).fingerprint != plan.fingerprint:
        return _left_alone(plan, "Something that was agreed to changed meanwhile.")
    # Between delete and create nobody may interrupt.
    with anyio.CancelScope(shield=True):
        result = await _exchange(_Steps(services, agreed, trail, tell), plan)
    return result.model_copy(update={"before": plan.old, "confirmed_by": agreed})


async def _exchange(steps: _Steps, plan: Replacement) -> ReplaceResult:
    if not plan.flow_is_known and (problem := await _ruled_out(steps, plan)):
        return problem
    gap_began = time.monotonic()
    removed = await steps.delete(plan.old_flow_version_id, plan.old)
    if removed.status == "done":
        return await _fill(steps, plan, gap_began)
    if removed.status == "unknown":
        message = f"The new version was not deployed. {removed.message} If the old deployment is gone, use `repair`."
        return ReplaceResult(status="unknown", message=message, repair=plan.repair())
    return _failed(f"The old deployment was not deleted. {removed.message}")


async def _ruled_out(steps: _Steps, plan: Replacement) -> ReplaceResult | None:
    """Why a version whose flow had to be found out by trial must not come; None if it may."""
    if problem := await _try_out(steps, plan):
        return problem
    if not await _is_unchanged(steps.services.client, plan):
        return _left_alone(plan, "While the new version was tried out, the old deployment changed.")
    return None


async def _fill(steps: _Steps, plan: Replacement, gap_began: float) -> ReplaceResult:
    """Deploy the new version where nothing is now, or bring the old one back."""
    created = await steps.create(plan.new_flow_version_id, plan.new)
    if created.status == "done":
        return _replaced(plan, created, _since(gap_began))
    if created.status == "unknown":
        message = f"The old deployment {plan.old.id} is deleted. {created.message} If it is not there, use `repair`."
        return ReplaceResult(status="unknown", message=message, repair=plan.repair())
    if there := created.after or await _what_is_there(steps.services.client, plan):
        return _otherwise(plan, created, there)
    return await _restore(steps, plan, created, gap_began)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


async def _is_unchanged(client: DeploymentsClient, plan: Replacement) -> bool:
    try:
        return await client.get(plan.old_flow_version_id, plan.old.id) == plan.old
    except UpstreamError:
        return False


async def _what_is_there(client: DeploymentsClient, plan: Replacement) -> Deployment | None:
    """What the environment holds of the flow now, as far as that can be learned."""
    place = plan.old.virtual_environment_id
    if place is None:
        return None
    query = DeploymentQuery(flow_id=plan.old.flow_id, virtual_environment_id=place)
    try:
        found = (await client.list_deployments(query)).deployments
    except UpstreamError:
        return None
    return next((d for d in found if (d.flow_id, d.virtual_environment_id) == (plan.old.flow_id, place)), None)


# The trial ----------------------------------------------------------------------------------------


async def _try_out(steps: _Steps, plan: Replacement) -> ReplaceResult | None:
    """Learn the new version's flow from a disabled deployment without environment; None if it is the right one.

    Only what this call has certainly made is cleared away.
    """
    client, version = steps.services.client, plan.new_flow_version_id
    started, new = time.monotonic(), NewDeployment(deploy_disabled=True)
    try:
        trial = await client.create(version, new.body())
    except UpstreamError as error:
        _record_trial(steps, plan, "unknown" if error.may_have_acted else "failed", error.what, started)
        left = " A trial deployment may be left over: look with list_flow_version_deployments."
        return _failed(f"The new version could not be tried out. {error.what}{left if error.may_have_acted else ''}")
    _record_trial(steps, plan, "done", f"Trial deployment {trial.id}.", started)
    if any(known.id == trial.id for known in plan.new_basis):
        return _failed(f"For the trial Patchworks answered with deployment {trial.id}, which was there before.")
    flow = await _flow_of(client, version, trial)
    removed = await steps.delete(version, trial)
    if removed.status != "done":
        ids = {"flow_version_id": version, "deployment_id": trial.id}
        message = f"The trial deployment {trial.id} is left over: {removed.message} The call in `repair` deletes it."
        return _failed(message).model_copy(update={"repair": ToolCall(tool="delete_deployment", arguments=ids)})
    return None if flow == plan.old.flow_id else _failed(f"Flow version {version} is not known to be of the same flow.")


def _record_trial(steps: _Steps, plan: Replacement, status: Status, message: str, started: float) -> None:
    arguments = {"flow_version_id": plan.new_flow_version_id, "deploy_disabled": True}
    steps.trail.record("trial", arguments, {"status": status, "message": message}, time.monotonic() - started)


async def _flow_of(client: DeploymentsClient, flow_version_id: str, trial: Deployment) -> str | None:
    try:
        return trial.flow_id or (await client.get(flow_version_id, trial.id)).flow_id
    except UpstreamError:
        return None


# Results ------------------------------------------------------------------------------------------


async def _restore(steps: _Steps, plan: Replacement, created: WriteResult, gap_began: float) -> ReplaceResult:
    old, what = plan.old, f"The new version was not deployed: {created.message}"
    restored = await steps.create(plan.old_flow_version_id, NewDeployment.like(old))
    if restored.status == "done" and restored.after:
        return ReplaceResult(
            status="failed",
            message=f"{what} The old version was restored, as deployment {restored.after.id}.",
            restored=restored.after,
            verified=restored.verified,
            gap_milliseconds=_since(gap_began),
        )
    is_unknown = restored.status == "unknown"
    fate = "may or may not be restored" if is_unknown else "could NOT be restored"
    return ReplaceResult(
        status="unknown" if is_unknown else "failed",
        message=f"{what} The old deployment {old.id} is deleted and {fate}: {restored.message} "
        f"Missing: {rendering.place(old)}, {rendering.state(old)}. The call in `repair` restores it.",
        repair=plan.repair(),
    )


def _replaced(plan: Replacement, created: WriteResult, gap: int) -> ReplaceResult:
    verified = f"Replaced, and verified by reading back; the environment held neither version for {gap} ms."
    changes_priority = plan.old.priority is None and plan.new.priority is not None
    return ReplaceResult(
        status="done",
        message=verified if created.verified else f"Replaced. {created.message}",
        after=created.after,
        verified=created.verified,
        gap_milliseconds=gap,
        lost=[*plan.lost, *(["inherited queue priority"] if changes_priority else [])],
        undo=_undo(plan, created.after, is_read=bool(created.verified)),
    )


def _otherwise(plan: Replacement, created: WriteResult, there: Deployment) -> ReplaceResult:
    """The old one is gone, and what is there now is not what was wanted, or not from this call."""
    now = f"{rendering.place(there)}, {rendering.state(there)}, queue priority {rendering.priority(there)}"
    return ReplaceResult(
        status="partial",
        message=f"The old deployment {plan.old.id} is deleted. {created.message} "
        f"There now: deployment {there.id} of flow version {there.flow_version_id}, {now}. Nothing was restored.",
        after=there,
        lost=list(plan.lost),
    )


def _undo(plan: Replacement, after: Deployment | None, *, is_read: bool) -> ToolCall | None:
    if after is None:
        return None
    arguments: dict[str, Any] = {
        "flow_version_id": plan.new_flow_version_id,
        "deployment_id": after.id,
        "new_flow_version_id": plan.old_flow_version_id,
        "priority": plan.old.priority,
        "enabled": plan.old.enabled,
        "if_state": states.fingerprint([after]) if is_read else None,
    }
    return ToolCall(tool=TOOL, arguments={name: value for name, value in arguments.items() if value is not None})


def _failed(message: str) -> ReplaceResult:
    return ReplaceResult(status="failed", message=f"{message} The old deployment was left as it was.")


def _left_alone(plan: Replacement, why: str) -> ReplaceResult:
    return not_replaced(
        plan, NotAgreed("refused", f"{why} The old deployment was left alone; read again and ask again.")
    )


def not_replaced(plan: Replacement, reason: NotAgreed) -> ReplaceResult:
    """The result of a replacement that does not go ahead."""
    return ReplaceResult(status=reason.status, message=reason.message, before=plan.old, confirmation_code=reason.code)


def replace_text(plan: Replacement, result: ReplaceResult) -> str:
    """The lines for people."""
    lines = [result.message]
    if result.status in {"preview", "confirmation_required", "refused"}:
        lines.append(plan.question())
    if result.after and result.status == "done":
        lines.append(f"Deployment {result.after.id}: {rendering.place(result.after)}, {rendering.state(result.after)}")
    for word, call in (("Undo", result.undo), ("Repair", result.repair)):
        if call:
            lines.append(f"{word}: {call.tool} {rendering.as_json(call.arguments)}")
    if result.lost:
        lines.append(f"Lost for good: {', '.join(result.lost)}")
    if result.confirmation_code:
        lines.append(f"confirmation_code: {result.confirmation_code}")
    return "\n".join(lines)
