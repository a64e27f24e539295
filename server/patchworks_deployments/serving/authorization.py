"""Who may call over HTTP: JWTs of an OAuth 2.1 issuer, or static bearer tokens from a file, each with scopes."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types import CLIENT_INFO_META_KEY
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings
from patchworks_deployments.tools.refusals import Refusals
from patchworks_deployments.writes.audit import Who
from patchworks_deployments.writes.services import READ_SCOPE, WRITE_SCOPE, caller

logger = logging.getLogger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: a public key must never be able to sign."""

LEEWAY = 30
"""Seconds by which clocks may differ."""

KEYS_FRESH, KEYS_STALE, KEYS_PAUSE = 300.0, 3600.0, 10.0
"""Seconds: keys are used without asking; may still be used when the key server is down; between two attempts."""

LARGEST_KEYS = 1024 * 1024
"""Bytes that an issuer may publish; a key is less than a kilobyte."""

LARGEST_BODY = 1024 * 1024
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


# Static tokens ------------------------------------------------------------------------------------


def hash_token(token: str) -> str:
    """What the file holds of a token. Tokens are long and random, so a plain digest is enough."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


Holders = dict[str, tuple[str, list[str]]]
"""Name and scopes by the token's hash."""


class StaticTokens:
    """Bearer tokens from a file: one line each, `name scope,scope sha256:digest`; `#` starts a comment.

    A changed file counts from the next request on. While what it holds is not right, the last right one counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._holders = _read_holders(path)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The holder of the token, or None."""
        self._follow_file()
        holder = self._holders.get(hash_token(token))
        if holder is None:
            return None
        name, scopes = holder
        return AccessToken(token="", client_id=name, subject=name, scopes=scopes)

    def _follow_file(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._holders = _read_holders(self._path)
        except SettingsError as error:
            logger.error("%s The tokens that were read before still count.", error)  # noqa: TRY400 - the traceback says no more


def _version(path: Path) -> tuple[int, ...]:
    """Differs when the file was changed or replaced; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_holders(path: Path) -> Holders:
    """Raises `SettingsError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"PATCHWORKS_TOKENS_FILE cannot be read: {type(error).__name__}.") from None
    texts = [(number, line.partition("#")[0].split()) for number, line in enumerate(lines, 1)]
    holders = dict(_holder(number, parts) for number, parts in texts if parts)
    if not holders:
        raise SettingsError("PATCHWORKS_TOKENS_FILE holds no token. Make one with the command `token NAME`.")
    return holders


def _holder(number: int, parts: list[str]) -> tuple[str, tuple[str, list[str]]]:
    digest = parts[-1].removeprefix("sha256:")
    is_digest = len(digest) == 64 and all(c in "0123456789abcdef" for c in digest)  # noqa: PLR2004 - SHA-256 in hex
    scopes = parts[1].split(",") if len(parts) == 3 else []  # noqa: PLR2004 - name, scopes, digest
    if not is_digest or not scopes or set(scopes) - {READ_SCOPE, WRITE_SCOPE}:
        raise SettingsError(
            f"PATCHWORKS_TOKENS_FILE, line {number}: must be `name {READ_SCOPE},{WRITE_SCOPE} sha256:...`."
        )
    return "sha256:" + digest, (parts[0], scopes)


# JWTs ---------------------------------------------------------------------------------------------


@dataclass
class JwksKeys:
    """The issuer's public keys by id: cached, fetched anew for an unknown id, kept while the key server is down."""

    url: str
    clock: Callable[[], float] = time.monotonic
    transport: httpx2.AsyncBaseTransport | None = None
    _keys: dict[str | None, Any] = field(default_factory=dict)
    _fetched: float = float("-inf")
    _tried: float = float("-inf")
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def get(self, key_id: str | None) -> Any:  # noqa: ANN401 - a key of any of the algorithms
        """The key, or None."""
        async with self._lock:
            now = self.clock()
            is_due = key_id not in self._keys or now - self._fetched > KEYS_FRESH
            if is_due and now - self._tried > KEYS_PAUSE:
                self._tried = now
                await self._fetch(now)
            return self._keys.get(key_id) if now - self._fetched <= KEYS_STALE else None

    async def _fetch(self, now: float) -> None:
        try:
            keys = jwt.PyJWKSet.from_json((await self._published()).decode()).keys
        except (httpx2.HTTPError, ValueError, jwt.PyJWTError, AttributeError, TypeError, RecursionError) as error:
            logger.warning("the issuer's keys could not be fetched: %s", type(error).__name__)
            return
        self._keys = {key.key_id: key.key for key in keys}
        self._fetched = now

    async def _published(self) -> bytes:
        """What the key server answers. Raises `ValueError` when that is more than `LARGEST_KEYS`."""
        content = b""
        async with (
            httpx2.AsyncClient(transport=self.transport, timeout=5, trust_env=False) as client,
            client.stream("GET", self.url) as answer,
        ):
            async for chunk in answer.raise_for_status().aiter_bytes():
                content += chunk
                if len(content) > LARGEST_KEYS:
                    raise ValueError("too many keys")
        return content


@dataclass(frozen=True)
class JwtVerifier:
    """Verifies signature, issuer, audience and times with PyJWT; everything wrong means None, which answers 401."""

    issuer: str
    audience: str
    keys: JwksKeys

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller that the token speaks of, or None."""
        try:
            header = jwt.get_unverified_header(token)
            key = await self.keys.get(header.get("kid")) if header.get("alg") in ALGORITHMS else None
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return self._access(claims)
        # A signed token may still hold numbers beyond all times, and a header is as deep as its sender likes.
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            logger.info("a token was refused: %s", type(error).__name__)
            return None

    def _access(self, claims: dict[str, Any]) -> AccessToken:
        return AccessToken(
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            subject=str(claims["sub"]),
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]) + LEEWAY,
            resource=self.audience,
            claims={"iss": self.issuer},
        )


def _scopes(claims: dict[str, Any]) -> list[str]:
    """The granted scopes: words of a text or a list of texts. Raises `TypeError` for anything else."""
    granted = claims.get("scope", claims.get("scp", ""))
    if isinstance(granted, str):
        return granted.split()
    if not isinstance(granted, list):
        raise TypeError("scope must be a text or a list")
    return [scope for scope in granted if isinstance(scope, str)]


# Scopes -------------------------------------------------------------------------------------------


class ScopeChallenge:
    """Answers a call of a write tool with 403 and a challenge where the token lacks the scope.

    Runs inside the SDK's authentication. The tools check once more by themselves.
    """

    def __init__(self, app: ASGIApp, refusals: Refusals, resource_url: str | None) -> None:
        self.app = app
        self._refusals = refusals
        self._challenge = _challenge(resource_url)
        self._bounded = RequestBodyLimitMiddleware(self._look_into, LARGEST_BODY)

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
