"""The house: thirteen rooms and a sandbox, imports one way, and nothing that has grown out of hand."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import ROOT

PACKAGE = ROOT / "server" / "patchworks_deployments"
TESTS = ROOT / "tests"

BASE = {"caller", "errors", "settings", "startup", "sdk", "__version__"}
MAY_IMPORT = {
    "settings": {"errors"},
    "model": BASE,
    "network": BASE,
    "api": BASE | {"model", "network"},
    "audit": BASE,
    "writes": BASE | {"model", "api", "audit"},
    "history": BASE | {"model", "api", "audit", "writes"},
    "consent": BASE | {"model", "api", "audit", "writes"},
    "resources": BASE | {"model", "api", "audit", "writes", "history", "consent"},
    "app": BASE | {"model", "api", "audit", "writes", "consent", "resources"},
    "tools": BASE | {"model", "api", "audit", "writes", "history", "consent", "resources", "app"},
    "serving": BASE
    | {"model", "network", "api", "audit", "writes", "history", "consent", "resources", "app", "tools", "sandbox"},
    "sandbox": set[str](),
    "hosts": {"errors", "settings", "__version__"},
}
MAY_IMPORT["commands"] = BASE | set(MAY_IMPORT)

MAX_FILES = 10
MAX_LINES_OF_A_FILE = 299
MAX_LINES_OF_A_FUNCTION = 39


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path.name} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_above_it_in_the_table(room: str) -> None:
    """And what every room may use, but for the sandbox, which imports nothing of the others."""
    ours = "patchworks_deployments."
    for path in (PACKAGE / room).rglob("*.py"):
        used = {name.removeprefix(ours).split(".")[0] for name in _imports(path) if name.startswith(ours)}
        assert used <= MAY_IMPORT[room] | {room}, path.name


def test_the_table_has_a_line_for_every_room() -> None:
    """A new folder has to say what it may import."""
    assert {path.parent.name for path in PACKAGE.glob("*/*.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", ["model", "network", "api"])
def test_what_reads_the_api_knows_no_protocol(room: str) -> None:
    """What reads the API knows nothing of MCP."""
    for path in (PACKAGE / room).rglob("*.py"):
        assert not {name.split(".")[0] for name in _imports(path)} & {"mcp", "mcp_types"}, path.name


def test_every_room_can_be_taken_in_at_a_glance() -> None:
    """The package and its folders hold ten files at most; only the sandbox may hold more."""
    folders = Counter(path.parent.name for path in PACKAGE.rglob("*.py"))
    assert not [name for name, files in folders.items() if files > MAX_FILES and name != "sandbox"]


def test_no_file_and_no_function_is_long() -> None:
    """A function counts from its `def` to its last line."""
    long: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        long += [path.name] * (len(source.splitlines()) > MAX_LINES_OF_A_FILE)
        functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long += [f"{path.name}: {f.name}" for f in functions if _lines(f) > MAX_LINES_OF_A_FUNCTION]
    assert not long


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno
    return node.end_lineno - node.lineno + 1


def test_no_test_rests_on_another_test() -> None:
    """What several need is in `support`."""
    for path in TESTS.rglob("*.py"):
        assert not [name for name in _imports(path) if any(part.startswith("test_") for part in name.split("."))], path


def test_the_two_maps_of_the_rooms_say_the_same() -> None:
    """The package's own docstring has each row of the table in the documentation."""
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("| room | what is in it |")[1]
    rows = table.split("\n\n")[0].replace("`", "").splitlines()[2:]
    own = " ".join((ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))) or "").split())
    assert rows
    assert not [row for row in rows if " ".join(row.strip("| ").split(" | ")) not in own]
