"""Enabling or disabling many deployments: one plan, one consent, and a report that hides nothing.

Each deployment is switched by the same change, write and verification as a single one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from patchworks_deployments.api.client import LOOK_SECONDS, DeploymentsClient
from patchworks_deployments.api.pacing import each, patiently, report
from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.errors import (
    AuditLogUnwritable,
    Forbidden,
    InvalidArgument,
    OutOfTime,
    Throttled,
    Unauthenticated,
    UpstreamError,
)
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.beside import look_around
from patchworks_deployments.writes.operations import Disable, Enable
from patchworks_deployments.writes.outcome import (
    PREVIEWS,
    NotDone,
    SwitchResult,
    WriteResult,
    by_reason,
    judge_many,
)
from patchworks_deployments.writes.plan import Acting, Environment, Plan, Risk, Tell, Write, environments_of
from patchworks_deployments.writes.wording.lines import Words
from patchworks_deployments.writes.wording.many import names_in_doubt, words_of_switch

MAX_SWITCHED = 200
"""Deployments that one call switches at most."""

MAX_NAMED = 12
"""Deployments that a refusal names."""

HANDFUL = 5
"""Deployments that one call enables without a question, if nothing runs beside them."""


@dataclass(frozen=True, kw_only=True)
class Switch(Write):
    """Enable or disable many deployments (up to 200) under one consent: those named, or all that match the filters."""

    name = "set_deployments_enabled"
    title = "Enable or disable many deployments"
    risk = Risk.DESTRUCTIVE  # when it disables
    is_idempotent = True

    enabled: bool
    selection: Selection
    deployments: tuple[str, ...] = ()
    """Each a deployment's id, or flow_version_id/deployment_id, which needs no search."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The wanted state, and the deployments or the filters that were given."""
        if self.deployments:
            return {"enabled": self.enabled, "deployments": sorted(self.deployments)}
        return {"enabled": self.enabled, **{k: v for k, v in vars(self.selection).items() if v is not None}}

    async def plan(self, client: DeploymentsClient) -> "SwitchPlan":
        """Read what would be switched, and what runs beside it. Raises `InvalidArgument` for nothing or too much."""
        if self.deployments and self.selection != Selection():
            raise InvalidArgument("Both deployments and a filter are given.", next_step="Give one of the two.")
        if not self.deployments and self.selection == Selection():
            raise InvalidArgument(
                "No deployments and no filter are given.", next_step="Say which deployments to switch."
            )
        chosen: dict[str, Any] = {}
        if self.deployments:
            targets = await self._named(client)
        else:
            selected = await read_selected(client, self.selection)
            selected.require_whole()
            selected.require_some()
            targets = selected.deployments
            chosen = {name: dict(told) for name in ("matched", "left_out") if (told := getattr(selected, name))}
        if len(targets) > MAX_SWITCHED:
            raise InvalidArgument(
                f"{len(targets)} deployments match, and at most {MAX_SWITCHED} can be switched at once.",
                next_step="Narrow it, or go environment by environment.",
            )
        plan = SwitchPlan(write=self, basis=comparing.in_order(targets), chosen=chosen)
        if self.enabled and plan.is_needed:
            plan = replace(plan, beside=await look_around(client.glancing(LOOK_SECONDS), plan.pending))
        return plan.readable() if plan.is_needed else plan

    async def _named(self, client: DeploymentsClient) -> list[Deployment]:
        if len(self.deployments) > MAX_SWITCHED:
            raise InvalidArgument(
                f"{len(self.deployments)} deployments are named, and at most {MAX_SWITCHED} can be switched at once."
            )
        names = dict.fromkeys(self.deployments)
        addressed = [name.split("/", 1) for name in names if "/" in name]
        found = await each(lambda ids: client.get_or_explain(ids[0], ids[1]), addressed)
        if bare := {name for name in names if "/" not in name}:
            selected = await read_selected(client, Selection())
            by_id = {d.id: d for d in selected.deployments}
            if unknown := sorted(bare - by_id.keys()):
                missing = rendering.several(unknown, MAX_NAMED)
                selected.require_whole(f"{missing} did not show among the deployments.")
                raise InvalidArgument(f"There is no deployment {missing}.", next_step="Correct the ids.")
            found += [by_id[name] for name in bare]
        return list({d.id: d for d in found}.values())


def _name(deployment: Deployment) -> str:
    return "/".join(filter(None, (deployment.flow_version_id, deployment.id)))


@dataclass(frozen=True, kw_only=True)
class SwitchPlan(Plan[SwitchResult]):
    """Deployments to bring into one state. Its basis are all that were chosen, also those already there."""

    if_it_changes = "What changes before the answer is left alone or asked about again"
    how_to_split = "Go environment by environment (environment=...), or name fewer deployments."

    write: Switch
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What the names in the filters were found to mean: `matched` and `left_out` of the results."""

    @property
    def pending(self) -> list[Deployment]:
        """The deployments that are not yet in the wanted state."""
        return [d for d in self.basis if d.enabled is not self.write.enabled]

    @property
    def already(self) -> list[Deployment]:
        """The deployments that already are."""
        return [d for d in self.basis if d.enabled is self.write.enabled]

    @property
    def lines(self) -> int:
        """Of the call, and of each deployment its intent and its outcome."""
        return 1 + 2 * len(self.pending)

    @property
    def risk(self) -> Risk:
        """Disabling stops work that is running; enabling can do harm where it is much, or not alone."""
        is_harmless = self.write.enabled and len(self.pending) <= HANDFUL and not self.beside.must_ask
        return Risk.ADDITIVE if is_harmless else Risk.DESTRUCTIVE

    @property
    def is_needed(self) -> bool:
        """False when all are in the wanted state."""
        return bool(self.pending)

    @property
    def environments(self) -> list[Environment]:
        """The environments of those that would be switched."""
        return environments_of(self.pending)

    @property
    def words(self) -> Words:
        """How many would be switched, and which in which environment, whatever their number; and of which flows."""
        stakes = (*names_in_doubt(self.chosen), *self.beside.stakes)
        return words_of_switch(self.pending, len(self.already), stakes, enabled=self.write.enabled)

    def must_be_compared(self, *, asked_live: bool) -> bool:
        """Each deployment is read again and compared at its turn, but for what runs beside those to be enabled."""
        return asked_live and self.write.enabled

    def why_not_still_so(self, now: Plan[Any]) -> str | None:
        """Where something else is beside them."""
        return super().why_not_still_so(replace(now, basis=self.basis))

    async def carry_out(self, acting: Acting) -> SwitchResult:
        """Switch each, several at once; one that changed since it was read is left alone and reported.

        What stops one for good (credentials, rights, a throttle that lasts, the time, the audit log) stops the rest.
        """
        run = _Run(self, acting)
        await each(run.switch_one, self.pending)
        return run.result()

    def not_done(self, reason: NotDone) -> SwitchResult:
        """The result of a switch that does not go ahead; a preview names what would be switched, and what is so."""
        pending, already = self.pending, self.already
        is_preview = reason.status in PREVIEWS
        return SwitchResult(
            status=reason.status,
            message=reason.message,
            **self.chosen,
            would_change=[_name(d) for d in pending] if is_preview else None,
            unchanged=[_name(d) for d in already] if already and (is_preview or reason.status == "unchanged") else None,
            question=reason.question,
            confirmation_code=reason.code,
        )


@dataclass
class _Run:
    """The switching of one plan, and what became of each deployment so far."""

    plan: SwitchPlan
    acting: Acting
    fates: dict[str, WriteResult] = field(default_factory=dict)
    stopped_by: str | None = None

    async def switch_one(self, target: Deployment) -> None:
        name = _name(target)
        if self.stopped_by or self.acting.stop.has_begun.is_set():
            self.stopped_by = self.stopped_by or "The server is stopping."
            self.fates[name] = WriteResult(status="refused", message=self.stopped_by)
        else:
            of = {"flow_version_id": target.flow_version_id or "", "deployment_id": target.id}
            write = Enable(**of) if self.plan.write.enabled else Disable(**of)
            self.fates[name] = await self.acting.step(write, partial(self._attempt, target, write))
            if trouble := self.acting.attempt.trouble:
                self.stopped_by = self.stopped_by or f"stopped after {name}: {trouble}"
        await report(len(self.fates), len(self.plan.pending))

    async def _attempt(self, target: Deployment, write: Enable | Disable, acting: Acting) -> WriteResult:
        if target.flow_version_id is None:
            return WriteResult(status="refused", message="Patchworks does not tell its flow version.")
        is_sent = False

        async def switch() -> WriteResult:
            nonlocal is_sent
            is_sent = False
            change = write.change(await acting.client.get(write.flow_version_id, write.deployment_id))
            if not change.is_needed:
                return WriteResult(status="unchanged", message="Somebody else has done it.")
            if change.before is None or not comparing.is_same(target, change.before):
                is_told = change.before and not comparing.untold(change.before, comparing.COMPARED)
                why = "It changed since it was agreed to" if is_told else "It does not tell whether it changed"
                return WriteResult(status="refused", message=f"{why}, and was left alone.")
            is_sent = True
            telling = self._telling(target)
            return await change.carry_out(replace(acting, tell=telling, is_step=True, is_one_of_many=True))

        try:
            return await self.acting.unless_stopped(patiently(switch))
        except (UpstreamError, AuditLogUnwritable) as error:
            lasts = isinstance(error, (Unauthenticated, Forbidden, Throttled, OutOfTime, AuditLogUnwritable))
            if lasts and not self.acting.stop.has_begun.is_set():
                self.stopped_by = self.stopped_by or f"stopped after {_name(target)}: {error.what}"
            is_tried = is_sent and not isinstance(error, (OutOfTime, AuditLogUnwritable))
            # That nothing was changed is said of this one alone, and would be read of all.
            return WriteResult(status="failed" if is_tried else "refused", message=error.said(is_read=True))

    def _telling(self, target: Deployment) -> Tell:
        """A listing may tell more than a single record: those who watch by what it told hear of it too."""
        return lambda flow_version_id, *states: self.acting.tell(flow_version_id, target, *states)

    def result(self) -> SwitchResult:
        """Each deployment at its place, by what became of it."""
        verified = {name: fate.after for name, fate in self.fates.items() if fate.verified and fate.after}
        done = [name for name, fate in self.fates.items() if fate.status == "done"]
        unverified = [name for name in done if name not in verified]
        unchanged = [
            *map(_name, self.plan.already),
            *(n for n, fate in self.fates.items() if fate.status == "unchanged"),
        ]
        failed, unknown, not_tried = (by_reason(self.fates, fate) for fate in ("failed", "unknown", "refused"))
        result = SwitchResult(
            status="done",
            message="",
            **self.plan.chosen,
            done=sorted(verified) or None,
            unverified=sorted(unverified) or None,
            unchanged=sorted(unchanged) or None,
            failed=failed or None,
            unknown=unknown or None,
            not_tried=not_tried or None,
            verified=not (unverified or unknown) if done or unknown else None,
            confirmed_by=self.acting.agreed,
            undo=self._undo(verified, unverified) if done else None,
        )
        enabled, in_doubt = self.plan.write.enabled, [name for missed in unknown for name in missed.deployments]
        look = ToolCall(tool=Switch.name, arguments={"enabled": enabled, "deployments": in_doubt, "dry_run": True})
        status, message = judge_many(result, "enabled" if enabled else "disabled", look)
        return result.model_copy(update={"status": status, "message": self.plan.beside.added_to(message)})

    def _undo(self, verified: Mapping[str, Deployment], unverified: Sequence[str]) -> ToolCall:
        """Back with all that was done. The state of what was not read back is not known, so none is named then."""
        names = (*verified, *unverified)
        back = Switch(enabled=not self.plan.write.enabled, selection=Selection(), deployments=names).call()
        return back if unverified else back.only_if(comparing.fingerprint(comparing.in_order(verified.values())))
