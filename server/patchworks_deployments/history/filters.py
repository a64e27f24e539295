"""Which changes are asked for: the filters in words, and what they mean for a record."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.history.record import ID, WRITES, Record, written
from patchworks_deployments.model.deployment import ToolCall
from patchworks_deployments.model.text import inert
from patchworks_deployments.writes.replacement import Replace
from patchworks_deployments.writes.switching import Switch

Outcome = Literal["done", "partial", "unknown", "failed", "unfinished", "found_done", "found_not_done"]
"""What can have become of a change that was sent."""

WHEN = "an ISO 8601 date or time in UTC, such as 2026-03-02 or 2026-03-02T09:00Z, or a span back from now: 24h, 7d"

_SPAN = re.compile(r"([1-9][0-9]{0,4})\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")

Part = Literal["flow", "environment"]
"""What can be asked for by id or by name."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which changes, and which page of them, in the words of the one who asks; None asks for nothing in particular."""

    since: str | None = None
    until: str | None = None
    tool_name: str | None = None
    flow: str | None = None
    environment: str | None = None
    caller: str | None = None
    outcome: str | None = None
    change: str | None = None
    page: int = 1

    def call(self, **more: Any) -> ToolCall:  # noqa: ANN401 - arguments of a tool
        """The call that asks for these."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "page"}
        return ToolCall(tool="list_changes", arguments={**given, **more})


NAMED: Mapping[Part, tuple[str, str]] = {
    "flow": ("flow_id", "flow_name"),
    "environment": ("virtual_environment_id", "virtual_environment_name"),
}
"""The fields of a deployment that tell its id and its name."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The filters as they are meant. Times are ISO 8601 in UTC; `named` holds what is given of flow and environment.

    The parts in `whole` were given by a whole name.
    """

    since: str | None
    until: str | None
    tools: frozenset[tuple[str, bool, str]] | None
    """The tools, whether it is a step, and its verb."""
    named: Mapping[Part, str]
    caller: str | None
    outcome: str | None
    change: str | None
    meant: Mapping[Part, frozenset[str]] = field(default_factory=dict)
    """Of flow and environment, what the name that was given means."""
    whole: frozenset[Part] = frozenset()

    @property
    def is_period(self) -> bool:
        """Whether it says where the changes begin that belong together."""
        return self.since is not None or self.change is not None

    @property
    def names(self) -> Mapping[Part, str]:
        """Those of the named that are given by name."""
        return {part: given for part, given in self.named.items() if not ids_in(given)}

    def holds(self, record: Record) -> bool:
        """Whether the record is of a change that is asked for."""
        return (
            (self.since is None or record.when >= self.since)
            and (self.until is None or record.when <= self.until)
            and (self.tools is None or (record.tool, record.is_step, record.verb) in self.tools)
            and (self.caller is None or inert(self.caller) == inert(record.caller))
            and self.outcome in {None, record.outcome}
            and (self.change is None or self.change in {record.id, record.call})
            and all(self._means(part, record) for part in self.named)
        )

    def _means(self, part: Part, record: Record) -> bool:
        if ids := ids_in(self.named[part]):
            asked = record.arguments.get("virtual_environment_id") if part == "environment" else None
            return not {*(getattr(state, NAMED[part][0]) for state in record.states), asked}.isdisjoint(ids.split(","))
        return not {getattr(state, NAMED[part][1]) for state in record.states}.isdisjoint(self.meant[part])


STEPS = {Switch.name: ("enable", "disable"), Replace.name: ("delete", "create")}
"""What the steps do of the tools that send several writes."""


def read_filters(filters: Filters, now: datetime) -> Wanted:
    """What the filters mean. Raises `InvalidArgument`, in words that say what to give, where one means nothing."""
    since, until = _moment("since", filters.since, now), _moment("until", filters.until, now)
    if since and since > written(now):
        raise InvalidArgument(f"since is in the future: now it is {written(now)}.", next_step=f"Give {WHEN}.")
    if since and until and since > until:
        raise InvalidArgument("since is later than until.", next_step="Give the earlier time as since.")
    if filters.outcome and filters.outcome not in get_args(Outcome):
        raise InvalidArgument("outcome: there is no such outcome.", next_step=f"Give {_one_of(get_args(Outcome))}.")
    if filters.change and not ID.fullmatch(filters.change.strip()):
        raise InvalidArgument("change: this is not the id of a change.", next_step="Give one from the column id.")
    given: dict[Part, str | None] = {"flow": filters.flow, "environment": filters.environment}
    return Wanted(
        since=since,
        until=until,
        tools=_tools(filters.tool_name),
        named={part: name for part, name in given.items() if name is not None},
        caller=filters.caller,
        outcome=filters.outcome,
        change=filters.change.strip() if filters.change else None,
    )


def _one_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _tools(tool: str | None) -> frozenset[tuple[str, bool, str]] | None:
    """A tool's own changes, and the steps of others that do the same; of a tool with several writes, all its steps."""
    if tool is None:
        return None
    if tool not in WRITES:
        raise InvalidArgument("tool_name: no tool of that name changes anything.", next_step=f"Give {_one_of(WRITES)}.")
    verb = tool.removesuffix("_deployment")
    steps = {(tool, True, step) for step in STEPS.get(tool, ())}
    steps |= {(other, True, verb) for other, verbs in STEPS.items() if verb in verbs}
    return frozenset({(tool, False, verb), *steps})


def _moment(name: str, text: str | None, now: datetime) -> str | None:
    """The time, in UTC. Of a day that alone is given, the first moment as `since`, and the last as `until`."""
    if text is None:
        return None
    try:
        if span := _SPAN.fullmatch(text.strip().lower()):
            return written(now - timedelta(**{_UNITS[span[2]]: int(span[1])}))
        moment = datetime.fromisoformat(text.strip().upper())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if _DAY.fullmatch(text.strip()) and name == "until":
            moment += timedelta(days=1, milliseconds=-1)
        return written(moment)
    except (ValueError, OverflowError):
        raise InvalidArgument(
            f"{name}: this is no time; now it is {written(now)}.", next_step=f"Give {WHEN}."
        ) from None
