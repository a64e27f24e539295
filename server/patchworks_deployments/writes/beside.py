"""What else of a flow is deployed where a deployment comes or starts to run.

Patchworks keeps one version of a flow in an environment, by its documentation. Where it does not, both would run, and
in an account without virtual environments what is deployed makes way for what comes. So a write looks before.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.errors import InvalidArgument, StateMoved, UnexpectedResponse, UpstreamError
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.looking import look_until
from patchworks_deployments.writes.wording.lines import Line, Stake, listed
from patchworks_deployments.writes.wording.phrases import ALONE_THERE, neighbours, verb


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What is said of the other deployments of a flow, in questions, previews and results: the most dangerous first.

    With `must_ask` somebody has to agree because of it. `lost` is what an undo cannot bring back, and `environment` the
    name of the one that a deployment comes into, if it is known.
    """

    stakes: tuple[Stake, ...] = ()
    must_ask: bool = False
    lost: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """All of it, line by line."""
        return tuple(line for stake in self.stakes for line in stake.told)

    def added_to(self, message: str) -> str:
        """A result's message, with what is said, because its reader may not have seen a question."""
        return f"{message} {'. '.join(self.said)} (as read before)." if self.said else message

    @property
    def read(self) -> tuple[str, ...]:
        """All of it that was read, to be digested."""
        return (*self.said, *([self.environment] if self.environment else []))


NEW = "new"
"""Stands for the id of a deployment that does not exist yet."""

ALONE = Beside()
"""Nothing is said, because there is nothing else, or because it does not matter."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the deployment `wanted` comes or starts to run, and what is there of its flow, as far as could be read.

    `unread` is why that is not known. The `name` of the environment is told by what is deployed there of any flow.
    """

    wanted: Deployment
    flow_id: str | None
    name: str | None = None
    holds: tuple[Deployment, ...] = ()
    unread: UpstreamError | None = None

    @property
    def beside(self) -> Beside:
        """What is said of the others there."""
        others = [d for d in self.holds if d.id != self.wanted.id]
        is_new, is_known = self.wanted.id == NEW, bool(self.flow_id) and not self.unread
        if is_new and not self.wanted.virtual_environment_id:
            return _in_the_place_of(others, self.flow_id if is_known else None)
        running = [d for d in others if d.enabled is not False]
        disabled = [d for d in others if d not in running]
        stakes = [_running(running, "it", is_twice=self.wanted.enabled is not False)] if running else []
        stakes += [_unknown(doubt)] if (doubt := self._doubt()) else []
        stakes += [_disabled(disabled)] if disabled else []
        stakes += [ALONE_THERE] if is_known and not others else []
        # Patchworks tells the flow of a new version only once that is deployed, and refuses a second one of a flow.
        is_doubtful = not is_known and not (is_new and self.flow_id is None)
        return Beside(
            stakes=tuple(stakes),
            must_ask=self.wanted.enabled is not False and (bool(running) or is_doubtful),
            environment=self.name,
        )

    def _doubt(self) -> str:
        if self.flow_id is None and self.wanted.enabled is not False:
            return "of which flow it is, and so what else of that is deployed there"
        return "what else of the flow is deployed there" if self.flow_id and self.unread else ""


def _running(others: Sequence[Deployment], beside: str, *, is_twice: bool) -> Stake:
    """What runs beside those that start to run, or beside one that comes disabled."""
    fullest, shortest = neighbours(others)
    is_known = all(d.enabled and not d.hides_environment for d in others)
    runs = verb(len(others), "runs", "run") if is_known else "may run"
    twice = ": the work may be done twice" if is_twice else ""
    ways = tuple((f"beside {beside} {runs} ", *which) for which in ((*fullest, twice), (*shortest, twice), shortest))
    return Stake(ways, (f"Beside {beside} {runs}: {_listed(others)}",))


def _disabled(others: Sequence[Deployment]) -> Stake:
    fullest, shortest = neighbours(others)
    is_ = verb(len(others), "is", "are")
    ways = tuple(("beside it ", *which, f" {is_} disabled") for which in (fullest, shortest))
    return Stake(ways, (f"Beside it, disabled: {_listed(others)}",), is_harmless=True)


def _unknown(what: str) -> Stake:
    return Stake(((f"not known: {what}",),), (f"Not known: {what}",))


def _unread(deployments: Sequence[Deployment]) -> Stake:
    """Those of which nobody knows what runs beside them."""
    ids = tuple((d.id,) for d in deployments)
    ways = tuple(("not known: what runs beside ", *which) for which in listed(ids))
    return Stake(ways, (f"Not known: what runs beside {', '.join(d.id for d in deployments)}",))


def _in_the_place_of(others: Sequence[Deployment], flow_id: str | None) -> Beside:
    """What is said of a create without environment: nobody can tell whether the account has virtual environments."""
    condition = "if the account has no virtual environments"
    if flow_id and not others:
        none = f"nothing, because nothing of flow {flow_id} is there"
        return Beside(stakes=(Stake(((f"switches off {none}",),), (f"Switches off: {none}",)),), must_ask=True)
    if not flow_id:
        what, lost = "what of its flow is deployed (not known)", "what this switches off (not known)"
        ways: tuple[Line, ...] = ((f"may switch off {what}, {condition}",),)
    else:
        what, lost = _listed(others), f"{_listed(others)}, if this switches it off"
        ways = tuple(("may switch off ", *which, f", {condition}") for which in neighbours(others))
    said = f"May switch off, {condition}: {what}"
    return Beside(stakes=(Stake(ways, (said,)),), must_ask=True, lost=(lost,))


async def look(client: DeploymentsClient, wanted: Deployment, flow_id: str | None, *, comes: bool) -> Place:
    """Look where the deployment comes or starts to run; one that `comes` there needs the environment's name, too.

    What cannot be read is asked about, so that a listing that fails stops nothing.
    """
    place, environment = Place(wanted=wanted, flow_id=flow_id), wanted.virtual_environment_id
    if wanted.hides_environment:
        return replace(place, unread=UnexpectedResponse("It does not tell its environment."))
    name: str | None = None
    holds: Sequence[Deployment] = ()
    try:
        if comes and environment:
            name, holds = await client.look_into(environment, flow_id)
        elif flow_id:
            holds = await client.every_deployment_at({flow_id}, {environment})
    except UpstreamError as error:
        return replace(place, unread=error)
    return replace(place, name=name, holds=tuple(holds))


async def look_if_empty(
    client: DeploymentsClient, wanted: Deployment, present: Sequence[Deployment], state: str
) -> Place:
    """Look where a deployment comes if the place is in the `state` that `comparing.empty_place` made.

    `present` are the deployments of its version. Raises `StateMoved` where something else is there, `UpstreamError`.
    """
    flow, known = comparing.read_empty_place(state)
    told = next((d.flow_id for d in present if d.flow_id), None)
    if flow and told and flow != told:
        raise InvalidArgument(f"if_state speaks of flow {flow}, but the flow version belongs to flow {told}.")
    there = [d for d in present if d.virtual_environment_id == wanted.virtual_environment_id]
    _require_none(there, but=known)
    place = await look(client, wanted, flow or told, comes=True)
    if flow and place.unread:
        raise place.unread
    if flow:
        _require_none(place.holds, but=known)
    return place


def _require_none(deployments: Iterable[Deployment], *, but: Sequence[str]) -> None:
    for d in deployments:
        if d.id not in but:
            version = rendering.flow_version(d)
            raise StateMoved(f"By now deployment {d.id} of {version} is there: {rendering.place(d)}.")


async def state_left(client: DeploymentsClient, gone: Deployment) -> str:
    """The state of the place that a deployment without environment has left, where several can be side by side."""
    flow = gone.flow_id or ""
    there, _ = await look_until(lambda _: True, lambda c: c.every_deployment_at({flow}, {None}), client)
    return comparing.empty_place(flow, [d.id for d in comparing.in_order(there or []) if d.id != gone.id])


async def look_around(client: DeploymentsClient, starting: Sequence[Deployment]) -> Beside:
    """What runs beside many deployments that start to run, and which of them would run side by side."""
    places: defaultdict[tuple[str, str | None], list[Deployment]] = defaultdict(list)
    unknown: list[Deployment] = []
    for deployment in starting:
        if deployment.flow_id and not deployment.hides_environment:
            places[deployment.flow_id, deployment.virtual_environment_id].append(deployment)
        else:
            unknown.append(deployment)
    flows, environments = {flow for flow, _ in places}, {environment for _, environment in places}
    others: list[Deployment] = []
    try:
        others = await client.every_deployment_at(flows, environments) if places else []
    except UpstreamError:
        unknown = list(starting)
    known = {d.id for d in starting}
    running = (d for d in others if d.enabled is not False and d.id not in known)
    beside = [d for d in running if d.hides_environment or (d.flow_id, d.virtual_environment_id) in places]
    stakes = [_running(beside, "them" if len(starting) > 1 else "it", is_twice=True)] if beside else []
    stakes += [_together(held) for held in places.values() if len(held) > 1]
    stakes += [_unread(unknown)] if unknown else []
    return Beside(stakes=tuple(stakes), must_ask=bool(stakes))


def _together(held: Sequence[Deployment]) -> Stake:
    """Those that would be enabled in one place."""
    ways = tuple(("side by side would run ", *which, ": the work may be done twice") for which in neighbours(held))
    return Stake(ways, (f"Side by side would run: {_listed(held)}",))


def _listed(deployments: Iterable[Deployment]) -> str:
    """Each of them, because what is agreed to has to be seen; in order, because that of a listing says nothing."""
    return "; ".join(
        f"deployment {d.id} of {rendering.flow_version(d)}, {rendering.place(d)}, {rendering.state(d)}"
        for d in comparing.in_order(deployments)
    )
