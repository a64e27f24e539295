"""A sample of the fault matrix: `python tests/matrix.py` plays all of it."""

import pytest
from support.matrix.cases import clean_cases, pairs, sample
from support.matrix.faults import FAULTS
from support.matrix.play import Case, play
from support.matrix.rules import judge
from support.matrix.writes import WRITES, MatrixWrite

pytestmark = pytest.mark.slow

SAMPLE, PARTS, SEED = 200, 4, 20
"""Cases, the tests that they are shared among, and which cases."""


def broken(cases: list[Case]) -> dict[str, dict[str, str]]:
    """The cases that break a rule, and how."""
    verdicts = {str(case): judge(play(case)) for case in cases}
    return {name: verdict for name, verdict in verdicts.items() if verdict}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_result_claims_what_is_not_so(part: int) -> None:
    """Writes whose requests, answers and reads go wrong keep all rules, in both eras and with either consent."""
    assert broken(sample(SAMPLE, SEED)[part::PARTS]) == {}


STRUCK = {"create": 3, "update": 5, "delete": 3, "disable": 3}
"""Writes, and which of their requests it is that writes."""


@pytest.mark.parametrize("name", STRUCK)
@pytest.mark.parametrize("fault", ["lost", "swallowed", "stale 2 reads", "1 s late", "gateway 404 after acting"])
def test_the_fate_of_a_write_is_told(name: str, fault: str) -> None:
    """The commonest faults, each at the write itself."""
    write = next(write for write in WRITES if write.name == name)
    assert broken([Case(write, "auto", "form", ((STRUCK[name], FAULTS[fault]),))]) == {}


def judged_clean(write: MatrixWrite, first: int, last: int | None) -> set[tuple[str, str]]:
    """The statuses of so many of the write's cases without a fault, and the rules that they break."""
    cases = [case for case in clean_cases() if case.write is write][first:last]
    records = [play(case, meddled=False) for case in cases]
    return {(record.told.status, str(judge(record))) for record in records}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
def test_without_a_fault_every_write_is_done(write: MatrixWrite) -> None:
    """And all is as it was before once it is undone; a version of another flow is told to be one."""
    assert judged_clean(write, 0, 1) == {(write.ends, "{}")}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.name)
def test_era_and_consent_make_no_difference(write: MatrixWrite) -> None:
    """Without a fault, also in the older era and with a code every write is done."""
    assert judged_clean(write, 1, None) == {(write.ends, "{}")}


def test_the_same_seed_draws_the_same_cases() -> None:
    """What fails in one run fails in the next."""
    assert [str(case) for case in pairs(20, SEED)] == [str(case) for case in pairs(20, SEED)]
