"""What one write would do: the state it rests on, what it wants, how to send it, and how to take it back.

Each of the five writes is planned here from what was just read; nothing here changes anything.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Protocol

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model import comparing as states
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Clearable, Deployment, ToolCall
from patchworks_deployments.model.reading import read_time


class Risk(StrEnum):
    """What a write can do to work that is running: declared once per operation."""

    ADDITIVE = "additive"
    DESTRUCTIVE = "destructive"


RISKS = {
    "create_deployment": Risk.ADDITIVE,
    "enable_deployment": Risk.ADDITIVE,
    "update_deployment": Risk.DESTRUCTIVE,
    "delete_deployment": Risk.DESTRUCTIVE,
    "disable_deployment": Risk.DESTRUCTIVE,
    "replace_deployment": Risk.DESTRUCTIVE,
    "set_deployments_enabled": Risk.DESTRUCTIVE,  # when it disables
}


MAX_SHOWN = 10
"""Of the other deployments of a flow version, in a question."""


class Plan(Protocol):
    """What a decision about consent needs to know of a write, whatever it consists of."""

    @property
    def tool(self) -> str:
        """The tool that was called."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What it was asked to do, as far as it bears on the outcome."""

    @property
    def risk(self) -> Risk:
        """What it can do to work that is running."""

    @property
    def is_needed(self) -> bool:
        """False when everything is already in the wanted state."""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that was read for this write."""

    @property
    def environments(self) -> Sequence[tuple[str | None, str | None]]:
        """(id, name) of each environment that this touches; the name is None where it is not known."""

    @property
    def must_be_typed(self) -> str | None:
        """What a human has to type to agree, instead of ticking a box."""

    def question(self) -> str:
        """Built from the target's state only, and the same for the same state: the SDK asks anew when it changed."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One planned write to one deployment.

    `basis` holds every deployment that was read for it, `wanted` the fields of `states.COMPARED` that it sets;
    `before` is None for a create and `after` None for a delete; `effect` says what would happen, `done` what did;
    `undo` gives the call that reverses it, from the state that came of it.
    """

    tool: str
    arguments: Mapping[str, Any]
    effect: str
    done: str
    flow_version_id: str
    basis: tuple[Deployment, ...]
    before: Deployment | None
    after: Deployment | None
    wanted: Mapping[str, Any] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    undo: Callable[[Deployment | None], ToolCall | None]
    send: Callable[[], Awaitable[Deployment | None]]
    replan: Callable[[], Awaitable["Change"]]

    @property
    def risk(self) -> Risk:
        """The operation's risk."""
        return RISKS[self.tool]

    @property
    def is_needed(self) -> bool:
        """False when the target is already in the wanted state."""
        if self.before is None or self.after is None:
            return self.before is not self.after
        return not states.matches(self.before, self.wanted)

    @property
    def fingerprint(self) -> str:
        """Changes with anything that was read for this write."""
        return states.fingerprint(self.basis)

    @property
    def environments(self) -> list[tuple[str | None, str | None]]:
        """(id, name) of the environments before and after."""
        return environments_of(deployment for deployment in (self.before, self.after) if deployment)

    @property
    def must_be_typed(self) -> str | None:
        """A delete wants the deployment's id."""
        return self.before.id if self.before and not self.after else None

    def only_if(self, state: str | None) -> "Change":
        """This change, if `state` is None or still the target's fingerprint. Raises `StateMoved`."""
        states.require(state, self.basis)
        return self

    def question(self) -> str:
        """The effect, the target, its present state, what of it is not known, and what would be different."""
        target = self.before or self.after
        assert target is not None
        lines = [self.effect, "", f"Where: {rendering.place(target)}"]
        if self.before:
            lines.append(f"Deployment: {self.before.id} of flow version {self.flow_version_id}")
            lines.append(f"Now: {rendering.state(self.before)}, queue priority {rendering.priority(self.before)}")
            if self.before.updated_at:
                lines.append(f"Last changed: {rendering.moment(self.before.updated_at)}")
        else:
            lines.append(f"Flow version: {self.flow_version_id}, now deployed in: {self._elsewhere()}")
        if not_known := states.untold(target, states.COMPARED):
            lines.append(f"Not known: {', '.join(not_known)}")
        return "\n".join([*lines, *self.consequences()])

    def consequences(self) -> list[str]:
        """What would be different afterwards, line by line."""
        if self.before and self.after:
            return [f"Change of {line}" for line in states.differences(self.before, self.after)]
        if self.after:
            return [f"Then: {rendering.state(self.after)}, queue priority {rendering.priority(self.after)}"]
        return [f"Lost for good: {', '.join(self.lost)}"]

    def _elsewhere(self) -> str:
        known = [f"{rendering.environment(d)} as {d.id}, {rendering.state(d)}" for d in self.basis[:MAX_SHOWN]]
        more = len(self.basis) - len(known)
        return "; ".join([*known, *([f"and {more} more"] if more else [])]) or "no environment"


def environments_of(deployments: Iterable[Deployment]) -> list[tuple[str | None, str | None]]:
    """(id, name) of each environment; one that is not known counts, with neither."""
    return [
        (d.virtual_environment_id, d.virtual_environment_name)
        for d in deployments
        if d.virtual_environment_id or d.virtual_environment_name or "virtual_environment_id" in (d.unreadable or ())
    ]


async def plan_enable(client: DeploymentsClient, flow_version_id: str, deployment_id: str) -> Change:
    """Plan to let a deployment process runs."""
    ids = {"flow_version_id": flow_version_id, "deployment_id": deployment_id}
    before = await client.get(flow_version_id, deployment_id)

    return Change(
        tool="enable_deployment",
        arguments=ids,
        effect="Enable this deployment: its triggers start runs by themselves.",
        done="Enabled",
        flow_version_id=flow_version_id,
        basis=(before,),
        before=before,
        after=before.model_copy(update={"enabled": True, "enabled_at": before.enabled_at}),
        wanted={"enabled": True},
        undo=lambda _: ToolCall(tool="disable_deployment", arguments=ids),
        send=partial(client.enable, flow_version_id, deployment_id),
        replan=partial(plan_enable, client, flow_version_id, deployment_id),
    )


async def plan_disable(client: DeploymentsClient, flow_version_id: str, deployment_id: str) -> Change:
    """Plan to keep a deployment from processing runs."""
    ids = {"flow_version_id": flow_version_id, "deployment_id": deployment_id}
    before = await client.get(flow_version_id, deployment_id)

    return Change(
        tool="disable_deployment",
        arguments=ids,
        effect="Disable this deployment: it stops processing runs.",
        done="Disabled",
        flow_version_id=flow_version_id,
        basis=(before,),
        before=before,
        after=before.model_copy(update={"enabled": False, "enabled_at": None}),
        wanted={"enabled": False},
        undo=lambda _: ToolCall(tool="enable_deployment", arguments=ids),
        send=partial(client.disable, flow_version_id, deployment_id),
        replan=partial(plan_disable, client, flow_version_id, deployment_id),
    )


async def plan_delete(client: DeploymentsClient, flow_version_id: str, deployment_id: str) -> Change:
    """Plan to remove a deployment for good."""
    return deletion_of(client, flow_version_id, await client.get(flow_version_id, deployment_id))


def deletion_of(client: DeploymentsClient, flow_version_id: str, before: Deployment) -> Change:
    """The removal of a deployment in the state that was just read."""
    place_is_known = "virtual_environment_id" not in (before.unreadable or ())
    return Change(
        tool="delete_deployment",
        arguments={"flow_version_id": flow_version_id, "deployment_id": before.id},
        effect="Delete this deployment for good.",
        done="Deleted",
        flow_version_id=flow_version_id,
        basis=(before,),
        before=before,
        after=None,
        lost=_lost(before),
        undo=lambda _: recreation_of(flow_version_id, before) if place_is_known else None,
        send=partial(client.delete, flow_version_id, before.id),
        replan=partial(plan_delete, client, flow_version_id, before.id),
    )


def recreation_of(flow_version_id: str, before: Deployment) -> ToolCall:
    """The call that brings back a deployment that is gone, as far as a create can."""
    arguments = {"flow_version_id": flow_version_id, **NewDeployment.like(before).body()}
    return ToolCall(tool="create_deployment", arguments=arguments)


def _lost(before: Deployment) -> tuple[str, ...]:
    """What a deployment that is created again does not get back."""
    known = [
        f"{name} {value}"
        for name in ("id", "enabled_at", "created_at", "package_id")
        if (value := getattr(before, name)) is not None
    ]
    return (*known, *(f"{name} (not known)" for name in before.unreadable or ()))


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update asks for; None leaves a field alone, `clear` resets it to null."""

    virtual_environment_id: str | None = None
    priority: int | None = None
    enabled_at: str | None = None
    deploy_disabled: bool | None = None
    clear: tuple[Clearable, ...] = ()

    def body(self) -> dict[str, Any]:
        """Just what was asked for: a PUT that wipes what nobody mentioned must not happen."""
        given = {
            "virtual_environment_id": self.virtual_environment_id,
            "priority": self.priority,
            "enabled_at": self.enabled_at,
            "deploy_disabled": self.deploy_disabled or None,  # false asks for nothing
        }
        return {k: v for k, v in given.items() if v is not None} | dict.fromkeys(self.clear)

    def wanted(self) -> dict[str, Any]:
        """The state that the body stands for. Raises `InvalidArgument` where it contradicts itself."""
        body = self.body()
        if not body and self.deploy_disabled is False:
            raise InvalidArgument("deploy_disabled=false enables nothing.", next_step="Use enable_deployment.")
        if not body:
            raise InvalidArgument("There is nothing to update.", next_step="Give a field to set or to clear.")
        for name in self.clear:
            if getattr(self, name) is not None:
                raise InvalidArgument(f"{name} is both set and cleared.", next_step="Do one of the two.")
        if self.deploy_disabled and self.enabled_at:
            raise InvalidArgument(
                "enabled_at and deploy_disabled=true contradict each other.", next_step="Give one of the two."
            )
        wanted = {k: v for k, v in body.items() if k not in {"enabled_at", "deploy_disabled"}}
        if self.enabled_at:
            wanted |= {"enabled": True, "enabled_at": read_time(self.enabled_at)}
        elif self.deploy_disabled or "enabled_at" in self.clear:
            wanted |= {"enabled": False, "enabled_at": None}
        return wanted


async def plan_update(client: DeploymentsClient, flow_version_id: str, deployment_id: str, update: Update) -> Change:
    """Plan to change the fields in `update` and no others."""
    body, wanted = update.body(), update.wanted()
    before = await client.get(flow_version_id, deployment_id)
    moved = "virtual_environment_id" in wanted and wanted["virtual_environment_id"] != before.virtual_environment_id

    return Change(
        tool="update_deployment",
        arguments={"flow_version_id": flow_version_id, "deployment_id": deployment_id, **body},
        effect="Update this deployment.",
        done="Updated",
        flow_version_id=flow_version_id,
        basis=(before,),
        before=before,
        after=before.model_copy(update={**wanted, **({"virtual_environment_name": None} if moved else {})}),
        wanted=wanted,
        lost=tuple(f"{name} (not known)" for name in wanted if name in (before.unreadable or ())),
        undo=partial(_undo_update, flow_version_id, before),
        send=partial(client.update, flow_version_id, deployment_id, body),
        replan=partial(plan_update, client, flow_version_id, deployment_id, update),
    )


def _undo_update(flow_version_id: str, before: Deployment, after: Deployment | None) -> ToolCall | None:
    """Back to every value that is known and differs, whether its change was asked for or not."""
    fields = ("virtual_environment_id", "priority", "enabled_at")
    old = {
        name: getattr(before, name)
        for name in fields
        if after and getattr(before, name) != getattr(after, name) and name not in (before.unreadable or ())
    }
    cleared = [name for name, value in old.items() if value is None]
    arguments = {
        "flow_version_id": flow_version_id,
        "deployment_id": before.id,
        **{name: value for name, value in old.items() if value is not None},
        **({"clear": cleared} if cleared else {}),
    }
    return ToolCall(tool="update_deployment", arguments=arguments) if old else None


@dataclass(frozen=True, kw_only=True)
class NewDeployment:
    """What a create asks for; None leaves a choice to Patchworks: no environment, inherited priority, enabled."""

    virtual_environment_id: str | None = None
    priority: int | None = None
    deploy_disabled: bool | None = None

    @classmethod
    def like(cls, deployment: Deployment) -> "NewDeployment":
        """What brings back its environment, queue priority and state; disabled where the state is not known."""
        return cls(
            virtual_environment_id=deployment.virtual_environment_id,
            priority=deployment.priority,
            deploy_disabled=None if deployment.enabled else True,
        )

    def body(self) -> dict[str, Any]:
        """Just what was asked for."""
        given = {
            "virtual_environment_id": self.virtual_environment_id,
            "priority": self.priority,
            "deploy_disabled": self.deploy_disabled,
        }
        return {name: value for name, value in given.items() if value is not None}

    def wanted(self) -> dict[str, Any]:
        """The state that the body stands for."""
        wanted = {"virtual_environment_id": self.virtual_environment_id, "enabled": not self.deploy_disabled}
        return wanted if self.priority is None else wanted | {"priority": self.priority}


async def plan_create(client: DeploymentsClient, flow_version_id: str, new: NewDeployment) -> Change:
    """Plan to deploy a flow version. Raises `InvalidArgument` when it is already there in another state."""
    present = tuple(await client.every_deployment_of(flow_version_id))
    wanted = new.wanted()
    already = _already_deployed(present, new)
    if already and not states.matches(already, wanted):
        raise InvalidArgument(
            f"Flow version {flow_version_id} is already deployed there as deployment {already.id} "
            f"({rendering.state(already)}, queue priority {rendering.priority(already)}).",
            next_step="Use enable_deployment, disable_deployment or update_deployment on it.",
        )
    namesakes = [d for d in present if d.virtual_environment_id == new.virtual_environment_id]
    known = present[0] if present else None
    wished = Deployment(
        id="new",
        flow_version_id=flow_version_id,
        flow_id=known.flow_id if known else None,
        flow_name=known.flow_name if known else None,
        iteration=known.iteration if known else None,
        virtual_environment_name=namesakes[0].virtual_environment_name if namesakes else None,
        **wanted,
    )

    return Change(
        tool="create_deployment",
        arguments={"flow_version_id": flow_version_id, **new.body()},
        effect="Create this deployment" + (", disabled." if new.deploy_disabled else ": it starts processing runs."),
        done="Created",
        flow_version_id=flow_version_id,
        basis=present,
        before=already,
        after=already or wished,
        wanted=wanted,
        undo=partial(_undo_create, flow_version_id),
        send=partial(client.create, flow_version_id, new.body()),
        replan=partial(plan_create, client, flow_version_id, new),
    )


def _undo_create(flow_version_id: str, after: Deployment | None) -> ToolCall | None:
    if after is None:
        return None
    return ToolCall(tool="delete_deployment", arguments={"flow_version_id": flow_version_id, "deployment_id": after.id})


def _already_deployed(present: Sequence[Deployment], new: NewDeployment) -> Deployment | None:
    """This flow version's deployment in that environment; without one, any number can exist."""
    if new.virtual_environment_id is None:
        return None
    return next((d for d in present if d.virtual_environment_id == new.virtual_environment_id), None)
