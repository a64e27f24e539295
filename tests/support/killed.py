"""Servers in processes of their own that are killed at a chosen point of what they do, and what they did by then."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import anyio.abc
import anyio.lowlevel
import httpx2
from anyio.streams.buffered import BufferedByteReceiveStream
from starlette.types import Message, Receive, Scope, Send

from patchworks_deployments.sandbox import API_KEY, Sandbox
from support import nursery
from support.processes import clean_environment
from support.team import on_loopback
from support.wire import MAX_LINE_BYTES, Json, Wire, envelope, over_http

Carrier = Literal["stdio", "http"]

CARRIERS: tuple[Carrier, ...] = ("stdio", "http")

Point = tuple[Literal["comes", "carried out", "answered", "line"], int]
"""When the server is killed: at this request, or when its log has so many lines."""


@dataclass
class Killing:
    """Patchworks over HTTP, which kills the server that asks it, at a point of what it asks once it `is_armed`."""

    sandbox: Sandbox
    point: Point
    log: Path
    address: str
    pid: int = 0
    is_armed: bool = False
    has_killed: anyio.Event = field(default_factory=anyio.Event)
    under_way: int = 0
    methods: list[str] = field(default_factory=list)
    """Those of the requests that came since it is armed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = len(self.methods)
        if self.is_armed:
            self.methods.append(scope["method"])
        self.under_way += 1
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        try:
            if self._kills_at("comes", number):
                await send({"type": "http.response.start", "status": 503})
                await send({"type": "http.response.body"})
                return
            await self.sandbox.app(scope, receive, keep)
            self._kills_at("carried out", number)
            for message in answer:
                await send(message)
            self._kills_at("answered", number)
        finally:
            self.under_way -= 1

    async def watch(self) -> None:
        """Kill the server as soon as its log has so many lines."""
        kind, number = self.point
        while kind == "line" and not self.has_killed.is_set():
            if self.log.exists() and self.log.read_bytes().count(b"\n") >= number:
                self._kills_at("line", number)
            await anyio.lowlevel.checkpoint()

    async def end(self, scope: anyio.CancelScope) -> None:
        """End the call once its server is dead."""
        await self.has_killed.wait()
        await until_dead(self.pid)
        scope.cancel()

    def _kills_at(self, kind: str, number: int) -> bool:
        is_now = self.is_armed and (kind, number) == self.point
        if is_now and not self.has_killed.is_set():
            kill(self.pid)
            self.has_killed.set()
        return is_now

    @property
    def carried_out(self) -> Counter[tuple[str, str]]:
        """Method and path of each write that the account was changed by."""
        return Counter((request.method, request.path) for request in self.sandbox.writes if request.status < 400)


def kill(pid: int) -> None:
    """Kill the process, if it lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def until_dead(pid: int) -> None:
    """Wait until nothing is left of the process, its locks too."""
    with anyio.fail_after(10), contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            await anyio.sleep(0.002)


class Nursery:
    """Starts servers as children of a process that has imported all of it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def start(self, *arguments: str, stderr: Path, **environment: str) -> tuple[int, socket.socket]:
        """A server's process id, and the other end of its stdin and stdout."""
        ours, theirs = socket.socketpair()
        order = json.dumps({"arguments": arguments, "env": clean_environment(**environment)})
        with theirs, stderr.open("ab") as said:
            socket.send_fds(self._control, [order.encode()], [theirs.fileno(), theirs.fileno(), said.fileno()])
        return int(self._control.recv(64)), ours


@contextmanager
def open_nursery() -> Iterator[Nursery]:
    """A nursery, which ends with its process."""
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with theirs:
        process = subprocess.Popen([sys.executable, str(nursery.__file__)], stdin=theirs.fileno(), env=environment)  # noqa: S603 - our own
    with ours:
        yield Nursery(ours)
    process.wait(10)


class _Stdio(Wire):
    def __init__(self, stream: anyio.abc.SocketStream, buffered: BufferedByteReceiveStream) -> None:
        super().__init__()
        self._stream, self._buffered = stream, buffered

    async def send(self, message: Json) -> None:
        await self._stream.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Json:
        message: Json = json.loads(await self._buffered.receive_until(b"\n", MAX_LINE_BYTES))
        return message


@asynccontextmanager
async def served(nursery: Nursery, carrier: Carrier, killing: Killing) -> AsyncIterator[Wire]:
    """A wire to a server on that Patchworks; it is killed at the end, if it has not been. What it says is in a file."""
    environment = {"BASE_URL": killing.address, "API_KEY": API_KEY, "AUDIT_LOG": str(killing.log)}
    arguments = ["--http", "0"] if carrier == "http" else []
    said = killing.log.with_suffix(".stderr")
    killing.pid, ends = nursery.start(*arguments, stderr=said, **{f"PATCHWORKS_{n}": v for n, v in environment.items()})
    try:
        async with await anyio.abc.SocketStream.from_socket(ends) as stream:
            buffered = BufferedByteReceiveStream(stream)
            if carrier == "stdio":
                yield _Stdio(stream, buffered)
                return
            announced = await buffered.receive_until(b"\n", MAX_LINE_BYTES)
            async with over_http(announced.decode().split()[-1], "nobody's") as wire:
                yield wire
    finally:
        kill(killing.pid)
        with anyio.CancelScope(shield=True):
            await until_dead(killing.pid)


async def call(wire: Wire, tool: str, arguments: Json) -> Json:
    """The structured content of a call's result, in the newer era."""
    number = await wire.request("tools/call", {"name": tool, "arguments": arguments, "_meta": envelope({})})
    async for answer in wire.until_answered(number):
        content: Json = answer["result"].get("structuredContent") or answer["result"]
    return content


@dataclass
class Stage:
    """Servers from one nursery, and one address for Patchworks, at which each scene has its own."""

    nursery: Nursery
    address: str = ""
    scene: Killing | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.scene
        await self.scene(scope, receive, send)

    async def play(self, carrier: Carrier, log: Path, asked: tuple[str, Json], point: Point) -> Killing:
        """Kill a server at that point of a write; at the latest when the call has ended."""
        killing = self.scene = Killing(Sandbox(), point, log, self.address)
        tool, arguments = asked
        try:
            async with served(self.nursery, carrier, killing) as wire, anyio.create_task_group() as group:
                code = (await call(wire, tool, arguments))["confirmation_code"]
                killing.is_armed = True
                group.start_soon(killing.watch)
                group.start_soon(killing.end, group.cancel_scope)
                await call(wire, tool, {**arguments, "confirmation_code": code})
                group.cancel_scope.cancel()
        except* (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, httpx2.TransportError):
            assert killing.has_killed.is_set()
        while killing.under_way:  # noqa: ASYNC110 - a test can wait
            await anyio.sleep(0.002)
        return killing


@asynccontextmanager
async def stage(nursery: Nursery) -> AsyncIterator[Stage]:
    """A stage, whose Patchworks is served here."""
    opened = Stage(nursery)
    async with on_loopback(opened) as opened.address:
        yield opened
