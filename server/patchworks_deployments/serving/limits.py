"""How much a caller may ask for, and how large a request may be and how long under way."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.caller import TOO_MUCH, Shares, caller
from patchworks_deployments.sdk import connection_of
from patchworks_deployments.startup import Stop
from patchworks_deployments.tools.middleware.timing import REACHING

MAX_CALLERS = 10_000
"""Callers whose requests are counted; beyond, who was silent for longest is forgotten."""


@dataclass
class Buckets:
    """For each caller a bucket of `size` requests, refilled evenly with `per_minute`."""

    per_minute: float
    size: float
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, who: str, number: float = 1.0, patience: float = 0.0) -> float:
        """Take so many; the seconds until they are there. If that is longer than `patience`, none is taken."""
        now = self.clock()
        left, then = self._left.pop(who, (self.size, now))
        left = min(self.size, left + (now - then) * self.per_minute / 60)
        wait = max(0.0, (number - left) * 60 / self.per_minute)
        self._left[who] = (left - number if wait <= patience else left, now)
        if len(self._left) > MAX_CALLERS:
            self._left.popitem(last=False)
        return wait


BURST_COSTLY = 10
"""Costly requests of one caller that are begun at once; those beyond wait, so that others get their turn."""


@dataclass
class RateLimit:
    """At most `per_minute` costly requests for each caller: one runaway agent uses up nobody else's.

    Costly is what reaches Patchworks. A caller who sends them all at once has them begun at twice that pace.
    """

    per_minute: int
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._buckets = Buckets(self.per_minute, self.per_minute, self.clock)
        self._pace = Buckets(self.per_minute * 2, BURST_COSTLY, self.clock)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: refuse what is too much, in words that reach the model where it called a tool."""
        if ctx.method not in REACHING:
            return await call_next(ctx)
        wait = self.take(caller())
        if not wait:
            await anyio.sleep(self._pace.take(caller(), patience=math.inf))
            return await call_next(ctx)
        text = (
            f"Too many requests: the limit is {self.per_minute} a minute. Nothing was changed. "
            f"Wait {wait:.0f} seconds, then call again."
        )
        if ctx.method == "tools/call":
            return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
        raise MCPError(code=TOO_MUCH, message=text)

    def take(self, who: str) -> float:
        """Take one; the seconds to wait, at least 1, if there is none."""
        wait = self._buckets.take(who)
        return max(1.0, wait) if wait else 0.0


MAX_SESSIONS, MAX_SESSIONS_OF_ONE = 2_000, 500
"""Sessions of older hosts open at once, in all and of one caller; an idle one costs about 40 KiB for 30 minutes.

There are more of them than hosts, because many a host leaves without ending its own.
"""


_OPENING = "patchworks_deployments.opening"
"""In the scope of a request that opens a session: what counts the session no more."""


class Sessions:
    """The open sessions of older hosts, counted from the request that opens one until its connection ends."""

    def __init__(self) -> None:
        self._shares = Shares(
            "open sessions",
            MAX_SESSIONS_OF_ONE,
            MAX_SESSIONS,
            "End one with DELETE, or wait: one that is idle for 30 minutes ends by itself.",
        )

    @contextmanager
    def opening(self, scope: Scope) -> Iterator[None]:
        """Count the session that the request opens, if it opens one. Raises `MCPError` for one too many."""
        if _opens_session(scope):
            scope[_OPENING] = self._shares.take(caller())
        try:
            yield
        finally:
            if _OPENING in scope:
                scope.pop(_OPENING)()

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Middleware: count it from now on until its connection ends, whatever becomes of the request."""
        if ctx.method == "initialize" and ctx.request and _OPENING in ctx.request.scope:
            connection_of(ctx).exit_stack.callback(ctx.request.scope.pop(_OPENING))
        return await call_next(ctx)


def _opens_session(scope: Scope) -> bool:
    """Whether the SDK opens a session of the older era for the request: it does so before it reads the body."""
    sent = Headers(scope=scope)
    version = sent.get("mcp-protocol-version")
    is_older = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
    return is_older and scope["method"] == "POST" and "mcp-session-id" not in sent


MAX_REQUESTS, MAX_REQUESTS_OF_ONE = 3_500, 500
"""Requests under way at once, in all and of one caller; each open stream is one."""

COSTLY_SHARE = 5
"""A caller may make so many requests of any kind for each costly one."""

BURST_REQUESTS = 20
"""Requests of one caller that are taken at once; those beyond wait, so that others get their turn."""

PATIENCE_SECONDS = 10.0
"""Seconds that a request waits for its turn; where that is not enough, it is refused.

At the usual pace of 50 a second it is enough for all that one caller may have under way: whoever opens its streams or
its sessions anew at once, as after a restart of the server, gets each of them.
"""

BYTES_OF_ONE = 16 * 1024
"""Bytes of a body that count as another request: reading it costs as much as serving a small one."""


MAX_DIGITS = 20
"""Digits of a length that is still read."""


STRANGERS_PER_MINUTE, BURST_STRANGERS, STRANGER_SECONDS = 3_000, 50, 2.0
"""Requests without a valid token that are refused at once; beyond, each waits for its refusal so many seconds at most,
so that who sends the next one only then costs the others little."""


class CallerLimits:
    """ASGI application: how much one caller has under way and how fast it may ask, whatever it asks for.

    Runs inside the SDK's authentication, which says who calls and turns away who has no valid token.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, costly_per_minute: int) -> None:
        self.app = app
        self._sessions = sessions
        self._requests = Shares("requests under way", MAX_REQUESTS_OF_ONE, MAX_REQUESTS, "Wait until some have ended.")
        self._strangers = Buckets(STRANGERS_PER_MINUTE, BURST_STRANGERS)
        self._pace = Buckets(costly_per_minute * COSTLY_SHARE, BURST_REQUESTS) if costly_per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn, or answer 429 with a JSON-RPC error."""
        user = scope.get("user")
        if user is not None and not isinstance(user, AuthenticatedUser):
            await anyio.sleep(min(STRANGER_SECONDS, self._strangers.take("", patience=STRANGER_SECONDS)))
            await self.app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                held.callback(self._requests.take(caller()))
                held.enter_context(self._sessions.opening(scope))
                wait = self._wait(Headers(scope=scope))
            except MCPError as error:
                refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": error.code, "message": error.message}}
                # Closed, so that a large body is not read only to be thrown away.
                headers = {"Retry-After": "5", "Connection": "close"}
                await JSONResponse(refusal, status_code=429, headers=headers)(scope, receive, send)
                return
            await anyio.sleep(wait)
            await self.app(scope, receive, send)

    def _wait(self, headers: Headers) -> float:
        """The seconds until it is this request's turn. Raises `MCPError` where they are too many."""
        if self._pace is None:
            return 0.0
        told = headers.get("content-length", "" if "transfer-encoding" in headers else "0")
        # An untold length may be any.
        size = min(int(told), MAX_BODY_BYTES) if told.isdecimal() and len(told) < MAX_DIGITS else MAX_BODY_BYTES
        wait = self._pace.take(caller(), 1 + size / BYTES_OF_ONE, PATIENCE_SECONDS)
        if wait > PATIENCE_SECONDS:
            often = f"one caller may send {self._pace.per_minute:,.0f} of any kind a minute, and fewer large ones"
            then = f"Wait {wait:.0f} seconds, then send it again."
            raise MCPError(code=TOO_MUCH, message=f"Too many requests: {often}. Nothing was changed. {then}")
        return wait


MAX_BODY_BYTES = 1024 * 1024
"""Bytes of a request's body; a call with all its arguments is a few kilobytes."""

BODY_SECONDS = 10.0
"""Seconds for a request's body to arrive, once the application asks for it."""

_TOO_LATE = PlainTextResponse(
    f"The request was not complete after {BODY_SECONDS:.0f} seconds. Nothing was changed. Send it again.",
    status_code=408,
    headers={"Connection": "close"},
)


class PromptBody:
    """ASGI middleware: answers 408 where a body is not complete in time, and is silent where the client gives up.

    Nothing is read that the application does not ask for, so a refusal at the door comes first. A server that stops
    waits for no body.
    """

    def __init__(self, app: ASGIApp, stop: Stop, seconds: float = BODY_SECONDS) -> None:
        self.app, self._stop, self._seconds = app, stop, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, but give it up when its body does not arrive."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        until, is_complete, has_left = math.inf, False, False
        with anyio.CancelScope() as call:

            async def arriving() -> Message:
                nonlocal until, is_complete, has_left
                if is_complete:
                    return await receive()
                if until == math.inf:  # not before, for the request may have waited for its turn
                    until = anyio.current_time() + self._seconds
                call.deadline = until  # counts only while the application waits for the body
                message: Message = {"type": "http.request"}
                with self._stop.waiting() as waiting:
                    message = await receive()
                call.deadline = math.inf
                is_complete, has_left = not message.get("more_body", False), message["type"] == "http.disconnect"
                if has_left or waiting.cancelled_caught:
                    call.cancel()
                    await checkpoint()
                return message

            await self.app(scope, arriving, send)
        if call.cancelled_caught and not has_left:
            await _TOO_LATE(scope, receive, send)
