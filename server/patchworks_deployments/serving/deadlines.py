"""Requests must arrive in time, so that nobody holds connections, or the end of the process, by sending slowly."""

import asyncio
from dataclasses import dataclass

import anyio
from anyio.lowlevel import checkpoint
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

ARRIVES_WITHIN = 10.0
"""Seconds for a request's head, and again for its body; a call with all its arguments is a few kilobytes."""


class PromptBody:
    """ASGI middleware: answers 408 where a body is not complete in time, and is silent where the client gives up.

    Nothing is read that the application does not ask for, so a refusal at the door comes first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, but give it up when its body does not arrive."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with anyio.CancelScope() as call:
            arriving = _Arriving(receive, call, anyio.current_time() + ARRIVES_WITHIN)
            await self.app(scope, arriving, send)
        if arriving.is_late:
            await _TOO_LATE(scope, receive, send)


_TOO_LATE = PlainTextResponse(
    f"The request was not complete after {ARRIVES_WITHIN:.0f} seconds. Nothing was changed. Send it again.",
    status_code=408,
    headers={"Connection": "close"},
)


@dataclass
class _Arriving:
    """The request's messages; gives up the whole `call` when they stop before the body is complete."""

    receive: Receive
    call: anyio.CancelScope
    deadline: float
    is_complete: bool = False
    is_late: bool = False

    async def __call__(self) -> Message:
        if self.is_complete:
            return await self.receive()
        message: Message = {"type": "http.disconnect"}
        with anyio.CancelScope(deadline=self.deadline) as waiting:
            message = await self.receive()
        self.is_late = waiting.cancelled_caught
        if message["type"] == "http.disconnect":
            self.call.cancel()
            await checkpoint()
        self.is_complete = not message.get("more_body", False)
        return message


class PromptHead(H11Protocol):
    """uvicorn's protocol, which closes a connection whose next request's head is not complete in time.

    On h11 whatever else is installed: it bounds the size of a head, which uvicorn's other parser does not.

    Between requests uvicorn's own keep-alive limit holds, which ends with the first byte.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, unless that completed a head."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(ARRIVES_WITHIN, self.transport.close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
