"""Tokens of an issuer: which are good, and where the keys come from."""

import base64
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
from support.clients import Clock
from support.issuer import AUDIENCE, ISSUER, Issuer, bad_tokens, unsigned
from support.team import READ, WRITE

from patchworks_deployments.serving.jwt import KEYS_STALE_SECONDS, JwksKeys, JwtVerifier


def _verifier(issuer: Issuer, clock: Clock | None = None) -> JwtVerifier:
    keys = JwksKeys("https://issuer.example/jwks", clock or Clock(), httpx2.MockTransport(issuer))
    return JwtVerifier(ISSUER, AUDIENCE, keys)


async def test_a_good_token_names_its_caller_and_scopes(issuer: Issuer) -> None:
    """Subject, client and scopes come from the claims; the token itself is not kept."""
    access = await _verifier(issuer).verify_token(issuer.token(scope=f"{READ} {WRITE}", client_id="desktop"))
    assert access
    assert (access.subject, access.client_id, access.scopes) == ("alice", "desktop", [READ, WRITE])
    assert access.token == ""
    assert access.claims == {"iss": ISSUER}


async def test_every_bad_token_is_refused(issuer: Issuer) -> None:
    """Wrong in any one way is wrong."""
    for what, token in bad_tokens(issuer).items():
        assert await _verifier(issuer).verify_token(token) is None, what


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": 5},
        {"scope": {"deployments:read": True}},
        {"scope": None, "scp": True},
        {"exp": math.inf},
        {"exp": "soon"},
        {"aud": 5},
    ],
)
async def test_a_signed_token_with_odd_claims_is_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    """An issuer's mistake is a refusal, not a crash."""
    assert await _verifier(issuer).verify_token(issuer.token(**claims)) is None


async def test_a_signed_token_whose_scope_is_null_is_refused(issuer: Issuer) -> None:
    """Null is neither a text nor a list."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "scope": None}
    token = jwt.encode(claims, issuer.private["one"], algorithm="RS256", headers={"kid": "one"})
    assert await _verifier(issuer).verify_token(token) is None


async def test_a_token_whose_header_is_nested_without_end_is_refused(issuer: Issuer) -> None:
    """Whatever a stranger sends is a refusal."""
    deep = base64.urlsafe_b64encode(b"[" * 40_000).decode()
    assert await _verifier(issuer).verify_token(f"{deep}.e30.e30") is None


async def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    """A token that expired ten seconds ago still counts."""
    assert await _verifier(issuer).verify_token(issuer.token(exp=int(time.time()) - 10))


async def test_a_rotated_key_is_found_and_an_unknown_one_does_not_flood_the_issuer() -> None:
    """A new key id makes one fetch; made-up ids make no more than one fetch in ten seconds."""
    issuer, clock = Issuer(), Clock()
    issuer.add_key("one")
    verifier = _verifier(issuer, clock)
    assert await verifier.verify_token(issuer.token())
    issuer.add_key("two")
    clock.now += 11
    assert await verifier.verify_token(issuer.token("two"))
    for number in range(20):
        assert await verifier.verify_token(unsigned({}, {"alg": "RS256", "kid": f"made-up-{number}"})) is None
    assert issuer.asked == 2


async def test_a_key_server_that_is_down_is_survived_for_an_hour_and_no_longer() -> None:
    """Known keys go on working for a while; without any key everybody is refused."""
    issuer, clock = Issuer(), Clock()
    issuer.add_key("one")
    verifier = _verifier(issuer, clock)
    assert await verifier.verify_token(issuer.token())
    issuer.down = True
    clock.now += KEYS_STALE_SECONDS - 1
    assert await verifier.verify_token(issuer.token())
    clock.now += 2
    assert await verifier.verify_token(issuer.token()) is None
    assert await _verifier(issuer).verify_token(issuer.token()) is None


async def test_a_key_that_the_issuer_withdrew_counts_for_five_minutes_and_no_longer() -> None:
    """Known keys are used without asking for a while; then what the issuer publishes counts."""
    issuer, clock = Issuer(), Clock()
    issuer.add_key("one")
    verifier, token = _verifier(issuer, clock), issuer.token()
    assert await verifier.verify_token(token)
    issuer.private.clear()
    issuer.add_key("two")
    clock.now += 299
    assert await verifier.verify_token(token)
    clock.now += 2
    assert await verifier.verify_token(token) is None
    assert await verifier.verify_token(issuer.token("two"))


async def test_a_key_server_that_answers_without_end_is_not_listened_to(issuer: Issuer) -> None:
    """More than a megabyte of keys is refused before it is all there."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield json.dumps(issuer.jwks()).encode()
        while sent < 50:
            sent += 1
            yield b" " * 100_000

    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=endless()))
    verifier = JwtVerifier(ISSUER, AUDIENCE, JwksKeys("https://issuer.example/jwks", Clock(), transport))
    assert await verifier.verify_token(issuer.token()) is None
    assert sent < 15


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [{"kty": "RSA"}]}', b"\xff", b"[" * 40_000]
)
async def test_a_key_server_that_answers_nonsense_lets_nobody_in(issuer: Issuer, answer: bytes) -> None:
    """Whatever it sends, the answer to the caller is a refusal, not a crash."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=answer))
    verifier = JwtVerifier(ISSUER, AUDIENCE, JwksKeys("https://issuer.example/jwks", Clock(), transport))
    assert await verifier.verify_token(issuer.token()) is None
