"""What was changed, by whom and why, and whether it can be put back: read from the audit log."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.history.filters import Filters, read_filters
from patchworks_deployments.history.record import Record
from patchworks_deployments.history.search import MAX_BYTES, MAX_CHANGES, PAGE_ROWS, Found, Whose, search
from patchworks_deployments.history.table import Changes, tabulate, to_text, whole
from patchworks_deployments.history.undoing import MAX_CALLS, Switches, Undoing, read_there
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Output, ToolCall
from patchworks_deployments.model.rendering import are_left_out, counted
from patchworks_deployments.model.text import inert
from patchworks_deployments.writes.wording.phrases import verb

__all__ = ["Changes", "Filters", "read_changes", "to_text"]

ANSWER_CHARACTERS = 3_800
"""Characters of an answer, beside remarks, that calls may fill up: a model pays for all of it."""

FOUND_LATER = (
    "found_done and found_not_done: the server was killed before it knew, and it was read later; by its id (change) "
    "you see when."
)

THIS_PROCESS = (
    "There is no audit log (PATCHWORKS_AUDIT_LOG), so this covers only what this process has sent since its start."
)

OLDER = "There may be older changes, which are not read, or not kept."


async def read_changes(log: AuditLog, client: DeploymentsClient, filters: Filters, *, own_only: bool) -> Changes:
    """The page of changes that the filters ask for. With `own_only` those of the client's own account alone.

    Raises `InvalidArgument` for filters that mean nothing and for a page or a change that does not exist,
    `AuditLogUnreadable`, and `Unauthenticated` where a caller has to bring the credentials and did not.
    """
    now = log.now()
    wanted = read_filters(filters, now)
    whose = Whose(client.account().mark, with_old=not own_only)
    found = await log.read(partial(search, log.blocks_backwards, wanted, whose, filters.page))
    rows = found.page(filters.page)
    _require_some(filters, found)
    together = found.changes[:MAX_CHANGES] if wanted.is_period else _same_calls(found, rows)
    undoing = Undoing(found.changes, await read_there(client, {id(r): r for r in [*rows, *together]}.values()))
    switches = undoing.switches(together)
    singles = undoing.singles(rows, switches.covered)
    table = tabulate(rows, undoing.standing, now)
    taken = max(_length(table), len(to_text(table))) + _length(*switches.calls)
    given = _as_many_as_fit(singles, ANSWER_CHARACTERS - taken, least=not switches.calls)
    return table.model_copy(
        update={
            "page": filters.page,
            "whole": _whole(filters, found),
            "remarks": [
                *_about_record(log, found, own_only=own_only),
                *([FOUND_LATER] if any(row.outcome.startswith("found_") for row in rows) else []),
                *_about_undo(undoing, len(singles) - len(given), switches, found),
            ]
            or None,
            "undo": [*switches.calls, *given] or None,
            "next": filters.call(page=filters.page + 1) if len(found.changes) > filters.page * PAGE_ROWS else None,
        }
    )


def _as_many_as_fit(singles: Sequence[Record], room: int, least: int) -> list[ToolCall]:
    """The calls that undo the first of these changes, so many at `least`; the others are found by the change's id."""
    calls = [record.undo for record in singles[:MAX_CALLS] if record.undo]
    ends = accumulate(map(_length, calls))
    return [call for n, (call, end) in enumerate(zip(calls, ends, strict=True)) if n < least or end <= room]


def _length(*parts: Output) -> int:
    return sum(len(part.model_dump_json(exclude_none=True)) for part in parts)


def _require_some(filters: Filters, found: Found) -> None:
    """Raise `InvalidArgument` where the change, or the page, does not exist."""
    if filters.change and not found.changes and not found.call:
        raise InvalidArgument(
            f"There is no change {filters.change} on record.", next_step="Find it with list_changes, by time or flow."
        )
    last = max(1, -(-len(found.changes) // PAGE_ROWS))
    if filters.page > last:
        raise InvalidArgument(
            f"Page {filters.page} is past the last one, which is {last}.", next_step="Ask for that one."
        )


def _same_calls(found: Found, rows: Sequence[Record]) -> list[Record]:
    """The rows of the page, and the other steps of their calls."""
    calls = {record.call for record in rows if record.is_step and record.id}
    on_page = {id(record) for record in rows}
    return [record for record in found.changes if id(record) in on_page or (record.id and record.call in calls)]


def _about_record(log: AuditLog, found: Found, *, own_only: bool) -> Iterator[str]:
    reach = found.reach
    if not log.is_kept:
        yield THIS_PROCESS
    back = f"back to {rendering.moment(reach.oldest)}" if reach.oldest else "and tells nothing"
    if own_only and (reach.is_cut or (found.is_wanting and log.has_more)):
        yield OLDER  # when somebody else's first change was is nobody's business
    elif reach.is_cut:
        yield f"Only the newest {MAX_BYTES >> 20} MB of the audit log were searched, {back}."
    elif found.is_wanting and log.has_more:
        yield f"The record goes {back}; what is older is not read, or not kept."
    yield from _about_names(found)
    if found.others and not own_only:
        are = verb(found.others, "is", "are")
        yield f"{counted(found.others, 'change')} of other Patchworks accounts {are} left out."
    if found.unreadable and not own_only:
        yield f"{are_left_out(found.unreadable, 'line', 'of the audit log cannot be read')}."


def _about_names(found: Found) -> Iterator[str]:
    if not found.changes and all(found.wanted.meant.values()):
        yield "No change on record matches."
    for part, meant in found.wanted.meant.items():
        name = inert(found.wanted.names[part])
        if not meant:
            yield f'No change on record has "{name}" in the name of its {part}.'
        elif part in found.wanted.whole:
            a_or_an = "an" if part == "environment" else "a"
            yield f'"{name}" is the whole name of {a_or_an} {part}, so names that only contain it are left out.'


def _about_undo(undoing: Undoing, more_singles: int, switches: Switches, found: Found) -> Iterator[str]:
    if undoing.there.unread:
        yield f"Whether it can be put back is not known: {undoing.there.unread.what}"
    if switches.even:
        are, them = ("is", "it") if switches.even == 1 else ("are", "them")
        yield (
            f"{counted(switches.even, 'deployment')} {are} again as before the first of these changes, so undo leaves "
            f"{them} alone; a single change has its undo by its id (change)."
        )
    if more_singles > 0:
        yield f"{more_singles} more can be put back, each by its id (change)."
    if switches.left:
        yield f"{counted(switches.left, 'more deployment')} can be switched back: ask again once that is done."
    if found.wanted.is_period and len(found.changes) > MAX_CHANGES:
        most = f"{MAX_CHANGES:,}"
        yield f"More than {most} changes match, and undo covers the newest {most}: narrow it with since."


def _whole(filters: Filters, found: Found) -> object:
    """All that is told of the one change, or the one call, that is asked for by its id."""
    if not filters.change:
        return None
    alone = found.call or (found.changes[0] if len(found.changes) == 1 else None)
    return whole(alone) if alone else None
