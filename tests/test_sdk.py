"""What rests on private names of the SDK: all in one module, and still there."""

from pathlib import Path
from typing import Any, cast

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession

from patchworks_deployments.sdk import connection_of, lowlevel_server

PACKAGE = Path(__file__).parent.parent / "server" / "patchworks_deployments"


def test_a_server_has_one_inside_that_takes_handlers() -> None:
    """Of any method, in place of the SDK's own."""
    inner = lowlevel_server(MCPServer("test"))
    assert isinstance(inner, Server)
    inner.add_request_handler("subscriptions/listen", cast("Any", None), cast("Any", None))


def test_a_request_knows_its_connection() -> None:
    """Though its session is its own."""
    connection = Connection.from_envelope("2026-07-28", None, None)
    session = ServerSession(cast("Any", None), connection)
    ctx = ServerRequestContext(session=session, lifespan_context=None, protocol_version="2026-07-28", method="ping")
    assert connection_of(ctx) is connection


def test_private_names_of_others_stand_in_one_module() -> None:
    """The linter finds each, and nowhere else is one excused."""
    excused = [path.name for path in PACKAGE.rglob("*.py") if "SLF001" in path.read_text(encoding="utf-8")]
    assert excused == ["sdk.py"]
