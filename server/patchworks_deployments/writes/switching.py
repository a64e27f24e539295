"""Enabling or disabling many deployments: one plan, one consent, and a report that hides nothing.

Each deployment is switched by the same change, write and verification as a single one.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import each, patiently
from patchworks_deployments.api.selection import Progress, Selection, read_selected
from patchworks_deployments.errors import (
    AuditLogUnwritable,
    Forbidden,
    InvalidArgument,
    Throttled,
    Unauthenticated,
    UpstreamError,
)
from patchworks_deployments.model import comparing as states
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.audit import Trail
from patchworks_deployments.writes.changes import RISKS, Risk, environments_of, plan_disable, plan_enable
from patchworks_deployments.writes.outcome import NotAgreed, write
from patchworks_deployments.writes.results import ConfirmedBy, NotSwitched, Status, SwitchResult, WriteResult
from patchworks_deployments.writes.services import Services

TOOL = "set_deployments_enabled"
MAX_SWITCHED = 200
MAX_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class Switch:
    """Deployments to bring into one state; `targets` are all that were chosen, also those already there."""

    enabled: bool
    arguments: Mapping[str, Any]
    targets: tuple[Deployment, ...]
    tool: str = TOOL
    must_be_typed: None = None

    @property
    def pending(self) -> list[Deployment]:
        """Those not yet in the wanted state."""
        return [d for d in self.targets if d.enabled is not self.enabled]

    @property
    def risk(self) -> Risk:
        """Only disabling stops work that is running."""
        return Risk.ADDITIVE if self.enabled else RISKS[TOOL]

    @property
    def is_needed(self) -> bool:
        """False when all are in the wanted state."""
        return bool(self.pending)

    @property
    def fingerprint(self) -> str:
        """Changes with any deployment's state and with the choice itself."""
        return states.fingerprint(self.targets)

    @property
    def environments(self) -> list[tuple[str | None, str | None]]:
        """Of those that would be switched."""
        return environments_of(self.pending)

    def only_if(self, state: str | None) -> "Switch":
        """This switch, if `state` is None or still the targets' fingerprint. Raises `StateMoved`."""
        states.require(state, self.targets)
        return self

    def question(self) -> str:
        """The blast radius: how many, where, which flows, and how many are already there."""
        verb, effect = ("Enable", "start") if self.enabled else ("Disable", "stop")
        already = len(self.targets) - len(self.pending)
        environments = Counter(rendering.environment(d) for d in self.pending)
        flows = Counter(f"flow {rendering.named(d.flow_name, d.flow_id)}" for d in self.pending)
        lines = [
            f"{verb} {len(self.pending)} deployments: they {effect} processing runs.",
            "",
            f"In: {_tally(environments)}",
            f"Of: {_tally(flows)}",
            f"Deployments: {_listed([d.id for d in self.pending])}",
        ]
        if already:
            lines.append(f"Already {'enabled' if self.enabled else 'disabled'}: {already} more, left alone")
        return "\n".join(lines)


def _tally(counts: Counter[str]) -> str:
    return _listed([f"{what}: {count}" for what, count in counts.most_common()], "; ")


def _listed(items: Sequence[str], separator: str = ", ") -> str:
    more = len(items) - MAX_NAMED
    return separator.join([*items[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])])


async def plan_switch(
    client: DeploymentsClient, selection: Selection, named: Sequence[str], *, enabled: bool, progress: Progress
) -> Switch:
    """Read what would be switched: the deployments `named`, or all that the selection holds.

    A name is a deployment's id, or flow_version_id/deployment_id, which needs no search.
    Raises `InvalidArgument` when nothing or too much is meant.
    """
    if named and selection != Selection():
        raise InvalidArgument("Both deployments and a filter are given.", next_step="Give one of the two.")
    if not named and selection == Selection():
        raise InvalidArgument("No deployments and no filter are given.", next_step="Say which deployments to switch.")
    targets = await _named(client, named, progress) if named else await _selected(client, selection, progress)
    if not targets:
        raise InvalidArgument("No deployment matches.", next_step="Look with deployment_overview or list_deployments.")
    if len(targets) > MAX_SWITCHED:
        raise InvalidArgument(
            f"{len(targets)} deployments match, and at most {MAX_SWITCHED} can be switched at once.",
            next_step="Narrow it, or go environment by environment.",
        )
    chosen = {"deployments": sorted(named)} if named else {k: v for k, v in vars(selection).items() if v is not None}
    return Switch(enabled=enabled, arguments={"enabled": enabled, **chosen}, targets=tuple(targets))


async def _selected(client: DeploymentsClient, selection: Selection, progress: Progress) -> list[Deployment]:
    estate = await read_selected(client, selection, progress)
    if estate.unreadable:
        raise InvalidArgument(f"{estate.unreadable} deployments cannot be read.", next_step="Name the deployments.")
    return _in_order(estate.deployments)


async def _named(client: DeploymentsClient, named: Sequence[str], progress: Progress) -> list[Deployment]:
    if len(named) > MAX_SWITCHED:
        raise InvalidArgument(
            f"{len(named)} deployments are named, and at most {MAX_SWITCHED} can be switched at once."
        )
    names = dict.fromkeys(named)
    addressed = [name.split("/", 1) for name in names if "/" in name]
    bare = {name for name in names if "/" not in name}

    async def read(ids: list[str]) -> Deployment:
        return await client.get(ids[0], ids[1])

    found = await each(read, addressed)
    if bare:
        estate = await read_selected(client, Selection(), progress)
        by_id = {d.id: d for d in estate.deployments}
        if missing := sorted(bare - by_id.keys()):
            raise InvalidArgument(f"There is no deployment {_listed(missing)}.", next_step="Correct the ids.")
        found += [by_id[name] for name in bare]
    return _in_order({d.id: d for d in found}.values())


def _in_order(deployments: Iterable[Deployment]) -> list[Deployment]:
    """By id, so that the same ones have the same fingerprint."""
    return sorted(deployments, key=lambda d: (len(d.id), d.id))


# Carrying out -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reporting:
    """Who hears of the switching while it goes on: the audit log, the caller, the subscribers of resources."""

    trail: Trail
    progress: Progress
    tell: Callable[[str, Deployment], Awaitable[None]]


async def carry_out_switch(
    services: Services, switch: Switch, agreed: ConfirmedBy, reporting: Reporting
) -> SwitchResult:
    """Switch each, several at once; one that changed since it was read is left alone and reported.

    What stops one for good (credentials, rights, a throttle that lasts, the audit log) stops the rest.
    """
    services.audit.ensure_writable()
    run = _Run(services, switch, agreed, reporting)
    await each(run.switch_one, switch.pending)
    return run.result()


@dataclass
class _Run:
    services: Services
    switch: Switch
    agreed: ConfirmedBy
    reporting: Reporting
    done: dict[str, Deployment] = field(default_factory=dict)
    changed_by_others: list[str] = field(default_factory=list)
    failed: list[NotSwitched] = field(default_factory=list)
    not_tried: list[NotSwitched] = field(default_factory=list)
    stopped_by: str | None = None
    finished: int = 0

    async def switch_one(self, target: Deployment) -> None:
        name, started = _name(target), time.monotonic()
        if self.stopped_by:
            self.not_tried.append(NotSwitched(deployment=name, why=self.stopped_by))
        else:
            result = await self._outcome(target)
            ids = {"flow_version_id": target.flow_version_id, "deployment_id": target.id}
            step = "enable" if self.switch.enabled else "disable"
            self.reporting.trail.record(step, ids, result.to_json(), time.monotonic() - started)
            self._file(name, result)
            if name in self.done:
                await self.reporting.tell(target.flow_version_id or "", target)
        self.finished += 1
        await self.reporting.progress(self.finished, len(self.switch.pending))

    async def _outcome(self, target: Deployment) -> WriteResult:
        try:
            return await patiently(lambda: self._attempt(target))
        except (UpstreamError, AuditLogUnwritable) as error:
            if isinstance(error, (Unauthenticated, Forbidden, Throttled, AuditLogUnwritable)):
                self.stopped_by = f"stopped after {_name(target)}: {error.what}"
            return WriteResult(status="failed", message=str(error))

    async def _attempt(self, target: Deployment) -> WriteResult:
        plan = plan_enable if self.switch.enabled else plan_disable
        change = await plan(self.services.client, target.flow_version_id or "", target.id)
        if not change.is_needed:
            return WriteResult(status="unchanged", message="Somebody else has done it.")
        if change.before is None or not states.is_same(target, change.before):
            return WriteResult(status="refused", message="It changed since it was agreed to, and was left alone.")
        return await write(self.services, change, self.agreed)

    def _file(self, name: str, result: WriteResult) -> None:
        if result.status == "done" and result.verified and result.after:
            self.done[name] = result.after
        elif result.status == "unchanged":
            self.changed_by_others.append(name)
        else:
            into = self.not_tried if result.status == "refused" else self.failed
            into.append(NotSwitched(deployment=name, why=result.message))

    def result(self) -> SwitchResult:
        enabled = self.switch.enabled
        unchanged = [_name(d) for d in self.switch.targets if d.enabled is enabled] + self.changed_by_others
        incomplete = bool(self.failed or self.not_tried)
        status: Status = "done" if not incomplete else "partial" if self.done else "failed"
        message = (
            f"{len(self.done)} {'enabled' if enabled else 'disabled'} and verified, {len(unchanged)} were so already, "
            f"{len(self.failed)} failed, {len(self.not_tried)} not tried."
        )
        return SwitchResult(
            status=status,
            message=message + (" The same call again finishes the rest." if incomplete else ""),
            done=sorted(self.done) or None,
            unchanged=sorted(unchanged) or None,
            failed=self.failed or None,
            not_tried=self.not_tried or None,
            confirmed_by=self.agreed,
            undo=self._undo() if self.done else None,
        )

    def _undo(self) -> ToolCall:
        state = states.fingerprint(_in_order(self.done.values()))
        arguments = {"enabled": not self.switch.enabled, "deployments": sorted(self.done), "if_state": state}
        return ToolCall(tool=TOOL, arguments=arguments)


def not_switched(switch: Switch, reason: NotAgreed) -> SwitchResult:
    """The result of a switch that does not go ahead; a preview's `not_tried` names what would be switched."""
    would = [NotSwitched(deployment=_name(d), why=rendering.place(d)) for d in switch.pending[:MAX_NAMED]]
    shows = reason.status in {"preview", "confirmation_required"}
    return SwitchResult(
        status=reason.status,
        message=reason.message,
        not_tried=would or None if shows else None,
        confirmation_code=reason.code,
    )


def switch_text(switch: Switch, result: SwitchResult) -> str:
    """The lines for people."""
    lines = [result.message]
    if result.status in {"preview", "confirmation_required", "refused"}:
        lines.append(switch.question())
    lines += [f"failed {item.deployment}: {item.why}" for item in result.failed or []]
    if result.status not in {"preview", "confirmation_required"}:
        lines += [f"not tried {item.deployment}: {item.why}" for item in result.not_tried or []]
    if result.undo:
        lines.append(f"Undo: the call in `undo`, for the {len(result.done or [])} that changed")
    if result.confirmation_code:
        lines.append(f"confirmation_code: {result.confirmation_code}")
    return "\n".join(lines)


def _name(deployment: Deployment) -> str:
    return f"{deployment.flow_version_id}/{deployment.id}"
