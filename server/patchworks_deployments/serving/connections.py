"""How many connections the server takes, and how they end when it stops: running calls answer first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGTERM
from typing import Any, cast

import anyio
import uvicorn
from sse_starlette import sse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from patchworks_deployments.serving.server import DeploymentsServer
from patchworks_deployments.startup import (
    FINISH_SECONDS,
    GONE_SECONDS,
    Stop,
    be_gone_in,
    connections_that_fit,
    on_stop_signal,
)


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


class WholeStreams:
    """ASGI middleware: completes a stream to an older host that the stop has ended, which uvicorn takes for a fault."""

    def __init__(self, app: ASGIApp, stop: Stop) -> None:
        self.app, self._stop = app, stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, and send the end of its answer where that lacks."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        is_open = False

        async def sending(message: Message) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)
            await send(message)

        await self.app(scope, receive, sending)
        if is_open and self._stop.has_begun.is_set():
            await send({"type": "http.response.body"})


FLUSH_SECONDS = 0.5
"""Seconds for the last answers to leave."""

AppStatus: Any = sse.AppStatus  # its methods have no types


@asynccontextmanager
async def draining(server: DeploymentsServer, *, owns_process: bool) -> AsyncIterator[None]:
    """End event streams only when a stop signal has come and no call is running; under any ASGI server.

    Where the process is this server's own, it ends in time whatever hangs.
    """
    # The signal alone would end each stream of the older era, also the one that a write's result is to come on.
    AppStatus.disable_automatic_graceful_drain()
    async with anyio.create_task_group() as group:

        def stop(number: int, is_second: bool) -> None:  # noqa: FBT001 - of a signal
            server.stop.begin(0 if is_second else FINISH_SECONDS)
            if owns_process:
                be_gone_in(FLUSH_SECONDS * 4 if is_second else GONE_SECONDS, 128 + number)
            if not is_second:
                group.start_soon(_end_streams, server)

        with on_stop_signal(stop, is_passed_on=True):
            yield
        group.cancel_scope.cancel()
    AppStatus.enable_automatic_graceful_drain_mode()


async def _end_streams(server: DeploymentsServer) -> None:
    await server.stop.has_ended()
    await anyio.sleep(FLUSH_SECONDS)
    server.streams.end()
    AppStatus.enable_automatic_graceful_drain_mode()
    # sse-starlette hears of a stop through uvicorn's handler alone: hence a uvicorn that serves nothing.
    uvicorn.Server(uvicorn.Config("", log_config=None)).handle_exit(SIGTERM, None)
