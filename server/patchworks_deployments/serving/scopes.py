"""Who may call over HTTP, and the challenge for who lacks a scope."""

import json
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types import CLIENT_INFO_META_KEY
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE, Who, caller
from patchworks_deployments.serving.jwt import JwksKeys, JwtVerifier
from patchworks_deployments.serving.tokens import StaticTokens
from patchworks_deployments.settings import Settings
from patchworks_deployments.tools.base import Refusals

MAX_BODY_BYTES = 1024 * 1024
"""Bytes of a request; a call with all its arguments is a few kilobytes."""


def build_authorization(settings: Settings) -> tuple[AuthSettings, TokenVerifier] | None:
    """What the settings ask for, or None where nothing does."""
    if settings.oauth_issuer and settings.oauth_jwks_url and settings.public_url:
        auth = AuthSettings.model_validate(
            {
                # As text: the SDK's settings keep its form, and an issuer is compared letter by letter.
                "issuer_url": settings.oauth_issuer,
                "resource_server_url": settings.public_url,
                "required_scopes": [READ_SCOPE],
                "validate_token_resource": False,  # the verifier checks the audience itself
            }
        )
        audience = settings.oauth_audience or settings.public_url
        return auth, JwtVerifier(settings.oauth_issuer, audience, JwksKeys(settings.oauth_jwks_url))
    if settings.tokens_file:
        nowhere = AnyHttpUrl(settings.public_url or "http://localhost")
        auth = AuthSettings(issuer_url=nowhere, resource_server_url=None, required_scopes=[READ_SCOPE])
        return auth, StaticTokens(settings.tokens_file)
    return None


class ScopeChallenge:
    """Answers a call of a write tool with 403 and a challenge where the token lacks the scope.

    Runs inside the SDK's authentication. The tools check once more by themselves.
    """

    def __init__(self, app: ASGIApp, refusals: Refusals, resource_url: str | None) -> None:
        self.app = app
        self._refusals = refusals
        self._challenge = _challenge(resource_url)
        self._bounded = RequestBodyLimitMiddleware(self._look_into, MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or challenge for the scope."""
        user = scope.get("user")
        is_reader = isinstance(user, AuthenticatedUser) and WRITE_SCOPE not in user.scopes
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        await (self._bounded if is_post and is_reader else self.app)(scope, receive, send)

    async def _look_into(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        call = _call_in(body)
        if call.get("name") in self._refusals.write_tools:
            self._refusals.record(call, Who(caller(), _client_in(call)), f"The token lacks the scope {WRITE_SCOPE}.")
            await self._challenge(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


def _challenge(resource_url: str | None) -> JSONResponse:
    """`resource_url` is that of a resource whose metadata say where tokens come from."""
    description = f"Required scope: {WRITE_SCOPE}"
    challenge = f'Bearer error="insufficient_scope", scope="{WRITE_SCOPE}", error_description="{description}"'
    if resource_url:
        challenge += f', resource_metadata="{build_resource_metadata_url(AnyHttpUrl(resource_url))}"'
    content = {"error": "insufficient_scope", "error_description": description}
    return JSONResponse(content, status_code=403, headers={"WWW-Authenticate": challenge})


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


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
