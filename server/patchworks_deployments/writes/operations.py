"""The five writes to one deployment: what each wants, the request that it makes, and the call that takes it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from patchworks_deployments.api.client import LOOK_SECONDS, DeploymentsClient
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Clearable, Deployment, ToolCall
from patchworks_deployments.model.reading import read_time
from patchworks_deployments.writes.beside import NEW, look, look_if_empty
from patchworks_deployments.writes.change import Change, DeploymentWrite, WriteToExisting
from patchworks_deployments.writes.plan import Risk


@dataclass(frozen=True, kw_only=True)
class Enable(WriteToExisting):
    """Enable a deployment: its triggers start runs by themselves."""

    name = "enable_deployment"
    title = "Enable a deployment"
    risk = Risk.ADDITIVE
    is_idempotent = True
    verb = "Enable"
    done = "Enabled"

    def change(self, before: Deployment) -> Change:
        """Enabled, since a time that Patchworks chooses."""
        after = before.model_copy(update={"enabled": True})
        return Change(write=self, basis=(before,), before=before, after=after, wanted={"enabled": True})

    async def send(self, client: DeploymentsClient) -> None:
        """Ask Patchworks to enable it."""
        await client.enable(self.flow_version_id, self.deployment_id)

    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall:
        """Disable it."""
        del before, after
        return Disable(**self.arguments).call()


@dataclass(frozen=True, kw_only=True)
class Disable(WriteToExisting):
    """Disable a deployment: it stops processing runs and stays deployed."""

    name = "disable_deployment"
    title = "Disable a deployment"
    risk = Risk.DESTRUCTIVE
    is_idempotent = True
    verb = "Disable"
    done = "Disabled"

    def change(self, before: Deployment) -> Change:
        """Disabled, with no time of enabling left."""
        after = before.model_copy(update={"enabled": False, "enabled_at": None})
        return Change(write=self, basis=(before,), before=before, after=after, wanted={"enabled": False})

    async def send(self, client: DeploymentsClient) -> None:
        """Ask Patchworks to disable it."""
        await client.disable(self.flow_version_id, self.deployment_id)

    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall:
        """Enable it."""
        del before, after
        return Enable(**self.arguments).call()


@dataclass(frozen=True, kw_only=True)
class Delete(WriteToExisting):
    """Delete a deployment for good. To only stop it, use disable_deployment."""

    name = "delete_deployment"
    title = "Delete a deployment"
    risk = Risk.DESTRUCTIVE
    is_idempotent = False
    verb = "Delete"
    done = "Deleted"

    def change(self, before: Deployment) -> Change:
        """Gone, with what a deployment that is created again does not get back."""
        lost = tuple(comparing.lost(before))
        return Change(write=self, basis=(before,), before=before, after=None, lost=lost)

    async def send(self, client: DeploymentsClient) -> None:
        """Ask Patchworks to delete it."""
        await client.delete(self.flow_version_id, self.deployment_id)

    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall | None:
        """Create it again where it was, if that is known and nothing is there by then.

        Without environment, nobody can look at that place who does not know the flow.
        """
        del after
        if before is None or before.hides_environment:
            return None
        if before.flow_id is None and before.virtual_environment_id is None:
            return None
        return Create.like(self.flow_version_id, before).call().only_if(comparing.empty_place(before.flow_id))


@dataclass(frozen=True, kw_only=True)
class Update(WriteToExisting):
    """Change a deployment's environment, queue priority or enabled time. Fields not given stay as they are.

    To switch it on or off use enable_deployment or disable_deployment.
    """

    name = "update_deployment"
    title = "Update a deployment"
    risk = Risk.DESTRUCTIVE
    is_idempotent = True
    verb = "Update"
    done = "Updated"

    virtual_environment_id: str | None = None
    priority: int | None = None
    enabled_at: str | None = None
    deploy_disabled: bool | None = None
    clear: tuple[Clearable, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """Both ids, and the fields that are to change; null resets one."""
        return {**super().arguments, **self._body()}

    def _body(self) -> dict[str, Any]:
        """Just what was asked for: a PUT that wipes what nobody mentioned must not happen."""
        given = _given(self, "virtual_environment_id", "priority", "enabled_at", "deploy_disabled")
        if not self.deploy_disabled:
            given.pop("deploy_disabled", None)  # false asks for nothing
        return given | dict.fromkeys(self.clear)

    async def plan(self, client: DeploymentsClient) -> Change:
        """Read the deployment. Raises `InvalidArgument` where the fields contradict each other."""
        if not self._body():
            if self.deploy_disabled is False:
                raise InvalidArgument("deploy_disabled=false enables nothing.", next_step="Use enable_deployment.")
            raise InvalidArgument("There is nothing to update.", next_step="Give a field to set or to clear.")
        for name in self.clear:
            if getattr(self, name) is not None:
                raise InvalidArgument(f"{name} is both set and cleared.", next_step="Do one of the two.")
        if self.deploy_disabled and self.enabled_at:
            raise InvalidArgument(
                "enabled_at and deploy_disabled=true contradict each other.", next_step="Give one of the two."
            )
        return await super().plan(client)

    def change(self, before: Deployment) -> Change:
        """The given fields laid over the present ones."""
        wanted = {k: v for k, v in self._body().items() if k not in {"enabled_at", "deploy_disabled"}}
        if self.enabled_at:
            wanted |= {"enabled": True, "enabled_at": read_time(self.enabled_at)}
        elif self.deploy_disabled or "enabled_at" in self.clear:
            wanted |= {"enabled": False, "enabled_at": None}
        unreadable = [name for name in before.unreadable or () if name not in wanted]
        after = before.model_copy(update={**wanted, "unreadable": unreadable or None})
        if after.virtual_environment_id != before.virtual_environment_id:
            after = after.model_copy(update={"virtual_environment_name": None})
        lost = tuple(f"{name} (not known)" for name in wanted if name in (before.unreadable or ()))
        return Change(write=self, basis=(before,), before=before, after=after, wanted=wanted, lost=lost)

    async def send(self, client: DeploymentsClient) -> None:
        """Ask Patchworks to change the given fields."""
        await client.update(self.flow_version_id, self.deployment_id, self._body())

    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall | None:
        """Back to every value that is known and differs, whether its change was asked for or not."""
        if before is None or after is None:
            return None
        # What the deployment does not tell is taken to be as it was asked for, or else as it was.
        wished = self.change(before).after or before
        after = after.model_copy(update={name: getattr(wished, name) for name in after.unreadable or ()})
        old = {
            name: getattr(before, name)
            for name in ("virtual_environment_id", "priority", "enabled_at")
            if getattr(before, name) != getattr(after, name) and name not in (before.unreadable or ())
        }
        cleared = [name for name, value in old.items() if value is None]
        kept = {name: value for name, value in old.items() if value is not None}
        arguments = {**super().arguments, **kept, **({"clear": cleared} if cleared else {})}
        return ToolCall(tool=self.name, arguments=arguments) if old else None


@dataclass(frozen=True, kw_only=True)
class Create(DeploymentWrite):
    """Deploy a flow version, enabled unless deploy_disabled.

    Where another version of its flow is deployed, use replace_deployment: Patchworks may refuse a second one, or run
    both. Without an environment it may switch off what is deployed of the flow.
    """

    name = "create_deployment"
    title = "Deploy a flow version"
    risk = Risk.ADDITIVE
    is_idempotent = False
    verb = "Deploy"
    done = "Created"

    virtual_environment_id: str | None = None
    priority: int | None = None
    deploy_disabled: bool | None = None
    if_state: str | None = None
    """`empty_place`: only where nothing is there. Without a flow's id, only this version is looked for."""

    @classmethod
    def like(cls, flow_version_id: str, deployment: Deployment) -> Self:
        """What brings back its environment, queue priority and state; disabled where the state is not known."""
        return cls(
            flow_version_id=flow_version_id,
            virtual_environment_id=deployment.virtual_environment_id,
            priority=deployment.priority,
            deploy_disabled=None if deployment.enabled else True,
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """The flow version's id, and what was given."""
        return {"flow_version_id": self.flow_version_id, **self._body()}

    def _body(self) -> dict[str, Any]:
        """What was not given is Patchworks' choice: no environment, the flow's queue priority, enabled."""
        return _given(self, "virtual_environment_id", "priority", "deploy_disabled")

    async def plan(self, client: DeploymentsClient) -> Change:
        """Read what is deployed of the flow version.

        Raises `InvalidArgument` when it is already deployed there in another state, `StateMoved` when `if_state` says
        that nothing is there, and something is.
        """
        present = tuple(await client.every_deployment_of(self.flow_version_id))
        if self.if_state is not None:
            place = await look_if_empty(client, self._wished(present), present, self.if_state)
            return self.change(present).at(place)
        change, flow = self.change(present), next((d.flow_id for d in present if d.flow_id), None)
        if change.after is None or not change.must_look:
            return change
        return change.at(await look(client.glancing(LOOK_SECONDS), change.after, flow, comes=True))

    def change(self, present: tuple[Deployment, ...]) -> Change:
        """The deployment beside those of the flow version that are present.

        Raises `InvalidArgument` when it is already deployed there in another state.
        """
        wanted = self._wanted
        there = [d for d in present if d.virtual_environment_id == self.virtual_environment_id]
        # Without an environment any number of deployments can exist side by side.
        already = there[0] if there and self.virtual_environment_id is not None else None
        if already and not comparing.matches(already, wanted):
            raise InvalidArgument(
                f"Flow version {self.flow_version_id} is already deployed there as deployment {already.id} "
                f"({rendering.state(already)}, queue priority {rendering.priority(already)}).",
                next_step="Use enable_deployment, disable_deployment or update_deployment on it.",
            )
        after = already or self._wished(present)
        return Change(write=self, basis=present, before=already, after=after, wanted=wanted)

    @property
    def _wanted(self) -> dict[str, Any]:
        return {
            "virtual_environment_id": self.virtual_environment_id,
            "enabled": not self.deploy_disabled,
            **({} if self.priority is None else {"priority": self.priority}),
        }

    def _wished(self, present: Sequence[Deployment]) -> Deployment:
        """The deployment that would come, with the names that its neighbours tell."""
        known = present[0] if present else None
        return Deployment(
            id=NEW,
            flow_version_id=self.flow_version_id,
            flow_id=known.flow_id if known else None,
            flow_name=known.flow_name if known else None,
            iteration=known.iteration if known else None,
            **self._wanted,
        )

    async def send(self, client: DeploymentsClient) -> Deployment | None:
        """Ask Patchworks to deploy it."""
        return await client.create(self.flow_version_id, self._body())

    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall | None:
        """Delete it."""
        del before
        return Delete(flow_version_id=self.flow_version_id, deployment_id=after.id).call() if after else None


def _given(write: Update | Create, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(write, name)) is not None}
