"""One change as the audit log tells it, read tolerantly: what is not as this server writes it is left out."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from patchworks_deployments.audit.line import MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUES, bounded
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.model.reading import is_identifier, read_time
from patchworks_deployments.model.text import inert
from patchworks_deployments.model.tokens import without_tokens
from patchworks_deployments.writes.change import DeploymentWrite
from patchworks_deployments.writes.operations import Create, Delete, Disable, Enable, Update
from patchworks_deployments.writes.plan import Write
from patchworks_deployments.writes.replacement import Replace
from patchworks_deployments.writes.switching import Switch

Event = Literal["intent", "outcome", "call", "attempt", "old"]
"""What a line is; `old` is one that was written before lines had an event and an id."""

UNFINISHED = "unfinished"
"""The outcome of a change of which only the intent is on record."""

OLD_OUTCOMES = frozenset({"done", "partial", "unknown"})
"""Outcomes of old lines that tell of something that was sent."""

MAX_WORD_CHARACTERS = 120
MAX_MESSAGE_CHARACTERS = 2_048

WRITES: Mapping[str, type[Write]] = {
    write.name: write for write in (Create, Update, Delete, Enable, Disable, Switch, Replace)
}
"""What each tool that changes something does, by its name, also where a read-only server does not offer it."""

VERBS = {
    name.removesuffix("_deployment"): write for name, write in WRITES.items() if issubclass(write, DeploymentWrite)
}
"""What each step of a call does, by the last word of the tool in its lines: `set_deployments_enabled: disable`."""

ID = re.compile(r"[0-9a-f]{8,16}(?:/[1-9][0-9]{0,3})?")
"""The id of a call, or of one of its steps."""

_SWITCHES = {"enable": True, "disable": False}
"""The writes that only enable or disable, and the state that each leads to."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one line tells: of a change that was sent, and of what became of it.

    The `id` is None in an old line. Of a step, `verb` is what it did (`disable`) and `tool` the tool that was called;
    of any other change it is the tool's own verb. `sent` is when its intent was recorded, as far as that is known.
    """

    event: Event
    id: str | None
    time: str
    tool: str
    verb: str
    is_step: bool
    outcome: str
    account: str | None
    caller: str
    client: str | None
    confirmed_by: str | None
    reason: str | None
    arguments: Mapping[str, Any]
    before: Deployment | None
    after: Deployment | None
    verified: bool | None
    answer: str | None
    answer_milliseconds: int | None
    message: str | None
    undo: ToolCall | None
    sent: str | None = None

    @property
    def when(self) -> str:
        """When it was sent, which may be long before its outcome was found out."""
        return self.sent or self.time

    @property
    def call(self) -> str | None:
        """The id of the call that this is a step of, or its own."""
        return self.id.partition("/")[0] if self.id else None

    @property
    def switches_to(self) -> bool | None:
        """The state that it was to bring; None for what does more than to enable or disable."""
        return _SWITCHES.get(self.verb)

    @property
    def is_replacement(self) -> bool:
        """Whether it is a replacement in whole, not one of its steps."""
        return self.tool == Replace.name and not self.is_step

    @property
    def states(self) -> tuple[Deployment, ...]:
        """The states that are known of it, the newest first."""
        return tuple(state for state in (self.after, self.before) if state)

    @property
    def deployment_id(self) -> str | None:
        """The deployment that it left, or that it took away."""
        told = self.states[0].id if self.states else self.arguments.get("deployment_id")
        return told if isinstance(told, str) and is_identifier(told) else None

    @property
    def flow_version_id(self) -> str | None:
        """The flow version of that deployment."""
        told = self.states[0].flow_version_id if self.states else None
        told = told or self.arguments.get("flow_version_id")
        return told if isinstance(told, str) and is_identifier(told) else None

    @property
    def deployment(self) -> str:
        """`flow_version_id/deployment_id`, as far as both are known."""
        return f"{self.flow_version_id or '?'}/{self.deployment_id or '?'}"

    @property
    def words(self) -> str:
        """What is different, or what was asked for where that is not known."""
        is_seen = self.outcome in {"done", "found_done", "partial"} or (self.after and self.outcome == "unknown")
        if is_seen and (told := self._done()):
            return told
        return f"asked: {self.verb}{self._asked()}"

    def _done(self) -> str:
        if self.before and self.after and self.before.id != self.after.id:
            return f"{self.before.flow_version_id or '?'}/{self.before.id} → {self.deployment}"
        if self.switches_to is not None:
            return "disabled → enabled" if self.switches_to else "enabled → disabled"
        if self.verb == "delete":
            return "deleted"
        if self.verb == "create":
            state = f", {rendering.state(self.after).split(' ')[0]}" if self.after else ""
            return f"created{state}"
        told = comparing.differences(self.before, self.after) if self.before and self.after else []
        return "; ".join(told).replace("queue priority: ", "priority ")

    def _asked(self) -> str:
        ids = {"flow_version_id", "deployment_id", "if_state", "dry_run"}
        told = (f"{name} {json.dumps(value)}" for name, value in self.arguments.items() if name not in ids)
        return f" {inert(', '.join(told))}".rstrip() if self.switches_to is None else ""

    def joined(self, intent: "Record") -> "Record":
        """This outcome with what only its intent tells."""
        told = {
            "before": self.before or intent.before,
            "arguments": self.arguments or intent.arguments,
            "confirmed_by": self.confirmed_by or intent.confirmed_by,
            "reason": self.reason or intent.reason,
            "sent": intent.time,
        }
        return Record(**{**vars(self), **told})


def written(moment: datetime) -> str:
    """The time in UTC, with milliseconds, so that two of them can be compared as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def read_record(line: bytes) -> Record | None:
    """What the line tells; None where it is no line of this server."""
    try:
        told = json.loads(line)
        to_json(told)  # half a character, or what is nested too deep, could not be told again
    except (ValueError, RecursionError, PydanticSerializationError):
        return None
    if not isinstance(told, dict):
        return None
    event, of, time = str(told.get("event", "old")), told.get("id"), _moment(told.get("time"))
    tool, _, verb = str(told.get("tool")).partition(": ")
    is_known = event in {"intent", "outcome", "call", "attempt"} and isinstance(of, str) and ID.fullmatch(of)
    if time is None or tool not in WRITES or not (is_known or (event == "old" and of is None)):
        return None
    outcome = UNFINISHED if event == "intent" else _text(told.get("outcome"))
    return Record(
        event=cast("Event", event),
        id=of,
        time=time,
        tool=tool,
        verb=(verb if verb in VERBS else "write") if verb else tool.removesuffix("_deployment"),
        is_step=bool(verb),
        outcome=outcome or "unknown",
        account=_text(told.get("account")),
        caller=_text(told.get("caller"), MAX_WORD_CHARACTERS) or "?",
        client=_text(told.get("client")),
        confirmed_by=_text(told.get("confirmed_by")),
        reason=_text(told.get("reason"), MAX_MESSAGE_CHARACTERS),
        arguments=_arguments(told.get("arguments")),
        before=_state(told.get("before")),
        after=_state(told.get("after")),
        verified=_only(bool, told.get("verified")),
        answer=_text(told.get("answer")),
        answer_milliseconds=_only(int, told.get("answer_milliseconds")),
        message=_text(told.get("message"), MAX_MESSAGE_CHARACTERS),
        undo=read_undo(told.get("undo")),
        sent=_moment(told.get("sent")),
    )


def _moment(value: object) -> str | None:
    told = read_time(value)
    return written(datetime.fromisoformat(told)) if told else None


def _text(value: object, limit: int = MAX_WORD_CHARACTERS) -> str | None:
    return without_tokens(value, limit) if isinstance(value, str) else None


def _arguments(value: object) -> Mapping[str, Any]:
    # A list that was cut has one more value, which says so.
    told = bounded(value, MAX_TEXT_BYTES, MAX_VALUES + 1, MAX_DEPTH)
    return told if isinstance(told, dict) else {}


def _only(kind: type, value: Any) -> Any:  # noqa: ANN401 - a value of this kind
    return value if type(value) is kind else None


def _state(value: object) -> Deployment | None:
    """A deployment as it was recorded; None where it is none, or not with the ids that Patchworks writes."""
    if not isinstance(value, dict) or not is_identifier(str(value.get("id"))):
        return None
    try:
        state = Deployment.model_validate({**value, "other": None})
    except ValidationError:
        return None
    ids = (state.flow_version_id, state.flow_id, state.virtual_environment_id, state.package_id)
    times = (state.enabled_at, state.deployed_at, state.created_at, state.updated_at)
    is_whole = all(one is None or is_identifier(one) for one in ids)
    return state if is_whole and all(one is None or read_time(one) == one for one in times) else None


# The undo -----------------------------------------------------------------------------------------

_STATE = re.compile(r"[0-9a-z.]{1,200}")
_NAME = re.compile(r"[1-9][0-9]{0,18}/[1-9][0-9]{0,18}|[1-9][0-9]{0,18}")


def _is_id(value: Any) -> bool:  # noqa: ANN401 - whatever stands there
    return isinstance(value, str) and is_identifier(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - whatever stands there
    return type(value) is int


def _is_flag(value: Any) -> bool:  # noqa: ANN401 - whatever stands there
    return isinstance(value, bool)


def _are(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(v, str) and pattern.fullmatch(v) for v in value)


_ARGUMENTS: Mapping[str, Callable[[Any], bool]] = {
    "flow_version_id": _is_id,
    "deployment_id": _is_id,
    "new_flow_version_id": _is_id,
    "virtual_environment_id": _is_id,
    "priority": _is_number,
    "enabled": _is_flag,
    "deploy_disabled": _is_flag,
    "enabled_at": lambda value: read_time(value) is not None,
    "clear": _are(re.compile("virtual_environment_id|priority|enabled_at")),
    "deployments": _are(_NAME),
    "if_state": lambda value: isinstance(value, str) and _STATE.fullmatch(value) is not None,
}
"""What an undo may hold: whoever edits the log must not get a call of their own into an answer, nor words."""


def read_undo(value: object) -> ToolCall | None:
    """The recorded call that takes the change back; None for anything but a call that this server makes."""
    if not isinstance(value, dict) or not isinstance(arguments := value.get("arguments"), dict):
        return None
    tool = str(value.get("tool"))
    is_ours = tool in WRITES and all(
        name in _ARGUMENTS and _ARGUMENTS[name](given) for name, given in arguments.items()
    )
    return ToolCall(tool=tool, arguments=arguments) if is_ours else None
