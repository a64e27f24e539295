"""Acting on a decision: compare, write, verify, and say truthfully what became of it."""

from dataclasses import dataclass

import anyio
from mcp.server.mcpserver import AcceptedElicitation, ElicitationResult

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.errors import NotFound, UnexpectedResponse, UpstreamError
from patchworks_deployments.model import rendering
from patchworks_deployments.model.comparing import COMPARED, differences, fingerprint, matches, untold
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.changes import Change, Plan
from patchworks_deployments.writes.consent import Answer, Decision
from patchworks_deployments.writes.results import ConfirmedBy, Status, WriteResult
from patchworks_deployments.writes.services import Services

FAILURES: frozenset[Status] = frozenset({"refused", "partial", "failed", "unknown"})


@dataclass(frozen=True)
class NotAgreed:
    """Why a write does not go ahead."""

    status: Status
    message: str
    code: str | None = None


_OF_CONSENT: dict[str, Status] = {
    "unchanged": "unchanged",
    "preview": "preview",
    "code_required": "confirmation_required",
    "refused": "refused",
}


def agreement(plan: Plan, answer: ElicitationResult[Answer]) -> ConfirmedBy | NotAgreed:
    """Who agreed to the plan, or why it does not go ahead."""
    if not isinstance(answer, AcceptedElicitation):
        return NotAgreed("declined", "The person did not agree. Nothing was changed.")
    if not isinstance(answer.data, Decision):
        return "human" if answer.data.agrees_to(plan) else NotAgreed("declined", _FORM_NOT_FILLED_IN)
    consent = answer.data
    if consent.kind in _OF_CONSENT:
        return NotAgreed(_OF_CONSENT[consent.kind], consent.message, consent.code)
    return "code" if consent.kind == "code" else "not_required"


_FORM_NOT_FILLED_IN = (
    "The person sent the form without agreeing (box not ticked, or another id typed). Nothing was changed."
)
_CHANGED_MEANWHILE = (
    "The deployment changed while the person was asked, so what they agreed to is no longer what would happen. "
    "Nothing was changed by this call. Read it again and ask again."
)


async def carry_out(
    services: Services, change: Change, answer: ElicitationResult[Answer], *, asked_live: bool
) -> WriteResult:
    """Do what was agreed to, or say why not.

    `asked_live` means that the target was read before the human was asked (the older era), so that it has to
    be read again; in the newer era the SDK reads and compares on the way back.
    """
    agreed = agreement(change, answer)
    if isinstance(agreed, NotAgreed):
        return _not_done(change, agreed)
    if agreed == "human" and asked_live and (await change.replan()).fingerprint != change.fingerprint:
        return _not_done(change, NotAgreed("refused", _CHANGED_MEANWHILE))
    try:
        return await write(services, change, agreed)
    except UpstreamError as error:
        return WriteResult(status="failed", message=str(error), before=change.before, confirmed_by=agreed)


def _not_done(change: Change, reason: NotAgreed) -> WriteResult:
    shows_after = reason.status in {"preview", "confirmation_required"}
    return WriteResult(
        status=reason.status,
        message=reason.message,
        before=change.before,
        after=change.after if shows_after else None,
        lost=list(change.lost) or None if shows_after else None,
        confirmation_code=reason.code,
    )


@dataclass(frozen=True)
class _Reading:
    """What reading back found: the deployment, or that there is none, or why that could not be learned."""

    deployment: Deployment | None
    trouble: UpstreamError | None = None


async def write(services: Services, change: Change, confirmed_by: ConfirmedBy) -> WriteResult:
    """Send one agreed change, once, and find out what became of it.

    Raises `UpstreamError` when it certainly was not carried out, `AuditLogUnwritable` before anything is sent.
    """
    services.audit.ensure_writable()
    # From here on a caller that goes away must not leave a write half known.
    with anyio.CancelScope(shield=True):
        answered, trouble = None, None
        try:
            answered = _new(change, await change.send())
        except UpstreamError as error:
            if not error.may_have_acted:
                raise
            trouble = error
        reading = await _read_back(services.client, change, answered)
    return _verdict(change, reading, answered, trouble, confirmed_by)


def _new(change: Change, answered: Deployment | None) -> Deployment | None:
    """The deployment that a create made. Raises `UnexpectedResponse` when it was there before."""
    if answered and any(known.id == answered.id for known in change.basis):
        raise UnexpectedResponse(f"Patchworks answered with deployment {answered.id}, which was there before.")
    return answered


async def _read_back(client: DeploymentsClient, change: Change, answered: Deployment | None) -> _Reading:
    target = change.before or answered
    try:
        if target:
            found = await client.get(change.flow_version_id, target.id)
        elif (created := await _find_created(client, change)) is None:
            return _Reading(None)
        else:
            found = created
    except NotFound:
        return _Reading(None)
    except UpstreamError as error:
        return _Reading(None, error)
    if untold(found, change.wanted):
        return _Reading(found, UnexpectedResponse(f"It does not tell {', '.join(untold(found, change.wanted))}."))
    return _Reading(found)


async def _find_created(client: DeploymentsClient, change: Change) -> Deployment | None:
    """The deployment that a create without a readable answer made: new since, in the wanted environment."""
    known = {deployment.id for deployment in change.basis}
    present = await client.every_deployment_of(change.flow_version_id)
    wanted = change.wanted["virtual_environment_id"]
    return next((d for d in present if d.id not in known and d.virtual_environment_id == wanted), None)


def _verdict(
    change: Change,
    reading: _Reading,
    answered: Deployment | None,
    trouble: UpstreamError | None,
    confirmed_by: ConfirmedBy,
) -> WriteResult:
    status, message = _judge(change, reading, trouble)
    after, done = reading.deployment or answered, status == "done"
    return WriteResult(
        status=status,
        message=message,
        before=change.before,
        after=after,
        verified=done and not reading.trouble,
        confirmed_by=confirmed_by,
        also_changed=_also_changed(change, after) or None,
        lost=list(change.lost) or None if done else None,
        undo=_undo(change, reading, after) if done else None,
    )


def _judge(change: Change, reading: _Reading, trouble: UpstreamError | None) -> tuple[Status, str]:
    if reading.trouble and trouble:
        return "unknown", f"{trouble.what} {reading.trouble.what} {_how_to_find_out(change)}"
    if reading.trouble:
        return (
            "done",
            f"{change.done}: Patchworks accepted it. Reading back could not verify it: {reading.trouble.what}",
        )
    before_that = f"{trouble.what} " if trouble else ""
    if _is_achieved(change, reading.deployment):
        return "done", f"{before_that}{change.done}, and verified by reading back."
    return "failed", f"{before_that or _ACCEPTED}{_what_is_there(change, reading.deployment)}"


_ACCEPTED = "Patchworks accepted the call without an error. "


def _is_achieved(change: Change, after: Deployment | None) -> bool:
    if change.after is None:
        return after is None
    return after is not None and matches(after, change.wanted)


def _what_is_there(change: Change, after: Deployment | None) -> str:
    late = "Read it again before you repeat this: a late arrival cannot be ruled out."
    if after is None:
        return f"Reading back finds no such deployment. {late}"
    if change.before and not differences(change.before, after):
        return f"Reading back shows that nothing was changed. {late}"
    return f"Reading back shows: {rendering.state(after)}, queue priority {rendering.priority(after)}. {late}"


def _how_to_find_out(change: Change) -> str:
    call = (
        f"get_deployment(flow_version_id={change.flow_version_id}, deployment_id={change.before.id})"
        if change.before
        else f"list_flow_version_deployments(flow_version_id={change.flow_version_id})"
    )
    return f"Whether it was done is unknown. Do not repeat it; find out with {call}."


def _also_changed(change: Change, after: Deployment | None) -> list[str]:
    """What differs although nobody asked for it."""
    if not (change.before and after):
        return []
    follows = {"enabled_at"} if "enabled" in change.wanted else set()
    untouched = set(COMPARED) - set(change.wanted) - follows
    return differences(
        change.before.model_copy(update={n: getattr(after, n) for n in set(COMPARED) - untouched}), after
    )


def _undo(change: Change, reading: _Reading, after: Deployment | None) -> ToolCall | None:
    """The call that reverses this, refused by `if_state` once things have moved on since they were read."""
    call = change.undo(after or change.after)
    if call is None or reading.deployment is None:
        return call
    return call.model_copy(update={"arguments": {**call.arguments, "if_state": fingerprint([reading.deployment])}})
