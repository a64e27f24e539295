"""Enabling or disabling many deployments: one plan, one consent, and a report that hides nothing.

Each deployment is switched by the same change, write and verification as a single one.
"""

from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import each, patiently
from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.errors import (
    AuditLogUnwritable,
    Forbidden,
    InvalidArgument,
    Throttled,
    Unauthenticated,
    UpstreamError,
)
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.operations import Disable, Enable
from patchworks_deployments.writes.outcome import PREVIEWS, NotDone, NotSwitched, Status, SwitchResult, WriteResult
from patchworks_deployments.writes.plan import Acting, Environment, Plan, Risk, Write, environments_of

MAX_SWITCHED = 200
"""Deployments that one call switches at most."""

MAX_NAMED = 12
"""Environments, flows or deployments that one line names."""


@dataclass(frozen=True, kw_only=True)
class Switch(Write):
    """Enable or disable many deployments (up to 200) under one consent: those named, or all that match the filters.

    Calling again finishes what was left.
    """

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
        """Read what would be switched. Raises `InvalidArgument` when nothing or too much is meant."""
        if self.deployments and self.selection != Selection():
            raise InvalidArgument("Both deployments and a filter are given.", next_step="Give one of the two.")
        if not self.deployments and self.selection == Selection():
            raise InvalidArgument(
                "No deployments and no filter are given.", next_step="Say which deployments to switch."
            )
        targets = await (self._named(client) if self.deployments else self._selected(client))
        if not targets:
            raise InvalidArgument(
                "No deployment matches.", next_step="Look with deployment_overview or list_deployments."
            )
        if len(targets) > MAX_SWITCHED:
            raise InvalidArgument(
                f"{len(targets)} deployments match, and at most {MAX_SWITCHED} can be switched at once.",
                next_step="Narrow it, or go environment by environment.",
            )
        return SwitchPlan(write=self, basis=_in_order(targets))

    async def _selected(self, client: DeploymentsClient) -> list[Deployment]:
        selected = await read_selected(client, self.selection)
        if selected.unreadable:
            raise InvalidArgument(
                f"{selected.unreadable} deployments cannot be read.", next_step="Name the deployments."
            )
        return selected.deployments

    async def _named(self, client: DeploymentsClient) -> list[Deployment]:
        if len(self.deployments) > MAX_SWITCHED:
            raise InvalidArgument(
                f"{len(self.deployments)} deployments are named, and at most {MAX_SWITCHED} can be switched at once."
            )
        names = dict.fromkeys(self.deployments)
        addressed = [name.split("/", 1) for name in names if "/" in name]
        found = await each(lambda ids: client.get(ids[0], ids[1]), addressed)
        if bare := {name for name in names if "/" not in name}:
            by_id = {d.id: d for d in (await read_selected(client, Selection())).deployments}
            if missing := sorted(bare - by_id.keys()):
                raise InvalidArgument(f"There is no deployment {_listed(missing)}.", next_step="Correct the ids.")
            found += [by_id[name] for name in bare]
        return list({d.id: d for d in found}.values())


def _in_order(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """By id, so that the same deployments have the same fingerprint."""
    return tuple(sorted(deployments, key=lambda d: (len(d.id), d.id)))


def _name(deployment: Deployment) -> str:
    return f"{deployment.flow_version_id}/{deployment.id}"


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - MAX_NAMED
    return separator.join([*names[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])])


@dataclass(frozen=True, kw_only=True)
class SwitchPlan(Plan[SwitchResult]):
    """Deployments to bring into one state. Its basis are all that were chosen, also those already there."""

    write: Switch

    @property
    def pending(self) -> list[Deployment]:
        """The deployments that are not yet in the wanted state."""
        return [d for d in self.basis if d.enabled is not self.write.enabled]

    @property
    def risk(self) -> Risk:
        """Only disabling stops work that is running."""
        return Risk.ADDITIVE if self.write.enabled else Risk.DESTRUCTIVE

    @property
    def is_needed(self) -> bool:
        """False when all are in the wanted state."""
        return bool(self.pending)

    @property
    def environments(self) -> list[Environment]:
        """The environments of those that would be switched."""
        return environments_of(self.pending)

    def question(self) -> str:
        """How many would be switched, where, of which flows, and how many are already there."""
        verb, effect = ("Enable", "start") if self.write.enabled else ("Disable", "stop")
        environments = Counter(rendering.environment(d) for d in self.pending)
        flows = Counter(f"flow {rendering.named(d.flow_name, d.flow_id)}" for d in self.pending)
        lines = [
            f"{verb} {len(self.pending)} deployments: they {effect} processing runs.",
            "",
            f"In: {_listed([f'{what}: {count}' for what, count in environments.most_common()], '; ')}",
            f"Of: {_listed([f'{what}: {count}' for what, count in flows.most_common()], '; ')}",
            f"Deployments: {_listed([d.id for d in self.pending])}",
        ]
        if already := len(self.basis) - len(self.pending):
            lines.append(f"Already {'enabled' if self.write.enabled else 'disabled'}: {already} more, left alone")
        return "\n".join(lines)

    def must_be_compared(self, *, asked_live: bool) -> bool:
        """Each deployment is read again and compared at its turn."""
        del asked_live
        return False

    async def carry_out(self, acting: Acting) -> SwitchResult:
        """Switch each, several at once; one that changed since it was read is left alone and reported.

        What stops one for good (credentials, rights, a throttle that lasts, the audit log) stops the rest.
        """
        acting.audit.ensure_writable()
        run = _Run(self, acting)
        await each(run.switch_one, self.pending)
        return run.result()

    def not_done(self, reason: NotDone) -> SwitchResult:
        """The result of a switch that does not go ahead; a preview's `not_tried` names what would be switched."""
        would = [NotSwitched(deployment=_name(d), why=rendering.place(d)) for d in self.pending[:MAX_NAMED]]
        return SwitchResult(
            status=reason.status,
            message=reason.message,
            not_tried=would if would and reason.status in PREVIEWS else None,
            confirmation_code=reason.code,
        )

    def text(self, result: SwitchResult) -> str:
        """The message, the question where it was not answered, and what went wrong, line by line."""
        lines = [result.message]
        if result.status in {*PREVIEWS, "refused"}:
            lines.append(self.question())
        lines += [f"failed {missed.deployment}: {missed.why}" for missed in result.failed or []]
        if result.status not in PREVIEWS:
            lines += [f"not tried {missed.deployment}: {missed.why}" for missed in result.not_tried or []]
        if result.undo:
            lines.append(f"Undo: the call in `undo`, for the {len(result.done or [])} that changed")
        if result.confirmation_code:
            lines.append(f"confirmation_code: {result.confirmation_code}")
        return "\n".join(lines)


@dataclass
class _Run:
    """The switching of one plan, and what became of each deployment so far."""

    plan: SwitchPlan
    acting: Acting
    done: dict[str, Deployment] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    failed: list[NotSwitched] = field(default_factory=list)
    not_tried: list[NotSwitched] = field(default_factory=list)
    stopped_by: str | None = None
    finished: int = 0

    async def switch_one(self, target: Deployment) -> None:
        name = _name(target)
        if self.stopped_by:
            self.not_tried.append(NotSwitched(deployment=name, why=self.stopped_by))
        else:
            of = {"flow_version_id": target.flow_version_id or "", "deployment_id": target.id}
            write = Enable(**of) if self.plan.write.enabled else Disable(**of)
            self._file(name, await self.acting.step(write, partial(self._attempt, target, write)))
        self.finished += 1
        await self.acting.progress(self.finished, len(self.plan.pending))

    async def _attempt(self, target: Deployment, write: Enable | Disable) -> WriteResult:
        try:
            return await patiently(lambda: self._switch(target, write))
        except (UpstreamError, AuditLogUnwritable) as error:
            if isinstance(error, (Unauthenticated, Forbidden, Throttled, AuditLogUnwritable)):
                self.stopped_by = f"stopped after {_name(target)}: {error.what}"
            return WriteResult(status="failed", message=str(error))

    async def _switch(self, target: Deployment, write: Enable | Disable) -> WriteResult:
        change = await write.plan(self.acting.client)
        if not change.is_needed:
            return WriteResult(status="unchanged", message="Somebody else has done it.")
        if change.before is None or not comparing.is_same(target, change.before):
            return WriteResult(status="refused", message="It changed since it was agreed to, and was left alone.")

        def tell(flow_version_id: str, *states: Deployment | None) -> Awaitable[None]:
            # A listing may tell more than a single record: those who watch by what it told hear of it too.
            return self.acting.tell(flow_version_id, target, *states)

        return await change.carry_out(replace(self.acting, tell=tell))

    def _file(self, name: str, result: WriteResult) -> None:
        if result.status == "done" and result.verified and result.after:
            self.done[name] = result.after
        elif result.status == "unchanged":
            self.unchanged.append(name)
        else:
            into = self.not_tried if result.status == "refused" else self.failed
            into.append(NotSwitched(deployment=name, why=result.message))

    def result(self) -> SwitchResult:
        enabled = self.plan.write.enabled
        unchanged = [_name(d) for d in self.plan.basis if d.enabled is enabled] + self.unchanged
        is_incomplete = bool(self.failed or self.not_tried)
        status: Status = "done" if not is_incomplete else "partial" if self.done else "failed"
        message = (
            f"{len(self.done)} {'enabled' if enabled else 'disabled'} and verified, {len(unchanged)} were so already, "
            f"{len(self.failed)} failed, {len(self.not_tried)} not tried."
        )
        return SwitchResult(
            status=status,
            message=message + (" The same call again finishes the rest." if is_incomplete else ""),
            done=sorted(self.done) or None,
            unchanged=sorted(unchanged) or None,
            failed=self.failed or None,
            not_tried=self.not_tried or None,
            confirmed_by=self.acting.agreed,
            undo=self._undo() if self.done else None,
        )

    def _undo(self) -> ToolCall:
        back = Switch(enabled=not self.plan.write.enabled, selection=Selection(), deployments=tuple(self.done))
        return back.call().only_if(comparing.fingerprint(_in_order(self.done.values())))
