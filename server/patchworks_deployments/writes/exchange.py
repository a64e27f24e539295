"""The steps of a replacement: trial where it is needed, delete, create, and restore where creating failed."""

import time
from dataclasses import dataclass
from functools import partial

from patchworks_deployments.api.client import DeploymentQuery
from patchworks_deployments.api.pacing import patiently
from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.operations import Create, Delete
from patchworks_deployments.writes.outcome import ReplaceResult, WriteResult
from patchworks_deployments.writes.plan import Acting

LEFT_ALONE = "The old deployment was left alone; read again and ask again."


@dataclass
class Exchange:
    """What goes and what comes, and how far that has got.

    `delete` removes the `old` deployment and `create` makes the new one; `lost` is what does not come back of the old
    one, and `others` are the deployments that the new version had before.
    """

    acting: Acting
    old: Deployment
    delete: Delete
    create: Create
    lost: tuple[str, ...]
    others: tuple[Deployment, ...]
    gap_began: float = 0.0

    @property
    def restore(self) -> Create:
        """Brings the old version back where nothing is."""
        return Create.like(self.delete.flow_version_id, self.old)

    async def run(self) -> ReplaceResult:
        """Go through the steps. Nothing is deleted before the new version is known to be of the same flow."""
        if not any(d.flow_id for d in self.others):
            if problem := await self._try_out():
                return problem
            if not await self._is_unchanged():
                what = "While the new version was tried out, the old deployment changed."
                return ReplaceResult(status="refused", message=f"{what} {LEFT_ALONE}")
        self.gap_began = time.monotonic()
        removed = await self._delete(self.delete, self.old)
        if removed.status == "done":
            return await self._fill()
        if removed.status == "unknown":
            what = f"The new version was not deployed. {removed.message}"
            return self._unknown(f"{what} If the old deployment is gone, use `repair`.")
        return _failed(f"The old deployment was not deleted. {removed.message}")

    async def _delete(self, write: Delete, deployment: Deployment) -> WriteResult:
        """Delete it, at once or not at all: by a later turn it may have changed."""
        return await self.acting.step(write, partial(write.change(deployment).carry_out, self.acting))

    async def _create(self, write: Create) -> WriteResult:
        """Deploy it, patiently; `unchanged` when it is there already."""

        async def attempt() -> WriteResult:
            change = await write.plan(self.acting.client)
            if not change.is_needed:
                return WriteResult(status="unchanged", message="It is there already.", after=change.before)
            return await change.carry_out(self.acting)

        return await self.acting.step(write, partial(patiently, attempt))

    async def _is_unchanged(self) -> bool:
        try:
            return await self.acting.client.get(self.delete.flow_version_id, self.old.id) == self.old
        except UpstreamError:
            return False

    async def _try_out(self) -> ReplaceResult | None:
        """Learn the new version's flow from a disabled deployment without environment; None if it is the right one.

        Patchworks tells the flow of a version only where it is deployed. Only what this call has certainly made is
        cleared away.
        """
        version = self.create.flow_version_id
        write = Create(flow_version_id=version, deploy_disabled=True)

        async def attempt() -> WriteResult:
            try:
                made = await write.send(self.acting.client)
            except UpstreamError as error:
                return WriteResult(status="unknown" if error.may_have_acted else "failed", message=error.what)
            return WriteResult(status="done", message=f"Trial deployment {made.id}.", after=made)

        tried = await self.acting.step(write, attempt, "trial")
        trial = tried.after
        if trial is None:
            left = " A trial deployment may be left over: look with list_flow_version_deployments."
            unsure = left if tried.status == "unknown" else ""
            return _failed(f"The new version could not be tried out. {tried.message}{unsure}")
        if any(known.id == trial.id for known in self.others):
            return _failed(f"For the trial Patchworks answered with deployment {trial.id}, which was there before.")
        flow = await self._flow_of(trial)
        delete = Delete(flow_version_id=version, deployment_id=trial.id)
        removed = await self._delete(delete, trial)
        if removed.status != "done":
            what = f"The trial deployment {trial.id} is left over: {removed.message}"
            problem = _failed(f"{what} The call in `repair` deletes it.")
            return problem.model_copy(update={"repair": delete.call()})
        if flow != self.old.flow_id:
            return _failed(f"Flow version {version} is not known to be of the same flow.")
        return None

    async def _flow_of(self, trial: Deployment) -> str | None:
        try:
            return trial.flow_id or (await self.acting.client.get(self.create.flow_version_id, trial.id)).flow_id
        except UpstreamError:
            return None

    async def _fill(self) -> ReplaceResult:
        """Deploy the new version where nothing is now, or bring the old one back."""
        created = await self._create(self.create)
        if created.status == "done":
            return self._replaced(created)
        gone = f"The old deployment {self.old.id} is deleted. {created.message}"
        if created.status == "unknown":
            return self._unknown(f"{gone} If it is not there, use `repair`.")
        if there := created.after or await self._what_is_there():
            # It is not what was wanted, or not from this call: restoring on top of it would do more harm.
            now = f"{rendering.place(there)}, {rendering.state(there)}, queue priority {rendering.priority(there)}"
            what = f"There now: deployment {there.id} of flow version {there.flow_version_id}, {now}."
            message = f"{gone} {what} Nothing was restored."
            return ReplaceResult(status="partial", message=message, after=there, lost=list(self.lost))
        return await self._restore(created)

    async def _what_is_there(self) -> Deployment | None:
        """What the environment holds of the flow now, as far as that can be learned."""
        flow, place = self.old.flow_id, self.old.virtual_environment_id
        if place is None:
            return None
        query = DeploymentQuery(flow_id=flow, virtual_environment_id=place)
        try:
            found = (await self.acting.client.list_deployments(query)).deployments
        except UpstreamError:
            return None
        return next((d for d in found if (d.flow_id, d.virtual_environment_id) == (flow, place)), None)

    async def _restore(self, created: WriteResult) -> ReplaceResult:
        what = f"The new version was not deployed: {created.message}"
        restored = await self._create(self.restore)
        if restored.status == "done" and restored.after:
            return ReplaceResult(
                status="failed",
                message=f"{what} The old version was restored, as deployment {restored.after.id}.",
                restored=restored.after,
                verified=restored.verified,
                gap_milliseconds=self._gap(),
            )
        is_unknown = restored.status == "unknown"
        fate = "may or may not be restored" if is_unknown else "could NOT be restored"
        return ReplaceResult(
            status="unknown" if is_unknown else "failed",
            message=f"{what} The old deployment {self.old.id} is deleted and {fate}: {restored.message} "
            f"Missing: {rendering.place(self.old)}, {rendering.state(self.old)}. The call in `repair` restores it.",
            repair=self.restore.call(),
        )

    def _replaced(self, created: WriteResult) -> ReplaceResult:
        gap = self._gap()
        verified = f"Replaced, and verified by reading back; the environment held neither version for {gap} ms."
        loses_inheritance = self.old.priority is None and self.create.priority is not None
        return ReplaceResult(
            status="done",
            message=verified if created.verified else f"Replaced. {created.message}",
            after=created.after,
            verified=created.verified,
            gap_milliseconds=gap,
            lost=[*self.lost, *(["inherited queue priority"] if loses_inheritance else [])],
        )

    def _gap(self) -> int:
        """Milliseconds since the old deployment began to go."""
        return round((time.monotonic() - self.gap_began) * 1000)

    def _unknown(self, message: str) -> ReplaceResult:
        return ReplaceResult(status="unknown", message=message, repair=self.restore.call())


def _failed(message: str) -> ReplaceResult:
    return ReplaceResult(status="failed", message=f"{message} The old deployment was left as it was.")
