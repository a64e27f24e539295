"""The faults of `Upstream` over real HTTP: a small server that answers as it says, or misbehaves at the socket."""

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import h11
import httpx2

from support.faults import Upstream
from support.passages import Passage

READ_BYTES = 65_536

HOST = "127.0.0.1"

RESET = struct.pack("ii", 1, 0)
"""Waiting for no seconds for what is still to be sent: closing such a socket resets its connection."""


@dataclass
class Front:
    """Listens on a port of loopback.

    An exception of the upstream is a broken connection, a time-out is silence, and an answer whose length is not
    that of its body ends with the connection.
    """

    upstream: Upstream
    port: int = 0
    _server: asyncio.Server | None = None
    _reserved: socket.socket | None = None
    _first: socket.socket | None = None
    """Fills the queue where connecting hangs."""
    _busy: dict[asyncio.StreamWriter, bool] = field(default_factory=dict)
    """The open connections, and whether a request is under way on them."""
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def open(self) -> None:
        """Let everybody connect, if that is not so already."""
        if self._server is None:
            if self._reserved is None:
                self._reserve()
            await self._listen()

    def refuse(self, seconds: float = math.inf, *, hangs: bool = False) -> None:
        """From now on nobody can connect, for so many seconds; who is connected is sent away after the answer.

        Where it `hangs`, nobody is told so either: the queue of those who connect is full.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._reserve()
        if hangs:
            self._fill()
        for writer, is_busy in self._busy.items():
            if not is_busy:  # at once, so that nobody can still send a request that would be lost
                writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        if seconds < math.inf:
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, lambda: loop.create_task(self._listen()))

    async def close(self) -> None:
        if self._server:
            self._server.close()
        if self._reserved:
            self._reserved.close()
        self._leave()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _reserve(self) -> None:
        """Keep the port without listening, so that connecting is refused and nobody else takes it."""
        # asyncio sends without delay where it is told that the protocol is TCP.
        self._reserved = socket.socket(proto=socket.IPPROTO_TCP)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, self.port))
        self.port = self._reserved.getsockname()[1]

    def _fill(self) -> None:
        """Listen with a queue of one, which is in it: whatever else knocks gets no answer."""
        assert self._reserved
        self._reserved.listen(0)
        self._first = socket.create_connection((HOST, self.port))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._reserved)
        self._reserved = None
        self._leave()

    def _leave(self) -> None:
        if self._first:
            self._first.close()
        self._first = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy[writer] = False
        wire = h11.Connection(h11.SERVER)
        try:
            while request := await _next_request(wire, reader, self.url):
                self._busy[writer] = True
                if not await self._answer(request, reader, writer) or self._server is None:
                    break
                self._busy[writer] = False
                wire = h11.Connection(h11.SERVER)
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the client has gone, as clients do
        finally:
            del self._busy[writer]
            writer.close()

    async def _answer(
        self, request: httpx2.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection is good for another request."""
        try:
            answer = await self.upstream.handle_async_request(request)
        except httpx2.TimeoutException:
            await reader.read(1)  # silence, until the client gives up
            self._passage(request).ended = asyncio.get_running_loop().time()
            return False
        except httpx2.RequestError:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            return False
        passage = self._passage(request)
        passage.is_told = False
        passage.is_told = await _send(answer, reader, writer)
        passage.ended = asyncio.get_running_loop().time()
        return passage.is_told

    def _passage(self, request: httpx2.Request) -> Passage:
        return next(passage for passage in reversed(self.upstream.passages) if passage.request is request)


async def _next_request(wire: h11.Connection, reader: asyncio.StreamReader, url: str) -> httpx2.Request | None:
    """The next request on the connection, None when the client has left."""
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head:
            target = url + head.target.decode()
            return httpx2.Request(head.method.decode(), target, headers=list(head.headers), content=body)
        else:
            return None


async def _send(answer: httpx2.Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send the answer as it is, true or not; whether it was whole and the client stayed to the end."""
    if reader.at_eof():
        return False
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = None if "transfer-encoding" in headers else b"".join([chunk async for chunk in _chunks(answer)])
    if body is not None:
        headers.setdefault("content-length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {answer.status_code} Injected\r\n{head}\r\n".encode() + (body or b""))
    if body is not None:
        await writer.drain()
        return headers["content-length"] == str(len(body))
    async for chunk in _chunks(answer):
        if reader.at_eof() or writer.is_closing():
            return False
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    return True


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """The body's bytes as they are on the wire."""
    if isinstance(answer.stream, httpx2.AsyncByteStream):
        async for chunk in answer.stream:
            if chunk:
                yield chunk


@contextlib.asynccontextmanager
async def served(upstream: Upstream) -> AsyncIterator[Front]:
    """The upstream on a port of its own, until the end of the block."""
    front = Front(upstream)
    await front.open()
    try:
        yield front
    finally:
        await front.close()
        await upstream.settle()
