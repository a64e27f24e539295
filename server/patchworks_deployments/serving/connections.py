"""How many connections there may be, and which one goes where one is too many."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from patchworks_deployments.startup import connections_that_fit


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


def connection(**given: Any) -> asyncio.Protocol:  # noqa: ANN401 - uvicorn's own, passed on
    """Make uvicorn's protocol for a new connection, as its setting `http`: of h11, which bounds the size of a head.

    One too many takes the place of one on which no request is under way; where there is none, it is closed at once.
    uvicorn's own limit bounds no connections: it would answer 503 to the requests of all.
    """
    there = given["server_state"].connections
    if len(there) >= connections_that_fit():
        if (idle := _idle(there)) is None:
            return _HangUp()
        idle.shutdown()
    return H11Protocol(**given)


def _idle(connections: Iterable[H11Protocol]) -> H11Protocol | None:
    """One that waits for a request, and rather one that has never brought any."""
    found = None
    for other in connections:
        if not other.transport.is_closing():
            if other.cycle is None:
                return other
            if other.cycle.response_complete:
                found = other
    return found
