"""Serving over HTTP: real processes, both eras, and what is refused at the door."""

import json
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from support import ERAS, Clock, Era, Person, data, text, yes
from team import ALICE, READER, calling, on_loopback, serving, tokens_file
from test_cli import run
from test_stdio import sandbox_over_http, work_through

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.asgi import MAX_HTTP_CONNECTIONS, create_app
from patchworks_deployments.serving.limits import RateLimit
from patchworks_deployments.tools.base import Refusals
from patchworks_deployments.writes.audit import AuditLog


@pytest.mark.parametrize("era", ERAS)
async def test_the_main_job_works_over_http(era: Era) -> None:
    """List, read, create, update, toggle and delete, with a human asked, over streamable HTTP."""
    with serving("--sandbox") as served:
        async with calling(served.url, era=era, person=Person(yes)) as client:
            await work_through(client)


async def test_readiness_follows_patchworks_and_health_does_not() -> None:
    """Health says that the process lives; ready says that Patchworks can be used; neither says anything else."""
    with (
        sandbox_over_http() as upstream,
        serving(PATCHWORKS_API_KEY="sandbox-key", PATCHWORKS_BASE_URL=upstream) as good,
    ):
        async with httpx2.AsyncClient(trust_env=False) as http:
            ready = await http.get(f"{good.base}/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    nowhere = {"PATCHWORKS_API_KEY": "hush-key", "PATCHWORKS_BASE_URL": "http://127.0.0.1:9"}
    with serving(**nowhere) as bad:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            health = await http.get(f"{bad.base}/health")
            ready = await http.get(f"{bad.base}/ready")
    assert (health.status_code, health.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})


async def test_probing_often_does_not_load_patchworks() -> None:
    """Many probes in a row make one request."""
    sandbox, asked = Sandbox(), 0

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        await sandbox.app(scope, receive, send)

    async with on_loopback(counting) as upstream:
        with serving(PATCHWORKS_API_KEY="sandbox-key", PATCHWORKS_BASE_URL=upstream) as served:
            async with httpx2.AsyncClient(trust_env=False) as http:
                answers = [(await http.get(f"{served.base}/ready")).status_code for _ in range(10)]
    assert answers == [200] * 10
    assert asked == 1


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Each connection is an open file, here and in the server."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_HTTP_CONNECTIONS + 200, max(before[1], MAX_HTTP_CONNECTIONS + 200)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_many_files")
def test_connections_beyond_the_limit_are_turned_away(tmp_path: Path) -> None:
    """With 4,000 connections open the next request gets 503, and when they are gone it is served again."""
    with (
        serving("--sandbox", log=str(tmp_path / "stderr")) as served,
        httpx2.Client(trust_env=False, base_url=served.base) as http,
        ExitStack() as crowd,
    ):
        for _ in range(MAX_HTTP_CONNECTIONS):
            crowd.enter_context(socket.create_connection(served.address))
        assert http.get("/health").status_code == 503
        crowd.close()
        answers = iter(lambda: http.get("/health").status_code, 503)
        assert next(answers) == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--http", "0.0.0.0:0"), "needs authorization (PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER) and"),
        (("--http", "0.0.0.0:0"), "PATCHWORKS_ALLOWED_HOSTS"),
        (("--http", "[::]:0", "--tokens-file", "x"), "PATCHWORKS_ALLOWED_HOSTS"),
        (("--http", "somewhere"), "must be PORT or HOST:PORT"),
        (("--http", "99999"), "must be PORT or HOST:PORT"),
        (("--http", "0", "--workers", "2"), "Several workers need PATCHWORKS_STATE_KEYS"),
        (("--http", "0", "--oauth-issuer", "https://i.example"), "OAuth also needs PATCHWORKS_OAUTH_JWKS_URL"),
        (("--credentials", "caller"), "works over HTTP only"),
    ],
)
def test_an_unsafe_or_incomplete_start_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """The message says what to set; nothing listens."""
    outcome = run("--sandbox", *arguments)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stdout == ""


def test_the_factory_demands_authorization(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever brings a server of their own may bind it anywhere; several workers need shared keys there too."""
    monkeypatch.setenv("PATCHWORKS_SANDBOX", "true")
    with pytest.raises(SettingsError, match="needs authorization"):
        create_app()
    monkeypatch.setenv("PATCHWORKS_TOKENS_FILE", tokens_file(tmp_path))
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.raises(SettingsError, match="PATCHWORKS_STATE_KEYS"):
        create_app()
    monkeypatch.delenv("WEB_CONCURRENCY")
    monkeypatch.setenv("PATCHWORKS_ALLOWED_HOSTS", "mcp.example")
    with TestClient(create_app(), base_url="http://mcp.example") as client:
        assert client.post("/mcp", json={}).status_code == 401
        assert client.get("/health").json() == {"status": "alive"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "mcp.example"}, 200),
        ({"Host": "mcp.example", "Origin": "https://app.example"}, 200),
    ],
)
async def test_only_known_hosts_and_origins_are_served(headers: dict[str, str], status: int, tmp_path: Path) -> None:
    """A page that has rebound its name to this machine gets nothing."""
    hosts = ("--allowed-hosts", "mcp.example", "--allowed-origins", "https://app.example")
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), *hosts)
    initialize = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    accept = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {ALICE}"}
    with serving(*arguments) as served:
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(served.url, json=initialize, headers={**accept, "Host": "mcp.example", **headers})
    assert answer.status_code == status


@pytest.mark.parametrize("token", [ALICE, READER])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_an_oversized_body_is_refused(token: str, version: str, tmp_path: Path) -> None:
    """A megabyte is far more than any call needs: told beforehand, or as soon as it has come without an end."""
    megabyte = b" " * 2**20
    told = _head(token, f"MCP-Protocol-Version: {version}", f"Content-Length: {2**20 + 1}")
    untold = _head(token, f"MCP-Protocol-Version: {version}", "Transfer-Encoding: chunked")
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        for sent in (told, untold + b"100000\r\n" + megabyte + b"\r\n1\r\n \r\n"):
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(sent)
                assert (await connection.receive()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_over_its_limit_is_told_how_long_to_wait(era: Era, tmp_path: Path) -> None:
    """The limit reaches the model as an error result, others as a protocol error, and a write leaves an audit line."""
    log = tmp_path / "audit.jsonl"
    said = "Too many requests: the limit is 3 a minute. Nothing was changed. Wait"
    with serving("--sandbox", "--rate-limit", "3", "--audit-log", str(log)) as served:
        async with calling(served.url, era=era) as client:
            results = [await client.call_tool("list_deployments", {"per_page": 1}) for _ in range(4)]
            with pytest.raises(MCPError, match=said):
                await client.read_resource("patchworks://deployments")
            with pytest.raises(MCPError, match=said):
                await client.complete(PromptReference(name="stop_environment"), {"name": "environment", "value": "U"})
            write = await client.call_tool("disable_deployment", {"deployment_id": "500", "api_key": "S3CRET"})
            assert len((await client.list_tools()).tools) == 11
    assert [result.is_error for result in results] == [False, False, False, True]
    assert text(results[-1]).startswith(said)
    (line,) = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert (line["tool"], line["outcome"], line["message"]) == ("disable_deployment", "refused", text(write))
    assert (line["caller"], line["arguments"]) == ("local", {"deployment_id": "500"})
    assert line["client"].startswith("mcp ")


def test_a_limit_refills_and_is_each_caller_s_own() -> None:
    """What one caller uses up is not another's, and comes back with time."""
    clock = Clock()
    limit = RateLimit(60, Refusals(AuditLog(None), {}), clock)
    assert [limit.take("alice") for _ in range(60)] == [0.0] * 60
    assert limit.take("alice") >= 1
    assert limit.take("bob") == 0
    clock.now += 1
    assert limit.take("alice") == 0
    assert limit.take("alice") > 0


@pytest.mark.parametrize("era", ERAS)
async def test_a_stopping_server_finishes_the_write_it_is_in(era: Era, tmp_path: Path) -> None:
    """SIGTERM during a slow write: the write is carried out, verified, answered and recorded, and the server ends."""
    log = tmp_path / "audit.jsonl"
    async with slow_upstream() as (upstream, write_began, let_it_finish):
        environment = {
            "PATCHWORKS_API_KEY": "sandbox-key",
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_AUDIT_LOG": str(log),
        }
        with serving(**environment) as served:
            outcome: list[dict[str, Any]] = []

            async def disable(client: Client) -> None:
                ids = {"flow_version_id": "1001", "deployment_id": "500"}
                outcome.append(data(await client.call_tool("disable_deployment", ids)))

            async with calling(served.url, era=era, person=Person(yes)) as client, anyio.create_task_group() as group:
                await client.list_tools()
                group.start_soon(disable, client)
                await write_began.wait()
                served.process.send_signal(signal.SIGTERM)
                await _refuses_connections(served.base)
                let_it_finish.set()
            assert await anyio.to_thread.run_sync(served.process.wait) is not None
    assert [result["status"] for result in outcome] == ["done"]
    assert [json.loads(line)["outcome"] for line in log.read_text(encoding="utf-8").splitlines()] == ["done"]


def _head(token: str, *more: str) -> bytes:
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
    return _head(token, "Content-Length: 100", *more) + b"{"


NEW_ERA = "MCP-Protocol-Version: 2026-07-28"
HALVES = {
    "half a body": _half_a_body(ALICE),
    "half a body in the new era": _half_a_body(ALICE, NEW_ERA),
    "half a reader's body": _half_a_body(READER, NEW_ERA),
}


async def test_a_request_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    """Half a body ends with 408 and the connection, without a traceback."""
    log = tmp_path / "stderr"
    answers: dict[str, bytes] = {}
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:

        async def ask(what: str) -> None:
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(HALVES[what])
                answers[what] = b"".join([chunk async for chunk in connection])

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for what in HALVES:
                    group.start_soon(ask, what)
    for what in HALVES:
        assert answers[what].startswith(b"HTTP/1.1 408 Request Timeout\r\n"), what
    assert log.read_text(encoding="utf-8") == ""


async def test_a_head_without_end_is_refused() -> None:
    """A caller without a token cannot fill the memory: 64 KiB of head end with 400 and the connection."""
    with serving("--sandbox") as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 2**17)
            received = b""
            with anyio.fail_after(10), suppress(anyio.BrokenResourceError):
                async for chunk in connection:
                    received += chunk
    assert received.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_gives_up_in_the_middle_of_a_body_leaves_no_trace(tmp_path: Path) -> None:
    """It is no fault of the server: nothing is logged, and the next request is served."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        for half in HALVES.values():
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(half)
        async with calling(served.url, ALICE) as client:
            assert not (await client.call_tool("list_deployments", {})).is_error
    assert log.read_text(encoding="utf-8") == ""


async def test_half_a_body_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A stopping server waits no longer for it than a running one, and ends without a traceback."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(HALVES["half a body"])
            async with calling(served.url, ALICE) as client:
                await client.list_tools()
            served.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(20):
                assert (await connection.receive()).startswith(b"HTTP/1.1 408")
                await anyio.to_thread.run_sync(served.process.wait)
    assert log.read_text(encoding="utf-8") == ""


async def _refuses_connections(base: str) -> None:
    """Return once the stopping server takes no new connection."""
    with anyio.fail_after(20):
        while True:
            try:
                async with httpx2.AsyncClient(trust_env=False) as http:
                    await http.get(f"{base}/health")
            except httpx2.TransportError:
                return


@asynccontextmanager
async def slow_upstream() -> AsyncIterator[tuple[str, anyio.Event, anyio.Event]]:
    """The sandbox on a port, whose writes say that they began and wait to be let go."""
    began, go_on, sandbox = anyio.Event(), anyio.Event(), Sandbox()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "GET":
            began.set()
            await go_on.wait()
        await sandbox.app(scope, receive, send)

    async with on_loopback(app) as url:
        yield url, began, go_on
