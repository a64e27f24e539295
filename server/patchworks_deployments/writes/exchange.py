"""The steps of a replacement in their order. Each is taken only from a state that is known, which a comment names."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from patchworks_deployments.api.pacing import Patience, until
from patchworks_deployments.errors import Throttled, UpstreamError
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.operations import Create, Delete
from patchworks_deployments.writes.outcome import ReplaceResult, Status, WriteResult
from patchworks_deployments.writes.plan import Acting

REQUESTS_FROM_DELETE_TO_LOOK = 6
"""Delete, read back, create, read back, and look at the place: with fewer left, a throttle would keep it empty."""

UNREACHABLE_SECONDS = 20.0
"""Seconds for which an empty environment is tried to be filled where Patchworks cannot be reached."""

_NEITHER = "the environment held neither version"
_RESTORES = "If nothing of the flow is there when you look again, the call in `repair` restores the old version."

ASK_AGAIN = "Read it again and ask again."

Held = tuple[list[Deployment], UpstreamError | None]
"""What the place holds of the flow, and why that is not known, if so."""


@dataclass
class Exchange:
    """What goes and what comes, and how far that has got.

    `delete` removes the `old` deployment and `create` makes the new one; `lost` is what does not come back of the old
    one, and `others` are the deployments that the new version had before. `is_still_so` reads again whether all is as
    it was agreed to, and `undo` is the call that leads back from the new deployment.
    """

    acting: Acting
    patience: Patience
    old: Deployment
    delete: Delete
    create: Create
    lost: tuple[str, ...]
    others: tuple[Deployment, ...]
    is_still_so: Callable[[], Awaitable[bool]]
    undo: Callable[[Deployment], ToolCall]
    deleting_since: float = 0.0

    @property
    def restore(self) -> Create:
        """Brings the old version back where nothing is."""
        return Create.like(self.delete.flow_version_id, self.old)

    async def run(self) -> ReplaceResult:
        """Go through the steps, in the order that the place of the old deployment asks for."""
        if self.old.virtual_environment_id is None:
            return await self._create_then_delete()
        return await self._delete_then_create()

    async def _delete_then_create(self) -> ReplaceResult:
        """Replace in an environment, which holds one version of a flow."""
        # Known: the old one is there, as agreed to.
        removed = await self._delete(only_if_still_so=True)
        if removed.status in {"refused", "failed"}:
            return _nothing_done("The old deployment was not deleted.", removed)
        if not removed.verified:
            return await self._stopped(f"Nothing was put in place of the old deployment. {removed.message}")
        # Known: the old one is gone, and nothing of this call is in its place.
        created, may_still_come = await self._create(self.create, self.others, unreachable_seconds=UNREACHABLE_SECONDS)
        if created.status == "done":
            return await self._replaced(created)
        gone = f"The old deployment {self.old.id} is deleted. {created.message}"
        if may_still_come:
            return await self._stopped(f"{gone} Nothing was restored, because the new one may still come.")
        # Known: the new one is not there as wanted, and will not come. Somebody else may have taken its place.
        held, unread = await self._look()
        if held or unread:
            what = f"{gone} Nothing was restored. {_shown(held, unread)}"
            is_taken = self._ended("partial", what, held)
            return is_taken if held else self._ended("unknown", f"{what} {_RESTORES}", held, self._repair())
        # Known: nothing is there.
        return await self._restore(created)

    async def _create_then_delete(self) -> ReplaceResult:
        """Replace where the old deployment is in no environment.

        An account without virtual environments has one version of a flow deployed, and deploying another replaces it.
        In other accounts several can be deployed without environment, so that the old one has to be deleted.
        """
        # Known: the old one is there, as agreed to.
        created, _ = await self._create(self.create, self.others)
        if created.status == "failed":
            return _nothing_done("The new version was not deployed.", created)
        await self.acting.tell(self.delete.flow_version_id, self.old)
        if created.status != "done" or not created.verified:
            return await self._stopped(f"{created.message} Deploying it may have replaced the old deployment.")
        # Known: the new one is there. The old one may have gone with that.
        left = await self._find_old()
        if left:
            removed = await self._delete(only_if_still_so=False)
            if not removed.verified:
                held, unread = await self._look()
                what = f"The new version is deployed, but the old deployment was not seen to go. {removed.message}"
                message = f"{what} {_shown(held, unread)} The call in `repair` deletes it."
                repair = self.delete.call().only_if(comparing.fingerprint([left]))
                return self._ended("partial", message, held, repair, created.after)
        # Known: the new one is there, and the old one is gone.
        return await self._replaced(created)

    async def _delete(self, *, only_if_still_so: bool) -> WriteResult:
        """Delete the old one, waiting where Patchworks throttles; what had to wait is looked at again first."""
        has_waited = False

        async def attempt() -> WriteResult:
            nonlocal has_waited
            if only_if_still_so and has_waited and not await self.is_still_so():
                message = f"While Patchworks throttled, something that was agreed to changed. {ASK_AGAIN}"
                return WriteResult(status="refused", message=message)
            has_waited, left = True, self.acting.client.requests_left
            if only_if_still_so and left is not None and left < REQUESTS_FROM_DELETE_TO_LOOK:
                raise Throttled(
                    f"Patchworks allows only {left} more requests for now, too few to replace a deployment."
                )
            self.deleting_since = time.monotonic()
            return await self.delete.change(self.old).carry_out(self.acting)

        return await self.acting.step(self.delete, partial(self.patience, attempt))

    async def _create(
        self, write: Create, present: tuple[Deployment, ...] | None, *, unreachable_seconds: float = 0.0
    ) -> tuple[WriteResult, bool]:
        """Deploy it as soon as Patchworks allows; and whether it may still come, where it was not seen.

        `present` are the deployments of its version, None where they have to be read.
        """
        may_still_come = False

        async def attempt() -> WriteResult:
            nonlocal may_still_come
            change = await write.plan(self.acting.client) if present is None else write.change(present)
            if not change.is_needed:
                return WriteResult(status="unchanged", message="It is there already.", after=change.before)
            facts = await change.attempt(self.acting)
            # What was accepted comes, if late. What was answered otherwise has come to its end.
            may_still_come = facts.found is None and (facts.trouble is None or facts.trouble.may_still_arrive)
            return await change.report(facts, self.acting)

        result = await self.acting.step(write, partial(self.patience, attempt, unreachable_seconds=unreachable_seconds))
        return result, may_still_come

    async def _restore(self, created: WriteResult) -> ReplaceResult:
        restored, _ = await self._create(self.restore, None)
        back, what = restored.after, f"The new version was not deployed: {created.message}"
        held, unread = await self._look(back)
        if back and restored.status in {"done", "unchanged"}:
            is_shown = not unread and self._is_exchanged(held, back)
            return ReplaceResult(
                status="failed",
                message=f"{what} The old version was restored, as deployment {back.id}. {_shown(held, unread)}",
                restored=back,
                verified=bool(restored.verified) and is_shown,
                gap_milliseconds=self._gap(),
            )
        fate = "may or may not be restored" if restored.status == "unknown" else "could NOT be restored"
        what = f"{what} The old deployment {self.old.id} is deleted and {fate}: {restored.message}"
        status: Status = "unknown" if restored.status == "unknown" else "partial"
        return self._ended(status, f"{what} {_shown(held, unread)} {_RESTORES}", held, self._repair())

    async def _replaced(self, created: WriteResult) -> ReplaceResult:
        """The new one is deployed, the old one gone: what is there now is read once more."""
        gap, new = self._gap(), created.after
        assert new is not None
        held, unread = await self._look(new)
        status: Status = "done"
        if new.flow_id not in {None, self.old.flow_id}:
            status, message = "partial", f"The new version is of another flow: {rendering.flow_and_iteration(new)}."
        elif not unread and not self._is_exchanged(held, new):
            status, message = "unknown", f"{created.message} Yet the two have not changed places."
        elif created.verified:
            order = "the new version came before the old one went" if gap is None else f"{_NEITHER} for {gap} ms"
            message = f"Replaced, and verified by reading back; {order}."
        else:
            message = f"Replaced. {created.message}"
        is_other_flow = status == "partial"
        undo = (
            Delete(flow_version_id=self.create.flow_version_id, deployment_id=new.id).call()
            if is_other_flow
            else self.undo(new)
        )
        return ReplaceResult(
            status=status,
            message=message if status == "done" and not unread else f"{message} {_shown(held, unread)}",
            after=new,
            now=None if status == "done" or unread else held,
            verified=bool(created.verified) and status == "done",
            gap_milliseconds=gap,
            lost=self._lost(),
            undo=undo.only_if(comparing.fingerprint([new])) if created.verified else undo,
            repair=self._repair() if status == "partial" else None,
        )

    async def _find_old(self) -> Deployment | None:
        """The old one as it is now, or as it was where that cannot be read; None where it is certainly gone."""
        find = partial(self.acting.client.glancing().find, self.delete.flow_version_id, self.old.id)
        try:
            return await self.patience(find)
        except UpstreamError:
            return self.old

    async def _look(self, new: Deployment | None = None) -> Held:
        """What the place holds of the flow; where the `new` one must be there instead of the old one, look for it."""
        held, unread = list[Deployment](), None
        flow, place = self.old.flow_id or "", self.old.virtual_environment_id
        read = partial(self.acting.client.glancing().every_deployment_at, flow, place)

        async def look() -> bool:
            nonlocal held, unread
            try:
                held, unread = await self.patience(read), None
            except UpstreamError as error:
                held, unread = [], error
            return new is None or self._is_exchanged(held, new)

        await until(look)
        return held, unread

    def _is_exchanged(self, held: Sequence[Deployment], new: Deployment) -> bool:
        ids = {deployment.id for deployment in held}
        return new.id in ids and self.old.id not in ids

    async def _stopped(self, message: str) -> ReplaceResult:
        """Stop where the state is not known, with what can be seen of it."""
        held, unread = await self._look()
        return self._ended("unknown", f"{message} {_shown(held, unread)} {_RESTORES}", held, self._repair())

    def _ended(
        self,
        status: Status,
        message: str,
        held: Sequence[Deployment],
        repair: ToolCall | None = None,
        after: Deployment | None = None,
    ) -> ReplaceResult:
        """The result where something else may be there than was wanted."""
        lost = list(self.lost) if status == "partial" else None
        return ReplaceResult(
            status=status, message=message, after=after, now=list(held) or None, lost=lost, repair=repair
        )

    def _repair(self) -> ToolCall:
        """The call that brings the old version back, unless something of the flow is there by then."""
        return self.restore.call().only_if(comparing.empty_place(self.old.flow_id))

    def _lost(self) -> list[str]:
        loses_inheritance = self.old.priority is None and self.create.priority is not None
        return [*self.lost, *(["inherited queue priority"] if loses_inheritance else [])]

    def _gap(self) -> int | None:
        """Milliseconds since the old deployment began to go; None where it went last."""
        is_gap = self.old.virtual_environment_id is not None
        return round((time.monotonic() - self.deleting_since) * 1000) if is_gap else None


def _shown(held: Sequence[Deployment], unread: UpstreamError | None) -> str:
    if unread:
        return f"What is there now is not known: {unread.what}"
    told = [
        f"deployment {d.id} of flow version {d.flow_version_id}, {rendering.environment(d)}, {rendering.state(d)}, "
        f"queue priority {rendering.priority(d)}"
        for d in held
    ]
    return f"There now: {'; '.join(told) or 'nothing of the flow'}."


def _nothing_done(what: str, step: WriteResult) -> ReplaceResult:
    return ReplaceResult(status=step.status, message=f"{what} {step.message} Nothing was changed.")
