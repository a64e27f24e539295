"""Changes the writes in many small ways, each by itself, and prints the changes that no test notices.

Run: python tests/mutate.py [file or function ...]

It works on a copy in build/mutants, which it makes anew. What was killed there before, and has not been edited since,
is not tried again; --fresh tries everything. tests/mutants.py does the work, under a mutmut that uv brings along.
"""

import argparse
import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"

TOOL = "mutmut==3.8.1"
"""The exact version: tests/mutants.py uses parts of it that are not documented."""

TARGETS = [
    "src/patchworks_deployments/writes/*.py",
    "src/patchworks_deployments/consent/*.py",
    "src/patchworks_deployments/model/comparing.py",
]
"""What is changed."""

SETTINGS = f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = {TARGETS}
also_copy = ["tool_schemas"]
# The tests of a mutant may take five times as long as without it, and a minute.
timeout_multiplier = 5.0
timeout_constant = 12.0
"""


def main() -> None:
    """Make the copy and hand over to tests/mutants.py in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="such as outcome.py, judge, Change.carry_out or outcome.py.judge.5")
    parser.add_argument("--minutes", type=float, default=600, help="stop after these; the next run goes on from there")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have found out")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(COPY, ignore_errors=True)
    copy_tree()
    command = ["uv", "run", "--project", str(ROOT), "--no-sync", "--with", TOOL, "python", "tests/mutants.py"]
    os.chdir(COPY)
    os.execvp(command[0], [*command, str(options.minutes), *options.names])  # noqa: S606 - no shell is wanted


def copy_tree() -> None:
    """Copy what tests and mutmut need. Sources move to `src`, as mutmut looks for them there."""
    for folder in ("src", "tests", "tool_schemas", "mutants/tests", "mutants/tool_schemas"):
        shutil.rmtree(COPY / folder, ignore_errors=True)
    for folder, name in (("server", "src"), ("tests", "tests"), ("tool_schemas", "tool_schemas")):
        shutil.copytree(ROOT / folder, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    for mutated in (COPY / "mutants" / "src").rglob("*.py"):
        if not (COPY / mutated.relative_to(COPY / "mutants")).exists():
            mutated.unlink()
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + SETTINGS
    (COPY / "pyproject.toml").write_text(settings, encoding="utf-8")
    for path in (path for pattern in TARGETS for path in COPY.glob(pattern)):
        time = path.stat().st_mtime
        path.write_text(undecorated(path.read_text(encoding="utf-8")), encoding="utf-8")
        os.utime(path, (time, time))  # by which mutmut knows whether the file was edited


def undecorated(source: str) -> str:
    """The source with `name = decorator(name)` below each function in place of decorators, which mutmut passes over."""
    lines = source.splitlines()
    for function, decorators in sorted(_decorated(ast.parse(source)), key=lambda found: -found[0].lineno):
        first, indent = decorators[0].lineno - 1, " " * function.col_offset
        applied = function.name
        for decorator in reversed(decorators):
            applied = f"{ast.unparse(decorator)}({applied})"
        assert function.end_lineno
        lines.insert(function.end_lineno, f"{indent}{function.name} = {applied}")
        del lines[first : function.lineno - 1]
    return "\n".join(lines) + "\n"


def _decorated(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.expr]]]:
    """The functions that mutmut passes over for their decorators; it takes class and static methods as they are."""
    methods = [node for holder in tree.body if isinstance(holder, ast.ClassDef) for node in holder.body]
    for node in [*tree.body, *methods]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            if not names & {"abstractmethod", "classmethod", "staticmethod", "overload", "setter"}:
                yield node, node.decorator_list


if __name__ == "__main__":
    main()
