"""What the tests of a team's server share: real processes on loopback, tokens, and an issuer with keys."""

import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from mcp import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.access import API_KEY
from patchworks_deployments.serving.tokens import hash_token
from support.clients import Era, Person
from support.faults import Gate
from support.processes import COMMAND, clean_environment

READ, WRITE = "deployments:read", "deployments:write"


@contextmanager
def serving(*arguments: str, log: str = "", **environment: str) -> Iterator["Served"]:
    """A server over HTTP in a process of its own, on a free port; the file `log` gets what it says on stderr."""
    command = [*COMMAND, "--http", "0", *arguments]
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
async def on_loopback(app: ASGIApp) -> AsyncIterator[str]:
    """The application on a free port of this machine; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, interface="asgi3", log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
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


ISSUER, AUDIENCE = "https://issuer.example", "https://mcp.example/mcp"


@dataclass
class Issuer:
    """An authorization server's keys: `jwks` is what it publishes, `down` makes it fail."""

    private: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    down: bool = False
    asked: int = 0

    def add_key(self, key_id: str) -> None:
        self.private[key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> dict[str, Any]:
        as_jwk = jwt.algorithms.RSAAlgorithm.to_jwk
        return {
            "keys": [{**as_jwk(key.public_key(), as_dict=True), "kid": key_id} for key_id, key in self.private.items()]
        }

    def __call__(self, _: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        return httpx2.Response(503) if self.down else httpx2.Response(200, json=self.jwks())

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same as an ASGI application."""
        self.asked += 1
        answer = Response(status_code=503) if self.down else JSONResponse(self.jwks())
        await answer(scope, receive, send)

    def token(self, key_id: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """A good token, but for the claims given; None leaves one out."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "nbf": now - 10, "scope": READ}
        payload = {name: value for name, value in {**good, **claims}.items() if value is not None}
        return jwt.encode(payload, self.private[key_id], algorithm=algorithm, headers={"kid": key_id})
