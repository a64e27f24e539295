"""What became of a write: the results that tools return, and the judgement they rest on. Pure: no requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, Maybe, Output, ToolCall

Status = Literal[
    "done", "partial", "unchanged", "preview", "confirmation_required", "declined", "refused", "failed", "unknown"
]
ConfirmedBy = Literal["human", "code", "not_required"]

PREVIEWS: frozenset[Status] = frozenset({"preview", "confirmation_required"})
"""Statuses of results that say what would happen."""

FAILURES: frozenset[Status] = frozenset({"refused", "partial", "failed", "unknown"})
"""Statuses that are errors to the client."""


@dataclass(frozen=True)
class NotDone:
    """Why a write was not done; `code` is the one with which it would be."""

    status: Status
    message: str
    code: str | None = None


class WriteResult(Output):
    """What became of one attempt to change a deployment.

    `before` and `after` are states as read from Patchworks; in a preview `after` is what would be.
    """

    status: Status
    message: str
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    verified: Annotated[Maybe[bool], Field(description="Read back and found as wanted.")] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    also_changed: Annotated[Maybe[list[str]], Field(description="What changed without being asked.")] = None
    lost: Annotated[Maybe[list[str]], Field(description="What undo cannot bring back.")] = None
    undo: Maybe[ToolCall] = None
    confirmation_code: Maybe[str] = None


class NotSwitched(Output):
    """A deployment that is not in the wanted state, and why."""

    deployment: Annotated[str, Field(description="flow_version_id/deployment_id")]
    why: str


class SwitchResult(Output):
    """What became of switching several deployments. Deployments are named flow_version_id/deployment_id."""

    status: Status
    message: str
    done: Maybe[list[str]] = None
    unchanged: Maybe[list[str]] = None
    failed: Maybe[list[NotSwitched]] = None
    not_tried: Maybe[list[NotSwitched]] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    undo: Maybe[ToolCall] = None
    confirmation_code: Maybe[str] = None


class ReplaceResult(Output):
    """What became of putting another version into an environment."""

    status: Status
    message: str
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    restored: Maybe[Deployment] = None
    verified: Maybe[bool] = None
    gap_milliseconds: Annotated[Maybe[int], Field(description="How long the environment held neither version.")] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    lost: Annotated[Maybe[list[str]], Field(description="What undo cannot bring back.")] = None
    undo: Maybe[ToolCall] = None
    repair: Annotated[Maybe[ToolCall], Field(description="The call that restores what is missing.")] = None
    confirmation_code: Maybe[str] = None


_A_LATE_ARRIVAL = "Read it again before you repeat this: a late arrival cannot be ruled out."


@dataclass(frozen=True)
class Facts:
    """What is known after a write was sent.

    `before` is None for a create, `wanted` (fields and their values) for a delete. `trouble` is what failed about the
    write's request, `unread` what failed about reading back; `found` is the deployment that was read back.
    """

    before: Deployment | None
    wanted: Mapping[str, Any] | None
    trouble: UpstreamError | None
    found: Deployment | None
    unread: UpstreamError | None

    @property
    def is_achieved(self) -> bool:
        """Whether what was found is what was wanted."""
        if self.wanted is None:
            return self.found is None
        return self.found is not None and comparing.matches(self.found, self.wanted)


def judge(facts: Facts, done: str, flow_version_id: str) -> tuple[Status, str]:
    """The status, and what happened in words; `done` is the word for what was wanted, such as `Deleted`."""
    if facts.unread and facts.trouble:
        return "unknown", f"{facts.trouble.what} {facts.unread.what} {_how_to_find_out(facts, flow_version_id)}"
    if facts.unread:
        return "done", f"{done}: Patchworks accepted it. Reading back could not verify it: {facts.unread.what}"
    what_happened = f"{facts.trouble.what} " if facts.trouble else ""
    if facts.is_achieved:
        return "done", f"{what_happened}{done}, and verified by reading back."
    accepted = what_happened or "Patchworks accepted the call without an error. "
    return "failed", f"{accepted}{_what_is_there(facts)} {_A_LATE_ARRIVAL}"


def _what_is_there(facts: Facts) -> str:
    if facts.found is None:
        return "Reading back finds no such deployment."
    if facts.before and not comparing.differences(facts.before, facts.found):
        return "Reading back shows that nothing was changed."
    now = f"{rendering.state(facts.found)}, queue priority {rendering.priority(facts.found)}"
    return f"Reading back shows: {now}."


def _how_to_find_out(facts: Facts, flow_version_id: str) -> str:
    call = (
        f"get_deployment(flow_version_id={flow_version_id}, deployment_id={facts.before.id})"
        if facts.before
        else f"list_flow_version_deployments(flow_version_id={flow_version_id})"
    )
    return f"Whether it was done is unknown. Do not repeat it; find out with {call}."


def also_changed(before: Deployment | None, after: Deployment | None, wanted: Mapping[str, Any]) -> list[str] | None:
    """What differs although nobody asked for it; None where nothing does."""
    if not (before and after):
        return None
    # The time of enabling follows from enabling.
    asked = set(wanted) | ({"enabled_at"} if "enabled" in wanted else set())
    expected = before.model_copy(update={name: getattr(after, name) for name in comparing.COMPARED if name in asked})
    return comparing.differences(expected, after) or None
