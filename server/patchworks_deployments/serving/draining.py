"""Shutting down without cutting off a call: running tools answer first, then idle listeners are let go.

The SDK's event streams would all end with the signal, the one that carries a write's result too. So their automatic
end is switched off, and done here once no tool is running. Works under any ASGI server that leaves signals alone
or, as uvicorn does, has set its own handlers by the time the application starts.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from sse_starlette.sse import AppStatus

SIGNALS = (signal.SIGINT, signal.SIGTERM)

DRAIN_SECONDS = 25.0
"""Seconds that running tools get; the server's own limit is a little longer."""

FLUSH_SECONDS = 0.5
"""Seconds for the last answer to leave."""


class Draining:
    """Counts running tools and ends event streams when there are none left after a signal."""

    def __init__(self, end_streams: Callable[[], None]) -> None:
        self._end_streams = end_streams
        self._running = 0
        self._idle = anyio.Event()

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - the SDK's middleware
        """Middleware: count the calls of tools."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        self._running += 1
        try:
            return await call_next(ctx)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
                self._idle = anyio.Event()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Take part in the signals while the application runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        draining: list[asyncio.Task[None]] = []
        previous = {number: signal.getsignal(number) for number in SIGNALS}

        def on_signal(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(lambda: draining.append(loop.create_task(self._drain())))
            handler = previous[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        AppStatus.enable_automatic_graceful_drain = False
        for number in SIGNALS:
            signal.signal(number, on_signal)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            AppStatus.enable_automatic_graceful_drain = True

    async def _drain(self) -> None:
        with anyio.move_on_after(DRAIN_SECONDS):
            if self._running:
                await self._idle.wait()
            await anyio.sleep(FLUSH_SECONDS)
        AppStatus.should_exit = True
        self._end_streams()
