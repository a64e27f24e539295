"""Imports point one way, from folder to folder."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "server" / "patchworks_deployments"

BASE = {"errors", "sdk", "settings", "startup"}
MAY_IMPORT = {
    "model": set(),
    "api": {"model"},
    "writes": {"model", "api"},
    "resources": {"model", "api", "writes"},
    "tools": {"model", "api", "writes", "resources"},
    "serving": {"model", "api", "writes", "resources", "tools", "sandbox"},
    "sandbox": set(),
}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_the_folders_below_it(folder: str) -> None:
    """And the base of the package, which anything but the sandbox may use."""
    allowed = MAY_IMPORT[folder] | {folder} | (BASE | {"__version__"} if folder != "sandbox" else set())
    prefix = "patchworks_deployments."
    for path in (PACKAGE / folder).glob("*.py"):
        used = {name.removeprefix(prefix).split(".")[0] for name in _imports(path) if name.startswith(prefix)}
        assert used <= allowed, path.name


@pytest.mark.parametrize("folder", ["model", "api"])
def test_the_protocol_stays_above(folder: str) -> None:
    """What reads the API knows nothing of MCP."""
    for path in (PACKAGE / folder).glob("*.py"):
        assert not {name.split(".")[0] for name in _imports(path)} & {"mcp", "mcp_types"}, path.name
