"""Plays the whole fault matrix and prints what breaks which rule; exits with 1 if anything does.

Run: python tests/matrix.py [--pairs 2000] [--seed 1] [--only TEXT] [--show] [--workers 2]

`--only` keeps the cases whose name contains the text, and `--show` tells each that breaks a rule in full.
"""

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable

from support.matrix.cases import clean_cases, pairs, single_faults
from support.matrix.faults import FAULTS
from support.matrix.play import Case, Record, play
from support.matrix.rules import judge
from support.matrix.writes import WRITES

Verdicts = dict[str, str]
Key = tuple[str, str, str, tuple[tuple[int, str], ...]]
"""A case in plain words: its faults are made of functions, which do not travel between processes."""


def key_of(case: Case) -> Key:
    return case.write.name, case.era, case.consent, tuple((k, fault.name) for k, fault in case.faults)


def judged(key: Key) -> tuple[Key, str, Verdicts]:
    """The case's name, its status and the rules that it breaks."""
    name, era, consent, faults = key
    write = next(write for write in WRITES if write.name == name)
    case = Case(write, era, consent, tuple((k, FAULTS[fault]) for k, fault in faults))  # type: ignore[arg-type]
    record = play(case)
    return key, record.told.status, judge(record)


def tell(record: Record, verdicts: Verdicts) -> str:
    """The case line by line, for somebody who looks for the fault."""
    lines = [f"== {record.case}", *(f"   BREAKS {rule}: {how}" for rule, how in verdicts.items())]
    for p in record.passages:
        answer = f"{p.answer.status_code} at {p.carried_out - record.passages[0].came:.1f}" if p.answer else "not carried out"
        heard = p.told.status_code if p.told else "nothing"
        came, changed = p.came - record.passages[0].came, f", changed {sorted(p.changed)}" if p.changed else ""
        stale = ", stale" if p.is_stale else ""
        lines.append(f"   {came:6.1f} s {p.request.method} {p.request.url.path}: {answer}, heard {heard}{stale}{changed}")
    lines += [f"   somebody else at {m.when - record.passages[0].came:.1f}" for m in record.meddlings]
    lines += [f"   | {line}" for line in record.told.text.splitlines()]
    follow = record.follow_up
    if follow:
        lines.append(f"   then {follow.kind} ({follow.told.tool}, meddled: {bool(follow.meddling)}): {follow.told.text}")
    return "\n".join(lines)


def report(results: Iterable[tuple[Key, str, Verdicts]], seconds: float) -> bool:
    """Print the tables; whether all rules were kept."""
    cases, broken, statuses = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    by_rule: dict[str, Counter[str]] = defaultdict(Counter)
    examples: dict[tuple[str, str], str] = {}
    for (name, era, consent, faults), status, verdicts in results:
        cases[name] += 1
        broken[name] += bool(verdicts)
        statuses[name, status] += 1
        for rule, how in verdicts.items():
            by_rule[rule][name] += 1
            struck = "; ".join(f"{k}: {fault}" for k, fault in faults)
            examples.setdefault((rule, name), f"{name} | {era} | {consent} | {struck or 'no fault'}: {how}")
    total = sum(cases.values())
    print(f"{total} cases in {seconds:.0f} s ({total / seconds:.0f} a second), {sum(broken.values())} break a rule\n")
    print(f"{'':44}" + "".join(f"{name:>16}" for name in cases))
    for label, row in (("cases", cases), ("cases that break a rule", broken), *sorted(by_rule.items())):
        print(f"{label:44}" + "".join(f"{row[name] or '':>16}" for name in cases))
    print()
    for status in sorted({status for _, status in statuses}):
        print(f"told {status:39}" + "".join(f"{statuses[name, status] or '':>16}" for name in cases))
    print()
    for rule, row in sorted(by_rule.items(), key=lambda entry: -entry[1].total()):
        print(f"{rule}: {row.total()}")
        for name in row:
            print(f"    {examples[rule, name]}")
    return not broken.total()


def main() -> int:
    parser = argparse.ArgumentParser(description="Plays the whole fault matrix.")
    parser.add_argument("--pairs", type=int, default=2_000, help="cases with two faults")
    parser.add_argument("--seed", type=int, default=1, help="which of those")
    parser.add_argument("--only", default="", help="a part of the names of the cases to play")
    parser.add_argument("--show", action="store_true", help="tell in full each case that breaks a rule")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    every = [*clean_cases(), *single_faults(), *pairs(chosen.pairs, chosen.seed)]
    keys = [key_of(case) for case in every if chosen.only in str(case)]
    began = time.monotonic()
    with multiprocessing.Pool(chosen.workers, initializer=warnings.simplefilter, initargs=("ignore",)) as pool:
        results = pool.map(judged, keys, chunksize=20)
    if chosen.show:
        for case in every:
            if any(key == key_of(case) and verdicts for key, _, verdicts in results):
                record = play(case)
                print(tell(record, judge(record)))
    return 0 if report(results, time.monotonic() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
