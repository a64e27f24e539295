"""`check` on what a server over HTTP needs beside Patchworks: tokens, an issuer with its keys, and Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.doctor import found, lines
from support.issuer import Issuer
from support.team import on_loopback, tokens_file

from patchworks_deployments.commands.doctor.findings import Exit

ISSUER = Issuer()


@pytest.fixture(scope="module", autouse=True)
def _key() -> None:
    ISSUER.add_key("one")


OAUTH, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"


@asynccontextmanager
async def an_issuer(
    path: str = "", place: str = OAUTH, *, itself: str = "{url}{path}", keys: Any = None, **metadata: Any
) -> AsyncIterator[dict[str, Any]]:
    """One on this machine, whose metadata stands in this place: the settings that name it."""

    async def answer(request: Request) -> Response:
        if request.url.path.endswith("/jwks"):
            return JSONResponse(ISSUER.jwks() if keys is None else keys)
        url = str(request.base_url).rstrip("/")
        own = {"issuer": itself.format(url=url, path=path), "jwks_uri": f"{url}{path}/jwks"}
        told = {**own, "registration_endpoint": f"{url}/register", **metadata}
        return JSONResponse(told) if request.url.path == place else Response(status_code=404)

    async with on_loopback(Starlette(routes=[Route("/{rest:path}", answer)])) as url:
        yield {
            "oauth_issuer": f"{url}{path}",
            "oauth_jwks_url": f"{url}{path}/jwks",
            "public_url": "https://mcp.example/mcp",
        }


async def test_tokens_are_counted_by_what_they_may(tmp_path: Path) -> None:
    """No name and no hash is shown."""
    told, ended = await found(tokens_file=tokens_file(tmp_path))
    assert ended is Exit.FINE
    assert "1 with deployments:read; 2 with deployments:read, deployments:write" in lines(told, "ok")
    assert "alice" not in lines(told, "ok")


@pytest.mark.parametrize(
    ("content", "what"), [("alice everything", "line 1 must be"), ("", "holds no token"), (None, "cannot be read")]
)
async def test_a_tokens_file_that_is_wrong_is_named(content: str | None, what: str, tmp_path: Path) -> None:
    """The server would not start with it."""
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    told, ended = await found(tokens_file=path)
    assert ended is Exit.SETTINGS
    assert what in lines(told, "FAIL")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", OAUTH),
        ("", OPENID),
        ("/o/slug", f"{OAUTH}/o/slug"),
        ("/o/slug", f"{OPENID}/o/slug"),
        ("/o/slug", f"/o/slug{OPENID}"),
        ("/o/slug/", f"/o/slug{OPENID}"),
    ],
)
async def test_an_issuer_that_says_what_the_settings_say_is_fine(path: str, place: str) -> None:
    """Its metadata stands wherever hosts look, with its path behind or before the well-known part."""
    async with an_issuer(path, place) as settings:
        told, ended = await found(
            **settings | {"oauth_jwks_url": settings["oauth_jwks_url"].replace("//jwks", "/jwks")}
        )
    assert ended is Exit.FINE
    assert "names itself so" in lines(told, "ok")
    assert "OAuth keys: 1 at http://127.0.0.1:" in lines(told, "ok")


@pytest.mark.parametrize("itself", ["{url}{path}/", "https://issuer.example"])
async def test_an_issuer_that_writes_itself_otherwise_is_told(itself: str) -> None:
    """Letter by letter: a slash at the end is enough to refuse every token."""
    async with an_issuer(itself=itself) as settings:
        told, ended = await found(**settings)
    assert ended is Exit.OTHER
    wanted = itself.format(url=settings["oauth_issuer"], path="")
    assert f"it calls itself {wanted}, and the setting says {settings['oauth_issuer']}" in lines(told, "FAIL")
    assert "letter by letter" in lines(told, "FAIL")


@pytest.mark.parametrize(
    ("place", "shown"),
    [("https://other.example/jwks", "https://other.example/jwks"), (["a", "list"], "something that is no text (list)")],
)
async def test_what_hosts_will_stumble_over_is_told(place: object, shown: str) -> None:
    """No registration, and keys at another address."""
    async with an_issuer(registration_endpoint=None, jwks_uri=place) as settings:
        told, ended = await found(**settings)
    assert ended is Exit.FINE
    assert "Dynamic Client Registration" in lines(told, "note")
    assert f"publishes its keys at {shown}" in lines(told, "note")


async def test_an_issuer_without_metadata_is_told() -> None:
    """Hosts cannot find the login then."""
    async with an_issuer(place="/nowhere") as settings:
        told, ended = await found(**settings)
    assert ended is Exit.OTHER
    assert "publishes no metadata (its server answered 404)" in lines(told, "FAIL")


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"keys": []}, "holds no key that signs tokens"),
        ({"keys": "none"}, "could not be read (TypeError)"),
        ([], "could not be read (TypeError)"),
    ],
)
async def test_keys_that_let_in_nobody_are_told(keys: Any, what: str) -> None:
    """Nobody would know before the first token came."""
    async with an_issuer(keys=keys) as settings:
        told, ended = await found(**settings)
    assert ended is Exit.OTHER
    assert what in lines(told, "FAIL")


async def test_an_issuer_that_is_down_is_told_twice() -> None:
    """Its metadata and its keys; Patchworks is asked all the same."""
    down: dict[str, Any] = {"oauth_issuer": "http://127.0.0.1:9", "oauth_jwks_url": "http://127.0.0.1:9/jwks"}
    told, ended = await found(**down, public_url="https://mcp.example/mcp")
    assert ended is Exit.OTHER
    assert lines(told, "FAIL").count("127.0.0.1 refused the connection") == 2
    assert "list deployments: accepted" in lines(told, "ok")


@pytest.mark.slow
async def test_redis_is_asked(redis_url: str) -> None:
    """It answers."""
    told, ended = await found(redis_url=redis_url)
    assert ended is Exit.FINE
    assert "Redis: it answers" in lines(told, "ok")


@pytest.mark.parametrize(
    ("url", "status", "what"),
    [
        ("redis://:hush@127.0.0.1:9/0", Exit.OTHER, "it does not answer (ConnectionError)"),
        ("https://hush.example", Exit.SETTINGS, "PATCHWORKS_REDIS_URL is not right"),
    ],
)
async def test_a_redis_that_is_not_there_is_told(url: str, status: Exit, what: str) -> None:
    """Without the address, which may hold its password."""
    told, ended = await found(redis_url=url)
    assert ended is status
    assert what in lines(told, "FAIL")
    assert "hush" not in lines(told, "FAIL")
