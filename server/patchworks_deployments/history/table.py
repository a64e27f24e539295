"""The answer about changes: as data, in columns and rows with names once beside them, and as the text that says it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from patchworks_deployments.history.filters import NAMED, Part
from patchworks_deployments.history.record import Record, written
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, Maybe, Output, ToolCall
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.rendering import SEPARATOR, counted
from patchworks_deployments.model.text import MAX_LABEL_CHARACTERS, clean_text, inert

MAX_TEXT_CHARACTERS = 60
"""Characters of a reason or a caller beside the rows; the change by itself tells all of it."""

NOTHING, UNKNOWN = "-", "?"
"""Stand for what is not there, and for what is not known."""

TIME = "time (UTC)"


class Whole(Output):
    """One change, or one call with several, with all that is on record of it. Times are ISO 8601 in UTC."""

    id: str
    time: str
    sent: Maybe[str] = None
    """When it was sent, where its outcome was found out later."""
    tool: str
    outcome: str
    arguments: Maybe[dict[str, Any]] = None
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    verified: Maybe[bool] = None
    confirmed_by: Maybe[str] = None
    answer: Maybe[str] = None
    answer_milliseconds: Maybe[int] = None
    reason: Maybe[str] = None
    caller: str
    client: Maybe[str] = None
    message: Maybe[str] = None


class Changes(Output):
    """A page of what was changed, newest first: each of `changes` has its values in the order of the `columns`.

    What is the same in all of them stands once, in `same`. The names of flows and environments, by id, and callers and
    reasons, by letter and number, stand beside. `undo` are the calls that put back what still can be, to be made in
    this order. A time without a year is of this one.
    """

    now: str
    page: int
    same: Maybe[dict[str, str]] = None
    columns: Maybe[list[str]] = None
    changes: list[list[str]]
    flows: Maybe[dict[str, str]] = None
    environments: Maybe[dict[str, str]] = None
    callers: Maybe[dict[str, str]] = None
    reasons: Maybe[dict[str, str]] = None
    whole: Maybe[Whole] = None
    remarks: Maybe[list[str]] = None
    undo: Maybe[list[ToolCall]] = None
    next: Maybe[ToolCall] = None


def tabulate(records: Sequence[Record], standing: Callable[[Record], str], now: datetime) -> Changes:
    """The records as rows; `standing` says of each whether it can be put back."""
    reasons = _numbered(record.reason for record in records if record.reason)
    callers = _numbered(record.caller for record in records)
    letters = {caller: chr(ord("a") + n) for n, caller in enumerate(callers)} if len(callers) > 1 else {}
    rows = [_row(record, letters, reasons, now) | {"undo": standing(record)} for record in records]
    shared = rows[0].items() if len(rows) > 1 else ()
    same = {name: value for name, value in shared if name != "id" and all(row[name] == value for row in rows)}
    return Changes(
        now=written(now)[:19] + "Z",
        page=1,
        same=same or None,
        columns=[name for name in rows[0] if name not in same] if rows else None,
        changes=[[value for name, value in row.items() if name not in same] for row in rows],
        flows=_names("flow", records) or None,
        environments=_names("environment", records) or None,
        callers={letter: caller for caller, letter in letters.items()} or None,
        reasons={number: reason for reason, number in reasons.items()} or None,
    )


def _numbered(texts: Iterable[str]) -> dict[str, str]:
    """Each of the texts once, with a number, as it is shown."""
    shown = dict.fromkeys(inert(text, MAX_TEXT_CHARACTERS) for text in texts)
    return {text: str(number) for number, text in enumerate(shown, 1)}


def _row(record: Record, letters: Mapping[str, str], reasons: Mapping[str, str], now: datetime) -> dict[str, str]:
    caller = inert(record.caller, MAX_TEXT_CHARACTERS)
    day = record.when[:10].removeprefix(f"{now:%Y-}")
    return {
        "id": record.id or NOTHING,
        TIME: f"{day} {record.when[11:16]}",
        "deployment": record.deployment,
        "flow": _place("flow", record),
        "environment": _place("environment", record),
        "change": record.words,
        "outcome": inert(record.outcome),
        "caller": letters.get(caller, caller),
        "confirmed_by": inert(record.confirmed_by or NOTHING),
        "reason": reasons[inert(record.reason, MAX_TEXT_CHARACTERS)] if record.reason else NOTHING,
    }


def _place(part: Part, record: Record) -> str:
    if not record.states:
        asked = record.arguments.get("virtual_environment_id") if part == "environment" else None
        return asked if isinstance(asked, str) and is_identifier(asked) else UNKNOWN
    of, name = (getattr(record.states[0], field) for field in NAMED[part])
    if of or name:
        return of or inert(name, MAX_LABEL_CHARACTERS)
    is_hidden = part == "flow" or record.states[0].hides_environment
    return UNKNOWN if is_hidden else NOTHING


def _names(part: Part, records: Sequence[Record]) -> dict[str, str]:
    """The name of each that a row has, by id, as the newest change tells it."""
    names: dict[str, str] = {}
    for record in records:
        for state in record.states[:1]:
            of, name = (getattr(state, field) for field in NAMED[part])
            if of and name and (label := clean_text(name, MAX_LABEL_CHARACTERS)):
                names.setdefault(of, label)
    return names


def whole(record: Record) -> Whole:
    """All that is on record of the change."""
    return Whole(
        id=record.id or NOTHING,
        time=record.time,
        sent=record.sent,
        tool=f"{record.tool}: {record.verb}" if record.is_step else record.tool,
        outcome=record.outcome,
        arguments=dict(record.arguments) or None,
        before=record.before,
        after=record.after,
        verified=record.verified,
        confirmed_by=record.confirmed_by,
        answer=record.answer,
        answer_milliseconds=record.answer_milliseconds,
        reason=record.reason,
        caller=record.caller,
        client=record.client,
        message=record.message,
    )


# Text ---------------------------------------------------------------------------------------------


def to_text(changes: Changes) -> str:
    """Write the answer for people and for hosts that show nothing else: all that the data holds."""
    lines = [f"{counted(len(changes.changes), 'change')}, page {changes.page}; now {rendering.moment(changes.now)}"]
    if changes.same:
        lines.append(f"all: {SEPARATOR.join(f'{name} {value}' for name, value in changes.same.items())}")
    lines += [SEPARATOR.join(row) for row in ([changes.columns] if changes.columns else []) + changes.changes]
    for title, names in (("flows", changes.flows), ("environments", changes.environments)):
        if names:
            lines.append(f"{title}: {SEPARATOR.join(f'{inert(name)} ({of})' for of, name in names.items())}")
    for title, texts in (("callers", changes.callers), ("reasons", changes.reasons)):
        if texts:
            lines.append(f"{title}: {SEPARATOR.join(f'{mark} {text}' for mark, text in texts.items())}")
    lines += [*(_whole(changes.whole) if changes.whole else ()), *(changes.remarks or [])]
    lines += [f"undo: {rendering.call(call)}" for call in changes.undo or []]
    if changes.next:
        lines.append(f"next page: {rendering.call(changes.next)}")
    return "\n".join(lines)


def _whole(change: Whole) -> Iterator[str]:
    for name, value in change:
        if value is None:
            continue
        label = name.replace("_", " ")
        if isinstance(value, Deployment):
            yield f"{label}: {rendering.describe_whole(value)}"
        elif isinstance(value, dict):
            told = (f"{inert(key)} {rendering.inert_json(entry)}" for key, entry in value.items())
            yield f"{label}: {SEPARATOR.join(told)}"
        else:
            said = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{label}: {inert(said, len(said))}"
