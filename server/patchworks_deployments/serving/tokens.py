"""What callers bring over HTTP: bearer tokens that say who they are, and Patchworks keys of their own.

A token is a JWT of an OAuth 2.1 issuer, or one of a file that holds their hashes and scopes.
"""

import codecs
import hashlib
import logging
import re
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from pydantic import AnyHttpUrl
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.api.credentials import CALLER_HEADER, caller_key
from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings

logger = logging.getLogger(__name__)


async def take_caller_key(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware: serve the request with the Patchworks key that came with it."""
    with caller_key_of(ctx):
        return await call_next(ctx)


def caller_key_of(ctx: ServerRequestContext[Any, Any]) -> AbstractContextManager[None]:
    """Requests to Patchworks made inside use the key that came with this request."""
    headers = getattr(ctx.request, "headers", None) or {}
    return caller_key(headers.get(CALLER_HEADER))


def authorization(settings: Settings) -> tuple[AuthSettings, TokenVerifier] | tuple[None, None]:
    """What the SDK needs to ask callers for tokens; nothing where the settings name neither issuer nor file."""
    verifier: TokenVerifier
    if settings.oauth_issuer and settings.oauth_jwks_url and settings.public_url:
        from patchworks_deployments.serving.jwt import JwksKeys, JwtVerifier  # noqa: PLC0415 - not for who takes no JWTs

        # An address without a path is the same with a slash at its end, and many clients write it so.
        own = settings.public_url
        same = (own,) if urlsplit(own).path else (own, f"{own}/")
        audiences = (settings.oauth_audience,) if settings.oauth_audience else same
        verifier = JwtVerifier(settings.oauth_issuer, audiences, JwksKeys(settings.oauth_jwks_url))
    elif settings.tokens_file:
        verifier = StaticTokens(settings.tokens_file)
    else:
        return None, None
    # The SDK wants an issuer and tells nobody of it: `challenges` says where tokens come from, and for which scopes.
    nowhere = AnyHttpUrl("http://localhost")
    return AuthSettings(issuer_url=nowhere, resource_server_url=None, required_scopes=[READ_SCOPE]), verifier


def hash_token(token: str) -> str:
    """What the file holds of a token. Tokens are long and random, so a plain digest is enough."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


RECHECK_SECONDS = 60.0
"""Seconds for which an open stream lasts at most when its token no longer counts."""


class UntilRevoked:
    """ASGI application: ends streams on which clients hear of changes when their token was revoked or has expired.

    It looks at the token again and again, as the SDK does at the beginning alone. A call that runs is not ended.
    """

    def __init__(self, app: ASGIApp, tokens: TokenVerifier) -> None:
        self.app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, but no stream for longer than its token counts."""
        headers = Headers(scope=scope)
        if scope["method"] != "GET" and headers.get("mcp-method") != "subscriptions/listen":
            await self.app(scope, receive, send)
            return
        token = headers.get("authorization", "")[len("Bearer ") :]
        is_open = is_revoked = False

        async def while_it_counts() -> Message:
            nonlocal is_revoked
            while not is_revoked:
                with anyio.move_on_after(RECHECK_SECONDS):
                    return await receive()
                access = await self._tokens.verify_token(token)
                is_revoked = access is None or READ_SCOPE not in access.scopes
            return {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            nonlocal is_open
            is_open = message.get("more_body", message["type"] == "http.response.start")
            await send(message)

        await self.app(scope, while_it_counts, sending)
        if is_open and is_revoked:
            await send({"type": "http.response.body", "body": b""})


_SCOPE = f"(?:{READ_SCOPE}|{WRITE_SCOPE})"
_HOLDER = re.compile(rf"(?P<name>\S+)\s+(?P<scopes>{_SCOPE}(?:,{_SCOPE})*)\s+(?:sha256:)?(?P<digest>[0-9a-f]{{64}})")

MAX_FILE_BYTES = 1024 * 1024
"""Bytes of a tokens file; a line has about a hundred and fifty."""

MAX_FAULTS_NAMED = 10
"""Faults of a tokens file that are named, each by its line."""


class StaticTokens:
    """Bearer tokens from a file: one line each, `name scope,scope sha256:digest`; `#` starts a comment.

    A file that is wrong is refused at the start, with `SettingsError`. From then on each request goes by what the file
    holds at that moment: a wrong line lets in nobody, and a file that is empty, away or unreadable nobody at all.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._content = path, _content_of(path)
        self._tokens = _tokens_in(self._content)
        if self._tokens.faults:
            raise SettingsError(f"{self._tokens}.")

    @property
    def holders(self) -> Collection[tuple[str, list[str]]]:
        """Name and scopes of each token, as the file was read last."""
        return self._tokens.holders.values()

    async def verify_token(self, token: str) -> AccessToken | None:
        """The holder of the token, or None."""
        # Read at each request, for some 30 microseconds: a file can change and keep its time and its size.
        content = _content_of(self._path)
        if content != self._content:
            self._content, self._tokens = content, _tokens_in(content)
            if self._tokens.faults:
                counts = "The other lines count" if self._tokens.holders else "Nobody is let in"
                logger.error("%s. %s.", self._tokens, counts)
        if (holder := self._tokens.holders.get(hash_token(token))) is None:
            return None
        name, scopes = holder
        return AccessToken(token="", client_id=name, subject=name, scopes=scopes)


@dataclass(frozen=True)
class _Tokens:
    """Name and scopes by the token's hash, and what is wrong with the file, in words that repeat nothing of it."""

    holders: dict[str, tuple[str, list[str]]]
    faults: list[str]

    def __str__(self) -> str:
        more = len(self.faults) - MAX_FAULTS_NAMED
        named = self.faults[:MAX_FAULTS_NAMED] + ([f"and {more} more"] if more > 0 else [])
        return f"PATCHWORKS_TOKENS_FILE {'; '.join(named)}"


def _content_of(path: Path) -> bytes | str:
    """What the file holds, or in words why it cannot be read."""
    try:
        if not path.is_file() and path.exists():
            return "cannot be read: it is no regular file"  # a pipe would keep everybody waiting
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return content if len(content) <= MAX_FILE_BYTES else f"cannot be read: it has more than {MAX_FILE_BYTES} bytes"


def _tokens_in(content: bytes | str) -> _Tokens:
    """Who holds a token. What contradicts itself gives the least: no right that one line withholds, no second name."""
    if isinstance(content, str):
        return _Tokens({}, [content])
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
        content = content.decode("utf-16", errors="replace").encode()
    granted: dict[str, set[str]] = {}
    names: dict[str, str | None] = {}
    faults: list[str] = []
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        text = line.decode(errors="surrogateescape").partition("#")[0].strip()
        found = _HOLDER.fullmatch(text)
        if not (found and found["name"].isprintable()):
            if text:
                faults.append(f"line {number} must be `name {READ_SCOPE},{WRITE_SCOPE} sha256:...`")
            continue
        name, digest, scopes = found["name"], "sha256:" + found["digest"], {*found["scopes"].split(",")}
        if granted.setdefault(name, scopes) != scopes:
            granted[name] &= scopes
            faults.append(f"line {number} repeats a name with other scopes: it has only those that all its lines give")
        if names.setdefault(digest, name) != name:
            names[digest] = None
            faults.append(f"line {number} repeats a token under another name: it does not count")
    holders = {digest: (name, sorted(granted[name])) for digest, name in names.items() if name}
    if not holders:
        faults.append("holds no token: make one with the command `token NAME`")
    return _Tokens(holders, faults)
