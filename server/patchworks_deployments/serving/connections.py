"""How many connections the server takes."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from patchworks_deployments.startup import connections_that_fit


def connection(**given: Any) -> asyncio.Protocol:  # noqa: ANN401 - uvicorn's own, passed on
    """Make uvicorn's protocol for a new connection, as its setting `http`: of h11, which bounds the size of a head.

    One too many is closed at once, and those that are open are served. uvicorn's own limit bounds no connections: it
    would answer 503 to the requests of all. Checked against uvicorn 0.51, which passes the open ones in `server_state`.
    """
    is_full = len(given["server_state"].connections) >= connections_that_fit()
    return _HangUp() if is_full else H11Protocol(**given)


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
