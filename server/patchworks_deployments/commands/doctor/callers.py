"""Looks at what a server over HTTP needs beside Patchworks: tokens, their issuer and its keys, and Redis."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import anyio

from patchworks_deployments.commands.doctor.findings import Exit, Finding, fail, failed, note
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.model.text import inert
from patchworks_deployments.serving.jwt import UNFETCHED, fetched, fetched_keys, usable_keys, why
from patchworks_deployments.serving.tokens import StaticTokens
from patchworks_deployments.settings import Settings
from patchworks_deployments.startup import REDIS_CONNECT_SECONDS, open_redis

MAX_ISSUER_CHARACTERS = 500
"""Characters of what an issuer calls itself that are shown."""


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """A finding for each thing that is set."""
    if settings.tokens_file:
        yield _tokens(settings)
    if settings.oauth_issuer and settings.oauth_jwks_url:
        async for finding in _issuer(settings.oauth_issuer, settings.oauth_jwks_url):
            yield finding
        yield await _keys(settings.oauth_jwks_url)
    if settings.redis_url:
        yield await _redis(settings.redis_url.get_secret_value())


def _tokens(settings: Settings) -> Finding:
    assert settings.tokens_file
    try:
        tokens = StaticTokens(settings.tokens_file)
    except SettingsError as error:
        return fail(f"tokens: {error.what}", "Make lines for the file with the command `token NAME`.", Exit.SETTINGS)
    counted = Counter(", ".join(scopes) for _, scopes in tokens.holders)
    told = "; ".join(f"{number} with {scopes}" for scopes, number in sorted(counted.items()))
    return Finding(f"tokens: {len(tokens.holders)} in {settings.tokens_file}: {told}")


async def _issuer(issuer: str, jwks_url: str) -> AsyncIterator[Finding]:
    """Whether the issuer's metadata can be had, by hosts too, and say what the settings say."""
    told, reasons = None, dict[str, None]()
    for url in _metadata_urls(issuer):
        try:
            answer = await fetched(url)
        except UNFETCHED as error:
            reasons[why(error)] = None
            continue
        if isinstance(answer, dict) and "issuer" in answer:
            told = answer
            break
    if told is None:
        yield fail(
            f"OAuth issuer: {issuer} publishes no metadata ({'; '.join(reasons) or 'it names no issuer'})",
            "Hosts look there for the login. Check PATCHWORKS_OAUTH_ISSUER.",
        )
        return
    for finding in _of_metadata(told, issuer, jwks_url):
        yield finding


def _metadata_urls(issuer: str) -> Iterator[str]:
    """Where hosts look: RFC 8414, and OpenID Connect Discovery in its two ways of writing."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    yield f"{origin}/.well-known/openid-configuration{path}"
    if path:
        yield f"{origin}{path}/.well-known/openid-configuration"


def _of_metadata(told: dict[str, Any], issuer: str, jwks_url: str) -> Iterator[Finding]:
    itself = _inert_address(told["issuer"])
    if told["issuer"] != issuer:
        yield fail(
            f"OAuth issuer: it calls itself {itself}, and the setting says {issuer}",
            "Set PATCHWORKS_OAUTH_ISSUER as it calls itself, letter by letter: every token names it so.",
        )
    else:
        yield Finding(f"OAuth issuer: {issuer} names itself so")
    if (told.get("jwks_uri") or jwks_url) != jwks_url:
        yield note(
            f"OAuth issuer: it publishes its keys at {_inert_address(told['jwks_uri'])}",
            "PATCHWORKS_OAUTH_JWKS_URL names another address.",
        )
    if not told.get("registration_endpoint") and not told.get("client_id_metadata_document_supported"):
        yield note(
            "OAuth issuer: a host cannot register there by itself (Dynamic Client Registration)",
            "Register each host there, and give it the client id; or use PATCHWORKS_TOKENS_FILE.",
        )


def _inert_address(value: object) -> str:
    """What was told as an address, safe to be shown on one line."""
    if not isinstance(value, str):
        return f"something that is no text ({type(value).__name__})"
    # With its own slashes: a person compares it letter by letter with a setting.
    return inert(value, MAX_ISSUER_CHARACTERS).replace("∕", "/")


async def _keys(url: str) -> Finding:
    advice = "Check PATCHWORKS_OAUTH_JWKS_URL: nobody is let in before it answers."
    try:
        published = await fetched_keys(url)
    except UNFETCHED as error:
        return fail(f"OAuth keys: {url} could not be read ({why(error)})", advice)
    keys, ignored = usable_keys(published)
    remark = f"; ignored: {ignored}" if ignored else ""
    if not keys:
        return fail(f"OAuth keys: {url} holds no key that signs tokens{remark}", advice)
    return Finding(f"OAuth keys: {len({key_id for key_id, _ in keys})} at {url}{remark}")


async def _redis(url: str) -> Finding:
    try:
        redis = open_redis(url)
    except SettingsError as error:
        return failed("Redis", error)
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    try:
        with anyio.fail_after(REDIS_CONNECT_SECONDS):
            await redis.ping()
    except (RedisError, OSError, TimeoutError) as error:  # their words may hold the password
        return fail(
            f"Redis: it does not answer ({type(error).__name__})",
            "Check PATCHWORKS_REDIS_URL. While it is away, every change that asks is refused.",
        )
    finally:
        await redis.aclose()
    return Finding("Redis: it answers")
