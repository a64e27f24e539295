"""What callers bring over HTTP: bearer tokens that say who they are, and Patchworks keys of their own.

A token is a JWT of an OAuth 2.1 issuer, or one of a file that holds their hashes and scopes.
"""

import hashlib
import logging
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from pydantic import AnyHttpUrl

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
    if settings.oauth_issuer and settings.oauth_jwks_url and settings.public_url:
        from patchworks_deployments.serving.jwt import JwksKeys, JwtVerifier  # noqa: PLC0415 - not for who takes no JWTs

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
    return None, None


def hash_token(token: str) -> str:
    """What the file holds of a token. Tokens are long and random, so a plain digest is enough."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


Holders = dict[str, tuple[str, list[str]]]
"""Name and scopes by the token's hash."""

_SCOPE = f"(?:{READ_SCOPE}|{WRITE_SCOPE})"
_HOLDER = re.compile(rf"(?P<name>\S+)\s+(?P<scopes>{_SCOPE}(?:,{_SCOPE})*)\s+(?:sha256:)?(?P<digest>[0-9a-f]{{64}})")


class StaticTokens:
    """Bearer tokens from a file: one line each, `name scope,scope sha256:digest`; `#` starts a comment.

    A changed file counts from the next request on. While what it holds is not right, the last right one counts.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._version, self._holders = path, _version(path), _read_holders(path)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The holder of the token, or None."""
        self._follow_file()
        if (holder := self._holders.get(hash_token(token))) is None:
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
    holders: Holders = {}
    for number, line in enumerate(lines, 1):
        content = line.partition("#")[0].strip()
        if found := _HOLDER.fullmatch(content):
            holders["sha256:" + found["digest"]] = found["name"], found["scopes"].split(",")
        elif content:
            raise SettingsError(
                f"PATCHWORKS_TOKENS_FILE, line {number}: must be `name {READ_SCOPE},{WRITE_SCOPE} sha256:...`."
            )
    if not holders:
        raise SettingsError("PATCHWORKS_TOKENS_FILE holds no token. Make one with the command `token NAME`.")
    return holders
