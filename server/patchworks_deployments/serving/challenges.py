"""What callers over HTTP are told that lack a token or a scope, and where tokens come from."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types import CLIENT_INFO_META_KEY
from pydantic import AnyHttpUrl
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE, Who, caller
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.serving.limits import MAX_BODY_BYTES
from patchworks_deployments.settings import Settings
from patchworks_deployments.tools.confirming import behind
from patchworks_deployments.tools.middleware.attempts import Attempts

_TOKEN = re.compile(r"[\w.~+/-]+=*", re.ASCII)
"""How a bearer token is written (RFC 6750, section 2.1)."""


class Challenges:
    """ASGI application: answers 401 to who has no valid token, and 403 to who lacks a scope, and says what to send.

    Runs inside the SDK's authentication, which says who calls. The tools check once more by themselves.
    """

    def __init__(self, app: ASGIApp, attempts: Attempts, settings: Settings) -> None:
        self.app = app
        self._attempts = attempts
        self._scopes, self._source = scopes_to_ask_for(settings), _source(settings)
        self._metadata = f', resource_metadata="{url}"' if (url := _metadata_url(settings)) else ""
        self._bounded = RequestBodyLimitMiddleware(self._look_into, MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or challenge for a token or a scope."""
        user = scope.get("user")
        app: ASGIApp = self.app
        if user is not None and not isinstance(user, AuthenticatedUser):
            app = self._challenge(401, "invalid_token", _fault(Headers(scope=scope).get("authorization", "")))
        elif user is not None and READ_SCOPE not in user.scopes:
            app = self._lacking(READ_SCOPE)
        elif user is not None and WRITE_SCOPE not in user.scopes and scope["method"] == "POST":
            app = self._bounded
        await app(scope, receive, send)

    async def _look_into(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = [await receive()]  # the whole body: the limit's middleware has put it together
        call = _call_in(read[0].get("body", b""))
        if behind(call).get("name") in WRITES and not self._attempts.is_read_only:
            who = Who(caller(), _client_in(call))
            await self._attempts.record(call, who, f"The token lacks the scope {WRITE_SCOPE}.")
            await self._lacking(READ_SCOPE, WRITE_SCOPE)(scope, receive, send)
            return

        async def read_again() -> Message:
            return read.pop() if read else await receive()

        await self.app(scope, read_again, send)

    def _lacking(self, *needed: str) -> JSONResponse:
        description = (
            f"The token lacks the scope {needed[-1]}, so nothing was changed. "
            "Sign in again and allow it, or ask for a token that has it."
        )
        return self._challenge(403, "insufficient_scope", description, needed)

    def _challenge(self, status: int, error: str, description: str, needed: Sequence[str] = ()) -> JSONResponse:
        """The answer with all the scopes to ask for: some hosts forget the scopes that the last challenge left out."""
        missing = [scope for scope in needed if not any(told.endswith(scope) for told in self._scopes)]
        asked = " ".join([*self._scopes, *missing])
        challenge = f'Bearer error="{error}", error_description="{description}", scope="{asked}"'
        content = {"error": error, "error_description": f"{description} {self._source}"}
        return JSONResponse(content, status, {"WWW-Authenticate": challenge + self._metadata})


def _fault(header: str) -> str:
    """What is wrong with the header `Authorization` of a request whose token does not count."""
    kind, _, token = header.partition(" ")
    if not header:
        return "No token was sent: send the header `Authorization: Bearer TOKEN`."
    if kind.casefold() != "bearer" or not token:
        return "The header Authorization must be the word Bearer, a space and the token."
    if not _TOKEN.fullmatch(token):
        return "The token has characters that no token has: send it alone, without quotes, ${...} or a second Bearer."
    return "The token is not valid here: it is unknown, expired or revoked, or was issued for something else."


def scopes_to_ask_for(settings: Settings) -> tuple[str, ...]:
    """The scopes that hosts are told to ask for: they ask for no others."""
    return settings.oauth_scopes or ((READ_SCOPE,) if settings.read_only else (READ_SCOPE, WRITE_SCOPE))


def _source(settings: Settings) -> str:
    """Where tokens come from."""
    if settings.oauth_issuer:
        return f"Tokens for this server are issued by {settings.oauth_issuer}"
    if settings.tokens_file:
        return "This server issues no tokens and has no OAuth sign-in: ask whoever runs it for a token."
    return "This server needs no token and has no OAuth sign-in."


def _metadata_url(settings: Settings) -> str | None:
    """Where clients read what issues the tokens (RFC 9728); None where nothing does."""
    if not (settings.oauth_issuer and settings.public_url):
        return None
    return str(build_resource_metadata_url(AnyHttpUrl(settings.public_url)))


METADATA_SECONDS = 3600
"""Seconds for which clients may keep the metadata."""

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_ELSEWHERE = [
    *(f"/.well-known/{name}{{rest:path}}" for name in ("oauth-authorization-server", "openid-configuration")),
    *(_WELL_KNOWN + "{rest:path}", "/register", "/authorize", "/token", "/revoke"),
]
"""Where clients look for an authorization server when nothing else is said."""


def discovery(settings: Settings) -> list[Route]:
    """What says where tokens come from, to any page: the metadata of RFC 9728, and in place of what is not here, why.

    The metadata also stand where proxies that take a path away pass them on, and where clients look that guess.
    """
    any_page = [Middleware(CORSMiddleware, allow_origins="*", allow_methods="*", allow_headers="*")]
    metadata = {
        "resource": settings.public_url,
        "authorization_servers": [settings.oauth_issuer],
        "scopes_supported": scopes_to_ask_for(settings),
        "bearer_methods_supported": ["header"],
        "resource_name": "Patchworks deployments",
    }

    async def tell(_: Request) -> JSONResponse:
        return JSONResponse(metadata, headers={"Cache-Control": f"public, max-age={METADATA_SECONDS}"})

    url = _metadata_url(settings)
    paths = dict.fromkeys([urlsplit(url).path, f"{_WELL_KNOWN}/mcp", _WELL_KNOWN]) if url else ()
    no = {"error": "invalid_request", "error_description": f"This is no authorization server. {_source(settings)}"}
    elsewhere = JSONResponse(no, status_code=404)
    return [
        *(Route(path, tell, methods=["GET", "OPTIONS"], middleware=any_page) for path in paths),
        *(Route(path, elsewhere, middleware=any_page) for path in _ELSEWHERE),
    ]


def _call_in(body: bytes) -> dict[str, Any]:
    """The parameters of a `tools/call`; empty for anything else."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    is_call = isinstance(message, dict) and message.get("method") == "tools/call"
    params = message.get("params") if is_call else None
    return params if isinstance(params, dict) and isinstance(params.get("name"), str) else {}


def _client_in(call: dict[str, Any]) -> str | None:
    """The client program's own name for itself, which only clients of 2026-07-28 send with each call."""
    meta = call.get("_meta")
    info = meta.get(CLIENT_INFO_META_KEY) if isinstance(meta, dict) else None
    return f"{info.get('name')} {info.get('version')}" if isinstance(info, dict) else None
