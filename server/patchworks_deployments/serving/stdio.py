"""Serving one host over stdin and stdout, until it closes stdin or the server is told to stop.

The SDK reads and writes the messages. In front of its reader, lines are taken from stdin so that a stop need not wait
for the next one. Behind it, what it could not read is answered, and a host that falls back to the older era is let in.
"""

import contextlib
import json
import sys
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.runner import serve_dual_era_loop
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from pydantic import ValidationError
from pydantic_core import from_json

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.sdk import lowlevel_server
from patchworks_deployments.serving.server import DeploymentsServer
from patchworks_deployments.startup import FINISH_SECONDS, GONE_SECONDS, Stop, alone, be_gone_in, on_stop_signal

MAX_LINE_BYTES = 1024 * 1024
"""Bytes of a line, as many as a request over HTTP may have."""

CHUNK_BYTES = 64 * 1024
"""Bytes that are read at once."""

UNREADY_SECONDS = 0.02
"""Seconds until stdin is tried again, where it has come as one that does not block."""

LAST_CALLS_SECONDS, FLUSH_SECONDS = 1.0, 0.1
"""Seconds that calls get once stdin has ended, before that counts as a stop; and for the last answers to leave."""


def serve(server: DeploymentsServer) -> int:
    """Serve until stdin ends or a signal comes; the exit status. Raises `SettingsError`, and `OSError` for stdout."""
    if sys.stdin is None or sys.stdout is None:
        raise SettingsError(
            "The server was not started: it speaks MCP over stdin and stdout, and one of them is closed."
        )
    with alone():
        return anyio.run(_serve, server)
    raise AssertionError


async def _serve(server: DeploymentsServer) -> int:
    status, stdin = 0, _Stdin(server.stop)

    def stop(number: int, is_second: bool) -> None:  # noqa: FBT001 - of a signal
        nonlocal status
        server.stop.begin(0 if is_second else FINISH_SECONDS)
        if is_second:
            status = 128 + number
            be_gone_in(1.0, status)

    with on_stop_signal(stop, is_passed_on=False), _stdout() as stdout:
        async with (
            stdio_server(stdin=cast("Any", stdin), stdout=stdout) as (incoming, outgoing),
            anyio.create_task_group() as group,
        ):
            group.start_soon(_end, server.stop, stdin)
            async with outgoing:
                await _serve_host(server, stdin, incoming, outgoing)
            group.cancel_scope.cancel()
    return status


@contextlib.contextmanager
def _stdout() -> Iterator[anyio.AsyncFile[str]]:
    """What takes the messages, and nothing else: what is printed meanwhile goes to stderr.

    The SDK's own ends each line with two characters on Windows, and not all hosts can read that.
    """
    lines = open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115 - closed below
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield anyio.wrap_file(lines)
    finally:
        with contextlib.suppress(OSError):  # of what could not be written somebody has been told
            lines.close()


async def _end(stop: Stop, stdin: "_Stdin") -> None:
    """Once the server is to stop, let calls end and their answers leave; then read no more."""
    try:
        await stop.has_begun.wait()
    finally:
        stop.begin()  # also where stdout takes nothing any more, which cancels all
    be_gone_in(GONE_SECONDS, 1)
    await stop.has_ended()
    await anyio.sleep(FLUSH_SECONDS)
    stdin.close()


async def _serve_host(
    server: DeploymentsServer,
    stdin: "_Stdin",
    incoming: AsyncIterable[SessionMessage | Exception],
    outgoing: Any,  # noqa: ANN401 - the type of the SDK's stream is private
) -> None:
    """Pass on what arrives, answer what could not be read, and begin anew where a host falls back to the older era.

    A host that got no answer to `server/discover` in time goes on with `initialize`, which the SDK refuses on
    a connection that has begun in the newer era.
    """
    lowlevel, asked = lowlevel_server(server), set[str]()

    async def serve(arriving: MemoryObjectReceiveStream[SessionMessage | Exception]) -> None:
        await serve_dual_era_loop(lowlevel, arriving, outgoing.clone(), lifespan_state=services)

    def begin() -> MemoryObjectSendStream[SessionMessage | Exception]:
        arrive, arriving = anyio.create_memory_object_stream[SessionMessage | Exception]()
        group.start_soon(serve, arriving)
        return begun.enter_context(arrive)

    async with lowlevel.lifespan(lowlevel) as services, anyio.create_task_group() as group:
        with contextlib.ExitStack() as begun:
            connection = begin()
            async for item in incoming:
                line = stdin.given.popleft()
                if isinstance(item, Exception) or _is_odd_request(item, line):
                    await outgoing.send(SessionMessage(_refusal(item, line)))
                    if answer := _answer_in(line):
                        await connection.send(SessionMessage(answer))
                    continue
                if isinstance(item.message, JSONRPCRequest):
                    if item.message.method == "initialize" and asked == {"server/discover"}:
                        connection = begin()
                    asked.add(item.message.method)
                await connection.send(item)


class _Stdin:
    """The lines of stdin, as the SDK iterates over them, until it is closed."""

    def __init__(self, stop: Stop) -> None:
        self.given: deque[bytes | None] = deque()
        """The lines on their way through the SDK's reader, which makes one item of each; None for one too long."""
        self._stop = stop
        self._arrive, self._arriving = anyio.create_memory_object_stream[bytes](1)
        self._is_taken = threading.Semaphore(0)

    def close(self) -> None:
        """Read no more."""
        self._arrive.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # A thread of our own that nobody waits for: it may hang until the host writes something.
        threading.Thread(target=self._read, args=(get_running_loop(),), daemon=True).start()
        line = bytearray()
        async for chunk in self._arriving:
            self._is_taken.release()
            for number, part in enumerate(chunk.split(b"\n")):
                if number and (given := self._given(line)):
                    yield given
                if number:
                    line = bytearray()
                if len(line) <= MAX_LINE_BYTES:
                    line += part
            if not chunk:
                if given := self._given(line):
                    yield given
                await anyio.sleep(FLUSH_SECONDS)
                await self._stop.has_ended(LAST_CALLS_SECONDS)
                self._stop.begin()

    def _given(self, line: bytearray) -> bytes:
        """The line as it is given to the SDK; an empty one, which is not given, is no message."""
        if len(line) > MAX_LINE_BYTES:
            self.given.append(None)
            return b"too long"
        if given := bytes(line.strip()):
            self.given.append(given)
        return given

    def _read(self, loop: AbstractEventLoop) -> None:
        raw, chunk = cast("Any", sys.stdin.buffer).raw, b" "
        while chunk:
            try:
                read = raw.read(CHUNK_BYTES)
            except OSError:
                read = b""
            if read is None:
                time.sleep(UNREADY_SECONDS)
                continue
            chunk = read
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the interest
                loop.call_soon_threadsafe(self._take, chunk)
            self._is_taken.acquire()

    def _take(self, chunk: bytes) -> None:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._arrive.send_nowait(chunk)


def _is_odd_request(item: SessionMessage, line: bytes | None) -> bool:
    """Whether the SDK took a request for a notification, because its id is neither a text nor a whole number."""
    is_like_one = isinstance(item.message, JSONRPCNotification) and not item.message.method.startswith("notifications/")
    return is_like_one and "id" in from_json(line or b"{}")


def _refusal(item: SessionMessage | Exception, line: bytes | None) -> JSONRPCError:
    """The answer to a line that is no message, with the codes that it has over HTTP."""
    if line is None:
        code, why = INVALID_REQUEST, f"The line has more than {MAX_LINE_BYTES:,} bytes."
    elif isinstance(item, ValidationError) and (first := item.errors()[0])["type"] == "json_invalid":
        code, why = PARSE_ERROR, f"{first['msg']}."
    else:
        code, why = INVALID_REQUEST, "The line is no JSON-RPC 2.0 message, or its id is neither text nor whole number."
    return JSONRPCError(
        jsonrpc="2.0", id=_id_in(line), error=ErrorData(code=code, message=f"{why} Nothing was changed.")
    )


def _answer_in(line: bytes | None) -> JSONRPCResponse | None:
    """The answer that the line wants to be, without what was in it: what waits for one need not wait for another."""
    try:
        match json.loads((line or b"").decode("utf-8-sig", "replace")):
            case {"method": _} | {"id": bool()}:
                return None
            case {"id": int() as number, **rest} if {"result", "error"} & rest.keys():
                return JSONRPCResponse(jsonrpc="2.0", id=number, result={})
    except (ValueError, RecursionError):  # no JSON, or too deep
        pass
    return None


def _id_in(line: bytes | None) -> RequestId | None:
    """The id of the request that the line wants to be; in anything else it would be one of the server's own."""
    try:
        told = json.loads((line or b"").decode("utf-8-sig", "replace"))
        match told:
            case {"method": str(), "id": str(text)} if text.encode():
                return text
            case {"method": str(), "id": bool()}:
                return None  # which Python takes for 0 or 1
            case {"method": str(), "id": int() | float() as number} if number == int(number):
                return int(number)
    except (ValueError, RecursionError, OverflowError):  # no JSON, a lone surrogate, or too deep
        pass
    return None
