"""Serving over HTTP: real processes, both eras, and what is refused at the door."""

import logging
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from support.clients import Era, Person, both_eras, work_through, yes
from support.processes import run_here, sandbox_over_http
from support.team import ALICE, BOB, INITIALIZE, Served, calling, head, on_loopback, serving, tokens_file, tool_call

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.settings import load_settings

pytestmark = pytest.mark.slow


@both_eras
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--http", "0.0.0.0:0"), "needs authorization (PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER) and"),
        (("--http", "0.0.0.0:0"), "PATCHWORKS_ALLOWED_HOSTS"),
        (("--http", "[::]:0", "--tokens-file", "x"), "PATCHWORKS_ALLOWED_HOSTS"),
        (("--http", "somewhere"), "must be PORT or HOST:PORT"),
        (("--http", "99999"), "must be PORT or HOST:PORT"),
        (("--http", "0", "--workers", "2", "--credentials", "caller"), "Several workers need PATCHWORKS_STATE_KEYS"),
        (("--http", "0", "--oauth-issuer", "https://i.example"), "OAuth also needs PATCHWORKS_OAUTH_JWKS_URL"),
        (("--credentials", "caller"), "works over HTTP only"),
    ],
)
def test_an_unsafe_or_incomplete_start_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """The message says what to set; nothing listens."""
    outcome = run_here("--sandbox", *arguments)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stdout == ""


async def test_the_factory_demands_authorization(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever brings a server of their own may bind it anywhere; several workers need shared keys there too."""
    monkeypatch.setenv("PATCHWORKS_CREDENTIALS", "caller")
    with pytest.raises(SettingsError, match="needs authorization"):
        create_app()
    monkeypatch.setenv("PATCHWORKS_TOKENS_FILE", tokens_file(tmp_path))
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.raises(SettingsError, match="PATCHWORKS_STATE_KEYS"):
        create_app()
    monkeypatch.delenv("WEB_CONCURRENCY")
    monkeypatch.setenv("PATCHWORKS_ALLOWED_HOSTS", "mcp.example")
    app = create_app()
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://mcp.example")
    async with app.router.lifespan_context(app), http as client:
        assert (await client.post("/mcp", json={})).status_code == 401
        assert (await client.get("/health")).json() == {"status": "alive"}
        assert (await client.post("/health")).status_code == 405
        assert (await client.get("/ready/")).status_code == 404


NEEDLE = "needle-in-the-request"

ODD_TARGETS = [
    "//mcp",
    "/mcp//",
    "/mcp;x",
    "/MCP",
    "/mcp/..",
    "/mcp/../mcp",
    "/mcp%00",
    "/mcp%2f%2f",
    f"/{NEEDLE}",
    f"/mcp/{NEEDLE}",
    "/health/",
    "/ready/",
    "/.well-known/oauth-protected-resource/mcp/",
    "*",
    f"http://{NEEDLE}/mcp",
    f"http://{NEEDLE}:80@{NEEDLE}/mcp/",
]


@pytest.mark.parametrize("target", ODD_TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", NEEDLE.upper()])
async def test_what_is_no_path_of_the_server_is_not_found(method: str, target: str, closed: Served) -> None:
    """No redirect, no failure, and nothing of the request in the answer, with a good token."""
    raw = head(ALICE, "Content-Length: 0", "Connection: close").replace(b"POST /mcp", f"{method} {target}".encode(), 1)
    stream = await anyio.connect_tcp(*closed.address)
    async with stream:
        await stream.send(raw.replace(b"Host: 127.0.0.1", f"Host: 127.0.0.1:80\r\nX-Forwarded-Host: {NEEDLE}".encode()))
        answer = b"".join([chunk async for chunk in stream]).decode()
    assert answer.startswith("HTTP/1.1 404 ")
    assert NEEDLE not in answer.casefold()
    assert "location:" not in answer.casefold()


@both_eras
async def test_the_endpoint_works_with_a_slash_at_its_end_too(era: Era, closed: Served) -> None:
    """It serves with a token and refuses without one, in place of a redirect to wherever the caller's Host says."""
    async with calling(f"{closed.url}/", ALICE, era=era) as client:
        assert not (await client.call_tool("list_deployments", {})).is_error
    async with httpx2.AsyncClient(trust_env=False) as http:
        refused = await http.post(f"{closed.url}/", json=INITIALIZE)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


async def test_the_log_holds_no_session_s_whole_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bob tries Alice's session, then she ends it: what is logged, at any level, tells only the beginning of its id."""
    caplog.set_level(logging.DEBUG)
    app = create_app(load_settings({}, sandbox=True, tokens_file=tokens_file(tmp_path)))
    transport = httpx2.ASGITransport(app=app)
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {ALICE}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http,
    ):
        session = (await http.post("/mcp", json=INITIALIZE)).headers["Mcp-Session-Id"]
        stolen = {"Mcp-Session-Id": session, "Authorization": f"Bearer {BOB}"}
        assert (await http.post("/mcp", json=tool_call("list_deployments"), headers=stolen)).status_code == 404
        assert (await http.delete("/mcp", headers={"Mcp-Session-Id": session})).status_code == 200
    said = [record.getMessage() for record in caplog.records]
    assert any("does not match the one that created the session" in message for message in said)
    assert any(session[:8] in message for message in said)
    assert not [message for message in said if session in message]
