"""Unfinished business: what became of the writes of processes that were killed, found out by reading alone.

Nothing is ever sent to Patchworks that changes anything.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import WRITE_SECONDS, each, patiently
from patchworks_deployments.audit.attempt import Attempt
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.audit.process import Held, claim
from patchworks_deployments.caller import Who
from patchworks_deployments.errors import NoAnswer, UpstreamError
from patchworks_deployments.history.unfinished.intents import (
    Emptied,
    IntentLine,
    LeftBehind,
    later_write,
    read_left_behind,
)
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.model.text import inert
from patchworks_deployments.startup import Stop
from patchworks_deployments.writes.beside import state_left
from patchworks_deployments.writes.change import Change, SeveralNew
from patchworks_deployments.writes.looking import look_until
from patchworks_deployments.writes.outcome import Facts
from patchworks_deployments.writes.replacement import Replace

logger = logging.getLogger(__name__)

CALM_SECONDS = WRITE_SECONDS
"""Seconds after its intent before which nothing is taken for not done: so long, Patchworks may take to carry it out."""

GIVE_UP_SECONDS = 7 * 86_400.0
"""Seconds after which what could never be read is recorded as unknown."""

MAX_SETTLED = 100
"""Intents of one process that are settled at once; a next start settles more."""

MAX_REASON_CHARACTERS = 500
"""Characters of why something cannot be read, as it is told."""

Found = Literal["found_done", "found_not_done", "unknown"]

LOST = NoAnswer("Its process ended before it could record what became of it.")
"""What is known of each of them."""


async def settle(log: AuditLog, client: DeploymentsClient, *, waits: bool = True) -> None:
    """Record what became of each write that a process which runs no more has left without an outcome.

    Of the client's own account alone; what cannot be read now is left for the next time, and so is what may still come,
    unless it `waits` for that. Raises `Unauthenticated` where the account is the caller's, who sent no key.
    """
    for path in await anyio.to_thread.run_sync(log.left_behind) if log.is_kept else ():
        try:
            if gone := await anyio.to_thread.run_sync(claim, path):
                with contextlib.closing(gone):
                    await _Settling(log, client, gone, waits=waits).run()
        except OSError as error:
            logger.warning("Unfinished changes cannot be settled: the audit log cannot be read (%s).", error.strerror)


@contextlib.asynccontextmanager
async def settling(log: AuditLog, client: DeploymentsClient, stop: Stop) -> AsyncIterator[None]:
    """Settle in the background while the body runs, until a stop begins."""

    async def work() -> None:
        with stop.waiting():
            try:
                await settle(log, client)
            except Exception:  # whatever it is, the server serves without
                logger.exception("Unfinished changes could not be settled. The next start tries again.")

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        yield
        group.cancel_scope.cancel()


@dataclass(frozen=True)
class _Settling:
    """Settles what one process has left, which nobody else does meanwhile."""

    log: AuditLog
    client: DeploymentsClient
    gone: Held
    waits: bool

    async def run(self) -> None:
        account = self.client.account().mark
        left = await self._read()
        if own := [intent for intent in left.unfinished if intent.account == account]:
            await each(partial(self._settle_one, left.emptied), own[:MAX_SETTLED])
            left = await self._read()
        for emptied in left.emptied:
            if emptied.account == account:
                await self._warn_of(emptied)
        # What is another account's is left to whoever has that, as long as that may be.
        if all(self._age(intent) > GIVE_UP_SECONDS for intent in left.unfinished):
            self.gone.remove()

    async def _read(self) -> LeftBehind:
        return await anyio.to_thread.run_sync(read_left_behind, self.log, self.gone, abandon_on_cancel=True)

    def _age(self, intent: IntentLine) -> float:
        return max(0.0, (self.log.now() - intent.time).total_seconds())

    async def _settle_one(self, emptied: Sequence[Emptied], intent: IntentLine) -> None:
        try:
            change = intent.change()
        except ValueError as error:
            await self._record(intent, "unknown", f"{error} Nothing was read.")
            return
        facts, unread = await self._look(change, intent)
        if facts is None and unread is None:
            return  # it may still come
        if facts is None:
            why = inert(unread.said(is_read=True) if unread else "", MAX_REASON_CHARACTERS)
            if self._age(intent) > GIVE_UP_SECONDS:
                await self._record(intent, "unknown", f"It could not be read for days: {why}")
            else:
                logger.warning("%s is unfinished, and the next start tries again to read it: %s", _named(intent), why)
            return
        found, said = judge_found(change, facts)
        is_for_good = change.after is None and found == "found_done"  # an id is never given again
        if not is_for_good and (later := await anyio.to_thread.run_sync(later_write, self.log, intent)):
            said = f"Change {inert(later)} came after it and was about the same, so reading cannot tell."
            await self._record(intent, "unknown", said, facts.found)
            return
        undo = change.way_back(facts, is_done=found == "found_done")
        if undo and change.leaves_others:
            undo = undo.only_if(await state_left(self.client, change.leaves_others))
        await self._record(intent, found, f"{said}{_of_replacement(intent, found, emptied)}", facts.found, undo)

    async def _look(self, change: Change, intent: IntentLine) -> tuple[Facts, None] | tuple[None, UpstreamError | None]:
        """What is there now, looked for like what was just sent; or why that cannot be read, or not yet be told."""
        sent = Facts(change.before, None if change.after is None else change.wanted, LOST, None)

        async def look(client: DeploymentsClient) -> Facts:
            try:
                return await patiently(partial(change.look, sent, client))
            except SeveralNew as error:
                return replace(sent, unread=error)

        looked = await look_until(lambda facts: facts.is_seen, look, self.client)
        early = CALM_SECONDS - self._age(intent)
        if early > 0 and looked[0] and not looked[0].is_seen:
            if not self.waits:
                return None, None
            await anyio.sleep(early)
            looked = await look_until(lambda facts: facts.is_seen, look, self.client)
        return looked

    async def _record(
        self,
        intent: IntentLine,
        found: Found,
        said: str,
        after: Deployment | None = None,
        undo: ToolCall | None = None,
    ) -> None:
        result = {
            "status": found,
            "message": f"{LOST.what} Read later: {said}",
            "before": intent.before.to_json() if intent.before else None,
            "after": after.to_json() if after else None,
            "verified": found == "found_done",
            "confirmed_by": intent.confirmed_by,
            "undo": undo.to_json() if undo else None,
            "sent": intent.time.isoformat(timespec="milliseconds"),
        }
        arguments, who = {**intent.arguments, "reason": intent.reason}, Who(intent.caller, intent.client)
        attempt = Attempt(self.log, intent.tool, arguments, who, intent.id, account=intent.account, is_intended=True)
        await attempt.end(result)
        if not attempt.unrecorded:  # what kept it from being recorded is said there
            logger.warning("%s was unfinished: %s. %s", _named(intent), found, said)

    async def _warn_of(self, emptied: Emptied) -> None:
        """Say aloud that a replacement has left its environment empty, unless something of the flow is there by now."""
        flow, place = emptied.old.flow_id or "", emptied.old.virtual_environment_id
        is_known = "is empty"
        try:
            if await self.client.every_deployment_at({flow}, {place}):
                return
        except UpstreamError:
            is_known = "may be empty"
        logger.warning(
            "Replacement %s was cut short: its place in environment %s %s. %s",
            inert(emptied.call),
            inert(place or "?"),
            is_known,
            _repair(emptied),
        )


def judge_found(change: Change, facts: Facts) -> tuple[Found, str]:
    """What the state that was found says of a change that may or may not have been carried out, and in words."""
    before, now = change.before, facts.found
    if facts.is_seen:
        found = f"Deployment {now.id} is as wanted" if now else "The deployment is gone"
        return "found_done", f"{found}; whether this call or somebody else did that is not known."
    if facts.unread:
        return "unknown", facts.unread.what
    if now and change.after is None:
        return "found_not_done", "The deployment is still there."
    if before and now:
        return _compared(change, before, now)
    if before or now:
        return "unknown", f"Deployment {now.id} is new there, and not as wanted." if now else "The deployment is gone."
    return "found_not_done", "Nothing new is deployed there."


def _compared(change: Change, before: Deployment, now: Deployment) -> tuple[Found, str]:
    if differences := comparing.differences(before, now):
        return "unknown", f"It is neither as wanted nor as it was before ({'; '.join(differences)})."
    is_told = not comparing.untold(before, change.wanted) and not comparing.untold(now, change.wanted)
    if is_told and comparing.is_same(before, now):
        return "found_not_done", "It is as it was before."
    return "unknown", "It looks as it was before, but was changed since, or does not tell all."


def _of_replacement(intent: IntentLine, found: Found, emptied: Sequence[Emptied]) -> str:
    """What has to be added where it was a step of a replacement, which may have left its place empty."""
    if intent.tool == f"{Replace.name}: delete" and found == "found_done":
        return " Where nothing is in its place, the call in `undo` restores it."
    cut_short = next((each for each in emptied if each.call == intent.call), None)
    return f" {_repair(cut_short)}" if cut_short and found == "found_not_done" else ""


def _repair(emptied: Emptied) -> str:
    call = rendering.call(emptied.repair)
    return f"Deployment {inert(emptied.old.id)} was deleted; where nothing is in its place, {call} restores it."


def _named(intent: IntentLine) -> str:
    ids = (intent.arguments.get(name) for name in ("flow_version_id", "deployment_id"))
    return f"Change {inert(intent.id)} ({inert(intent.tool)} of {inert('/'.join(map(str, filter(None, ids))))})"
