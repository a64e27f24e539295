"""JWTs of an OAuth 2.1 issuer: its keys, and what a token must say."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import jwt
from mcp.server.auth.provider import AccessToken

from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE
from patchworks_deployments.network.causes import cause_of
from patchworks_deployments.network.routes import DIRECT, Routes, trust

logger = logging.getLogger(__name__)

RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
"""What an RSA key may be used for that does not say what it is for."""

ALGORITHMS = [*RSA, "ES256", "ES384", "ES512", "EdDSA"]
"""Asymmetric ones only: a public key must never be able to sign."""

LEEWAY_SECONDS = 30
"""Seconds by which clocks may differ."""

KEYS_RENEW_SECONDS, KEYS_FRESH_SECONDS, KEYS_STALE_SECONDS = 150.0, 300.0, 3600.0
"""Seconds after which keys are renewed beside the requests, those they are used for as they are, and while no new ones
can be had."""

KEYS_PAUSE_SECONDS, KEYS_AWAY_SECONDS = 10.0, 120.0
"""Seconds between two attempts to fetch keys, and those for which nobody waits again for a key server that failed."""

FETCH_SECONDS = 5.0
"""Seconds that fetching the keys may take in all, and so the longest that a token waits for its key; fewer than the
pause, so that one fetch has ended before the next begins."""

MAX_KEYS, MAX_KEYS_BYTES = 100, 1024 * 1024
"""Keys that are looked at, and bytes that an issuer may publish; a key is less than a kilobyte."""

Keys = dict[tuple[str | None, str], Any]
"""A key for each id and each algorithm that it may be used with."""


@dataclass
class JwksKeys:
    """The issuer's public keys: cached, fetched anew for an unknown id, kept while the key server is down.

    One fetch at most is under way. Who brings a key that is known waits for it only where the keys are old and the key
    server has not just failed.
    """

    url: str
    clock: Callable[[], float] = time.monotonic
    transport: httpx2.AsyncBaseTransport | None = None
    _keys: Keys = field(default_factory=dict)
    _fetched: float = float("-inf")
    _tried: float = float("-inf")
    _failed: float = float("-inf")
    _fetch: asyncio.Task[None] | None = None
    _ignored: str = ""

    async def get(self, key_id: str | None, algorithm: str) -> Any:  # noqa: ANN401 - a key of any of the algorithms
        """The key, or None; after `FETCH_SECONDS` at the latest."""
        now, wanted = self.clock(), (key_id, algorithm)
        age = now - self._fetched
        is_usable = wanted in self._keys and age <= KEYS_STALE_SECONDS
        is_due = not is_usable or age > KEYS_RENEW_SECONDS
        if is_due and now - self._tried > KEYS_PAUSE_SECONDS:
            self._tried = now
            self._fetch = asyncio.create_task(self._renew(now))
        is_old = age > KEYS_FRESH_SECONDS and now - self._failed > KEYS_AWAY_SECONDS
        if self._fetch and (is_old or not is_usable):
            await asyncio.wait([self._fetch])
        return self._keys.get(wanted) if self.clock() - self._fetched <= KEYS_STALE_SECONDS else None

    async def _renew(self, now: float) -> None:
        try:
            published = await fetched_keys(self.url, self.transport)
        except UNFETCHED as error:
            self._failed = now
            logger.warning("the issuer's keys could not be fetched: %s", why(error))
            return
        self._keys, ignored = usable_keys(published)
        self._fetched = now
        if ignored != self._ignored:
            self._ignored = ignored
            logger.warning("keys of the issuer are ignored: %s", ignored or "none any more")


UNFETCHED = (httpx2.HTTPError, TimeoutError, ValueError, TypeError, KeyError, RecursionError)
"""What is raised where nothing comes, nothing comes in time, or what comes is not of the kind that belongs there."""


async def fetched(url: str, transport: httpx2.AsyncBaseTransport | None = None) -> Any:  # noqa: ANN401 - any JSON
    """The JSON that is published there. Raises one of `UNFETCHED`, also for more than `MAX_KEYS_BYTES`."""
    content = b""
    with anyio.fail_after(FETCH_SECONDS):
        async with (
            httpx2.AsyncClient(
                transport=transport,
                mounts=DIRECT,
                verify=True if transport else trust(url),
                event_hooks={"request": [Routes()]},
                timeout=FETCH_SECONDS,
            ) as client,
            client.stream("GET", url) as answer,
        ):
            async for chunk in answer.raise_for_status().aiter_bytes():
                content += chunk
                if len(content) > MAX_KEYS_BYTES:
                    raise ValueError("too much")
    return json.loads(content)


async def fetched_keys(url: str, transport: httpx2.AsyncBaseTransport | None = None) -> list[Any]:
    """The keys that are published there, usable or not. Raises one of `UNFETCHED`."""
    keys = (await fetched(url, transport))["keys"]
    if not isinstance(keys, list):
        raise TypeError("keys must be a list")
    return keys


def why(error: Exception) -> str:
    """Why nothing could be fetched, in words of our own: the error's text quotes what came."""
    if isinstance(error, httpx2.RequestError) and (cause := cause_of(error, error.request)):
        return f"{cause.what}. {cause.next_step}"
    if isinstance(error, httpx2.HTTPStatusError):
        return f"its server answered {error.response.status_code}"
    return type(error).__name__


_SECRET = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
"""Members of private and symmetric keys."""


def usable_keys(published: list[Any]) -> tuple[Keys, str]:
    """The public keys for signatures among those published, and how many others there are that should not be there."""
    keys: Keys = {}
    ignored = Counter({"too many": max(0, len(published) - MAX_KEYS)})
    for entry in published[:MAX_KEYS]:
        try:
            if _SECRET & entry.keys():
                ignored["private or symmetric"] += 1
                continue
            is_to_verify = entry.get("use", "sig") == "sig" and "verify" in entry.get("key_ops", ["verify"])
            if not is_to_verify or entry.get("alg", RSA[0]) not in ALGORITHMS:
                continue
            made = jwt.PyJWK(entry)
            fitting = RSA if made.key_type == "RSA" and "alg" not in entry else [str(made.algorithm_name)]
            if any(keys.setdefault((made.key_id, algorithm), made.key) != made.key for algorithm in fitting):
                ignored["of an id that stands there before"] += 1
        # Its message would show the key.
        except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            ignored["unreadable"] += 1
    return keys, ", ".join(f"{number} {what}" for what, number in ignored.items() if number)


MAX_SHOWN = 200
"""Characters of a claim that the log shows."""


@dataclass
class JwtVerifier:
    """Verifies signature, issuer, audience and times with PyJWT; everything wrong means None, which answers 401."""

    issuer: str
    audiences: Sequence[str]
    keys: JwksKeys
    _told: str = ""

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller that the token speaks of, or None."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            key = await self.keys.get(header.get("kid"), algorithm) if algorithm in ALGORITHMS else None
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self.issuer,
                audience=self.audiences,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
            return self._access(claims)
        except (jwt.InvalidIssuerError, jwt.InvalidAudienceError):
            self._tell(jwt.decode(token, options={"verify_signature": False}))
            return None
        # A signed token may still hold numbers beyond all times, and a header is as deep as its sender likes.
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            logger.info("a token was refused: %s", type(error).__name__)
            return None

    def _tell(self, claims: dict[str, Any]) -> None:
        """Log what a well signed token says of issuer and audience, once: a mistake in the settings looks like this."""
        said = ascii([claims.get("iss"), claims.get("aud")])[:MAX_SHOWN]
        if said != self._told:
            self._told = said
            logger.warning(
                "a token of the issuer's key is refused: its iss and aud are %s. Letter by letter, iss has to be %r "
                "(PATCHWORKS_OAUTH_ISSUER) and aud %r (PATCHWORKS_OAUTH_AUDIENCE, or else PATCHWORKS_PUBLIC_URL)",
                said,
                self.issuer,
                self.audiences[0],
            )

    def _access(self, claims: dict[str, Any]) -> AccessToken:
        return AccessToken(
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            subject=str(claims["sub"]),
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]) + LEEWAY_SECONDS,
            resource=self.audiences[0],
            claims={"iss": self.issuer},
        )


def _scopes(claims: dict[str, Any]) -> list[str]:
    """The granted scopes, words of a text or a list of texts. Raises `TypeError` for anything else.

    Of `scope`, `scp` and Auth0's `permissions` the first counts that names a scope of this server. So `permissions`,
    all that a user may do, adds nothing to a scope that the user's consent has narrowed.
    """
    for claim in ("scope", "scp", "permissions"):
        granted = claims.get(claim, "")
        if not isinstance(granted, str | list):
            raise TypeError(f"{claim} must be a text or a list")
        words = granted.split() if isinstance(granted, str) else [word for word in granted if isinstance(word, str)]
        if {READ_SCOPE, WRITE_SCOPE} & {*words}:
            return words
    return []
