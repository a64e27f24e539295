"""What a process that runs no more has left without an outcome, as the audit log tells it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from pydantic import AwareDatetime, ValidationError

from patchworks_deployments.audit.line import HEAD, HEAD_BYTES, key, piece
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.audit.process import Held
from patchworks_deployments.audit.reading import lines_of
from patchworks_deployments.history.record import VERBS, read_record
from patchworks_deployments.model.deployment import Deployment, Output, ToolCall
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.writes.change import Change, WriteToExisting
from patchworks_deployments.writes.operations import Create
from patchworks_deployments.writes.replacement import Replace

CLOCKS_SECONDS = 600.0
"""Seconds by which the times of lines and files may be out of order, because several machines can share a log."""

DONE = ("done", "found_done")
"""Outcomes of what was carried out."""

_OF_REPLACEMENT = key("tool") + f"{Replace.name}: ".encode()
"""What the steps of a replacement have there."""

_MOVES = {"create", "update", "delete"}
"""What bears on the deployments of a place."""


class IntentLine(Output):
    """What a process was about to send."""

    id: str
    time: AwareDatetime
    tool: str
    arguments: dict[str, Any]
    before: Deployment | None
    beside: list[str] | None
    confirmed_by: str
    reason: str | None
    caller: str
    client: str | None
    account: str
    process: str

    @property
    def kind(self) -> str:
        """What was to be done, also where it was one of several steps: `disable`."""
        return self.tool.rpartition(": ")[2].removesuffix("_deployment")

    @property
    def call(self) -> str:
        """The id of the call that it was a step of, or its own."""
        return self.id.partition("/")[0]

    def change(self) -> Change:
        """The change that was to be sent. Raises `ValueError` where the line does not tell it."""
        given = dict(self.arguments)
        known = [*(self.beside or ()), *(given[name] for name in ("flow_version_id", "deployment_id") if name in given)]
        if not all(isinstance(each, str) and is_identifier(each) for each in known):
            raise ValueError("Its line was cut short, or is of somebody else.")
        if self.kind == "update":
            cleared = [name for name, value in given.items() if value is None]
            given = {name: value for name, value in given.items() if value is not None} | {"clear": tuple(cleared)}
        try:
            write = VERBS[self.kind](**given)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self.tool} is no write that is known here.") from error
        if isinstance(write, WriteToExisting) and self.before:
            return write.change(self.before)
        if isinstance(write, Create) and self.beside is not None:
            return replace(write.change(()), basis=tuple(Deployment(id=each) for each in self.beside))
        raise ValueError("What was there before is not on record.")

    def is_touched_by(self, later: "IntentLine") -> bool:
        """Whether the other write can have changed what this one was about."""
        of, one = "flow_version_id", "deployment_id"
        if (self.account, self.arguments.get(of)) != (later.account, later.arguments.get(of)):
            return False
        is_same = self.arguments.get(one) == later.arguments.get(one)
        return is_same or (self.kind == "create" and later.kind in _MOVES)


@dataclass(frozen=True)
class Emptied:
    """A replacement that was cut short: it has deleted the `old` deployment, and put none in its place."""

    call: str
    account: str
    old: Deployment
    repair: ToolCall


@dataclass
class LeftBehind:
    """The intents of a process that have no outcome, and its replacements that were cut short."""

    unfinished: list[IntentLine] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)


def read_left_behind(log: AuditLog, gone: Held) -> LeftBehind:
    """What the process that is gone has left, from its first line on. Raises `OSError`."""
    left, ended, own = LeftBehind(), set[bytes](), piece("process", gone.process)
    steps: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for event, of, raw in _lines_since(log, gone.since):
        if event != b"intent":
            ended.add(of)
        elif of not in ended and own in raw and (intent := _intent_in(raw)):
            left.unfinished.append(intent)
        if _OF_REPLACEMENT in raw[:HEAD_BYTES] and (call := of.partition(b"/")[0]) not in ended:
            steps[call].append(raw)
    for lines in steps.values():
        if any(own in raw for raw in lines) and (emptied := _emptied(lines)):
            left.emptied.append(emptied)
    return left


def later_write(log: AuditLog, intent: IntentLine) -> str | None:
    """The id of another write to the same that was recorded after this one, by whichever process. Raises `OSError`."""
    for event, of, raw in _lines_since(log, intent.time.timestamp()):
        if event == b"intent" and of == intent.id.encode():
            return None
        if event == b"intent" and (later := _intent_in(raw)) and intent.is_touched_by(later):
            return later.id
    return None


def _lines_since(log: AuditLog, seconds: float) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Event, id and the whole of each line since then, newest first, but for those of older releases."""
    # A time that has not come is of a clock that was wrong.
    first = max(0.0, min(seconds, log.now().timestamp()) - CLOCKS_SECONDS)
    since = datetime.fromtimestamp(first, UTC).isoformat(timespec="milliseconds").encode()
    for raw in chain.from_iterable(map(lines_of, log.blocks_backwards())):
        if head := HEAD.match(raw):  # one that was cut short may have none
            event, of, written = head.groups()
            if written < since:
                return
            if event:
                yield event, of, raw


def _intent_in(raw: bytes) -> IntentLine | None:
    """What the line tells; None where it was cut short, so that what it announced was never sent."""
    try:
        return IntentLine.model_validate_json(raw)
    except ValidationError:
        return None


def _emptied(lines: list[bytes]) -> Emptied | None:
    """What a call that has no line of its own has deleted, if it has created nothing since."""
    told = [record for record in map(read_record, lines) if record and record.event == "outcome"]
    done = {record.verb: record for record in told if record.outcome in DONE}
    deleted = done.get("delete")
    if "create" in done or not deleted or not (deleted.call and deleted.account and deleted.before and deleted.undo):
        return None
    return Emptied(deleted.call, deleted.account, deleted.before, deleted.undo)
