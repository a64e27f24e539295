"""The rules that a result must keep, one function each: what is wrong with the record, None where nothing is."""

import re
from collections.abc import Callable

from support.clients import state_after
from support.matrix import facts, rules_of_several, rules_of_words
from support.matrix.facts import (
    NOTHING,
    REPLACE,
    SWITCH,
    Verdict,
    fate_is_readable,
    is_missing,
    is_wanted,
    was_accepted,
    was_refused,
)
from support.matrix.play import Record

Rule = Callable[[Record], Verdict]

MAX_SECONDS, MAX_SLOW_SECONDS = 45.0, 120.0
"""Seconds for a call, and where each of Patchworks' answers takes over `SLOW_SECONDS`."""

SLOW_SECONDS = 5.0


def _is_single(record: Record) -> bool:
    return record.told.tool not in {SWITCH, REPLACE}


# Of every write -----------------------------------------------------------------------------------


def it_does_not_crash(record: Record) -> Verdict:
    """No call ends with an error of the protocol or never, and nothing is logged with a traceback."""
    return record.told.crash or "; ".join(record.tracebacks) or None


def it_is_in_time(record: Record) -> Verdict:
    """No call takes over 45 seconds, but where Patchworks is very slow, or throttles those that wait patiently."""
    faults = [fault for _, fault in record.case.faults]
    is_patient = not _is_single(record) and any(fault.throttles for fault in faults)
    allowed = MAX_SLOW_SECONDS if any(fault.seconds > SLOW_SECONDS for fault in faults) else MAX_SECONDS
    return f"{record.told.seconds:.0f} s" if record.told.seconds > allowed and not is_patient else None


def slowness_alone_stops_nothing(record: Record) -> Verdict:
    """Where Patchworks is slow and nothing else is wrong, all is done and verified."""
    faults = [fault for _, fault in record.case.faults]
    if not faults or not all(fault.seconds for fault in faults) or record.case.write.is_of_another_flow:
        return None
    told = record.told
    is_so = told.status == "done" and told.data.get("verified")
    return None if is_so else f"{told.status}, verified {told.data.get('verified')}"


def errors_are_errors(record: Record) -> Verdict:
    """A result is an error exactly if it is refused, partial, failed or unknown."""
    wanted = record.told.status in {"refused", "partial", "failed", "unknown", "error"}
    is_right = record.told.crash or record.told.is_error is wanted
    return None if is_right else f"is_error is {record.told.is_error} of {record.told.status}"


def nothing_is_sent_twice(record: Record) -> Verdict:
    """A write that may have arrived is never sent again."""
    for number, passage in enumerate(record.writes):
        again = [p for p in record.writes[number + 1 :] if facts.signature(p) == facts.signature(passage)]
        if again and not was_refused(passage):
            return f"{passage.request.method} {passage.request.url.path} again, {len(again)} times"
    return None


def nothing_means_nothing(record: Record) -> Verdict:
    """Where a result claims that nothing was done, nothing was, and nothing can arrive."""
    changed = record.changed_by()
    if record.told.status in NOTHING and changed:
        return f"{record.told.status}, but {sorted(changed)} changed"
    is_of_one = record.told.tool == SWITCH  # whose lines speak of one deployment each
    if not is_of_one and "Nothing was changed" in facts.words(record) and changed:
        return f"says that nothing was changed, but {sorted(changed)} changed"
    return None


def changed_meanwhile_is_true(record: Record) -> Verdict:
    """Nobody is said to have changed something who has not."""
    said = re.search(r"\bchanged (meanwhile|while|since)\b|\b[Ww]hile [^.]*\bchanged\b", facts.words(record))
    return said.group() if said and not record.meddlings else None


def the_log_agrees(record: Record) -> Verdict:
    """The call's own line in the audit log has the result's outcome."""
    lines = [line for line in record.audit if line["tool"] == record.told.tool]
    outcome = lines[-1]["outcome"] if lines else "no line"
    allowed = {"failed", "refused"} if record.told.status == "error" else {record.told.status}
    return None if record.told.crash or outcome in allowed else f"{outcome} in the log, {record.told.status} told"


def subscribers_hear(record: Record) -> Verdict:
    """Who watches hears of what changed or may have changed, and of nothing else."""
    watched = set(record.scene.targets)
    changed = record.changed_by(record.ended)
    is_change = bool(changed & watched if watched else changed)
    may_be_change = record.told.status == "unknown" and bool(record.writes) and _is_single(record)
    if (is_change or may_be_change) and not record.heard:
        return f"silence about a change ({record.told.status})"
    return "heard of nothing" if record.heard and not record.writes else None


# Of a write to one deployment ---------------------------------------------------------------------


def done_and_verified_is_so(record: Record) -> Verdict:
    """What is done and verified is so, as it is shown, and stays so."""
    told = record.told
    if told.tool == SWITCH or told.status != "done" or not told.data.get("verified"):
        return None
    if not any(is_wanted(record, rows) for rows in record.states):
        return "it is not so"
    after = state_after(told.data) if "after" in told.data else None
    if after and not any(facts.is_as_shown(after, rows) for rows in record.states):
        return "`after` is not what is there"
    if "create" in told.tool and (after is None or int(after["id"]) in record.before):
        return "`after` is not new"
    before = told.data.get("before")
    if before and not record.meddlings and not facts.is_as_shown(before, record.before):
        return "`before` is not what was there"
    return None if record.meddlings or is_wanted(record, record.later) else "it is taken back later"


def done_unverified_was_accepted(record: Record) -> Verdict:
    """What is done and not verified was accepted, and could not be read back."""
    told = record.told
    if told.tool == SWITCH or told.status != "done" or told.data.get("verified"):
        return None
    last = record.writes[-1] if record.writes else None
    if last is None or not was_accepted(last):
        return "nobody accepted it"
    seen = [read for read in record.reads_after if facts.is_about(last, read) and facts.tells(read, last)]
    was_read = seen and not record.meddlings
    return "it could be read back" if was_read or fate_is_readable(record, last) else None


def verified_was_read(record: Record) -> Verdict:
    """After each write of what is verified there was an honest answer about it."""
    if record.told.tool == SWITCH or record.told.status != "done" or not record.told.data.get("verified"):
        return None
    for write in record.writes:
        later = record.passages[record.passages.index(write) + 1 :]
        about = [read for read in later if facts.is_about(write, read) or facts.is_second_witness(write, read)]
        if not any(facts.tells(read, write) for read in about):
            return f"no honest answer after {write.request.method}"
    return None


def failed_means_refused(record: Record) -> Verdict:
    """What failed was refused or never left: it has changed nothing and never will."""
    told = record.told
    if told.status != "failed" or not _is_single(record):
        return None
    if changed := record.changed_by():
        late = "" if record.changed_by(record.ended) else " later"
        return f"{sorted(changed)} changed{late}"
    unsure = [p for p in record.writes if not (p.told and p.told.is_client_error)]
    return "it was not refused, and may arrive" if unsure else None


def unknown_is_no_hedge(record: Record) -> Verdict:
    """Unknown is only what could not be read within five seconds, or was not refused."""
    if record.told.status != "unknown" or not _is_single(record):
        return None
    is_readable = fate_is_readable(record, record.writes[-1])
    # A 404 to a write is believed only where reading agrees.
    if all(was_refused(p) and (is_readable or not is_missing(p)) for p in record.writes):
        return "all was refused or never left"
    return "it was there to be read" if is_readable and is_wanted(record, record.then) else None


def what_changed_can_be_undone(record: Record) -> Verdict:
    """Where a change was read back, all of it or a part, there is an undo, unless it is not known how it was before."""
    told, changed = record.told, record.changed_by(record.ended)
    if not changed or record.meddlings or not _is_single(record):
        return None
    is_seen = told.data.get("verified") and not any(facts.untold(p) for p in record.passages)
    return "no undo" if is_seen and not told.data.get("undo") and not facts.is_said_to_be_lost(record) else None


def a_part_is_not_hidden(record: Record) -> Verdict:
    """Of an update of which only a part took, that part is told."""
    took = any(fault.name == "half" for _, fault in record.case.faults) and record.changed_by(record.ended)
    if not took or not all(fault.passes for _, fault in record.case.faults) or record.meddlings:
        return None
    after, undo = record.told.data.get("after"), record.told.data.get("undo")
    if not facts.is_as_shown(after, record.then):
        return f"{record.told.status} does not show what took"
    return None if undo else f"{record.told.status} without undo"


# Of undo and repair -------------------------------------------------------------------------------


def undo_leads_back(record: Record) -> Verdict:
    """Made at once, the undo leads back to what was before, ids, times and what was never told aside."""
    follow = record.follow_up
    if follow is None or follow.kind != "undo" or record.meddlings or follow.meddling:
        return None
    if follow.told.crash:
        return follow.told.crash
    is_back = facts.essence(facts.undone(record, follow.after)) == facts.essence(facts.undone(record, record.before))
    is_unread = any(facts.untold(p) or not facts.is_honest(p) for p in record.reads_after)
    is_unread = is_unread or not all(fault.passes for _, fault in record.case.faults)
    moved_since = record.then != record.later or is_unread
    is_refusal = follow.told.status in {"error", "refused"} and not any(p.changed for p in follow.writes)
    is_untold = any(facts.untold(p) for p in record.passages)
    is_excused = (moved_since and is_refusal) or facts.is_said_to_be_lost(record) or is_untold
    return None if is_back or is_excused else f"{follow.told.status}: not as before"


def undo_is_guarded(record: Record) -> Verdict:
    """Where somebody has changed things since, the undo and the repair change nothing.

    An undo of what could not be read back has nothing to be compared with, but for one that creates: its place is
    empty or not.
    """
    follow = record.follow_up
    if follow is None or follow.meddling is None or not any(p.changed for p in follow.writes):
        return None
    is_blind = record.told.data.get("verified") is False and follow.kind == "undo"
    if is_blind and follow.told.tool != "create_deployment":
        return None
    return f"{follow.kind} changes what somebody has changed since ({follow.told.status})"


def repair_fills(record: Record) -> Verdict:
    """The repair of a replacement fills the place that is empty, and doubles nothing where it is not."""
    follow = record.follow_up
    if follow is None or follow.kind != "repair" or record.told.tool != REPLACE or follow.meddling:
        return None
    there, filled = facts.occupants(record, follow.before), facts.occupants(record, follow.after)
    if not there and len(filled) != 1:
        return f"{len(filled)} there after the repair of an empty place ({follow.told.status})"
    is_leftover = follow.told.tool == "delete_deployment"
    return "doubled by the repair" if len(filled) > max(len(there), 1) and not is_leftover else None


RULES: tuple[Rule, ...] = (
    it_does_not_crash,
    it_is_in_time,
    slowness_alone_stops_nothing,
    errors_are_errors,
    nothing_is_sent_twice,
    nothing_means_nothing,
    changed_meanwhile_is_true,
    the_log_agrees,
    subscribers_hear,
    done_and_verified_is_so,
    done_unverified_was_accepted,
    verified_was_read,
    failed_means_refused,
    unknown_is_no_hedge,
    what_changed_can_be_undone,
    a_part_is_not_hidden,
    undo_leads_back,
    undo_is_guarded,
    repair_fills,
    rules_of_several.each_has_one_fate,
    rules_of_several.each_fate_is_true,
    rules_of_several.no_contrary_advice,
    rules_of_several.failed_replacement_leaves_all_as_it_was,
    rules_of_several.left_as_it_was_is_so,
    rules_of_several.no_empty_place_in_silence,
    rules_of_several.never_two_versions,
    rules_of_several.nothing_is_left_over_in_silence,
    rules_of_several.unknown_replacement_is_no_hedge,
    rules_of_words.now_is_what_is_there,
    rules_of_words.restored_is_there,
    rules_of_words.lost_is_gone,
    rules_of_words.also_changed_is_so,
    rules_of_words.words_fit_the_data,
    rules_of_words.old_state_is_labelled,
    rules_of_words.deleting_what_may_be_anothers_is_said,
    rules_of_words.another_flow_stops_it,
)


def judge(record: Record) -> dict[str, str]:
    """The rules that the record breaks, by name, and how."""
    verdicts = ((rule.__name__, rule(record)) for rule in RULES)
    return {name: verdict for name, verdict in verdicts if verdict}
