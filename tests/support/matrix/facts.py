"""What the rules rest on: which writes were accepted, refused or lost, and what could have been known of them."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2

from patchworks_deployments.sandbox.account import Deployment
from support.matrix.play import Record
from support.passages import Passage, Rows

Verdict = str | None
"""What is wrong with a record, None where nothing is."""

READING_SECONDS = 3.5
"""Seconds after the end of a write within which it must have taken place for a reader of five seconds to see it."""

GATEWAYS_MESSAGE = b"no Route matched"

SWITCH, REPLACE = "set_deployments_enabled", "replace_deployment"

NOTHING = {"unchanged", "refused", "declined", "preview", "confirmation_required", "error"}
"""Statuses that claim that nothing was done; `error` is a result that holds words alone."""


def was_accepted(passage: Passage) -> bool:
    """Whether the caller heard a 2xx, from whomever."""
    return passage.told is not None and passage.told.is_success


def is_missing(passage: Passage) -> bool:
    """Whether the caller heard a 404, from whomever."""
    return passage.told is not None and passage.told.status_code == httpx2.codes.NOT_FOUND


def was_refused(passage: Passage) -> bool:
    """Whether the caller heard that it was not carried out, from somebody who knows."""
    return passage.told is not None and passage.told.is_client_error and not is_gateways(passage.told)


def is_gateways(answer: httpx2.Response) -> bool:
    """Whether it is a 404 of somebody who is not Patchworks."""
    return answer.status_code == httpx2.codes.NOT_FOUND and (
        not answer.content.startswith(b"{") or GATEWAYS_MESSAGE in answer.content
    )


def is_honest(passage: Passage) -> bool:
    """Whether the caller heard what the sandbox held then, however slowly, or a part of it."""
    is_real = passage.told is passage.answer or (
        passage.told is not None and ("transfer-encoding" in passage.told.headers or untold(passage))
    )
    return passage.answer is not None and passage.is_told and bool(is_real) and not passage.is_stale


def untold(passage: Passage) -> set[str]:
    """The fields that the answer has left out."""
    return set(passage.told.extensions.get("untold", ())) if passage.told else set()


def tells(read: Passage, write: Passage) -> bool:
    """Whether the read tells all that the write was to set."""
    fields = re.findall(r'"(\w+)":', write.request.content.decode())
    is_of_place = write.request.method == "POST" and write.request.url.path.endswith("/deployments")
    asked = {*fields, *(["virtual_environment_id"] if is_of_place else [])}
    asked |= {"enabled_at"} if write.request.method == "POST" else set()
    return not asked & untold(read)


def is_about(write: Passage, read: Passage) -> bool:
    """Whether the read tells honestly what became of the write."""
    version = write.request.url.path.partition("/deployments")[0]
    is_of_it = read.request.url.path.startswith((version, "/api/v1/flow-version-deployments"))
    is_telling = read.told is not None and read.told.status_code in {httpx2.codes.OK, httpx2.codes.NOT_FOUND}
    return read.request.method == "GET" and is_of_it and is_telling and is_honest(read)


def is_second_witness(write: Passage, read: Passage) -> bool:
    """Whether the read is a 404, of whomever, for what an accepted delete was about."""
    is_same = write.request.method == "DELETE" and read.request.url.path == write.request.url.path
    return is_same and is_missing(read) and was_accepted(write)


def signature(passage: Passage) -> tuple[str, str, bytes]:
    """What makes two writes the same."""
    return passage.request.method, passage.request.url.path, passage.request.content


def fate_is_readable(record: Record, write: Passage) -> bool:
    """Whether what the write has done was to be read within some five seconds after its end.

    So it is where it took place by then, where no fault lasts, where nobody else changed anything, and where no look
    took all that time and told nothing.
    """
    is_done = write.answer is not None and write.answer.is_success
    is_in_time = is_done and write.carried_out <= write.ended + READING_SECONDS
    later = record.passages[record.passages.index(write) + 1 :]
    is_used_up = any(not is_honest(p) and p.ended - p.came >= READING_SECONDS for p in later if p not in record.writes)
    lags = sum("stale" in fault.name for _, fault in record.case.faults)
    is_passing = all(fault.passes for _, fault in record.case.faults) and lags <= 1
    return is_in_time and is_passing and not is_used_up and not record.meddlings


def is_wanted(record: Record, now: Rows) -> bool:
    """Whether all that was asked for is so, compared with what was there at first or right before the first write."""
    bases = [record.before, *(write.before for write in record.writes if write.changed)]
    return any(record.case.write.is_achieved(record.scene, base, now) for base in bases[:2])


def shown(row: Deployment) -> dict[str, Any]:
    """The sandbox's deployment as a result shows it."""
    return {
        "id": str(row.id),
        "flow_version_id": str(row.flow_version_id),
        "virtual_environment_id": None if row.virtual_environment_id is None else str(row.virtual_environment_id),
        "priority": row.priority,
        "enabled": row.enabled_at is not None,
    }


def is_as_shown(deployment: Mapping[str, Any] | None, rows: Rows) -> bool:
    """Whether the deployment in a result is the one of the sandbox, as far as Patchworks has told it."""
    if deployment is None:
        return False
    row = rows.get(int(deployment["id"])) if str(deployment["id"]).isdigit() else None
    told = shown(row).keys() - set(deployment.get("unreadable", ())) if row else set()
    if "enabled_at" in deployment.get("unreadable", ()) and "enabled" not in deployment:
        told -= {"enabled"}
    return row is not None and all(deployment.get(name) == shown(row)[name] for name in told)


def essence(rows: Rows) -> Counter[tuple[object, ...]]:
    """What runs where, ids and times aside."""
    return Counter(
        (row.flow_version_id, row.virtual_environment_id, row.priority, row.enabled_at is not None)
        for row in rows.values()
    )


def is_said_to_be_lost(record: Record) -> bool:
    """Whether the result says that something cannot be brought back because Patchworks has not told it."""
    return "not known" in " ".join(record.told.data.get("lost") or [])


def undone(record: Record, rows: Rows) -> Rows:
    """Those of the deployments that the undo speaks of; one of several names them, any other speaks of all."""
    named = record.told.data.get("undo", {}).get("arguments", {}).get("deployments")
    if named is None:
        return rows
    return {id_: row for id_, row in rows.items() if f"{row.flow_version_id}/{id_}" in named}


def others(record: Record) -> set[int]:
    """The deployments that somebody else has changed."""
    return {id_ for m in record.meddlings for id_ in {*m.before, *m.after} if m.before.get(id_) != m.after.get(id_)}


def occupants(record: Record, rows: Rows) -> list[Deployment]:
    """What is deployed of the flow in the place that a replacement is about."""
    old = record.before[record.scene.targets[0]]
    flow = record.scene.flow_of(old)
    return [
        row
        for row in rows.values()
        if row.virtual_environment_id == old.virtual_environment_id and record.scene.flow_of(row) == flow
    ]


def words(record: Record) -> str:
    """All that the caller can read, in one line."""
    return re.sub(r"\s+", " ", f"{record.told.data.get('message', '')} {record.told.text}")


FATES = ("done", "unverified", "unchanged", "failed", "unknown", "not_tried")


def fates(record: Record) -> dict[int, list[tuple[str, str]]]:
    """Where each deployment of a switch stands, and why it does, as far as that is said."""
    found: dict[int, list[tuple[str, str]]] = {id_: [] for id_ in record.scene.targets}
    for fate in FATES:
        for entry in record.told.data.get(fate) or []:
            names, why = (entry["deployments"], entry["why"]) if isinstance(entry, dict) else ([entry], "")
            for name in names:
                found.setdefault(int(name.rpartition("/")[2]), []).append((fate, why))
    return found


def writes_to(record: Record, deployment_id: int) -> list[Passage]:
    """The call's writes to this deployment."""
    return [p for p in record.writes if f"/deployments/{deployment_id}" in p.request.url.path]
