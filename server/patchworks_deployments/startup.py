"""What a process that serves needs: rare collections, files, a port to listen on, and word of the signals to stop."""

import asyncio
import gc
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from patchworks_deployments.errors import SettingsError

resource: Any = None
with suppress(ImportError):  # not on Windows, which has no such limit
    import resource

logger = logging.getLogger(__name__)


def collect_rarely() -> None:
    """Collect garbage after every 20,000 new objects: Python's own 700 would cost up to a tenth of each call."""
    gc.set_threshold(20_000, 20, 20)
    if not gc.isenabled():
        gc.freeze()  # what is there by now lasts as long as the process, so that no collection need look at it
        gc.enable()


REDIS_CONNECT_SECONDS = 5
"""Seconds that Redis has to take a connection."""


def open_redis(url: str) -> Any:  # noqa: ANN401 - an extra, so its types may not be there
    """A client of the Redis with this address; nothing is sent yet. Raises `SettingsError`."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("PATCHWORKS_REDIS_URL needs an extra: install patchworks-deployments-mcp[redis]") from None
    try:
        return Redis.from_url(url, socket_connect_timeout=REDIS_CONNECT_SECONDS)
    except ValueError:
        raise SettingsError(
            "PATCHWORKS_REDIS_URL is not right: write it as redis://HOST:6379/0, rediss://... or unix://..."
        ) from None


MAX_CONNECTIONS = 4_000
"""Connections open at once; an idle listener costs one."""

BACKLOG_CONNECTIONS = 256
"""Connections that may wait to be accepted, and are accepted at once."""

OTHER_FILES = 100 + 2 * BACKLOG_CONNECTIONS
"""Open files that are no connection's: the server's own, and what is being accepted and being turned away."""


def raise_file_limit() -> None:
    """Let this process open a file for each connection, and say so where that is not allowed."""
    if not resource:
        return
    wanted = MAX_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with suppress(ValueError, OSError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if (fit := connections_that_fit()) < MAX_CONNECTIONS:
        logger.warning("Only %d connections fit, because so few files may be open: raise ulimit -Hn to %d", fit, wanted)


def connections_that_fit() -> int:
    """How many connections there may be at once, given how many files this process may open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return MAX_CONNECTIONS if files < 0 else max(1, min(MAX_CONNECTIONS, files - OTHER_FILES))


UNREAD_SECONDS = 30.0
"""Seconds after which a connection ends whose other end reads nothing of what is sent to it; on Linux."""


def listen(host: str, port: int, unread_seconds: float = UNREAD_SECONDS) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises `SettingsError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG_CONNECTIONS)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # without Python's repetition of the address
        raise SettingsError(
            f"The server was not started: it cannot listen on port {port} of {host} ({reason}). "
            "Choose another port, or stop what uses this one."
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The ASGI server has no such limit. Each accepted connection takes this one over from the listening socket.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unread_seconds * 1000))
    return listener


@contextmanager
def alone() -> Iterator[None]:
    """Let an error that leaves task groups leave without them: the first, where there are several."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
"""What tells a process to stop: Ctrl-C, `kill`, and on Windows Ctrl-Break, or that its window is closed."""


def exit_in_order() -> None:
    """Let the signals to stop end the process with status 0, at once or once the server that catches them has ended."""
    # A server that was just about to begin leaves a coroutine that nobody awaits, and Python would tell people so.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: sys.exit(0))


STOPPING = "The server is stopping. Nothing was changed. Call again once it is back."
"""What a call is answered with that has sent no write when the server stops."""

FINISH_SECONDS = 6.0
"""Seconds that writes which were sent get to end, once the server is to stop."""

GONE_SECONDS = 9.0
"""Seconds after which the process is gone, whatever hangs."""


Outcome = TypeVar("Outcome")

Wait = Callable[[Exception], bool | float]
"""Says whether an attempt that met this error is made again, or after how many seconds."""


class Stop:
    """Tells what is under way that the server stops: a wait ends at once, and what was sent gets some seconds more."""

    def __init__(self) -> None:
        self._running = 0
        self.has_begun = anyio.Event()
        self._ends = math.inf
        self._waiting: set[anyio.CancelScope] = set()
        self._finishing: set[anyio.CancelScope] = set()

    def begin(self, seconds: float = FINISH_SECONDS) -> None:
        """Stop, and give what was sent so many seconds; said again, it can only be fewer."""
        self._ends = min(self._ends, asyncio.get_running_loop().time() + seconds)
        self.has_begun.set()
        for scope in self._finishing:
            scope.deadline = self._ends
        for scope in self._waiting:
            scope.cancel(STOPPING)

    @contextmanager
    def running_one(self) -> Iterator[None]:
        """Count a request that has not been answered yet."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def waiting(self) -> Iterator[anyio.CancelScope]:
        """Wait in the body, or read, as long as the server runs: a stop cancels the scope."""
        with anyio.CancelScope() as scope:
            token = _wait.set(scope)
            self.ends(scope)
            try:
                yield scope
            finally:
                _wait.reset(token)
                self.spares(scope)

    def ends(self, scope: anyio.CancelScope) -> None:
        """Have a stop cancel the scope from now on, be it one that has begun."""
        self._waiting.add(scope)
        if self.has_begun.is_set():
            scope.cancel(STOPPING)

    def spares(self, scope: anyio.CancelScope) -> None:
        """Have no stop cancel the scope any more."""
        self._waiting.discard(scope)

    async def waits_no_more(self) -> None:
        """Leave the `waiting` of this call: from here on, what it does must not be taken for nothing."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        if scope := _wait.get():
            self.spares(scope)

    @contextmanager
    def finishing(self) -> Iterator[anyio.CancelScope]:
        """Go on in the body though the call is cancelled; only the end of a stop's seconds cancels the scope."""
        with anyio.CancelScope(shield=True, deadline=self._ends) as scope:
            self._finishing.add(scope)
            token = _stop.set(self)
            try:
                yield scope
            finally:
                _stop.reset(token)
                self._finishing.discard(scope)

    async def let_try(
        self,
        retry: Callable[[Wait, Callable[[], Awaitable[Outcome]]], Awaitable[Outcome]],
        wait: Wait,
        attempt: Callable[[], Awaitable[Outcome]],
    ) -> Outcome:
        """Make the attempt, and again where `wait` says when, but not once the server is to stop.

        What the last attempt met is raised then: it was refused for certain, or it would not be made again.
        """
        met = list[Exception]()

        def waits(error: Exception) -> bool | float:
            if (pause := wait(error)) is not False:
                met.append(error)
                self.ends(pausing)
            return pause

        async def again() -> Outcome:
            await anyio.lowlevel.checkpoint_if_cancelled()
            self.spares(pausing)
            return await attempt()

        with anyio.CancelScope() as pausing:
            return await retry(waits, again)
        raise met[-1]

    async def has_ended(self, seconds: float = FINISH_SECONDS + 1) -> None:
        """Return when no request is running any more, or after so many seconds."""
        with anyio.move_on_after(seconds):
            while self._running:  # noqa: ASYNC110 - for a stop, a twentieth of a second is soon enough
                await anyio.sleep(0.05)


_wait: ContextVar[anyio.CancelScope | None] = ContextVar("wait", default=None)
_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


def stop_of_what_finishes() -> Stop | None:
    """The stop that gives what is done here some seconds to finish; None where nothing has to."""
    return _stop.get()


SECOND_SIGNAL_SECONDS = 1.0
"""Seconds after which a signal is a second one: what has started the process passes on what all were sent already."""


@contextmanager
def on_stop_signal(act: Callable[[int, bool], object], *, is_passed_on: bool) -> Iterator[None]:
    """Have the event loop `act` on the signals to stop: on the signal, and on whether it is a second one.

    The first one, and any after the second, reaches whoever handles them now, if `is_passed_on`.
    """
    loop = asyncio.get_running_loop()
    heard = STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in heard}
    first, acted = math.inf, 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first, acted
        now = time.monotonic()
        if acted and now - first < SECOND_SIGNAL_SECONDS:
            return
        first, acted = min(first, now), acted + 1
        loop.call_soon_threadsafe(act, number, acted > 1)
        if is_passed_on and acted != 2 and callable(before[number]):  # noqa: PLR2004 - the second is ours
            before[number](number, frame)

    # Neither the loop's own signal handlers nor anyio's: those take the place of the server's, and Windows has none.
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def be_gone_in(seconds: float, status: int) -> None:
    """End the process then, with this status, whatever hangs: the last resort, for what was sent has ended by then."""
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()
