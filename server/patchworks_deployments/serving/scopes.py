"""The challenge over HTTP for who lacks the scope to change anything."""

import json
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types import CLIENT_INFO_META_KEY
from pydantic import AnyHttpUrl
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.caller import WRITE_SCOPE, Who, caller
from patchworks_deployments.serving.limits import MAX_BODY_BYTES
from patchworks_deployments.tools.attempts import WRITES, Attempts


class ScopeChallenge:
    """ASGI application: answers a call of a write tool with 403 and a challenge where the token lacks the scope.

    Runs inside the SDK's authentication, which says who calls. The tools check once more by themselves.
    """

    def __init__(self, app: ASGIApp, attempts: Attempts, resource_url: str | None) -> None:
        self.app = app
        self._attempts = attempts
        self._challenge = _challenge(resource_url)
        self._bounded = RequestBodyLimitMiddleware(self._look_into, MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or challenge for the scope."""
        user = scope.get("user")
        is_reader = isinstance(user, AuthenticatedUser) and WRITE_SCOPE not in user.scopes
        await (self._bounded if is_reader and scope["method"] == "POST" else self.app)(scope, receive, send)

    async def _look_into(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = [await receive()]  # the whole body: the limit's middleware has put it together
        call = _call_in(read[0].get("body", b""))
        if call.get("name") in WRITES and not self._attempts.is_read_only:
            who = Who(caller(), _client_in(call))
            await self._attempts.record(call, who, f"The token lacks the scope {WRITE_SCOPE}.")
            await self._challenge(scope, receive, send)
            return

        async def read_again() -> Message:
            return read.pop() if read else await receive()

        await self.app(scope, read_again, send)


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
