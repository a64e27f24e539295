"""Searching the audit log for changes, newest first, no further back than needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from patchworks_deployments.audit.line import CALL, HEAD, HEAD_BYTES, OLD, OUTCOME, key, piece
from patchworks_deployments.history.clues import candidates, clues, unfinished
from patchworks_deployments.history.filters import Wanted
from patchworks_deployments.history.naming import with_meanings
from patchworks_deployments.history.record import OLD_OUTCOMES, UNFINISHED, Record, read_record
from patchworks_deployments.writes.replacement import Replace
from patchworks_deployments.writes.switching import Switch

PAGE_ROWS = 25
"""Changes on a page."""

MAX_CHANGES = 1_000
"""Changes that are looked at together, to see what of a period can be put back."""

MAX_STEP_LINES = 1_000
"""Lines that are looked at further back for the other steps of a call: more than the most that one call writes."""

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of the log that are searched at most, in about a second."""

TIME_BYTES = 23
"""Bytes of a time that are compared: down to the millisecond."""

SENT = key("sent")
"""What is only in outcomes that were found out later: each belongs to the time at which its change was sent."""

KEPT_BLOCKS = 4
"""Blocks in which a step finds the line of its call, which comes after it."""

SLACK = timedelta(minutes=1)
"""By how much lines may be out of order: several processes append, and each takes the time before."""


@dataclass
class Reach:
    """How far back the record was read: to the time `oldest`, and whether that was all, or as much as is read."""

    oldest: str | None = None
    is_all: bool = False
    is_cut: bool = False

    def blocks(self, blocks: Iterable[bytes], since: str | None) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """The blocks until all lines of one are older than `since`, each with the times of its first and last line."""
        floor, left = _shifted(since, -SLACK), MAX_BYTES
        for block in blocks:
            told = _times(block)
            if floor and told and max(told) < floor:
                return
            if left <= 0:
                self.is_cut = True
                return
            left -= len(block)
            self.oldest = told[0].decode("ascii", "replace") if told else self.oldest
            yield block, told
        self.is_all = True


@dataclass
class Found:
    """What a search has found, newest first: the changes up to the page that is asked for, and those of its period.

    `call` is the line of the call that is asked for by its id. `others` counts the changes of other accounts, and
    `unreadable` the lines that are no lines of this server.
    """

    wanted: Wanted
    reach: Reach
    changes: list[Record] = field(default_factory=list)
    call: Record | None = None
    others: int = 0
    unreadable: int = 0

    @property
    def is_wanting(self) -> bool:
        """Whether something that is asked for may be older than all that was read."""
        since, oldest = self.wanted.since, self.reach.oldest
        return self.reach.is_all and not (since and oldest and oldest[:TIME_BYTES] <= since[:TIME_BYTES])

    def page(self, number: int) -> Sequence[Record]:
        """The rows of a page."""
        return self.changes[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]


@dataclass(frozen=True)
class Whose:
    """Whose changes are told: those of an account, and with `with_old` those of old lines, which tell no account."""

    account: str
    with_old: bool

    @property
    def piece(self) -> bytes:
        """What the account's lines hold."""
        return piece("account", self.account)


def search(blocks: Callable[[], Iterable[bytes]], wanted: Wanted, whose: Whose, page: int) -> Found:
    """Search the blocks of lines, of which the newest come first. For the meaning of names they are read once more."""
    reach = Reach()
    read = (block for block, _ in reach.blocks(blocks(), wanted.since))
    known = with_meanings(wanted, whose.piece, read, with_old=whose.with_old)
    if not all(known.meant.values()):
        return Found(known, reach)
    return _Search(known, whose, page, Found(known, Reach())).run(blocks())


@dataclass
class _Search:
    """One search, and what it has seen so far: ids of outcomes, and whose old lines told of which replacements."""

    wanted: Wanted
    whose: Whose
    page: int
    found: Found
    ended: set[bytes] = field(default_factory=set)
    old_replaced: set[tuple[str, object]] = field(default_factory=set)
    newer: deque[bytes] = field(default_factory=lambda: deque(maxlen=KEPT_BLOCKS))
    lines_left: int = MAX_STEP_LINES

    def run(self, blocks: Iterable[bytes]) -> Found:
        wanted, own = clues(self.wanted), self.whose.piece
        ceiling = _shifted(self.wanted.until, SLACK)
        for block, told in self.found.reach.blocks(blocks, self.wanted.since):
            self.newer.append(block)
            if ceiling and told and min(told) > ceiling and SENT not in block:
                continue
            if own not in block and not (self.whose.with_old and OLD in block):
                self.found.others += 0 if wanted else block.count(OUTCOME)
                continue
            is_unfinished = self.wanted.outcome == UNFINISHED
            for line in unfinished(block, self.ended) if is_unfinished else candidates(block, wanted):
                self._take(line, own)
                if self._is_enough():
                    return self.found
        return self.found

    def _is_enough(self) -> bool:
        """Whether nothing that is further back can matter."""
        count, needed = len(self.found.changes), self.page * PAGE_ROWS
        if self.wanted.is_period:
            return count > max(MAX_CHANGES, needed)
        if count <= needed:
            return False
        self.lines_left -= 1
        return self.lines_left < 0 or not any(change.is_step for change in self.found.page(self.page))

    def _take(self, line: bytes, own: bytes) -> None:
        """Take the line for what it tells, if it tells of a change that is asked for."""
        if not (head := HEAD.match(line)):
            self.found.unreadable += 1
            return
        event, of, _ = head.groups()
        if own not in line and not (event is None and self.whose.with_old):
            self.found.others += event == b"outcome"
            return
        if event == b"outcome":
            self.ended.add(of)
        if event != b"attempt" and (event != b"intent" or of not in self.ended or self.wanted.change):
            self._read(line)

    def _read(self, line: bytes) -> None:
        record, changes = read_record(line), self.found.changes
        if record is None:
            self.found.unreadable += 1
            return
        if record.account != self.whose.account and not (record.event == "old" and self.whose.with_old):
            return
        if record.event == "call" and record.id == self.wanted.change:
            self.found.call = record
        if record.event == "intent" and record.id and record.id.encode() in self.ended:
            changes[:] = [change.joined(record) if change.id == record.id else change for change in changes]
        elif self._is_change(record) and self.wanted.holds(record):
            changes.append(record)

    def _is_change(self, record: Record) -> bool:
        """Whether the record tells of a change by itself, and no other record tells of it as well."""
        if record.event == "old":
            return self._is_old_change(record)
        if record.event == "call":
            return record.tool == Replace.name
        if record.tool != Replace.name or self.wanted.change:
            return True
        line = CALL + (record.call or "").encode() + b'"'
        return not any(line in block for block in self.newer)

    def _is_old_change(self, record: Record) -> bool:
        if record.outcome not in OLD_OUTCOMES or (record.tool == Switch.name and not record.is_step):
            return False
        version = record.arguments.get("flow_version_id")
        if record.tool == Replace.name and not record.is_step:
            of = version, record.arguments.get("new_flow_version_id")
            self.old_replaced |= {(record.caller, one) for one in of if isinstance(one, str)}
        return not (record.is_step and record.tool == Replace.name and (record.caller, version) in self.old_replaced)


def _times(block: bytes) -> list[bytes]:
    """The times of the first and of the last line of a block, as far as these tell them."""
    time = key("time")
    starts = (place + len(time) for place in (block.find(time, 0, HEAD_BYTES), block.rfind(time)) if place >= 0)
    return [block[start : start + TIME_BYTES] for start in starts]


def _shifted(time: str | None, by: timedelta) -> bytes | None:
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(time) + by
    except OverflowError:  # before the first year, or after the last: no line is
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")[:TIME_BYTES].encode()
