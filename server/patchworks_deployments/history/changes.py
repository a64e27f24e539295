"""What was changed, by whom and why, and whether it can be put back: read from the audit log."""

from collections.abc import Iterable
from datetime import datetime

import anyio.to_thread

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.history.filters import Filters, Wanted, read_filters
from patchworks_deployments.history.record import OLD_OUTCOMES, Record, read_record
from patchworks_deployments.history.table import PAGE_ROWS, Changes, tabulate, to_text, whole
from patchworks_deployments.writes.plan import ACCOUNT_CHARACTERS

__all__ = ["Changes", "Filters", "read_changes", "to_text"]


async def read_changes(
    log: AuditLog, client: DeploymentsClient, filters: Filters, *, own_only: bool, now: datetime
) -> Changes:
    """The page of changes that the filters ask for. With `own_only` those of the client's own account alone.

    Raises `InvalidArgument` for filters that mean nothing, `AuditLogUnreadable`.
    """
    wanted = read_filters(filters, now)
    account = client.account().digest[:ACCOUNT_CHARACTERS]
    found = await anyio.to_thread.run_sync(_search, log.lines_backwards(), wanted, account, own_only, filters.page)
    if filters.page > 1 and not found:
        raise InvalidArgument(f"There is no page {filters.page}.", next_step="Ask for an earlier one.")
    changes = tabulate(found[:PAGE_ROWS], lambda _: "not known", now)
    more = filters.call(page=filters.page + 1) if len(found) > PAGE_ROWS else None
    detail = whole(found[0]) if filters.change and len(found) == 1 else None
    return changes.model_copy(update={"page": filters.page, "next": more, "whole": detail})


def _search(lines: Iterable[bytes], wanted: Wanted, account: str, own_only: bool, page: int) -> list[Record]:
    rows: list[Record] = []
    ended: set[str] = set()
    replaced: set[str] = set()
    for line in lines:
        record = read_record(line)
        if record is None or (record.account != account and (own_only or record.event != "old")):
            continue
        if record.event == "attempt" or (record.event == "call" and not record.is_replacement):
            continue
        if record.event == "old" and record.outcome not in OLD_OUTCOMES:
            continue
        if record.event == "intent" and record.id in ended:
            continue
        if record.id:
            ended.add(record.id)
        if record.event == "call" and record.id:
            replaced.add(record.id)
        elif record.call in replaced:
            continue
        if wanted.holds(record):
            rows.append(record)
            if len(rows) > page * PAGE_ROWS:
                break
    return rows[(page - 1) * PAGE_ROWS :]
