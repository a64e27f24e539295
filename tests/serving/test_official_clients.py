"""The official TypeScript clients, with a package's authorization server, and in a browser."""

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from support import node
from support.clients import READING, TOOLS
from support.processes import COMMAND
from support.programs import program
from support.team import ALICE, READ, WRITE, Served, on_loopback, serving, tokens_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    node.install()


@contextmanager
def serving_tokens_of(issuer: str, **more: str) -> Iterator[Served]:
    """A server whose public address is the one that it has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    oauth = {
        "PATCHWORKS_OAUTH_ISSUER": issuer,
        "PATCHWORKS_OAUTH_JWKS_URL": f"{issuer.rstrip('/')}/jwks",
        "PATCHWORKS_PUBLIC_URL": f"http://127.0.0.1:{port}/mcp",
    }
    with serving("--sandbox", "--http", str(port), **oauth, **more) as served:
        yield served


@pytest.mark.parametrize(("end", "versions"), [("", ["1", "2"]), ("/", ["1", "2-new"])])
async def test_an_official_client_signs_in_by_itself_and_changes_something(end: str, versions: list[str]) -> None:
    """401, metadata, registration, sign-in, token, tools and an asked, verified write; whatever ends the issuer."""
    with node.authorization_server(end) as issuer, serving_tokens_of(issuer) as served:
        for priority, version in enumerate(versions, 2):
            saw = await node.printed("oauth_client.mjs", version, served.url, str(priority))
            assert saw == {
                "signIns": [f"{READ} {WRITE}"],
                "scope": f"{READ} {WRITE}",
                "tools": len(TOOLS),
                "asked": 1,
                "status": "done",
                "verified": True,
            }, version


async def test_an_official_client_that_was_told_of_less_signs_in_once_more_for_a_write() -> None:
    """It starts with reading alone, and the challenge names all that the write needs, so once more is enough."""
    with node.authorization_server() as issuer, serving_tokens_of(issuer, PATCHWORKS_OAUTH_SCOPES=READ) as served:
        for priority, version in enumerate(["1", "2"], 2):
            saw = await node.printed("oauth_client.mjs", version, served.url, str(priority), "known")
            assert saw["signIns"] == [READ, f"{READ} {WRITE}"], version
            assert (saw["tools"], saw["status"], saw["verified"]) == (len(READING), "done", True), version


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_official_client_shows_that_a_server_with_a_tokens_file_issues_none(
    version: str, closed: Served
) -> None:
    """It looks for an authorization server, and ends with our words in place of its own guess."""
    outcome = await node.run("oauth_client.mjs", version, closed.url, "2")
    assert outcome.returncode
    assert "This server issues no tokens and has no OAuth sign-in: ask whoever runs it" in outcome.stderr.decode()


@pytest.mark.parametrize("version", ["1", "2", "2-new"])
async def test_an_official_client_answers_questions_in_every_way(version: str) -> None:
    """It ticks and types what the form asks for; a no in no time and a handler that fails are told as nobody's no."""
    saw = await node.printed("person.mjs", version, *COMMAND, "--sandbox")
    assert "answered 'decline' after" in saw["declines"]["message"]
    assert saw["declines"]["status"] == "confirmation_required"
    # In the newer era the client ends the call by itself, with the words of its own handler.
    failed = saw["fails"] if version == "2-new" else saw["fails"]["message"]
    assert "no window is open" in failed
    assert [(saw[how]["status"], saw[how]["confirmed_by"]) for how in ("ticks", "types")] == [("done", "human")] * 2


@pytest.mark.parametrize("by", ["person", "code"])
@pytest.mark.parametrize("version", ["1", "2", "2-new"])
async def test_an_official_client_gets_what_it_was_promised_of_every_tool(version: str, by: str) -> None:
    """It holds each result against the schema that was listed, and each write is previewed, agreed to and done."""
    printed = await node.printed("every_tool.mjs", version, by, *COMMAND, "--sandbox")
    saw = printed["saw"]
    assert {result["tool"] for result in saw} == set(printed["tools"])
    assert not [result for result in saw if result["isError"] or not result["content"][0]["text"]]
    statuses = {(told["tool"], told["structuredContent"].get("status")) for told in saw}
    writes = {tool for tool, status in statuses if status}
    assert writes == TOOLS - READING
    assert statuses >= {(tool, status) for tool in writes for status in ("preview", "done")}
    assert all(told["structuredContent"].get("verified", True) for told in saw)


# In a browser -------------------------------------------------------------------------------------


@dataclass
class Site:
    """A page on an origin of its own, and what it says that it saw."""

    origin: str
    saw: MemoryObjectReceiveStream[Any]

    async def opened(self, served: Served, profile: Path) -> Any:
        """What the page sees of the server, in a browser of its own that nobody looks at."""
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        quiet += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        address = f"{self.origin}/#{quote(json.dumps({'url': served.url, 'token': ALICE}))}"
        command = [program("chromium", "chromium-browser"), *quiet, address]
        browser = await anyio.open_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with anyio.fail_after(30):
                return await self.saw.receive()
        finally:
            browser.terminate()
            await browser.wait()


@asynccontextmanager
async def site(script: Path) -> AsyncIterator[Site]:
    tell, saw = anyio.create_memory_object_stream[Any](1)

    async def page(_: Request) -> Response:
        return HTMLResponse("<!doctype html><script type=module src=/page.js></script>")

    async def code(_: Request) -> Response:
        return FileResponse(script, media_type="text/javascript")

    async def told(request: Request) -> Response:
        await tell.send(await request.json())
        return Response()

    routes = [Route("/", page), Route("/page.js", code), Route("/saw", told, methods=["POST"])]
    async with tell, saw, on_loopback(Starlette(routes=routes)) as origin:
        yield Site(origin, saw)


async def test_a_page_of_an_allowed_origin_can_use_the_server_and_no_other_page_can(tmp_path: Path) -> None:
    """In Chromium: the tools and a call in both eras, and what a refusal says; elsewhere the browser shows nothing."""
    script = tmp_path / "page.js"
    node.bundled("page.mjs", script)
    async with site(script) as ours, site(script) as other:
        names = {"PATCHWORKS_ALLOWED_HOSTS": "127.0.0.1:*", "PATCHWORKS_ALLOWED_ORIGINS": ours.origin}
        with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), **names) as served:
            saw = await ours.opened(served, tmp_path / "ours")
            elsewhere = await other.opened(served, tmp_path / "other")
    assert saw["older"] == saw["newer"] == {"tools": len(TOOLS), "isError": False}
    assert saw["refused"]["status"] == 401
    assert saw["refused"]["challenge"].startswith('Bearer error="invalid_token"')
    assert "send the header `Authorization: Bearer TOKEN`" in saw["refused"]["said"]["error_description"]
    assert elsewhere.keys() == saw.keys()
    assert all(isinstance(failure, str) for failure in elsewhere.values()), elsewhere
    assert elsewhere["refused"] == "TypeError: Failed to fetch"
