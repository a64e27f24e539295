"""The rules for the results of calls that make several writes: many switched at once, and one replaced by another."""

import math
import re

from support.matrix import facts
from support.matrix.facts import NOTHING, REPLACE, SWITCH, Verdict, fate_is_readable, was_accepted, was_refused
from support.matrix.play import Record

# Of many at once ----------------------------------------------------------------------------------


def each_has_one_fate(record: Record) -> Verdict:
    """Each deployment stands in exactly one list, and the status fits the lists."""
    if record.told.tool != SWITCH or record.told.status in NOTHING | {"crash"}:
        return None
    where = facts.fates(record)
    for id_, stands in where.items():
        if len(stands) != 1:
            return f"{id_} stands in {[fate for fate, _ in stands]}"
    has = {stands[0][0] for stands in where.values()}
    status = record.told.status
    if status == "done" and has & {"failed", "unknown", "not_tried"}:
        return f"done, with {sorted(has)}"
    return f"failed, with {sorted(has)}" if status == "failed" and has & {"done", "unverified", "unknown"} else None


def each_fate_is_true(record: Record) -> Verdict:
    """What is said of each deployment is so."""
    if record.told.tool != SWITCH:
        return None
    verdicts = (_of_one(record, id_, fate, why) for id_, told in facts.fates(record).items() for fate, why in told)
    return next((verdict for verdict in verdicts if verdict), None)


def _of_one(record: Record, id_: int, fate: str, why: str) -> Verdict:
    writes, wanted = facts.writes_to(record, id_), record.scene.arguments["enabled"]
    is_so = any(id_ in rows and (rows[id_].enabled_at is not None) is wanted for rows in record.states)
    changed = [p for p in writes if id_ in p.changed]
    is_readable = bool(writes) and fate_is_readable(record, writes[-1])
    # A 404 to a write is believed only where reading agrees.
    is_refused = all(was_refused(p) and (is_readable or not facts.is_missing(p)) for p in writes)
    wrong = {
        "done": not is_so and "done, but it is not so",
        "unverified": (not any(map(was_accepted, writes)) and "unverified, but nobody accepted it")
        or (is_readable and "unverified, but it could be read back"),
        "unchanged": changed and "unchanged, but changed by us",
        "failed": (changed and "failed, but changed")
        or (any(not (p.told and p.told.is_client_error) for p in writes) and "failed, but not refused"),
        "unknown": (is_refused and "unknown, but refused or never sent")
        or (is_readable and is_so and "unknown, but there to be read"),
        "not_tried": changed and "not tried, but changed",
    }[fate]
    wrong = wrong or ("Nothing was changed" in why and changed and "says that nothing was changed, but it was")
    return f"{wrong}" if wrong else None


def no_contrary_advice(record: Record) -> Verdict:
    """Nobody is told not to repeat it and to make the same call again."""
    said = facts.words(record)
    is_contrary = "Do not repeat" in said and re.search(r"[Tt]he same call again", said)
    return "both are said" if is_contrary else None


# Of a replacement ---------------------------------------------------------------------------------


def _is_replacing(record: Record) -> bool:
    return record.told.tool == REPLACE and record.told.status != "crash"


def failed_replacement_leaves_all_as_it_was(record: Record) -> Verdict:
    """Where a replacement failed, what ran before runs again and nothing else does."""
    if not _is_replacing(record) or record.told.status != "failed" or record.meddlings:
        return None
    if facts.essence(record.later) != facts.essence(record.before):
        return "what runs is not what ran before"
    is_new = record.scene.targets[0] not in record.later
    return "restored, without saying so" if is_new and "restored" not in facts.words(record) else None


def left_as_it_was_is_so(record: Record) -> Verdict:
    """The old deployment is not said to be left as it was when it is gone or going."""
    if not _is_replacing(record):
        return None
    said = re.search(r"left (as it was|alone)|was not deleted", facts.words(record))
    is_gone = any(record.scene.targets[0] not in p.after for p in record.writes if record.scene.targets[0] in p.changed)
    return f"“{said.group()}”, but it is gone" if said and is_gone else None


def no_empty_place_in_silence(record: Record) -> Verdict:
    """Where the place is empty by our doing, the result says so and has a repair."""
    if not _is_replacing(record) or record.meddlings:
        return None
    if facts.occupants(record, record.then) and facts.occupants(record, record.later):
        return None
    if not record.told.data.get("repair"):
        return f"empty, and no repair ({record.told.status})"
    is_said = re.search(r"\b(deleted|gone|empty|missing)\b", facts.words(record), re.IGNORECASE)
    return None if is_said else f"empty, and not said ({record.told.status})"


def never_two_versions(record: Record) -> Verdict:
    """No environment holds two versions of the flow by our doing, nor does any other place in silence."""
    is_said = record.scene.place is None and record.told.status in {"partial", "unknown"}
    if not _is_replacing(record) or record.meddlings or is_said:
        return None
    return "two versions" if len(facts.occupants(record, record.later)) > 1 else None


def nothing_is_left_over_in_silence(record: Record) -> Verdict:
    """What the call has made and is still there is named."""
    made = {id_ for id_ in record.changed_by(record.ended) if id_ not in record.before and id_ in record.then}
    unnamed = [id_ for id_ in sorted(made) if str(id_) not in f"{record.told.data} {record.told.text}"]
    is_readable = all(fault.passes for _, fault in record.case.faults) and not record.meddlings
    return f"{unnamed} is not named ({record.told.status})" if unnamed and is_readable else None


def unknown_replacement_is_no_hedge(record: Record) -> Verdict:
    """A replacement that could be read to its end is not unknown."""
    if not _is_replacing(record) or record.told.status != "unknown":
        return None
    if all(was_refused(p) for p in record.writes):
        return "all was refused or never left"
    last_is_late = any(p.carried_out == math.inf and not was_refused(p) for p in record.writes)
    is_readable = all(fate_is_readable(record, p) for p in record.writes)
    return "all of it was there to be read" if is_readable and not last_is_late else None
