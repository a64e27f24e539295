"""A planned write to one deployment: what a person is asked, how it is sent, and how it is read back."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import anyio

from patchworks_deployments.api.client import LOOK_SECONDS, DeploymentsClient
from patchworks_deployments.api.pacing import deadline, patiently, reading_back
from patchworks_deployments.errors import NotFound, UnexpectedResponse, UpstreamError
from patchworks_deployments.model import comparing
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.beside import Place, look, state_left
from patchworks_deployments.writes.looking import look_until
from patchworks_deployments.writes.outcome import (
    PREVIEWS,
    Facts,
    NotDone,
    WriteResult,
    also_changed,
    how_to_find_out,
    judge,
)
from patchworks_deployments.writes.plan import Acting, Environment, Plan, Write, environments_of
from patchworks_deployments.writes.wording.lines import Words
from patchworks_deployments.writes.wording.one import words_of_change, words_of_create

WAY_BACK = "Way back: to deploy the version there again, with "
"""How a question says what undoes a delete, followed by what comes back."""

KEPT = {
    (): "this queue priority and state",
    ("enabled",): "this queue priority, disabled",
    ("priority",): "this state and the flow's queue priority",
    ("priority", "enabled"): "the flow's queue priority, disabled",
}
"""What comes back on that way, by what of it is not known."""

NO_WAY_BACK = "Way back: none, as it does not tell what is needed to deploy it again"


@dataclass(frozen=True, kw_only=True)
class DeploymentWrite(Write):
    """A write to one deployment of a flow version, by one request."""

    verb: ClassVar[str]
    """What a question begins with: `Delete`."""

    done: ClassVar[str]
    """What a result says was done: `Deleted`."""

    flow_version_id: str

    @abc.abstractmethod
    async def plan(self, client: DeploymentsClient) -> "Change":
        """Read the deployment, and what else the write rests on."""

    @abc.abstractmethod
    async def send(self, client: DeploymentsClient) -> Deployment | None:
        """Make the request, once. A create returns the deployment that Patchworks answered with."""

    @abc.abstractmethod
    def undo(self, before: Deployment | None, after: Deployment | None) -> ToolCall | None:
        """The call that leads back from `after` to `before`, None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Change(Plan[WriteResult]):
    """What one write would do to one deployment.

    `before` is None for a create and `after` for a delete. `wanted` holds the fields of `comparing.COMPARED` that the
    write sets, `lost` what it cannot bring back.
    """

    write: DeploymentWrite
    before: Deployment | None
    after: Deployment | None
    wanted: Mapping[str, Any] = field(default_factory=dict)
    lost: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        """False when the deployment is already in the wanted state."""
        if self.before is None or self.after is None:
            return self.before is not self.after
        return not comparing.matches(self.before, self.wanted)

    @property
    def environments(self) -> list[Environment]:
        """The environments before and after."""
        return environments_of(deployment for deployment in (self.before, self.after) if deployment)

    @property
    def must_be_typed(self) -> str | None:
        """A delete wants the deployment's id to be typed."""
        return self.before.id if self.before and not self.after else None

    @property
    def comes(self) -> bool:
        """Whether the deployment comes to a place where it is not known to be."""
        name = "virtual_environment_id"
        return name in self.wanted and not (self.before and comparing.matches(self.before, {name: self.wanted[name]}))

    @property
    def must_look(self) -> bool:
        """Whether it matters what else of the flow is there: where the deployment comes, or starts to run."""
        is_start = self.wanted.get("enabled") is True and not (self.before and self.before.enabled)
        return self.is_needed and (self.comes or is_start)

    def at(self, place: Place) -> "Change":
        """This change with what was read of its place. Raises `InvalidArgument` where a question cannot hold it."""
        after = self.after
        if after and place.name:
            after = after.model_copy(update={"virtual_environment_name": place.name})
        beside = place.beside
        return replace(self, after=after, beside=beside, lost=(*self.lost, *beside.lost)).readable()

    @property
    def words(self) -> Words:
        """The target, its present state, and what would be different."""
        stakes = self.beside.stakes
        if self.before is None:
            assert self.after is not None
            return words_of_create(self.after, self.basis, stakes)
        lost = [told for told in self.lost if told not in self.beside.lost]
        before = self.before.model_copy(update={"flow_version_id": self.write.flow_version_id})
        words = words_of_change(self.write.verb, before, self.after, lost, stakes)
        if self.after:
            return words
        way_back = f"{WAY_BACK}{self._kept}" if self.write.undo(self.before, None) else NO_WAY_BACK
        return replace(words, details=(way_back, *words.details))

    @property
    def _kept(self) -> str:
        """What a deployment that is created again has of the one before."""
        unknown = comparing.untold(self.before, ("priority", "enabled")) if self.before else []
        return KEPT[tuple(unknown)]

    async def carry_out(self, acting: Acting) -> WriteResult:
        """Send the write, once, find out what became of it, and have subscribers told.

        Raises `UpstreamError` when it certainly was not carried out, `AuditLogUnwritable` when it was not sent.
        """
        # From here on a caller that goes away must not leave a write half known: its cancellation waits outside.
        with anyio.CancelScope(shield=True):
            result = await self.report(await self.attempt(acting), acting)
        return result  # noqa: RET504 - mypy takes a cancel scope for one that may swallow what is raised

    async def attempt(self, acting: Acting) -> Facts:
        """Send the write, once, and look until it is seen or there is no hope left.

        Raises `UpstreamError` when it certainly was not carried out, `AuditLogUnwritable` when it was not sent.
        """
        place = self.wanted.get("virtual_environment_id")
        await acting.intend(self.write, self.before, (d for d in self.basis if d.virtual_environment_id == place))
        answered, trouble, began = None, None, anyio.current_time()
        try:
            answered = await acting.answer_to(self.write.send(acting.client))
            if answered and any(known.id == answered.id for known in self.basis):
                raise UnexpectedResponse(f"Patchworks answered with deployment {answered.id}, which was there before.")
        except UpstreamError as error:
            # A 404 may be a gateway's, which has none of the API's knowledge: reading has to say so, too.
            if not error.may_have_acted and not isinstance(error, NotFound):
                acting.attempt.is_in_doubt = False
                raise
            answered, trouble = None, error
        if acting.must_finish:
            deadline().finish()
        sent = Facts(self.before, None if self.after is None else self.wanted, trouble, answered)

        async def look(client: DeploymentsClient) -> Facts:
            return await (patiently(partial(self._look, sent, client)) if acting.is_step else self._look(sent, client))

        facts = sent
        with acting.stop.finishing(), reading_back(began):
            seen, unread = await look_until(lambda facts: facts.is_seen or facts.is_refused, look, acting.client)
            facts = seen or replace(sent, unread=unread)
        if facts.trouble and facts.is_refused:
            acting.attempt.is_in_doubt = False
            raise facts.trouble
        return facts

    async def _look(self, sent: Facts, client: DeploymentsClient) -> Facts:
        """What one look adds to what is known. Raises `UpstreamError` where nothing can be read."""
        if self.before is None:
            found = await self._find_created(client, sent.answered)
        elif self.after is None and sent.trouble is None:
            # Patchworks has said already that it is gone, so a 404 is the second to say so.
            try:
                found = await client.get(self.write.flow_version_id, self.before.id)
            except NotFound:
                found = None
        else:
            found = await client.find(self.write.flow_version_id, self.before.id)
        untold = comparing.untold(found, self.wanted) if found else []
        if found and untold and not comparing.contradicts(found, self.wanted):
            return replace(sent, found=found, unread=UnexpectedResponse(f"It does not tell {', '.join(untold)}."))
        return replace(sent, found=found, unread=None)

    async def _find_created(self, client: DeploymentsClient, answered: Deployment | None) -> Deployment | None:
        """The deployment that a create has made: the one that it was answered with, else the one new in its place.

        Raises `UnexpectedResponse` where several are new.
        """
        if answered:
            return await client.find(self.write.flow_version_id, answered.id)
        known = {deployment.id for deployment in self.basis}
        place = self.wanted["virtual_environment_id"]
        present = await client.every_deployment_of(self.write.flow_version_id)
        new = [d for d in present if d.id not in known and d.virtual_environment_id == place]
        if len(new) > 1:
            ids = " and ".join(d.id for d in new)
            raise UnexpectedResponse(f"Deployments {ids} are new there, and one of them may be somebody else's.")
        # Read by itself it tells all that the next who looks at it will read.
        return await client.get(self.write.flow_version_id, new[0].id) if new else None

    async def report(self, facts: Facts, acting: Acting) -> WriteResult:
        """The result, of which subscribers hear as much as the caller: also of what may have changed."""
        status, message = judge(facts, self.write.done)
        if not facts.is_seen and not acting.is_one_of_many:
            message += f" {how_to_find_out(facts, self.write.flow_version_id)}"
        after = facts.found or facts.answered
        undo = self.write.undo(self.before, after or self.after) if status == "done" or facts.took_in_part else None
        if undo and facts.found:
            # Undoing is refused once things have moved on since they were read back.
            undo = undo.only_if(comparing.fingerprint([facts.found]))
        elif undo and self.before and not self.after and not self.before.virtual_environment_id and not acting.is_step:
            with acting.stop.finishing():
                undo = undo.only_if(await state_left(acting.client, self.before))
        acting.changed(self.write.flow_version_id, self.before, after or (self.before and self.after))
        return WriteResult(
            status=status,
            message=self.beside.added_to(message),
            before=self.before,
            after=after,
            verified=facts.is_seen,
            confirmed_by=acting.agreed,
            also_changed=also_changed(self.before, after, self.wanted),
            # Also what a create that nobody has seen may have switched off, which its undo does not bring back.
            lost=list(self.lost) if (status == "done" or self.before is None) and self.lost else None,
            undo=undo,
        )

    def not_done(self, reason: NotDone) -> WriteResult:
        """The result of a change that does not go ahead; a preview shows what it would do."""
        is_preview = reason.status in PREVIEWS
        return WriteResult(
            status=reason.status,
            message=reason.message,
            before=self.before,
            after=self.after if is_preview else None,
            lost=list(self.lost) if is_preview and self.lost else None,
            question=reason.question,
            confirmation_code=reason.code,
        )


@dataclass(frozen=True, kw_only=True)
class WriteToExisting(DeploymentWrite, abc.ABC):
    """A write to a deployment that is there."""

    deployment_id: str

    @property
    def arguments(self) -> dict[str, Any]:
        """Both ids."""
        return {"flow_version_id": self.flow_version_id, "deployment_id": self.deployment_id}

    async def plan(self, client: DeploymentsClient) -> Change:
        """Read the deployment, and where it comes or starts to run what else of its flow is there."""
        before = await client.get_or_explain(self.flow_version_id, self.deployment_id)
        change = self.change(before)
        if change.after is None or not change.must_look:
            return change
        return change.at(await look(client.glancing(LOOK_SECONDS), change.after, before.flow_id, comes=change.comes))

    @abc.abstractmethod
    def change(self, before: Deployment) -> Change:
        """The change to the deployment in this state, which was just read."""
