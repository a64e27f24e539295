"""The steps of a replacement in their order. Each is taken only from a state that is known, which a comment names."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import patiently
from patchworks_deployments.errors import Throttled, UpstreamError
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.looking import look_until
from patchworks_deployments.writes.operations import Create, Delete
from patchworks_deployments.writes.outcome import MAY_BE_ANOTHERS, Facts, ReplaceResult, Status, WriteResult
from patchworks_deployments.writes.plan import Acting

REQUESTS_FROM_DELETE_TO_LOOK = 6
"""Delete, read back, create, read back, and look at the place: with fewer left, a throttle would keep it empty."""

UNREACHABLE_SECONDS = 20.0
"""Seconds for which an empty environment is tried to be filled where Patchworks cannot be reached."""

_TAKEN = " Show the person what is there now, and ask whether it may stay."
_RESTORES = " If nothing of the flow is there when you look again, the call in `repair` restores the old version."

Held = tuple[list[Deployment], UpstreamError | None]
"""What the place holds of the flow, and why that is not known, if so."""


@dataclass
class Exchange:
    """What goes and what comes, and how far that has got.

    `delete` removes the `old` deployment and `create` makes the new one; `lost` is what does not come back of the old
    one, and `others` are the deployments that the new version had before. `why_not_still_so` reads again, and says what
    is not as it was agreed to. `undo` is the call that leads back from the new deployment.
    """

    acting: Acting
    old: Deployment
    delete: Delete
    create: Create
    lost: tuple[str, ...]
    others: tuple[Deployment, ...]
    why_not_still_so: Callable[[], Awaitable[str | None]]
    undo: Callable[[Deployment], ToolCall]
    deleting_since: float = 0.0
    is_old_gone: bool = False

    @property
    def restore(self) -> Create:
        """Brings the old version back where nothing is."""
        return Create.like(self.delete.flow_version_id, self.old)

    async def run(self) -> ReplaceResult:
        """Go through the steps, in the order that the place of the old deployment asks for."""
        in_order = self._delete_then_create if self.old.virtual_environment_id else self._create_then_delete
        return await in_order()

    async def _delete_then_create(self) -> ReplaceResult:
        """Replace in an environment, which holds one version of a flow."""
        # Known: the old one is there, as agreed to.
        removed = await self._delete(only_if_still_so=True)
        if removed.status in {"refused", "failed"}:
            return _nothing_done("The old deployment was not deleted.", removed)
        if not removed.verified:
            return await self._stopped(f"No new one was created, as the old one was not seen to go. {removed.message}")
        # Known: the old one is gone, and nothing of this call is in its place.
        created, may_still_come = await self._create(self.create, unreachable_seconds=UNREACHABLE_SECONDS)
        if created.status == "done":
            return await self._replaced(created)
        gone = f"The old deployment {self.old.id} is deleted. {created.message}"
        if may_still_come:
            return await self._stopped(f"{gone} Nothing was restored, because the new one may still come.")
        # Known: the new one is not there as wanted, and will not come. Somebody else may have taken its place.
        held, unread = await self._look()
        if held or unread:
            what = f"{gone} Nothing was restored."
            return self.ended("partial", what, held) if held else self.ended("unknown", what, held, unread)
        # Known: nothing is there.
        return await self._restore(created)

    async def _create_then_delete(self) -> ReplaceResult:
        """Replace where the old deployment is in no environment.

        An account without virtual environments has one version of a flow deployed, and deploying another replaces it.
        In other accounts several can be deployed without environment, so that the old one has to be deleted.
        """
        # Known: the old one is there, as agreed to.
        created, _ = await self._create(self.create)
        if created.status in {"refused", "failed"}:
            return _nothing_done("The new version was not deployed.", created)
        self.acting.changed(self.delete.flow_version_id, self.old)
        if created.status != "done" or not created.verified or created.after is None:
            return await self._stopped(f"{created.message} Deploying it may have replaced the old deployment.")
        # Known: the new one is there.
        if self.old.flow_id not in {created.after.flow_id, *(d.flow_id for d in self.others)}:
            return await self._of_another_flow(created, created.after)
        # Known: both are of one flow. The old one may have gone as the new one came.
        found, unread = await self._find_old()
        if unread:
            return await self._stopped(f"{created.message} Whether the old deployment is gone could not be read.")
        if found:
            removed = await self._delete(only_if_still_so=False)
            if not removed.verified:
                what = f"The new version is deployed, but the old deployment was not seen to go. {removed.message}"
                held, unread = await self._glance()
                return ReplaceResult(
                    status="partial",
                    message=f"{what}{_not_known(unread)} The call in `repair` deletes it.",
                    after=created.after,
                    now=None if unread else held,
                    repair=self.delete.call().only_if(comparing.fingerprint([found])),
                )
        # Known: the new one is there, and the old one is gone.
        self.is_old_gone = True
        return await self._replaced(created)

    async def _delete(self, *, only_if_still_so: bool) -> WriteResult:
        """Delete the old one, waiting where Patchworks throttles; what had to wait is looked at again first."""
        has_waited = False

        async def attempt(acting: Acting) -> WriteResult:
            nonlocal has_waited
            if only_if_still_so and has_waited and (why := await self.why_not_still_so()):
                return WriteResult(status="refused", message=f"Patchworks throttled. {why}")
            has_waited, left = True, self.acting.client.requests_left
            if only_if_still_so and left is not None and left < REQUESTS_FROM_DELETE_TO_LOOK:
                raise Throttled(f"Patchworks allows only {left} more requests now, too few to replace a deployment.")
            self.deleting_since = time.monotonic()
            return await self.delete.change(self.old).carry_out(acting)

        removed = await self.acting.step(self.delete, lambda a: a.unless_stopped(patiently(partial(attempt, a))))
        self.is_old_gone = bool(removed.verified)
        return removed

    async def _create(self, write: Create, *, unreachable_seconds: float = 0.0) -> tuple[WriteResult, bool]:
        """Deploy it as soon as Patchworks allows; and whether it may still come, where it was not seen."""
        facts: Facts | None = None

        async def attempt(acting: Acting) -> WriteResult:
            nonlocal facts
            change = write.change(await self._beside(write))
            if not change.is_needed:
                return WriteResult(status="unchanged", message="It is there already.", after=change.before)
            with anyio.CancelScope(shield=True):
                facts = known = await change.attempt(acting)
            return await change.report(known, acting)

        def persist(acting: Acting) -> Awaitable[WriteResult]:
            work = patiently(partial(attempt, acting), unreachable_seconds=unreachable_seconds)
            return work if self.is_old_gone else acting.unless_stopped(work)

        created = await replace(self.acting, must_fill=self.is_old_gone).step(write, persist)
        # What was accepted comes, if late. What was answered otherwise has come to its end.
        has_ended = facts and (facts.found or (facts.trouble and not facts.trouble.may_still_arrive))
        return created, created.status == "unknown" and not has_ended

    async def _beside(self, write: Create) -> tuple[Deployment, ...]:
        """The other deployments of the version: for the new one as they were agreed to, for the old one as they are."""
        if write.flow_version_id == self.create.flow_version_id:
            return self.others
        present = await self.acting.client.every_deployment_of(write.flow_version_id)
        return tuple(d for d in present if d.id != self.old.id)  # a list that lags still has it

    async def _restore(self, created: WriteResult) -> ReplaceResult:
        restored, _ = await self._create(self.restore)
        came = "was not deployed" if created.status == "failed" else "was not seen to be deployed as wanted"
        back, what = restored.after, f"The new version {came}: {created.message}"
        held, unread = await self._look(back)
        if back and restored.status in {"done", "unchanged"}:
            is_shown = not unread and self._is_exchanged(held, back)
            return ReplaceResult(
                status="failed",
                message=f"{what} The old version was restored, as deployment {back.id}.{_not_known(unread)}",
                restored=back,
                now=None if unread or is_shown else held,
                verified=bool(restored.verified) and is_shown,
                gap_milliseconds=self._gap(),
                lost=comparing.lost(self.old, back),
            )
        fate = "may or may not be restored" if restored.status == "unknown" else "could NOT be restored"
        what = f"{what} The old deployment {self.old.id} is deleted and {fate}: {restored.message}"
        return self.ended("unknown" if restored.status == "unknown" else "partial", what, held, unread)

    async def _replaced(self, created: WriteResult) -> ReplaceResult:
        """The new one is deployed, the old one gone: what is there now is read once more."""
        gap, new = self._gap(), created.after
        assert new
        if new.flow_id not in {None, self.old.flow_id}:
            return await self._of_another_flow(created, new)
        held, unread = await self._look(new)
        if not unread and not (self._is_exchanged(held, new) and self._is_alone(held, new)):
            ended = self.ended("unknown", f"{created.message} Yet the place does not hold it alone.", held)
            return ended.model_copy(update={"after": new, "undo": self._undo(created, new) if held else None})
        order = f"deployment {new.id} was created, then deployment {self.old.id} went"
        if gap is not None:
            order = f"deployment {self.old.id} was deleted, then deployment {new.id} created"
            order += f"; for at most {gap} ms neither was there"
        wanted = self.create.change(self.others).wanted
        is_verified = created.verified or any(d.id == new.id and comparing.matches(d, wanted) for d in held)
        message = f"Replaced, and verified by reading back: {order}." if is_verified else f"Replaced. {created.message}"
        if is_verified and MAY_BE_ANOTHERS in created.message:
            message += f" {MAY_BE_ANOTHERS}"
        return ReplaceResult(
            status="done",
            message=f"{message}{_not_known(unread)}",
            after=new,
            verified=is_verified,
            gap_milliseconds=gap,
            lost=comparing.lost(self.old, new),
            undo=self._undo(created, new),
        )

    async def _of_another_flow(self, created: WriteResult, new: Deployment) -> ReplaceResult:
        """The version that was typed is not of the old one's flow, or does not tell it: nothing more is done."""
        told = f"deployment {new.id}, {rendering.flow_and_iteration(new)}, is there now"
        what = f"{created.message} The new version is not known to be of the same flow: {told}."
        if self.old.virtual_environment_id is None:
            what += " Deploying it may have replaced what ran of its flow, or the old deployment."
        ended = self.ended("partial", f"{what} The call in `undo` deletes the new one.", *await self._look())
        delete = Delete(flow_version_id=self.create.flow_version_id, deployment_id=new.id).call()
        undo = delete.only_if(comparing.fingerprint([new])) if created.verified else delete
        return ended.model_copy(update={"after": new, "undo": undo})

    def _undo(self, created: WriteResult, new: Deployment) -> ToolCall:
        return self.undo(new).only_if(comparing.fingerprint([new])) if created.verified else self.undo(new)

    async def _find_old(self) -> tuple[Deployment | None, UpstreamError | None]:
        """The old one, None where it is certainly gone; and why that is not known, if so."""
        of = (self.delete.flow_version_id, self.old.id)
        return await look_until(lambda _: True, lambda c: patiently(partial(c.find, *of)), self.acting.client)

    async def _look(self, new: Deployment | None = None) -> Held:
        """What the place holds of the flow; where the `new` one must be there instead of the old one, look for it."""

        def is_enough(held: list[Deployment]) -> bool:
            return new is None or self._is_exchanged(held, new)

        held, unread = await look_until(is_enough, self._read_place, self.acting.client)
        return held or [], unread

    async def _read_place(self, client: DeploymentsClient) -> list[Deployment]:
        """Read it. A listing that lags may still show the old one, which is left out once it is known to be gone."""
        flow, place = self.old.flow_id or "", self.old.virtual_environment_id
        held = await patiently(partial(client.every_deployment_at, {flow}, {place}))
        return [d for d in held if not (self.is_old_gone and d.id == self.old.id)]

    def _is_exchanged(self, held: Sequence[Deployment], new: Deployment) -> bool:
        return any(d.id == new.id for d in held) and all(d.id != self.old.id for d in held)

    def _is_alone(self, held: Sequence[Deployment], new: Deployment) -> bool:
        """Whether an environment holds nothing else, and no other place a copy that somebody else has made."""
        known = {new.id, *(d.id for d in self.others)}
        is_place_of_one = new.virtual_environment_id is not None
        return not any(is_place_of_one or d.flow_version_id == new.flow_version_id for d in held if d.id not in known)

    async def _stopped(self, message: str) -> ReplaceResult:
        """Stop where the state is not known, with what one more look can see of it."""
        return self.ended("unknown", message, *await self._glance())

    async def _glance(self) -> Held:
        """What one short look sees of the place: the last thing that a call does."""
        try:
            return await self._read_place(self.acting.client.glancing()), None
        except UpstreamError as error:
            return [], error

    def ended(
        self, status: Status, message: str, held: Sequence[Deployment], unread: UpstreamError | None = None
    ) -> ReplaceResult:
        """The result where something else may be there than was wanted; `repair` fills a place that is empty."""
        is_taken = status == "partial" and held
        return ReplaceResult(
            status=status,
            message=f"{message}{_not_known(unread)}{_TAKEN if is_taken else _RESTORES}",
            now=None if unread else list(held),
            verified=False,
            lost=list(self.lost) if self.is_old_gone else None,
            repair=None if is_taken else self.restore.call().only_if(comparing.empty_place(self.old.flow_id)),
        )

    def _gap(self) -> int | None:
        """Milliseconds since the old deployment began to go; None where it went last."""
        return round((time.monotonic() - self.deleting_since) * 1000) if self.old.virtual_environment_id else None


def _not_known(unread: UpstreamError | None) -> str:
    return f" What is there now is not known: {unread.what}" if unread else ""


def _nothing_done(what: str, step: WriteResult) -> ReplaceResult:
    said = step.message if "Nothing was changed" in step.message else f"{step.message} Nothing was changed."
    return ReplaceResult(status=step.status, message=f"{what} {said}")
