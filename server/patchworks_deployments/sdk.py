"""The private names of the SDK that this package rests on, each because no public one does the same.

All were checked against mcp 2.3.0.
"""

from typing import Any

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer


def lowlevel_server(server: MCPServer[Any]) -> Server[Any]:
    """The server inside, which takes handlers of any method.

    `MCPServer` has none for `resources/subscribe`, and keeps its own of `subscriptions/listen`, with the limit and the
    end of its streams, to itself.
    """
    return server._lowlevel_server  # noqa: SLF001 - the one place for it


def connection_of(ctx: ServerRequestContext[Any, Any]) -> Connection:
    """The connection that a request came on, which outlives it.

    `ctx.session` is made anew for each request, and sends on its connection without telling which that is.
    """
    return ctx.session._connection  # noqa: SLF001 - the one place for it
