"""Plays the whole fault matrix and prints what breaks which rule; exits with 1 if anything does.

Run: python tests/matrix.py [--pairs 2000] [--seed 1] [--only TEXT] [--show] [--workers 2]

`--only` keeps the cases whose name contains the text, and `--show` tells each that breaks a rule in full.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from support.clients import Era
from support.matrix.cases import clean_cases, pairs, single_faults
from support.matrix.faults import FAULTS
from support.matrix.play import Case, Consent, Record, play
from support.matrix.rules import judge
from support.matrix.writes import WRITES

Verdicts = dict[str, str]
Key = tuple[str, Era, Consent, tuple[tuple[int, str], ...]]
"""A case in plain words: its faults are made of functions, which do not travel between processes."""


def key_of(case: Case) -> Key:
    return case.write.name, case.era, case.consent, tuple((k, fault.name) for k, fault in case.faults)


def case_of(key: Key) -> Case:
    name, era, consent, faults = key
    write = next(write for write in WRITES if write.name == name)
    return Case(write, era, consent, tuple((k, FAULTS[fault]) for k, fault in faults))


def judged(key: Key) -> tuple[Key, str, Verdicts]:
    """The case again, its status and the rules that it breaks."""
    record = play(case_of(key))
    return key, record.told.status, judge(record)


def tell(record: Record, verdicts: Verdicts) -> str:
    """The case line by line, for somebody who looks for the fault."""
    began = record.passages[0].came if record.passages else 0.0
    lines = [f"== {record.case}", *(f"   BREAKS {rule}: {how}" for rule, how in verdicts.items())]
    for p in record.passages:
        fate = f"{p.answer.status_code} at {p.carried_out - began:.1f}" if p.answer else "not carried out"
        heard = f"heard {p.told.status_code if p.told else 'nothing'}{', stale' if p.is_stale else ''}"
        changed = f", changed {sorted(p.changed)}" if p.changed else ""
        lines.append(f"   {p.came - began:6.1f} s {p.request.method} {p.request.url.path}: {fate}, {heard}{changed}")
    lines += [f"   {m.when - began:6.1f} s somebody else" for m in record.meddlings]
    lines += [f"   {record.ended - began:6.1f} s told: {line}" for line in record.told.text.splitlines()]
    if follow := record.follow_up:
        lines.append(
            f"   then {follow.kind} ({follow.told.tool}, meddled: {bool(follow.meddling)}): {follow.told.text}"
        )
    return "\n".join(lines)


def report(results: Iterable[tuple[Key, str, Verdicts]], seconds: float) -> str:
    """The tables: cases by write, rules that are broken, what was told; and of each break one example."""
    cases, broken, statuses = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    by_rule: dict[str, Counter[str]] = defaultdict(Counter)
    examples: dict[tuple[str, str], str] = {}
    for key, status, verdicts in results:
        name = key[0]
        cases[name] += 1
        broken[name] += bool(verdicts)
        statuses[name, status] += 1
        for rule, how in verdicts.items():
            by_rule[rule][name] += 1
            examples.setdefault((rule, name), f"{case_of(key)}: {how}")
    total = sum(cases.values())
    lines = [f"{total} cases in {seconds:.0f} s ({total / seconds:.0f} a second), {broken.total()} break a rule", ""]
    told = {f"told {status}": Counter[str]() for status in sorted({status for _, status in statuses})}
    for (name, status), number in statuses.items():
        told[f"told {status}"][name] = number
    rows = {"cases": cases, "cases that break a rule": broken, **dict(sorted(by_rule.items())), **told}
    lines.append(f"{'':44}" + "".join(f"{name:>16}" for name in cases))
    lines += [f"{label:44}" + "".join(f"{row[name] or '':>16}" for name in cases) for label, row in rows.items()]
    for rule, row in sorted(by_rule.items(), key=lambda entry: -entry[1].total()):
        lines += ["", f"{rule}: {row.total()}", *(f"    {examples[rule, name]}" for name in row)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Plays the whole fault matrix.")
    parser.add_argument("--pairs", type=int, default=2_000, help="cases with two faults")
    parser.add_argument("--seed", type=int, default=1, help="which of those")
    parser.add_argument("--only", default="", help="a part of the names of the cases to play")
    parser.add_argument("--show", action="store_true", help="tell in full each case that breaks a rule")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    chosen = parser.parse_args()
    every = [*clean_cases(), *single_faults(), *pairs(chosen.pairs, chosen.seed)]
    keys = [key_of(case) for case in every if chosen.only in str(case)]
    began = time.monotonic()
    with multiprocessing.Pool(chosen.workers) as pool:
        results = pool.map(judged, keys, chunksize=20)
    seconds = time.monotonic() - began
    broken = [play(case_of(key)) for key, _, verdicts in results if verdicts] if chosen.show else []
    shown = [tell(record, judge(record)) for record in broken]
    print("\n".join([*shown, report(results, seconds)]))  # noqa: T201 - the script's answer
    return 1 if any(verdicts for _, _, verdicts in results) else 0


if __name__ == "__main__":
    sys.exit(main())
