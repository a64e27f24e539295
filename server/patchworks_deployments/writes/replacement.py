"""Putting another version of a flow where one is: delete and create under one consent, with a way back.

Nothing is sent before the new version is known to exist, not to be there already, and to be of the same flow.
Patchworks tells the flow only of a version that is deployed somewhere; for any other its id has to be typed.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from patchworks_deployments.api.client import LOOK_SECONDS, DeploymentsClient
from patchworks_deployments.errors import InvalidArgument, NoAnswer, crash
from patchworks_deployments.model import comparing
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.beside import ALONE, NEW, Beside, look
from patchworks_deployments.writes.exchange import Exchange
from patchworks_deployments.writes.operations import Create, Delete
from patchworks_deployments.writes.outcome import PREVIEWS, NotDone, ReplaceResult
from patchworks_deployments.writes.plan import Acting, Environment, Plan, Risk, Write, environments_of
from patchworks_deployments.writes.wording.lines import Words
from patchworks_deployments.writes.wording.replacing import words_of_replacement

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Replace(Write):
    """Put another version of the same flow where a deployment is: deletes it, then creates the new one.

    In between the environment holds neither; without environment the new one comes first. Queue priority and enabled
    stay unless given. If creating fails, the old version is restored, as a new deployment.
    """

    name = "replace_deployment"
    title = "Replace a flow version"
    risk = Risk.DESTRUCTIVE
    is_idempotent = False

    flow_version_id: str
    deployment_id: str
    new_flow_version_id: str
    priority: int | None = None
    enabled: bool | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The three ids, and what was given."""
        return {name: value for name, value in vars(self).items() if value is not None}

    async def plan(self, client: DeploymentsClient) -> "Replacement":
        """Read both sides. Raises `InvalidArgument` when the new version is another flow's, or is there already."""
        old = await client.get_or_explain(self.flow_version_id, self.deployment_id)
        if self.new_flow_version_id == self.flow_version_id:
            raise InvalidArgument("That version is the one deployed there.", next_step="Name another version's id.")
        if old.unreadable or old.enabled is None or old.flow_id is None:
            raise InvalidArgument("The old deployment cannot be read completely, so it could not be restored.")
        present = tuple(await client.every_deployment_of(self.new_flow_version_id))
        self._require_fit(old, present)
        create = Create.like(self.new_flow_version_id, old)
        if self.priority is not None:
            create = replace(create, priority=self.priority)
        if self.enabled is not None:
            create = replace(create, deploy_disabled=None if self.enabled else True)
        delete = Delete(flow_version_id=self.flow_version_id, deployment_id=self.deployment_id)
        return Replacement(
            write=self,
            basis=(old, *present),
            beside=await self._beside(client, old),
            delete=delete,
            create=create,
            lost=delete.change(old).lost,
        )

    async def _beside(self, client: DeploymentsClient, old: Deployment) -> Beside:
        """What is beside the new version, where it starts to run in the place of one that does not."""
        if old.enabled or not self.enabled:
            return ALONE
        running = old.model_copy(update={"enabled": True})
        return (await look(client.glancing(LOOK_SECONDS), running, old.flow_id, comes=False)).beside

    def undo(self, before: Deployment, after: Deployment) -> ToolCall:
        """Put the old version back where the new one is now, as the old one was."""
        back = Replace(
            flow_version_id=self.new_flow_version_id,
            deployment_id=after.id,
            new_flow_version_id=self.flow_version_id,
            priority=before.priority,
            enabled=before.enabled,
        )
        return back.call()

    def _require_fit(self, old: Deployment, present: Sequence[Deployment]) -> None:
        flow, version = next((d.flow_id for d in present if d.flow_id), None), self.new_flow_version_id
        if flow and flow != old.flow_id:
            raise InvalidArgument(
                f"Flow version {version} belongs to flow {flow}, the deployment to flow {old.flow_id}.",
                next_step="Name a version of the same flow.",
            )
        if any(d.virtual_environment_id == old.virtual_environment_id for d in present):
            raise InvalidArgument("The new version is already deployed there.", next_step="Look at both deployments.")


@dataclass(frozen=True, kw_only=True)
class Replacement(Plan[ReplaceResult]):
    """The deployment that goes, and the one that comes with its queue priority and state unless told otherwise.

    The basis is the old deployment, followed by the other deployments of the new version.
    """

    outdated = "Something that was agreed to changed meanwhile. Nothing was changed. Read it again and ask again."

    write: Replace
    delete: Delete
    create: Create
    lost: tuple[str, ...]

    @property
    def old(self) -> Deployment:
        """The deployment that goes."""
        return self.basis[0]

    @property
    def lines(self) -> int:
        """Of the call, and of deleting, creating and restoring an intent and an outcome each."""
        return 7

    @property
    def is_needed(self) -> bool:
        """The new version is never there already."""
        return True

    @property
    def environments(self) -> list[Environment]:
        """The one that both are about."""
        return environments_of([self.old])

    @property
    def known_of_new_flow(self) -> Deployment | None:
        """A deployment that tells the new version's flow; Patchworks tells it only where the version is deployed."""
        return next((d for d in self.basis[1:] if d.flow_id), None)

    @property
    def must_be_typed(self) -> str | None:
        """The new version's id, where nobody can say that it is of the same flow."""
        return None if self.known_of_new_flow else self.write.new_flow_version_id

    def only_if(self, state: str | None) -> "Replacement":
        """This replacement, if `state` is None or still the old deployment's fingerprint. Raises `StateMoved`."""
        comparing.require(state, [self.old])
        return self

    @property
    def new(self) -> Deployment:
        """The deployment that would come, as far as that is known."""
        known = self.known_of_new_flow
        told = {name: getattr(known, name) for name in ("flow_id", "flow_name", "iteration")} if known else {}
        return Deployment(
            id=NEW,
            flow_version_id=self.write.new_flow_version_id,
            virtual_environment_id=self.old.virtual_environment_id,
            virtual_environment_name=self.old.virtual_environment_name,
            enabled=not self.create.deploy_disabled,
            priority=self.create.priority,
            **told,
        )

    @property
    def words(self) -> Words:
        """Both deployments, side by side, and what does not come back."""
        old = self.old.model_copy(update={"flow_version_id": self.write.flow_version_id})
        return words_of_replacement(old, self.new, self.known_of_new_flow, self.lost, self.beside.stakes)

    def must_be_compared(self, *, asked_live: bool) -> bool:
        """It deletes before it creates, so both sides are always looked at once more."""
        del asked_live
        return True

    async def carry_out(self, acting: Acting) -> ReplaceResult:
        """Check, delete, create; if the create fails, restore the old one and say so."""
        steps = Exchange(
            acting=replace(acting, is_step=True, must_finish=True),
            old=self.old,
            delete=self.delete,
            create=self.create,
            lost=self.lost,
            others=self.basis[1:],
            why_not_still_so=partial(self._compare, acting.client),
            undo=partial(self.write.undo, self.old),
        )
        broken_off: str | None = "The server was stopped in the middle of this."
        # Between delete and create nobody may interrupt: a cancellation of the call waits outside. A stop gives time.
        with acting.stop.finishing():
            try:
                result, broken_off = await steps.run(), None
            except Exception as error:
                if not acting.attempt.has_sent:
                    raise
                logger.exception("%s", self.write.name)
                broken_off = crash(error)
        if broken_off:
            fate = "is" if steps.is_old_gone else "may be"
            what = f"{broken_off} The old deployment {self.old.id} {fate} deleted."
            result = steps.ended("unknown", what, [], NoAnswer("The server could not look."))
        told = {"message": self.beside.added_to(result.message), "before": self.old, "confirmed_by": acting.agreed}
        return result.model_copy(update=told)

    async def _compare(self, client: DeploymentsClient) -> str | None:
        return self.why_not_still_so(await self.write.plan(client))

    def not_done(self, reason: NotDone) -> ReplaceResult:
        """The result of a replacement that does not go ahead; a preview shows what would come, and what goes."""
        is_preview = reason.status in PREVIEWS
        return ReplaceResult(
            status=reason.status,
            message=reason.message,
            before=self.old,
            after=self.new if is_preview else None,
            lost=list(self.lost) if is_preview else None,
            question=reason.question,
            confirmation_code=reason.code,
        )
