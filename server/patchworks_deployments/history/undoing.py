"""What of the changes still stands, and the calls that put it back."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from patchworks_deployments.api.client import LOOK_SECONDS, DeploymentsClient
from patchworks_deployments.api.selection import Selection
from patchworks_deployments.errors import InvalidArgument, UpstreamError
from patchworks_deployments.history.record import Record
from patchworks_deployments.model import comparing
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.replacement import Replace
from patchworks_deployments.writes.switching import MAX_SWITCHED, Switch

MAX_CALLS = 5
"""Calls of single changes that are given at once; the others have theirs where the change is asked for by its id."""

NOT_DONE = frozenset({"failed", "found_not_done", "refused", "unchanged", "cancelled"})
"""Outcomes after which nothing is different."""

IN_DOUBT = frozenset({"unknown", "unfinished", "partial"})
"""Outcomes after which nobody can say what is different, unless the record tells what was seen."""


Touched = tuple[str | None, ...]
"""A deployment, by its id; or a place, by flow and environment."""


class Standing(StrEnum):
    """Whether a change can be put back."""

    YES = "yes"
    MOVED = "changed"
    BACK = "put back"
    NONE = "none"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class There:
    """The deployments that are there now, by id, of all flows and environments of the changes; or why not known."""

    by_id: dict[str, Deployment] = field(default_factory=dict)
    unread: UpstreamError | None = None

    def at(self, flow_id: str | None, environment_id: str | None) -> list[Deployment]:
        """What of the flow is in the environment."""
        held = self.by_id.values()
        return [d for d in held if d.flow_id == flow_id and d.virtual_environment_id == environment_id]


async def read_there(client: DeploymentsClient, records: Iterable[Record]) -> There:
    """What is there now where the changes that have an undo were made, with one listing."""
    states = [state for record in records if record.undo for state in record.states if state.flow_id]
    flows = {state.flow_id for state in states if state.flow_id}
    if not flows:
        return There()
    places = {state.virtual_environment_id for state in states}
    try:
        found = await client.glancing(LOOK_SECONDS).every_deployment_at(flows, places)
    except UpstreamError as error:
        return There(unread=error)
    return There({deployment.id: deployment for deployment in found})


@dataclass(frozen=True)
class Switches:
    """The calls that switch deployments back, newest first, and the ids of the changes that are put right by them.

    That is so as well of a change that was taken back since: so many deployments are `even`, switched back already. So
    many others are `left`, too many for one call.
    """

    calls: list[ToolCall]
    covered: set[str | None]
    left: int
    even: int


@dataclass(frozen=True)
class Undoing:
    """The changes of a period, newest first, and what is there now."""

    changes: Sequence[Record]
    there: There

    def standing(self, record: Record) -> Standing:
        """Whether this change can be put back by its own undo."""
        if record.outcome in NOT_DONE or self._is_told_by_its_call(record):
            return Standing.NONE
        if record.undo is None:
            return Standing.UNKNOWN if record.outcome in IN_DOUBT else Standing.NONE
        if self.there.unread or not record.states or not all(state.flow_id for state in record.states):
            return Standing.UNKNOWN
        if "if_state" not in record.undo.arguments:
            return Standing.UNKNOWN
        if self._is_newest(record) and self._is_as_left(record):
            return Standing.YES
        return Standing.BACK if self._is_as_before(record) else Standing.MOVED

    def _is_newest(self, record: Record) -> bool:
        """Whether no newer change is of the same deployment, or of the place that this one has emptied or filled."""
        return all(self._newest.get(touched, record) is record for touched in _touched(record))

    @cached_property
    def _newest(self) -> dict[Touched, Record]:
        """The newest change of each deployment and place."""
        done = (record for record in reversed(self.changes) if record.outcome not in NOT_DONE)
        return {touched: record for record in done for touched in _touched(record)}

    def _is_told_by_its_call(self, record: Record) -> bool:
        """Whether it is a step of a replacement that stands in whole among the changes."""
        is_part = record.is_step and record.tool == Replace.name
        return is_part and any(r.is_replacement and r.id == record.call for r in self.changes)

    def _is_as_left(self, record: Record) -> bool:
        if record.after:
            now = self.there.by_id.get(record.after.id)
            return now is not None and _is_still(record.after, now)
        before = record.before
        try:
            _, beside = comparing.read_empty_place(str(record.undo and record.undo.arguments["if_state"]))
        except InvalidArgument:
            return False
        there = self.there.at(before.flow_id, before.virtual_environment_id) if before else []
        return all(d.id in beside for d in there)

    def _is_as_before(self, record: Record) -> bool:
        """Whether it is again as it was: the same deployment, or another of the same version in the same state."""
        before, after = record.before, record.after
        if before is None:
            deleted = (other for other in self.changes if other.verb == "delete" and other.outcome not in NOT_DONE)
            is_gone = after is not None and after.id not in self.there.by_id
            return is_gone and any(other.deployment_id == record.deployment_id for other in deleted)
        if after and after.id == before.id:
            now = self.there.by_id.get(before.id)
            return now is not None and _is_alike(before, now)
        there = self.there.at(before.flow_id, before.virtual_environment_id)
        return any(_is_alike(before, now) for now in there) and not (after and after.id in self.there.by_id)

    def switches(self, records: Iterable[Record]) -> Switches:
        """What brings deployments back to what they were before the first of these changes switched them."""
        by_deployment: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.switches_to is not None and record.deployment_id and record.outcome not in NOT_DONE:
                by_deployment[record.deployment_id].append(record)
        back: defaultdict[bool, list[list[Record]]] = defaultdict(list)
        covered: set[str | None] = set()
        even = 0
        for history in by_deployment.values():
            newest, was = history[0], history[-1].before
            if newest.after and was and was.enabled is not None and self.standing(newest) is Standing.YES:
                covered |= {record.id for record in history}
                if was.enabled is newest.after.enabled:
                    even += 1
                else:
                    back[was.enabled].append(history)
        calls = [_switch(histories[:MAX_SWITCHED], enabled=enabled) for enabled, histories in back.items()]
        left = sum(max(0, len(histories) - MAX_SWITCHED) for histories in back.values())
        return Switches(calls, covered, left, even)

    def singles(self, records: Iterable[Record], covered: Container[str | None]) -> list[Record]:
        """The changes among these that are put back by a call of their own."""
        return [r for r in records if r.undo and r.id not in covered and self.standing(r) is Standing.YES]


def _switch(histories: Sequence[Sequence[Record]], *, enabled: bool) -> ToolCall:
    """The call that switches these deployments, whose changes are given newest first, to this state."""
    newest = [history[0] for history in histories]
    if len(histories) == len(histories[0]) == 1 and newest[0].undo:
        return newest[0].undo
    states = comparing.in_order(record.after for record in newest if record.after)
    call = Switch(enabled=enabled, selection=Selection(), deployments=tuple(r.deployment for r in newest)).call()
    return call.only_if(comparing.fingerprint(states))


def _touched(record: Record) -> set[Touched]:
    ids = {(state.id,) for state in record.states}
    asked = record.arguments.get("deployment_id")
    if isinstance(asked, str):
        ids.add((asked,))
    places = {(state.flow_id, state.virtual_environment_id) for state in record.states if state.flow_id}
    return {*ids, *places} if record.verb in {"create", "delete", "replace"} else {*ids}


_TOLD = ("flow_id", "flow_name", "iteration", "virtual_environment_name", "package_id", "package_name")
"""What else a fingerprint has, and a listing may leave out."""


def _is_still(left: Deployment, now: Deployment) -> bool:
    """Whether the deployment is as it was left: what both tell is the same, so that its fingerprint is, too."""
    told = ((getattr(left, name), getattr(now, name)) for name in _TOLD)
    is_known = not comparing.untold(left, ["priority"]) and not comparing.untold(now, ["priority"])
    is_told_alike = all(one == other for one, other in told if None not in (one, other))
    return comparing.is_same(left, now) and is_told_alike and (not is_known or left.priority == now.priority)


def _is_alike(before: Deployment, now: Deployment) -> bool:
    names = ("flow_version_id", "virtual_environment_id", "priority", "enabled")
    return all(getattr(before, name) == getattr(now, name) for name in names)
