"""The half of tests/mutate.py that needs mutmut. Its working directory is the copy of the tree."""

# ruff: noqa: T201 - a script prints

import ast
import difflib
import io
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import groupby, zip_longest
from math import ceil
from pathlib import Path
from textwrap import dedent
from typing import Any

import coverage  # type: ignore[import-not-found]  # the four come with uv, see mutate.py
import libcst as cst  # type: ignore[import-not-found]
import pytest
from mutmut import __main__ as mutmut  # type: ignore[import-not-found]
from mutmut.mutation import mutators  # type: ignore[import-not-found]
from mutmut.mutation.data import MutantLineSpans  # type: ignore[import-not-found]
from mutmut.workers.isolation import ForkRunner  # type: ignore[import-not-found]

PROCESSES = os.cpu_count() or 1

KILLED = "killed"
"""How mutmut says that a test failed."""

TESTS = ["tests/consent", "tests/writes", "tests/tools", "tests/resources", "tests/model"]
"""What has to notice a change. A mutant runs those of these tests that run the changed statement."""

TEST_SECONDS = 10
"""How long one test may take; the slowest needs less than one second."""

OPTIONS = ["--rootdir=.", "-n0", "-x", "-m", "not slow", "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"]

KILLERS = Path("killers.txt").absolute()
"""A line for each killed mutant: the function and the test."""


# What is changed, beside what mutmut changes ------------------------------------------------------


def word(node: Any) -> Iterator[Any]:
    """Another word. A sentence is left alone: tests do not repeat the texts letter by letter."""
    if isinstance(node, cst.SimpleString) and (text := node.raw_value) and " " not in text and "\n" not in text:
        yield node.with_changes(value=f"{node.prefix}{node.quote}XX{text}XX{node.quote}")


def one_side(node: Any) -> Iterator[Any]:
    """One side of `and` and `or`, without the other."""
    yield from (_parenthesised(side) for side in (node.left, node.right))


def forced(node: Any) -> Iterator[Any]:
    """A condition that is never met, and one that always is."""
    for operator, value in ((cst.And(), "False"), (cst.Or(), "True")):
        test = cst.BooleanOperation(_parenthesised(node.test), operator, cst.Name(value))
        yield node.with_changes(test=test)


def nothing(node: Any) -> Iterator[Any]:
    """A call whose result nobody takes, or a `raise`, that does not happen."""
    if isinstance(node, cst.Raise) or isinstance(node.value, cst.Call | cst.Await):
        yield cst.Pass()


def no_result(node: Any) -> Iterator[Any]:
    """None in place of what is returned."""
    if node.value and not (isinstance(node.value, cst.Name) and node.value.value == "None"):
        yield node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))


def unhandled(node: Any) -> Iterator[Any]:
    """An `except` that is passed by."""
    if node.type:
        yield node.with_changes(type=cst.Name("ZeroDivisionError"))


def _parenthesised(node: Any) -> Any:
    return node.with_changes(lpar=[cst.LeftParen(), *node.lpar], rpar=[*node.rpar, cst.RightParen()])


OURS = [
    (cst.BooleanOperation, one_side),
    (cst.If, forced),
    (cst.CompIf, forced),
    (cst.Expr, nothing),
    (cst.Raise, nothing),
    (cst.Return, no_result),
    (cst.ExceptHandler, unhandled),
]
"""Which nodes are changed how. mutmut does not see an edit here: it takes --fresh."""


# The tests ----------------------------------------------------------------------------------------


class Tests:
    """The tests: how long each takes, which lines of the changed files it runs, and how to run some of them."""

    def __init__(self, files: list[Path]) -> None:
        self.seconds: dict[str, float] = {}
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[str(path) for path in files])
        self._of_line: dict[str, dict[int, list[str]]] = {}

    def run_all(self) -> None:
        """Run all without a mutant; exit if one fails, as nothing can be learned then."""
        mutmut.set_mutant_under_test("")
        with redirect_stdout(io.StringIO()) as output, redirect_stderr(output), self._coverage.collect():
            status = _pytest(TESTS, self)
        if status:
            sys.exit(f"{output.getvalue()}\nThe tests fail before anything was changed.")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count lines and time for this test."""
        self._coverage.switch_context(item.nodeid)
        started = time.perf_counter()
        result = yield
        self.seconds[item.nodeid] = time.perf_counter() - started
        return result

    def of(self, mutant: "Mutant") -> list[str]:
        """The tests that run the changed statement."""
        path = str(mutant.file.absolute())
        if path not in self._of_line:
            self._of_line[path] = self._coverage.get_data().contexts_by_lineno(path)
        return sorted({test for line in mutant.statement() for test in self._of_line[path].get(line, ()) if test})

    def run_tests(self, *, mutant_name: str, tests: list[str]) -> int:
        """Run these tests, up to the first that fails; mutmut calls this in a process of the mutant's own.

        First come those that have killed mutants of the same function, then those that have killed others.
        """
        function = mutmut.mangled_name_from_mutant_name(mutant_name)
        lines = KILLERS.read_text(encoding="utf-8").splitlines() if KILLERS.exists() else []
        kills = [line.split("\t") for line in lines]
        same, other = Counter(test for name, test in kills if name == function), Counter(test for _, test in kills)
        tests = sorted(tests, key=lambda test: (-same[test], -other[test], self.seconds[test]))
        return _pytest(tests, Killer(function))


@dataclass(frozen=True)
class Killer:
    """A plugin of pytest that notes which test fails for a mutant of the function."""

    function: str

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note it in a file, as each mutant has a process of its own."""
        if report.failed:
            with KILLERS.open("a", encoding="utf-8") as file:
                file.write(f"{self.function}\t{report.nodeid}\n")


def _pytest(tests: list[str], plugin: object) -> int:
    with chdir("mutants"):
        return int(pytest.main([*OPTIONS, *tests], plugins=[plugin]))


# The mutants --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One change of one function; `name` and `data` are mutmut's."""

    name: str
    data: Any

    @property
    def file(self) -> Path:
        """The file with all changes."""
        return Path("mutants", self.data.path)

    @property
    def label(self) -> str:
        """`outcome.py.judge.5` or `change.py.Change.carry_out.3`."""
        function, _, number = self.name.rpartition(".")[2].partition("__mutmut_")
        name = function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        return f"{self.file.name}.{name}.{number}"

    @property
    def fate(self) -> str:
        """What became of it, as mutmut says it."""
        status: str = mutmut.status_by_exit_code[self.data.exit_code_by_key[self.name]]
        return status

    def sources(self) -> tuple[int, list[str], list[str]]:
        """Where the function starts that mutmut keeps unchanged, its lines, and those of the changed one."""
        mangled = self.name.rpartition(".")[2]
        original = f"{mangled.partition('__mutmut_')[0]}__mutmut_orig"
        index = MutantLineSpans.load(self.data.path)
        before, after = index.read_function_sources([original, mangled])
        plain = original.rpartition("ǁ")[2].removeprefix("x_").removesuffix("__mutmut_orig")
        start: int = index.span_by_function_name[original].start
        return start, before.replace(original, plain).splitlines(), after.replace(mangled, plain).splitlines()

    def statement(self) -> range:
        """The lines of the statement that is changed, or of its head if it has a body."""
        start, before, after = self.sources()
        changed = next(number for number, pair in enumerate(zip_longest(before, after), 1) if pair[0] != pair[1])
        tree = ast.parse(dedent("\n".join(before)))
        heads = [head for node in ast.walk(tree) if (head := _head(node)) and changed in head]
        first, end = max((head.start, head.stop) for head in heads)
        return range(first + start - 1, end + start - 1)


def _head(node: ast.AST) -> range | None:
    """The lines of a statement, an `except` or a `case`, without those of its body; all lines of a function.

    A function's own line, with its defaults, runs at import and in no test.
    """
    if isinstance(node, ast.match_case):
        return range(node.pattern.lineno, node.body[0].lineno)
    if not isinstance(node, ast.stmt | ast.ExceptHandler):
        return None
    assert node.end_lineno
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    body: list[ast.stmt] | None = None if is_function else getattr(node, "body", None)
    return range(node.lineno, max(body[0].lineno, node.lineno + 1) if body else node.end_lineno + 1)


# Trying them --------------------------------------------------------------------------------------


def main() -> None:
    """Try what the arguments name, for as many minutes as the first one says; exit with 1 if anything survived."""
    minutes, *wanted = sys.argv[1:]
    deadline = time.monotonic() + 60 * float(minutes)
    write_mutants()
    found, _ = mutmut.collect_source_file_mutation_data(mutant_names=[])
    mutants = [mutant for data, name, _ in found if is_wanted((mutant := Mutant(name, data)).label, wanted)]
    if not mutants:
        sys.exit("Nothing is called that.")
    tests = Tests(sorted({mutant.file.absolute() for mutant in mutants}))
    tests.run_all()
    pending = {mutant.name: mutant for mutant in mutants if mutant.fate != KILLED}
    print(f"{len(mutants)} mutants, {len(pending)} of them to be tried", flush=True)
    runner = ForkRunner(PROCESSES, tests)
    runner.startup()
    for tried, mutant in enumerate(pending.values()):
        while not runner.has_capacity():
            report(runner.wait_for_result(), pending)
        if time.monotonic() > deadline:
            print(f"{len(pending) - tried} mutants were not tried for lack of time")
            break
        chosen = tests.of(mutant)
        seconds = sum(tests.seconds[test] for test in chosen)
        runner.submit(mutant.name, chosen, cpu_time_limit=ceil(3 * (seconds + TEST_SECONDS)), estimated_time=seconds)
    while runner.pending_count():
        report(runner.wait_for_result(), pending)
    runner.shutdown()
    summarise(mutants)
    sys.exit(any(mutant.fate != KILLED for mutant in mutants))


def write_mutants() -> None:
    """Write the files with all changes of all functions, as mutmut does; a variable then selects one of them."""
    operators = [(kind, word if act is mutators.operator_string else act) for kind, act in mutators.mutation_operators]
    mutators.mutation_operators[:] = [*operators, *OURS]
    with redirect_stdout(io.StringIO()):
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.setup_source_paths()
        mutmut.create_mutants(PROCESSES)


def is_wanted(label: str, wanted: list[str]) -> bool:
    """Whether one of the words is a part of the label, such as a file or a function; without words, all are wanted."""
    return not wanted or any(f".{word}." in f".{label}." for word in wanted)


def report(result: Any, pending: dict[str, Mutant]) -> None:
    """Keep what became of a mutant, and print what it changed if it was not killed."""
    mutant = pending[result.mutant_name]
    mutant.data.exit_code_by_key[mutant.name] = result.exit_code
    mutant.data.durations_by_key[mutant.name] = result.duration
    mutant.data.save()
    if mutant.fate != KILLED:
        _, before, after = mutant.sources()
        lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        print("\n".join([f"{mutant.label} {mutant.fate}", *(line for line in lines if line[:2] != "@@")]), flush=True)


def summarise(mutants: list[Mutant]) -> None:
    """Print a line for each file."""
    for file, of_file in groupby(mutants, key=lambda mutant: mutant.file):
        group = list(of_file)
        seconds = sum(mutant.data.durations_by_key.get(mutant.name) or 0 for mutant in group) / len(group)
        fates = Counter(mutant.fate for mutant in group).most_common()
        told = ", ".join(f"{count} {fate}" for fate, count in fates)
        print(f"{file.name}: {len(group)} mutants, {seconds:.1f} s each: {told}")


if __name__ == "__main__":
    main()
