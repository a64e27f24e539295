"""Which names a server answers to, which pages may call it, and what they may read."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support import virtual_time
from support.team import ALICE, INITIALIZE, READER, tokens_file, tool_call

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.serving.addresses import Allowed, door
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.serving.limits import MAX_BODY_BYTES
from patchworks_deployments.settings import load_settings

PAGE = "https://app.example"
BEHIND_A_NAME = {"allowed_hosts": "mcp.example", "allowed_origins": f"{PAGE},http://localhost:*"}


@asynccontextmanager
async def client_of(**settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server in this process; without names of its own, the server takes those of this machine."""
    app = create_app(load_settings({}, sandbox=True, **settings))
    transport = httpx2.ASGITransport(app=app)
    base = "http://mcp.example" if "allowed_hosts" in settings else "http://localhost"
    headers = {"Accept": "application/json, text/event-stream"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=base, headers=headers) as http,
    ):
        yield http


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({}, 200),
        ({"Origin": PAGE}, 200),
        ({"Origin": "http://localhost:6274"}, 200),
        ({"Origin": "http://localhost"}, 403),
    ],
)
async def test_only_known_hosts_and_origins_are_served(headers: dict[str, str], status: int) -> None:
    """A page that has rebound its name to this machine gets nothing."""
    async with client_of(**BEHIND_A_NAME) as http:
        assert (await http.post("/mcp", json=INITIALIZE, headers=headers)).status_code == status
        assert (await http.post("/mcp/", json=INITIALIZE, headers=headers)).status_code == status


@pytest.mark.parametrize("root", ["", "/below"])
async def test_no_way_of_writing_the_path_leads_around_the_door(root: str) -> None:
    """Wherever an ASGI server says that the application begins."""
    app = create_app(load_settings({}, sandbox=True))
    transport = httpx2.ASGITransport(app=app, root_path=root)
    paths = ["/mcp", "/mcp/", "/mcp%0a", "/mcp/%0a", "/mcp%2f", "//mcp", "/./mcp", f"{root}/mcp", f"{root}{root}/mcp/"]
    async with httpx2.AsyncClient(transport=transport, base_url="http://evil.example") as http:
        statuses = {(await http.post(path, json=INITIALIZE)).status_code for path in paths}
    assert statuses <= {404, 421}


ODD_HOSTS = [
    "127.0.0.1:80@evil.example",
    "127.0.0.1:pass@evil.example:80",
    "user@127.0.0.1:80",
    "localhost:80/..",
    "localhost:80?x",
    "localhost:80#x",
    "localhost:80.evil.example",
    "localhost:80, evil.example",
    "localhost:\t80",
    "localhost :80",
    "localhost:",
    "localhost:0x50",
    "localhost:\u00b2",
    "localhost:*",
    "[::1]:80@evil.example",
    "[::1]:",
    "[::1].evil.example:80",
]


def told(refused: httpx2.Response) -> str:
    """What a refusal says, as a JSON-RPC error."""
    message: str = refused.json()["error"]["message"]
    return message


def setting_in(refused: httpx2.Response) -> str:
    """The setting that the words of a refusal name; what was sent and is no plain address does not stand there."""
    assert "evil" not in told(refused)
    return " ".join(re.findall(r"PATCHWORKS_\w+", told(refused)))


async def test_only_a_plain_host_and_origin_are_served() -> None:
    """Behind an allowed name nothing but a port; each header once at most."""
    good = ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:8080", "localhost:1", "[::1]:8080"]
    async with client_of() as http:

        async def answer_to(*headers: tuple[str, str]) -> httpx2.Response:
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
            return await http.post("/mcp", json=INITIALIZE, headers=encoded)

        for host in good:
            assert (await answer_to(("Host", host))).status_code == 200, host
        refused = [await answer_to(("Host", host)) for host in ODD_HOSTS]
        refused += [await answer_to(("Host", "localhost"), ("Host", host)) for host in ("localhost", "evil.example")]
        assert {(answer.status_code, setting_in(answer)) for answer in refused} == {(421, "PATCHWORKS_ALLOWED_HOSTS")}
        assert (await answer_to(("Host", "localhost"), ("Origin", "http://localhost:80"))).status_code == 200
        refused = [await answer_to(("Host", "localhost"), ("Origin", f"http://{host}")) for host in ODD_HOSTS]
        twice = [("Origin", "http://localhost:80"), ("Origin", "http://evil.example")]
        refused += [await answer_to(("Host", "localhost"), *twice), await answer_to(("Origin", "null"))]
        assert {(answer.status_code, setting_in(answer)) for answer in refused} == {(403, "PATCHWORKS_ALLOWED_ORIGINS")}


@given(st.text(st.characters(max_codepoint=255), max_size=8) | st.from_regex(r"[0-9]{1,6}", fullmatch=True))
def test_behind_a_colon_only_a_port_is_plain(port: str) -> None:
    """Up to five digits."""

    async def answer() -> int:
        transport = httpx2.ASGITransport(app=Allowed(Response(), "Host", ["localhost:*"]))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return (await http.get("/", headers=[(b"Host", f"localhost:{port}".encode("latin-1"))])).status_code

    is_plain = port.isascii() and port.isdigit() and len(port) <= 5
    assert anyio.run(answer) == (200 if is_plain else 421)


async def test_a_refusal_shows_what_was_sent_and_the_log_tells_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """The beginning of it, whatever else is wrong with the request: no token, or too large a body."""
    async with client_of(**BEHIND_A_NAME) as http:
        for _ in range(3):
            wrong_host = await http.post("/mcp", json=INITIALIZE, headers={"Host": "10.0.0.5:8800"})
            wrong_page = await http.post("/mcp", content=b" " * (MAX_BODY_BYTES + 1), headers={"Origin": f"{PAGE}:1"})
        long = await http.post("/mcp", headers={"Host": "x" * 5_000})
        for number in range(300):
            await http.post("/mcp", headers={"Host": f"{number}.example"})
    assert "the Host `10.0.0.5:8800`" in told(wrong_host)
    assert "the Origin `https://app.example:1`" in told(wrong_page)
    assert "Nothing was changed." in told(wrong_page)
    assert len(told(long)) < 400
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 101
    assert caplog.text.count("Host `10.0.0.5:8800`") == caplog.text.count("Origin `https://app.example:1`") == 1


@pytest.mark.parametrize(
    ("setting", "entry"),
    [
        ("allowed_origins", "https://app.example/"),
        ("allowed_origins", "app.example"),
        ("allowed_origins", "*"),
        ("allowed_origins", "https://*.example"),
        ("allowed_origins", "null"),
        ("allowed_hosts", "https://mcp.example"),
        ("allowed_hosts", "mcp.example/mcp"),
        ("allowed_hosts", "*"),
    ],
)
def test_an_entry_that_could_never_match_stops_the_start(setting: str, entry: str) -> None:
    """The message names the setting and shows how it is written."""
    with pytest.raises(SettingsError, match=rf"PATCHWORKS_{setting.upper()}: '.*' never matches, write it like"):
        create_app(load_settings({}, sandbox=True, **{setting: entry}))


# What a page may read -----------------------------------------------------------------------------


def preflight(origin: str, method: str = "POST", headers: str = "") -> dict[str, str]:
    """The question that a browser asks before a page's request, without the page's token."""
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}


SENT = "authorization,content-type,last-event-id,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id"


async def test_a_browser_s_question_is_answered_for_an_allowed_page(tmp_path: Path) -> None:
    """Before anybody proves who they are, with each header and method that clients use, and without cookies."""
    async with client_of(**BEHIND_A_NAME, tokens_file=tokens_file(tmp_path)) as http:
        for method in ("GET", "POST", "DELETE"):
            asked = preflight(PAGE, method, f"{SENT},x-patchworks-authorization")
            answer = await http.options("/mcp", headers={**asked, "Access-Control-Request-Private-Network": "true"})
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
            assert method in answer.headers["Access-Control-Allow-Methods"]
            allowed = set(answer.headers["Access-Control-Allow-Headers"].split(","))
            assert allowed >= {*SENT.split(","), "x-patchworks-authorization"}
            assert "Origin" in answer.headers["Vary"]
            assert "Access-Control-Allow-Credentials" not in answer.headers
        other = await http.options("/mcp", headers=preflight("https://evil.example"))
    assert other.status_code == 403
    assert "PATCHWORKS_ALLOWED_ORIGINS" in told(other)
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_an_allowed_page_may_read_every_answer(tmp_path: Path) -> None:
    """Each refusal too, with the session's id, the challenge and the time to wait; failures as well."""

    def bearer(token: str) -> dict[str, str]:
        return {"Origin": PAGE, "Authorization": f"Bearer {token}"}

    async with client_of(**BEHIND_A_NAME, tokens_file=tokens_file(tmp_path), rate_limit=1) as http:
        answers = [
            await http.post("/mcp", json=INITIALIZE, headers=bearer(ALICE)),
            await http.post("/mcp", json=INITIALIZE, headers={"Origin": PAGE}),
            await http.post("/mcp", json=tool_call("delete_deployment"), headers=bearer(READER)),
            await http.patch("/mcp", headers=bearer(ALICE)),
            await http.post("/mcp", json=INITIALIZE, headers={**bearer(ALICE), "Host": "evil.example"}),
            await http.post("/mcp", content=b" " * MAX_BODY_BYTES, headers=bearer(ALICE)),
        ]
    async with client_of(**BEHIND_A_NAME, rate_limit=0) as http:
        answers.append(await http.post("/mcp", content=b" " * (MAX_BODY_BYTES + 1), headers={"Origin": PAGE}))

    async def fail(_: Request) -> Response:
        raise RuntimeError

    failing = door(Starlette(routes=[Route("/mcp", fail)]), load_settings({}, sandbox=True, **BEHIND_A_NAME))
    transport = httpx2.ASGITransport(app=failing, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://mcp.example") as http:
        answers.append(await http.get("/mcp", headers={"Origin": PAGE}))
    assert [answer.status_code for answer in answers] == [200, 401, 403, 405, 421, 429, 413, 500]
    for answer in answers:
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"Mcp-Session-Id", "WWW-Authenticate", "Retry-After"} <= {*exposed.split(", ")}
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_an_allowed_page_may_read_that_its_request_came_too_slowly() -> None:
    """Half a body, and nothing more."""

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep(3_600)

    async def scenario() -> None:
        async with client_of(**BEHIND_A_NAME) as http:
            answer = await http.post("/mcp", content=half(), headers={"Origin": PAGE})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (408, PAGE)

    virtual_time.run(scenario())


@given(
    st.sampled_from(["http", "https", "HTTP", "ftp"]),
    st.sampled_from(["localhost", "app.example", "localhost.evil.example", "xlocalhost", "LOCALHOST", "appxexample"]),
    st.sampled_from(["", ":", ":*", ":1", ":65536", ":123456", ":80@evil.example", "/", "\n"]),
)
def test_one_list_decides_who_is_served_and_who_may_read(scheme: str, name: str, port: str) -> None:
    """An origin is served and shown the answer, or refused and shown nothing."""

    async def answer() -> httpx2.Response:
        app = door(Response(), load_settings({}, sandbox=True, **BEHIND_A_NAME))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://mcp.example") as http:
            return await http.get("/mcp", headers=[(b"Origin", origin.encode())])

    origin = f"{scheme}://{name}{port}"
    told = anyio.run(answer)
    is_allowed = origin in {PAGE, "http://localhost:1", "http://localhost:65536"}
    assert told.status_code == (200 if is_allowed else 403)
    assert told.headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)


async def test_a_page_of_this_machine_may_use_a_server_only_where_its_origin_is_named() -> None:
    """A server without tokens would else belong to whatever is shown on some port of localhost."""
    page = "http://localhost:6274"
    for origin, settings, status in (
        (page, {}, 400),
        (page, {"allowed_origins": "http://localhost:*"}, 200),
        (page, {"allowed_origins": PAGE}, 403),
        (page, {"allowed_hosts": "mcp.example"}, 403),
        ("https://evil.example", {}, 403),
    ):
        async with client_of(**settings) as http:
            answer = await http.options("/mcp", headers=preflight(origin))
            called = await http.post("/mcp", json=INITIALIZE, headers={"Origin": origin})
        assert answer.status_code == status, (origin, settings)
        for told in (answer, called):
            assert ("Access-Control-Allow-Origin" in told.headers) == (status == 200), (origin, settings)
