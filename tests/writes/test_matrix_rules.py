"""The rules of the fault matrix find what is wrong: a result that keeps them all is altered so that it breaks one."""

import copy
import dataclasses
import functools
from collections.abc import Callable

import pytest
from support.matrix.faults import FAULTS
from support.matrix.play import Case, FollowUp, Record, Told, play
from support.matrix.rules import RULES, judge
from support.matrix.stage import Meddling
from support.matrix.writes import WRITES

Alteration = Callable[[Record], object]


@functools.cache
def _played(name: str) -> Record:
    write = next(write for write in WRITES if write.name == name)
    return play(Case(write, "auto", "form"), meddled=False)


def _is(status: str) -> Alteration:
    return lambda record: setattr(record.told, "status", status)


def _says(text: str) -> Alteration:
    return lambda record: setattr(record.told, "text", text)


def _is_unverified(record: Record) -> None:
    record.told.data["verified"] = False


def _happened_not(record: Record) -> None:
    record.then = record.later = record.before


def _was_not_read(record: Record) -> None:
    record.passages = record.passages[: record.passages.index(record.writes[-1]) + 1]


def _took_in_part(record: Record) -> None:
    record.case = dataclasses.replace(record.case, faults=((3, FAULTS["half"]),))
    record.told.data["after"] = record.told.data["before"]


def _does_not_lead_back(record: Record) -> None:
    assert record.follow_up
    record.follow_up.after = record.then


def _is_not_guarded(record: Record) -> None:
    assert record.follow_up
    record.follow_up.meddling = Meddling(record.ended, record.before, record.then)


def _repairs_nothing(record: Record) -> None:
    record.follow_up = FollowUp("repair", None, Told("create_deployment", "done"), [], {}, {})


def _stands_twice(record: Record) -> None:
    record.told.data["failed"] = [{"why": "?", "deployments": record.told.data["done"][:1]}]


def _stands_wrong(record: Record) -> None:
    record.told.data["not_tried"] = [{"why": "?", "deployments": record.told.data.pop("done")}]


def _leaves_it_empty(record: Record) -> None:
    record.then = record.later = {}


def _leaves_two(record: Record) -> None:
    new = record.later[max(record.later)]
    record.later = {**record.later, new.id + 1: dataclasses.replace(new, id=new.id + 1)}


def _names_nothing(record: Record) -> None:
    record.told.data, record.told.text = {}, ""


def _was_slow(record: Record) -> None:
    record.case = dataclasses.replace(record.case, faults=((1, FAULTS["3 s slow for ever"]),))
    record.told.data["verified"] = False


def _has(**data: object) -> Alteration:
    return lambda record: record.told.data.update(data)


def _restores_what_is_gone(record: Record) -> None:
    record.told.data["restored"] = record.told.data["before"]


def _shows_what_was_before(record: Record) -> None:
    _was_not_read(record)
    record.told.status, record.told.text = "failed", "Patchworks refused it.\nstate: enabled"


def _was_made_by_somebody_else(record: Record) -> None:
    record.meddlings = [Meddling(record.ended, record.before, record.then)]


ALTERATIONS: dict[str, tuple[str, Alteration]] = {
    "it_does_not_crash": ("disable", lambda record: record.tracebacks.append("KeyError")),
    "it_is_in_time": ("disable", lambda record: setattr(record.told, "seconds", 45.1)),
    "slowness_alone_stops_nothing": ("disable", _was_slow),
    "errors_are_errors": ("disable", lambda record: setattr(record.told, "is_error", True)),
    "nothing_is_sent_twice": ("disable", lambda record: record.passages.extend(record.writes)),
    "nothing_means_nothing": ("disable", _is("unchanged")),
    "changed_meanwhile_is_true": ("disable", _says("Something that was agreed to changed meanwhile.")),
    "the_log_agrees": ("disable", lambda record: record.audit[-1].update(outcome="unknown")),
    "subscribers_hear": ("disable", lambda record: record.heard.clear()),
    "done_and_verified_is_so": ("disable", _happened_not),
    "done_unverified_was_accepted": ("disable", _is_unverified),
    "verified_was_read": ("disable", _was_not_read),
    "failed_means_refused": ("disable", _is("failed")),
    "unknown_is_no_hedge": ("disable", _is("unknown")),
    "what_changed_can_be_undone": ("disable", lambda record: record.told.data.pop("undo")),
    "a_part_is_not_hidden": ("update", _took_in_part),
    "undo_leads_back": ("disable", _does_not_lead_back),
    "undo_is_guarded": ("disable", _is_not_guarded),
    "repair_fills": ("replace", _repairs_nothing),
    "each_has_one_fate": ("switch", _stands_twice),
    "each_fate_is_true": ("switch", _stands_wrong),
    "no_contrary_advice": ("switch", _says("Do not repeat it. The same call again tries the rest.")),
    "failed_replacement_leaves_all_as_it_was": ("replace", _is("failed")),
    "left_as_it_was_is_so": ("replace", _says("The old deployment was left as it was.")),
    "no_empty_place_in_silence": ("replace", _leaves_it_empty),
    "never_two_versions": ("replace", _leaves_two),
    "nothing_is_left_over_in_silence": ("replace", _names_nothing),
    "unknown_replacement_is_no_hedge": ("replace", _is("unknown")),
    "now_is_what_is_there": ("replace", _has(now=[])),
    "restored_is_there": ("replace", _restores_what_is_gone),
    "lost_is_gone": ("replace", _happened_not),
    "also_changed_is_so": ("disable", _has(also_changed=["queue priority: 1 → inherited"])),
    "words_fit_the_data": ("replace", _is_unverified),
    "old_state_is_labelled": ("disable", _shows_what_was_before),
    "deleting_what_may_be_anothers_is_said": ("create", _was_made_by_somebody_else),
    "another_flow_stops_it": ("misreplace", _is("done")),
}


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_each_rule_finds_what_breaks_it(rule: str) -> None:
    """The record keeps all rules as it was played, and not this one once it is altered."""
    name, alter = ALTERATIONS[rule]
    played = _played(name)
    assert judge(played) == {}
    # A copy that shares the requests, which no alteration touches.
    record = copy.deepcopy(played, {id(passage): passage for passage in played.passages})
    alter(record)
    record.__dict__.pop("writes", None)
    record.__dict__.pop("reads_after", None)
    assert rule in judge(record)
