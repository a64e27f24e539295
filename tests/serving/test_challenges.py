"""What they are told who come without a token, with a wrong one, or in search of an authorization server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.issuer import AUDIENCE, ISSUER, Issuer
from support.team import READ, WRITE, on_loopback, tokens_file, tool_call

from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.settings import load_settings

OAUTH = {"oauth_issuer": ISSUER, "oauth_jwks_url": "http://127.0.0.1:9/jwks", "public_url": AUDIENCE}


@asynccontextmanager
async def client_of(**settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(load_settings({}, sandbox=True, **settings))
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        yield http


WRONG = {
    "No token was sent: send the header `Authorization: Bearer TOKEN`.": [None, ""],
    "The header Authorization must be the word Bearer, a space and the token.": ["s3cret", "Bearer", "Basic s3cret"],
    "The token has characters that no token has: send it alone, without quotes, ${...} or a second Bearer.": [
        'Bearer "s3cret"',
        "Bearer ${TOKEN}",
        "Bearer Bearer s3cret",
    ],
    "The token is not valid here: it is unknown, expired or revoked, or was issued for something else.": [
        "Bearer s3cret",
        "bearer s3cret",
    ],
}


@pytest.mark.parametrize("way", ["oauth", "file"])
@pytest.mark.parametrize(("said", "sent"), WRONG.items())
async def test_who_has_no_valid_token_is_told_what_to_send(
    said: str, sent: list[str | None], way: str, tmp_path: Path
) -> None:
    """In the body and in the challenge, with where tokens come from, and nothing of what was sent."""
    settings: dict[str, Any] = OAUTH if way == "oauth" else {"tokens_file": tokens_file(tmp_path)}
    async with client_of(**settings) as http:
        for header in sent:
            headers = {} if header is None else {"Authorization": header}
            answer = await http.post("/mcp", json=tool_call("list_deployments"), headers=headers)
            assert answer.status_code == 401, header
            told, challenge = answer.json(), answer.headers["WWW-Authenticate"]
            assert told["error"] == "invalid_token"
            assert told["error_description"].startswith(said)
            assert challenge.startswith(f'Bearer error="invalid_token", error_description="{said}", scope="{READ}')
            assert "s3cret" not in answer.text + challenge
            if way == "oauth":
                assert f"issued by {ISSUER}" in told["error_description"]
                assert "resource_metadata=" in challenge
            else:
                assert "issues no tokens and has no OAuth sign-in: ask whoever runs it" in told["error_description"]
                assert "resource_metadata" not in challenge


@pytest.mark.parametrize(
    ("settings", "told", "needed"),
    [
        ({}, f"{READ} {WRITE}", f"{READ} {WRITE}"),
        ({"read_only": True}, READ, READ),
        ({"oauth_scopes": READ}, READ, f"{READ} {WRITE}"),
        ({"oauth_scopes": f"{READ} offline_access"}, f"{READ} offline_access", f"{READ} offline_access {WRITE}"),
        ({"oauth_scopes": f"api://x/{READ} api://x/{WRITE}"}, *[f"api://x/{READ} api://x/{WRITE}"] * 2),
    ],
)
async def test_hosts_are_told_which_scopes_to_ask_for(
    settings: dict[str, Any], told: str, needed: str, issuer: Issuer
) -> None:
    """The same in the metadata and in a 401; the challenge for a write adds what is missing, and leaves none out."""
    async with on_loopback(issuer.app) as keys, client_of(**{**OAUTH, **settings, "oauth_jwks_url": keys}) as http:
        metadata = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
        nobody = await http.post("/mcp")
        reader = {"Authorization": f"Bearer {issuer.token(scope=READ)}"}
        lacking = await http.post("/mcp", json=tool_call("delete_deployment"), headers=reader)
        stranger = {"Authorization": f"Bearer {issuer.token(scope='openid')}"}
        lacking_all = await http.post("/mcp", json=tool_call("list_deployments"), headers=stranger)
    assert metadata["scopes_supported"] == told.split()
    assert f'scope="{told}"' in nobody.headers["WWW-Authenticate"]
    assert f'scope="{told}"' in lacking_all.headers["WWW-Authenticate"]
    assert f"lacks the scope {READ}, so nothing was changed." in lacking_all.json()["error_description"]
    if "read_only" not in settings:
        assert lacking.status_code == 403
        assert f'scope="{needed}"' in lacking.headers["WWW-Authenticate"]
        assert f"lacks the scope {WRITE}, so nothing was changed." in lacking.json()["error_description"]


@pytest.mark.parametrize("public", [AUDIENCE, "https://example.com/patchworks/mcp", "https://mcp.example"])
async def test_the_metadata_stand_wherever_clients_and_proxies_look(public: str) -> None:
    """Below the whole public path, below the server's own, and at the root; the 401 names the first; any page reads."""
    path = httpx2.URL(public).path.rstrip("/")
    async with client_of(**{**OAUTH, "public_url": public}) as http:
        named = str((await http.post("/mcp")).headers["WWW-Authenticate"])
        origin = public.removesuffix(path)
        assert f'resource_metadata="{origin}/.well-known/oauth-protected-resource{path}"' in named
        for below in {path, "/mcp", ""}:
            headers = {"Origin": "https://any.example"}
            answer = await http.get(f"/.well-known/oauth-protected-resource{below}", headers=headers)
            assert answer.json() == {
                "resource": public,
                "authorization_servers": [ISSUER],
                "scopes_supported": [READ, WRITE],
                "bearer_methods_supported": ["header"],
                "resource_name": "Patchworks deployments",
            }
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (await http.get("/.well-known/oauth-protected-resource/other")).status_code == 404


@pytest.mark.parametrize("way", ["oauth", "file", "nothing"])
async def test_who_looks_for_an_authorization_server_is_told_that_there_is_none(way: str, tmp_path: Path) -> None:
    """As OAuth clients read an error, on any page: they show its description."""
    settings: dict[str, dict[str, Any]] = {"oauth": OAUTH, "file": {"tokens_file": tokens_file(tmp_path)}}
    said = {"oauth": f"issued by {ISSUER}", "file": "ask whoever runs it for a token", "nothing": "needs no token"}
    known = ["oauth-authorization-server", "oauth-authorization-server/mcp", "openid-configuration"]
    wanted = [("GET", f"/.well-known/{name}") for name in known] + [("GET", "/authorize?client_id=x")]
    wanted += [("POST", "/register"), ("POST", "/token")]
    if way != "oauth":
        wanted += [("GET", f"/.well-known/oauth-protected-resource{below}") for below in ("", "/mcp")]
    async with client_of(**settings.get(way, {})) as http:
        for method, path in wanted:
            answer = await http.request(method, path, headers={"Origin": "https://any.example"})
            assert answer.status_code == 404, path
            assert answer.json()["error"] == "invalid_request"
            assert said[way] in answer.json()["error_description"]
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "localhost" not in answer.text
