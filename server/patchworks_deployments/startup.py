"""What a process that serves needs: rare collections, files, a port to listen on, and word of the signals to stop."""

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from patchworks_deployments.errors import SettingsError

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

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
        raise SettingsError(
            "PATCHWORKS_REDIS_URL needs the extra `redis`: install patchworks-deployments-mcp[redis]"
        ) from None
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
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if not resource:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(hard, wanted), hard)
        )
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
def on_stop_signal(act: Callable[[], object]) -> Iterator[None]:
    """Have the event loop `act` on SIGINT and SIGTERM, which then reach whoever handles them now."""
    loop = asyncio.get_running_loop()
    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in heard}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        if callable(before[number]):
            before[number](number, frame)

    # Neither the loop's own signal handlers nor anyio's: those take the place of the server's, and Windows has none.
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
