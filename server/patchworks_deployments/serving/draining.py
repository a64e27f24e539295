"""Stopping without cutting off a call: running tools answer first, then event streams end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGTERM
from typing import Any

import anyio
import uvicorn
from sse_starlette import sse

from patchworks_deployments.serving.server import DeploymentsServer
from patchworks_deployments.startup import on_stop_signal

DRAIN_SECONDS, FLUSH_SECONDS = 25.0, 0.5
"""Seconds that running tools get, fewer than the ASGI server's own; and for the last answer to leave."""

AppStatus: Any = sse.AppStatus  # its methods have no types


@asynccontextmanager
async def draining(server: DeploymentsServer) -> AsyncIterator[None]:
    """End event streams only when a stop signal has come and no tool is running; under any ASGI server."""
    # The signal alone would end each stream of the older era, also the one that a write's result is to come on.
    AppStatus.disable_automatic_graceful_drain()
    async with anyio.create_task_group() as group:
        with on_stop_signal(lambda: group.start_soon(_end_streams, server)):
            yield
        group.cancel_scope.cancel()
    AppStatus.enable_automatic_graceful_drain_mode()


async def _end_streams(server: DeploymentsServer) -> None:
    with anyio.move_on_after(DRAIN_SECONDS):
        while server.running_tools:  # noqa: ASYNC110 - for a stop, a tenth of a second is soon enough
            await anyio.sleep(0.1)
        await anyio.sleep(FLUSH_SECONDS)
    server.streams.end()
    AppStatus.enable_automatic_graceful_drain_mode()
    # sse-starlette hears of a stop through uvicorn's handler alone: hence a uvicorn that serves nothing.
    uvicorn.Server(uvicorn.Config("", log_config=None)).handle_exit(SIGTERM, None)
