"""The rules for what a result says beside its status: what is there now, restored, lost and changed, and its words."""

import re
from collections.abc import Callable

from patchworks_deployments.sandbox.account import Deployment
from support.faults import listing
from support.matrix import facts
from support.matrix.facts import REPLACE, SWITCH, Verdict
from support.matrix.play import Record

LINES: dict[str, tuple[str, Callable[[Deployment], object]]] = {
    "state": ("enabled_at", lambda row: row.enabled_at),
    "queue priority": ("priority", lambda row: row.priority),
    "environment": ("virtual_environment_id", lambda row: row.virtual_environment_id),
    "flow version": ("flow_version_id", lambda row: row.flow_version_id),
    "package": ("package_id", lambda row: row.package_id),
}
"""What a line of differences begins with, the argument that asks for it, and where the sandbox has it."""

PREVIEWS = {"preview", "confirmation_required", "refused", "declined"}
"""Statuses of results that say what would be lost."""

HEDGES = r"may still come|[Ww]hether it was done is not known|could not verify it|Nothing was changed"
"""What is not said of what was verified."""


def now_is_what_is_there(record: Record) -> Verdict:
    """What is said to be in the place now was there at the end, unless what was read then was not so."""
    now = record.told.data.get("now", [] if "There now: nothing" in facts.words(record) else None)
    looks = [p for p in record.passages if listing(p.request)]
    if now is None or not looks or not facts.is_honest(looks[-1]) or facts.untold(looks[-1]):
        return None
    for rows in record.states_since(looks[-1].came):
        there = {str(row.id) for row in facts.occupants(record, rows)}
        if there == {d["id"] for d in now} and all(facts.is_as_shown(d, rows) for d in now):
            return None
    return f"{[d['id'] for d in now]} is not what is there"


def restored_is_there(record: Record) -> Verdict:
    """What is said to be restored is there, as it is shown, and stays."""
    restored = record.told.data.get("restored")
    if restored is None:
        return None
    is_so = any(facts.is_as_shown(restored, rows) for rows in record.states)
    stays = record.meddlings or facts.is_as_shown(restored, record.later)
    return None if is_so and stays else f"{restored['id']} is not there like that"


def lost_is_gone(record: Record) -> Verdict:
    """Nothing is called lost that is still there, unless a result says what would be, or rests on the answer alone."""
    told = record.told
    is_unread = told.status == "done" and not told.data.get("verified")
    if told.tool not in {"delete_deployment", REPLACE} or told.status in PREVIEWS or is_unread:
        return None
    is_said = told.data.get("lost") or "Lost for good" in facts.words(record)
    is_there = record.scene.targets[0] in record.then and record.scene.targets[0] in record.later
    return f"lost, but still there ({told.status})" if is_said and is_there else None


def also_changed_is_so(record: Record) -> Verdict:
    """What is said to have changed without being asked was not asked for, and has changed."""
    arguments = record.scene.arguments
    asked = {*arguments, *arguments.get("clear", ()), *(["enabled_at"] if "able_" in record.told.tool else [])}
    ever = [record.before, record.then, *(m.before for m in record.meddlings), *(m.after for m in record.meddlings)]
    rows = [rows[id_] for id_ in record.scene.targets for rows in ever if id_ in rows]
    for line in record.told.data.get("also_changed") or []:
        argument, value = LINES[line.partition(":")[0]]
        if argument in asked:
            return f"“{line}” was asked for"
        if len({value(row) for row in rows}) == 1:
            return f"“{line}”, but it never changed"
    return None


def words_fit_the_data(record: Record) -> Verdict:
    """The message and the text claim nothing that the rest of the result denies."""
    told, said = record.told, facts.words(record)
    if told.tool == SWITCH or not told.data:
        return None
    is_verified = told.status == "done" and told.data.get("verified") is True
    claim = re.search(r"\bReplaced, and verified" if told.tool == REPLACE else r"\w+, and verified by", said)
    if claim and not is_verified:
        return f"“{claim.group()}”, but {told.status}, verified {told.data.get('verified')}"
    is_said = re.search(r"(?<!Nothing )\bwas restored\b", said) is not None
    if is_said is not ("restored" in told.data):
        return f"restored: {is_said} in the text, {not is_said} in the data"
    hedge = re.search(HEDGES, said)
    return f"verified, and “{hedge.group()}”" if hedge and is_verified else None


def old_state_is_labelled(record: Record) -> Verdict:
    """Where a write did not come to a known end, the state is called the one before, unless it was read afterwards."""
    told = record.told
    if told.status not in {"failed", "refused", "unknown"} or not re.search(r"^state:", told.text, re.MULTILINE):
        return None
    since = max([w.came for w in record.writes] + [m.when for m in record.meddlings if m.when <= record.ended] + [0.0])
    reads = [p for p in record.passages if p.request.method == "GET" and p.carried_out >= since]
    if since and not any(facts.was_accepted(read) for read in reads):
        return f"an old state is shown as the present one ({told.status})"
    shown = told.data.get("after") or told.data.get("before")
    is_so = any(facts.is_as_shown(shown, rows) for rows in record.states)
    return None if is_so or not all(map(facts.is_honest, reads)) else f"the state shown is not so ({told.status})"


def deleting_what_may_be_anothers_is_said(record: Record) -> Verdict:
    """An undo or a repair that deletes what somebody else has made comes with the remark that it may be theirs."""
    theirs = {id_ for m in record.meddlings for id_ in m.after.keys() - m.before.keys()}
    for kind in ("undo", "repair"):
        call = record.told.data.get(kind) or {"tool": "", "arguments": {}}
        is_theirs = int(call["arguments"].get("deployment_id", 0)) in theirs
        if is_theirs and call["tool"] in {"delete_deployment", REPLACE} and "somebody else" not in facts.words(record):
            return f"the {kind} deletes what somebody else has made ({record.told.status})"
    return None


def another_flow_stops_it(record: Record) -> Verdict:
    """A replacement by another flow's version is never done, and deletes nothing any more once that is known."""
    if not record.case.write.is_of_another_flow:
        return None
    new = f"/api/v1/flow-versions/{record.scene.arguments['new_flow_version_id']}/deployments"
    is_known = False
    for p in record.passages:
        if is_known and p.request.method == "DELETE":
            return f"deletes, though the flow was known ({record.told.status})"
        is_about = p.answer and p.answer.is_success and p.request.url.path.startswith(new) and facts.is_honest(p)
        is_known = is_known or bool(is_about and p.answer and b'"flow_id"' in p.answer.content and not facts.untold(p))
    return "done, of another flow" if record.told.status == "done" else None
