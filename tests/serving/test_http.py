"""Serving over HTTP: real processes, both eras, and what is refused at the door."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from support.clients import Era, Person, both_eras, work_through, yes
from support.processes import run_here, sandbox_over_http
from support.team import ALICE, Served, calling, on_loopback, serving, tokens_file

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.asgi import create_app


@pytest.mark.slow
@both_eras
async def test_the_main_job_works_over_http(era: Era) -> None:
    """List, read, create, update, toggle and delete, with a human asked, over streamable HTTP."""
    with serving("--sandbox") as served:
        async with calling(served.url, era=era, person=Person(yes)) as client:
            await work_through(client)


@pytest.mark.slow
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


@pytest.mark.slow
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
        (("--http", "0", "--workers", "2"), "Several workers need PATCHWORKS_STATE_KEYS"),
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
    monkeypatch.setenv("PATCHWORKS_SANDBOX", "true")
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
        assert (await client.get("/ready/")).is_redirect


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server behind a name of its own."""
    tokens = ("--tokens-file", tokens_file(tmp_path_factory.mktemp("published")))
    names = ("--allowed-hosts", "mcp.example", "--allowed-origins", "https://app.example")
    with serving("--sandbox", *tokens, *names) as served:
        yield served


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "mcp.example"}, 200),
        ({"Host": "mcp.example", "Origin": "https://app.example"}, 200),
    ],
)
async def test_only_known_hosts_and_origins_are_served(headers: dict[str, str], status: int, published: Served) -> None:
    """A page that has rebound its name to this machine gets nothing."""
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
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(published.url, json=initialize, headers={**accept, "Host": "mcp.example", **headers})
    assert answer.status_code == status
