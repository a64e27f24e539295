"""What the tests of a team's server share: real processes on loopback, tokens, and an issuer with keys."""

import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import uvicorn
from mcp import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp, Receive, Scope, Send

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.access import API_KEY
from patchworks_deployments.serving.tokens import hash_token
from support.clients import SHOWS_PAGES, Era, Person
from support.faults import Gate
from support.processes import COMMAND, clean_environment

READ, WRITE = "deployments:read", "deployments:write"


@contextmanager
def serving(*arguments: str, log: str = "", files: str = "", **environment: str) -> Iterator["Served"]:
    """A server over HTTP in a process of its own, on a free port; the file `log` gets what it says on stderr.

    `files` is how many it may open, where not as many as these tests.
    """
    under = ["prlimit", f"--nofile={files}:{files}"] if files else []
    command = [*under, *COMMAND, "--http", "0", *arguments]
    with Path(log).open("wb") if log else nullcontext() as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=clean_environment(**environment)
        )
    assert process.stdout
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+/mcp", line)
        assert found, "the server did not start"
        yield Served(found[0], process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait()
        process.stdout.close()


@dataclass
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")

    @property
    def address(self) -> tuple[str, int]:
        url = httpx2.URL(self.url)
        assert url.port
        return url.host, url.port


@asynccontextmanager
async def calling(  # noqa: PLR0913 - each names one thing that a caller may bring
    url: str,
    token: str | None = None,
    *,
    era: Era = "auto",
    person: Person | None = None,
    pages: bool = False,
    message_handler: MessageHandlerFnT | None = None,
    key: str | None = None,
) -> AsyncIterator[Client]:
    """A client of a served server; `key` is the caller's own for Patchworks."""
    sent = {"Authorization": f"Bearer {token}" if token else None, "X-Patchworks-Authorization": key}
    headers = {name: value for name, value in sent.items() if value}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode=era,
            elicitation_callback=person,
            extensions=[SHOWS_PAGES] * pages,
            message_handler=message_handler,
        ) as client,
    ):
        yield client


ALICE, BOB, READER = "token-of-alice", "token-of-bob", "token-of-a-reader"


def tokens_file(folder: Path) -> str:
    """Two who may write and one who may not."""
    lines = [
        "# who may call",
        f"alice {READ},{WRITE} {hash_token(ALICE)}",
        f"bob {READ},{WRITE} {hash_token(BOB)}  # the other one",
        f"reader {READ} {hash_token(READER)}",
    ]
    path = folder / "tokens"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@asynccontextmanager
async def on_loopback(app: ASGIApp, certificate: Path | None = None) -> AsyncIterator[str]:
    """The application on a free port of this machine, over TLS if there is a certificate; yields its address."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            log_level="error",
            lifespan="off",
            ssl_certfile=certificate,
            timeout_graceful_shutdown=5,
        )
    )

    async def serve() -> None:
        # Were it cancelled where a test fails, the event loop would go on to watch its closed socket, and not see the
        # next one that gets the same number.
        with anyio.CancelScope(shield=True):
            await server.serve([listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio leaves it out for such a socket, and each answer would wait 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            try:
                yield f"http{'s' if certificate else ''}://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


@asynccontextmanager
async def slow_upstream() -> AsyncIterator[tuple[str, Gate]]:
    """The sandbox on a port, and the gate at which its writes wait."""
    gate, sandbox = Gate(), Sandbox()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "GET":
            await gate()
        await sandbox.app(scope, receive, send)

    async with on_loopback(app) as url:
        yield url, gate


def accounts(**sandboxes: Sandbox) -> ASGIApp:
    """One API with several accounts, each opened by a key of its own: the parameter's name."""
    stranger = Sandbox()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        account = sandboxes.get(headers.get(b"authorization", b"").decode())
        if account:
            headers[b"authorization"] = API_KEY.encode()
        await (account or stranger).app({**scope, "headers": [*headers.items()]}, receive, send)

    return app


def head(token: str, *more: str) -> bytes:
    lines = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def _half_a_body(token: str, *more: str) -> bytes:
    return head(token, "Content-Length: 100", *more) + b"{"


NEW_ERA = "MCP-Protocol-Version: 2026-07-28"

HALVES = {
    "half a body": _half_a_body(ALICE),
    "half a body in the new era": _half_a_body(ALICE, NEW_ERA),
    "half a reader's body": _half_a_body(READER, NEW_ERA),
}
"""What is sent before the client falls silent."""


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
"""How an older host opens a session."""


def tool_call(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


async def answer_to(served: Served, token: str | None, tool: str = "list_deployments") -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".rstrip()}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        return await http.post(served.url, json=tool_call(tool))
