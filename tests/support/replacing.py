"""Replacing a version while something goes wrong: the call, and which of its requests a fault is for."""

from collections.abc import Callable
from typing import Any

import httpx2
from mcp_types import CallToolResult

from support.clients import Era, Person, connected, yes
from support.faults import Upstream, reply

TOOL = "replace_deployment"

NO = reply(403, {"message": "No."})

EMPTY = reply(200, {"data": [], "meta": {"total": 0, "last_page": 1, "current_page": 1, "per_page": 100}})
"""A listing without deployments."""


async def replace(transport: Upstream, era: Era, arguments: dict[str, Any]) -> CallToolResult:
    """One call, to which a person agrees."""
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        return await client.call_tool(TOOL, arguments)


def methods(transport: Upstream) -> list[str]:
    """The writes that set out."""
    return [request.method for request in transport.writes]


def read_after(transport: Upstream, writes: int, path: str = "") -> Callable[[httpx2.Request], bool]:
    """A read after so many writes and before the next one, if its own path ends so."""
    return lambda r: r.method == "GET" and len(transport.writes) == writes and r.url.path.endswith(path)
