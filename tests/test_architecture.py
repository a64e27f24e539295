"""Imports point one way."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "server" / "patchworks_deployments"

RANKS = [
    {"errors", "texts", "garbage"},
    {"masking"},
    {"models", "concurrency", "listening"},
    {"settings", "audit", "rendering"},
    {"auth", "states"},
    {"client"},
    {"changes", "estate"},
    {"confirmation", "overview", "arguments"},
    {"services", "events"},
    {"consent", "tools", "redis_bus", "draining", "deadlines"},
    {"refusals"},
    {"rate_limit", "authorization"},
    {"uris"},
    {"links", "completions", "prompts", "notifications"},
    {"streams"},
    {"resources"},
    {"outcome"},
    {"switching", "replacement"},
    {"read_tools", "write_tools", "estate_tools"},
    {"app"},
    {"serving"},
    {"check", "definitions", "demo"},
    {"cli"},
    {"__main__"},
]
RANK = {module: rank for rank, modules in enumerate(RANKS) for module in modules}
WITHOUT_MCP = {module for module, rank in RANK.items() if rank < RANK["confirmation"]} | {"overview", "arguments"}


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _internal(path: Path) -> set[str]:
    """Modules of the package that a file imports, by their own name."""
    prefix = "patchworks_deployments."
    return {name.removeprefix(prefix).split(".")[0] for name in _imports(path) if name.startswith(prefix)}


def test_every_module_imports_only_what_lies_below_it() -> None:
    """The order of the modules is the order of the layers."""
    for path in PACKAGE.glob("*.py"):
        if path.stem == "__init__":
            continue
        above = {name for name in _internal(path) if name in RANK and RANK[name] >= RANK[path.stem]}
        assert not above, f"{path.stem} imports {above}"


def test_the_sandbox_shares_nothing() -> None:
    """It imports nothing of the package, and only the wiring and the command line import it."""
    for path in (PACKAGE / "sandbox").glob("*.py"):
        assert _internal(path) <= {"sandbox"}, path.name
    users = {path.stem for path in PACKAGE.glob("*.py") if "sandbox" in _internal(path)}
    assert users == {"app", "cli"}


def test_the_protocol_stays_above_the_domain() -> None:
    """What reads the API and plans changes knows nothing of MCP."""
    for module in WITHOUT_MCP:
        imported = {name.split(".")[0] for name in _imports(PACKAGE / f"{module}.py")}
        assert not imported & {"mcp", "mcp_types"}, module


def test_only_the_client_and_auth_know_http() -> None:
    """So does authorization, which fetches keys; everything else may name a transport to pass on, nothing more."""
    users = {p.stem for p in PACKAGE.glob("*.py") if any(name.startswith("httpx2") for name in _imports(p))}
    assert users == {"client", "auth", "authorization", "app", "check"}
