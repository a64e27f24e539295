"""What became of a write: the results that tools return, and the judgement they rest on. Pure: no requests."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from patchworks_deployments.errors import NoAnswer, NotFound, UpstreamError
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, Maybe, Output, ToolCall

Preview = Literal["preview", "confirmation_required", "waiting_for_person"]
Status = Literal[Preview, "done", "partial", "unchanged", "declined", "refused", "failed", "unknown"]
ConfirmedBy = Literal["human", "person_in_app", "code", "not_required"]

PREVIEWS: frozenset[Status] = frozenset(get_args(Preview))
"""Statuses of results that say what would happen."""

FAILURES: frozenset[Status] = frozenset({"refused", "partial", "failed", "unknown"})
"""Statuses that are errors to the client."""


@dataclass(frozen=True)
class NotDone:
    """Why a write was not done; `question` is what a person has to agree to.

    It would be done with the `code`, which the model gets, or with the `page_code`, which the page gets alone.
    """

    status: Status
    message: str
    code: str | None = None
    question: str | None = None
    page_code: str | None = None


class Told(Output):
    """A result of a write. Its JSON and its text (`wording.results.told`) say the same, because hosts show one of them.

    `before` and `after` are the deployment as read from Patchworks; in a preview `after` is what would be. The JSON has
    of `before` what a listing shows, and of `after` the id and what differs from that; of another deployment, all.
    """

    status: Status
    message: str

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without what is not told; a null in `after` says that something is no longer so."""
        told, before = super().to_json(), getattr(self, "before", None)
        for name in told:
            match getattr(self, name):
                case Deployment() as state:
                    told[name] = _different(before, state) if before and name != "before" else state.listed()
                case [Deployment(), *_] as states:
                    told[name] = [state.listed() for state in states]
        return told

    def remarked(self, remark: str) -> Self:
        """This result, which says one thing more."""
        return self.model_copy(update={"message": f"{self.message} {remark}"})

    def record(self) -> dict[str, Any]:
        """What the audit log gets: the states with all that was read."""
        return super().to_json()


def _different(before: Deployment, after: Deployment) -> dict[str, Any]:
    was, now = before.listed(), after.listed()
    if before.id != after.id:
        return now
    gone = dict.fromkeys(was.keys() - now.keys() - set(after.unreadable or ()))
    return {name: value for name, value in {**now, **gone}.items() if name == "id" or was.get(name) != value}


class WriteResult(Told):
    """What became of one attempt to change a deployment."""

    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    verified: Maybe[bool] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    also_changed: Maybe[list[str]] = None
    """What changed without being asked."""
    lost: Maybe[list[str]] = None
    """What undo cannot bring back."""
    undo: Maybe[ToolCall] = None
    question: Maybe[str] = None
    """What a person has to agree to."""
    confirmation_code: Maybe[str] = None


class NotSwitched(Output):
    """Deployments that are not in the wanted state for one reason."""

    why: str
    deployments: list[str]
    """Each flow_version_id/deployment_id."""


class SwitchResult(Told):
    """What became of switching several deployments, which are named flow_version_id/deployment_id.

    Each stands in one list: in a preview in `would_change` or `unchanged`; later in `done` (switched, and seen so),
    `unverified` (accepted, but not read back), `unchanged`, `failed` (refused), `unknown` (sent; what became of it is
    not known) or `not_tried`. `matched` and `left_out` are what the names in the filters were found to mean.
    """

    matched: Maybe[dict[str, list[str]]] = None
    left_out: Maybe[dict[str, list[str]]] = None
    would_change: Maybe[list[str]] = None
    done: Maybe[list[str]] = None
    unverified: Maybe[list[str]] = None
    unchanged: Maybe[list[str]] = None
    failed: Maybe[list[NotSwitched]] = None
    unknown: Maybe[list[NotSwitched]] = None
    not_tried: Maybe[list[NotSwitched]] = None
    verified: Maybe[bool] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    undo: Maybe[ToolCall] = None
    question: Maybe[str] = None
    """What a person has to agree to."""
    confirmation_code: Maybe[str] = None


class ReplaceResult(Told):
    """What became of putting another version where one is: `verified` when every step was."""

    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    restored: Maybe[Deployment] = None
    now: Maybe[list[Deployment]] = None
    """What of the flow is deployed there now, unless as wanted."""
    verified: Maybe[bool] = None
    gap_milliseconds: Maybe[int] = None
    """How long the environment held neither version, at most: until the new one was read back."""
    confirmed_by: Maybe[ConfirmedBy] = None
    lost: Maybe[list[str]] = None
    """What undo cannot bring back."""
    undo: Maybe[ToolCall] = None
    repair: Maybe[ToolCall] = None
    """The call that restores what is missing."""
    question: Maybe[str] = None
    """What a person has to agree to."""
    confirmation_code: Maybe[str] = None


MAX_REASONS = 10
"""Reasons that a result has for one fate: of 200 deployments each may have met its own."""

OTHER_REASONS = "For other reasons, too many to tell."

MAY_BE_ANOTHERS = "Patchworks did not say which deployment this call made, so it may be somebody else's."


@dataclass(frozen=True)
class Facts:
    """What is known after a write was sent, and looked for as long as there was hope to see it.

    `before` is None for a create, `wanted` (fields and their values) for a delete. `trouble` is what kept the write
    from being answered as accepted; a create is `answered` with what it has made. `found` is the deployment as it was
    last seen, None where it was seen to be missing, and `unread` why it was not seen.
    """

    before: Deployment | None
    wanted: Mapping[str, Any] | None
    trouble: UpstreamError | None
    answered: Deployment | None
    found: Deployment | None = None
    unread: UpstreamError | None = NoAnswer("Nothing was read back.")  # noqa: RUF009 - never changed

    @property
    def is_seen(self) -> bool:
        """Whether what was found is what was wanted."""
        if self.unread:
            return False
        if self.wanted is None:
            return self.found is None
        return self.found is not None and comparing.matches(self.found, self.wanted)

    @property
    def is_refused(self) -> bool:
        """Whether the write met a 404, and reading says as well that what it was to change is not there."""
        is_there = self.before is None or self.found is not None or self.unread is not None
        return isinstance(self.trouble, NotFound) and not is_there and not self.is_seen

    @property
    def took_in_part(self) -> bool:
        """Whether some of the wanted fields have come to their wanted values, and others have not.

        Of what an accepted create has made, it is enough that it is there.
        """
        if self.is_seen or self.unread or self.wanted is None or self.found is None:
            return False
        if self.before is None:
            return self.trouble is None
        silent = comparing.untold(self.found, self.wanted)
        told = [name for name in self.wanted if name not in silent]
        changed = {name for name in told if getattr(self.before, name) != getattr(self.found, name)}
        return any(getattr(self.found, name) == self.wanted[name] for name in changed)


def judge(facts: Facts, done: str) -> tuple[Status, str]:
    """The status, and what happened in words; `done` is the word for what was wanted, such as `Deleted`.

    A write that was sent and not refused has not `failed`: what nobody has seen so far may still come.
    """
    trouble = f"{facts.trouble.what} " if facts.trouble else ""
    if facts.is_seen:
        return "done", f"{trouble}{done}, and verified by reading back.{_by_whom(facts)}"
    if facts.unread and not trouble:
        return "done", f"{done}: Patchworks accepted it. Reading back could not verify it: {facts.unread.what}"
    if facts.unread:
        return "unknown", f"{trouble}{facts.unread.what} Whether it was done is not known."
    shown = _what_is_shown(facts)
    if trouble:
        return "unknown", f"{trouble}Reading back shows {shown}, but the change may still come."
    return "unknown", f"Patchworks accepted it, and still shows {shown}."


def judge_many(result: SwitchResult, done: str, look: ToolCall) -> tuple[Status, str]:
    """The status of a switch by what stands in its lists, and their counts.

    `done` is the word for its effect, and `look` the call that shows what became of those that are unknown.
    """
    words = {
        "done": f"{done} and verified",
        "unverified": f"{done} but not read back",
        "unchanged": "was so already" if len(result.unchanged or ()) == 1 else "were so already",
        "failed": "failed",
        "unknown": "unknown",
        "not_tried": "not tried",
    }
    counts = {name: _count(getattr(result, name) or ()) for name in words}
    said = ", ".join(f"{n} {words[name]}" for name, n in counts.items() if n or name in {"done", "unchanged"})
    is_some_done = counts["done"] + counts["unverified"] > 0
    if result.unknown:
        status: Status = "partial" if is_some_done else "unknown"
        return status, f"{said}. Look again with {rendering.call(look)} before anything else is done."
    if result.failed or result.not_tried:
        nothing = "" if is_some_done or result.failed else " Nothing was changed."
        return (
            "partial" if is_some_done else "failed",
            f"{said}.{nothing} The same call again, without if_state, tries the rest once more.",
        )
    return "done", f"{said}."


def by_reason(fates: Mapping[str, WriteResult], fate: Status) -> list[NotSwitched]:
    """The names of those with this fate, together where they share the reason; of many reasons the most frequent."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, result in sorted(fates.items()):
        if result.status == fate:
            names[result.message].append(name)
    told = [NotSwitched(why=why, deployments=those) for why, those in names.items()]
    told.sort(key=lambda missed: -len(missed.deployments))
    rest = [name for missed in told[MAX_REASONS:] for name in missed.deployments]
    return [*told[:MAX_REASONS], *([NotSwitched(why=OTHER_REASONS, deployments=rest)] if rest else [])]


def _count(entries: Sequence[str | NotSwitched]) -> int:
    return sum(len(entry.deployments) if isinstance(entry, NotSwitched) else 1 for entry in entries)


def _by_whom(facts: Facts) -> str:
    """A remark where Patchworks has not said that it was this call."""
    if facts.before is None and facts.answered is None:
        return f" {MAY_BE_ANOTHERS}"
    return " Somebody else may have deleted it." if isinstance(facts.trouble, NotFound) else ""


def _what_is_shown(facts: Facts) -> str:
    if facts.found is None:
        return "no such deployment"
    if facts.before is None:
        priority = rendering.priority(facts.found)
        return f"deployment {facts.found.id}, {rendering.state(facts.found)}, queue priority {priority}"
    changed = comparing.differences(facts.before, facts.found)
    if facts.took_in_part:
        return f"only a part of it ({'; '.join(changed)})"
    return f"something else ({'; '.join(changed)})" if changed else "the old state"


def how_to_find_out(facts: Facts, flow_version_id: str) -> str:
    """With which call to see what became of a write that was not seen, in a sentence."""
    of = {"flow_version_id": flow_version_id}
    call = ToolCall(tool="list_flow_version_deployments", arguments=of)
    if facts.before:
        call = ToolCall(tool="get_deployment", arguments={**of, "deployment_id": facts.before.id})
    return f"Look again with {rendering.call(call)} before anything is repeated."


def also_changed(before: Deployment | None, after: Deployment | None, wanted: Mapping[str, Any]) -> list[str] | None:
    """What differs although nobody asked for it; None where nothing does."""
    if not (before and after):
        return None
    # The time of enabling follows from enabling.
    asked = set(wanted) | ({"enabled_at"} if "enabled" in wanted else set())
    expected = before.model_copy(update={name: getattr(after, name) for name in comparing.COMPARED if name in asked})
    return comparing.differences(expected, after) or None
