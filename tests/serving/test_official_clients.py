"""The official TypeScript clients, with a package's authorization server, and in a browser."""

import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from support import node
from support.processes import ROOT
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
                "tools": 11,
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
            assert (saw["tools"], saw["status"], saw["verified"]) == (4, "done", True), version
