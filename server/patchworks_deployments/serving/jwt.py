"""JWTs of an OAuth 2.1 issuer: its keys, and what a token must say."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import jwt
from mcp.server.auth.provider import AccessToken

logger = logging.getLogger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: a public key must never be able to sign."""

LEEWAY_SECONDS = 30
"""Seconds by which clocks may differ."""

KEYS_FRESH_SECONDS, KEYS_STALE_SECONDS, KEYS_PAUSE_SECONDS = 300.0, 3600.0, 10.0
"""Seconds for which keys are used as they are, and while the key server is down; and between two attempts to fetch."""

MAX_KEYS_BYTES = 1024 * 1024
"""Bytes that an issuer may publish; a key is less than a kilobyte."""


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
            is_due = key_id not in self._keys or now - self._fetched > KEYS_FRESH_SECONDS
            if is_due and now - self._tried > KEYS_PAUSE_SECONDS:
                self._tried = now
                await self._fetch(now)
            return self._keys.get(key_id) if now - self._fetched <= KEYS_STALE_SECONDS else None

    async def _fetch(self, now: float) -> None:
        try:
            keys = jwt.PyJWKSet.from_json((await self._published()).decode()).keys
        except (httpx2.HTTPError, ValueError, jwt.PyJWTError, AttributeError, TypeError, RecursionError) as error:
            logger.warning("the issuer's keys could not be fetched: %s", type(error).__name__)
            return
        self._keys = {key.key_id: key.key for key in keys}
        self._fetched = now

    async def _published(self) -> bytes:
        """What the key server answers. Raises `ValueError` when that is more than `MAX_KEYS_BYTES`."""
        content = b""
        async with (
            httpx2.AsyncClient(transport=self.transport, timeout=5, trust_env=False) as client,
            client.stream("GET", self.url) as answer,
        ):
            async for chunk in answer.raise_for_status().aiter_bytes():
                content += chunk
                if len(content) > MAX_KEYS_BYTES:
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
                leeway=LEEWAY_SECONDS,
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
            expires_at=int(claims["exp"]) + LEEWAY_SECONDS,
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
