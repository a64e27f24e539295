"""Tokens of an issuer: which are good, and where the keys come from."""

import base64
import json
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from support import virtual_time
from support.clients import Clock
from support.issuer import AUDIENCE, ISSUER, Issuer, bad_tokens, unsigned
from support.team import READ, WRITE

from patchworks_deployments.serving.jwt import (
    FETCH_SECONDS,
    KEYS_STALE_SECONDS,
    MAX_KEYS,
    JwksKeys,
    JwtVerifier,
    usable_keys,
)
from patchworks_deployments.serving.tokens import authorization
from patchworks_deployments.settings import load_settings


def _verifier(issuer: Issuer, clock: Clock | None = None) -> JwtVerifier:
    keys = JwksKeys("https://issuer.example/jwks", clock or Clock(), httpx2.MockTransport(issuer))
    return JwtVerifier(ISSUER, [AUDIENCE], keys)


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
    ("public", "audiences"),
    [
        ("https://mcp.example", {"https://mcp.example", "https://mcp.example/"}),
        ("https://mcp.example/mcp", {"https://mcp.example/mcp"}),
    ],
)
def test_a_slash_makes_another_audience_of_an_address_with_a_path(public: str, audiences: set[str]) -> None:
    """Something else may be served there; an address without a path is the same with it."""
    oauth = {"oauth_issuer": ISSUER, "oauth_jwks_url": f"{ISSUER}/jwks", "public_url": public}
    _, verifier = authorization(load_settings({}, sandbox=True, **oauth))
    assert isinstance(verifier, JwtVerifier)
    assert {*verifier.audiences} == audiences


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": f"openid {READ}"}, {READ}),
        ({"scope": None, "scp": [READ, WRITE]}, {READ, WRITE}),
        ({"scope": None, "permissions": [READ, WRITE]}, {READ, WRITE}),
        ({"scope": "openid profile", "permissions": [READ]}, {READ}),
        ({"scope": "openid", "scp": WRITE, "permissions": [READ]}, {WRITE}),
        ({"scope": READ, "permissions": [READ, WRITE]}, {READ}),
        ({"scope": READ, "scp": [READ, WRITE]}, {READ}),
        ({"scope": READ, "permissions": {"of": "something else"}}, {READ}),
        ({"scope": "openid", "permissions": []}, set()),
    ],
)
async def test_what_the_user_may_do_adds_nothing_to_what_was_granted(
    issuer: Issuer, claims: dict[str, Any], scopes: set[str]
) -> None:
    """Of scope, scp and Auth0's permissions the first counts that names a scope of this server."""
    access = await _verifier(issuer).verify_token(issuer.token(**claims))
    assert access
    assert {READ, WRITE} & {*access.scopes} == scopes


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": f"{ISSUER}/"}, f"{ISSUER}/"),
        ({"aud": [f"{AUDIENCE}/other", "api\n"]}, f"{AUDIENCE}/other', 'api\\n"),
        ({"aud": "a" * 9_000}, "aaa"),
    ],
)
async def test_the_log_says_once_why_a_well_signed_token_does_not_fit_the_settings(
    issuer: Issuer, claims: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A slash is easily overlooked: what the token says, what it has to say, and the setting; never the token."""
    verifier, token = _verifier(issuer), issuer.token(**claims)
    for _ in range(3):
        assert await verifier.verify_token(token) is None
    (record,) = caplog.records
    assert said in record.getMessage()
    assert f"'{ISSUER}' (PATCHWORKS_OAUTH_ISSUER) and aud '{AUDIENCE}' (PATCHWORKS_OAUTH_AUDIENCE" in caplog.text
    assert len(record.getMessage()) < 600
    assert token.rpartition(".")[2] not in caplog.text


async def test_a_stranger_s_token_leaves_no_line_in_the_log(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """Only who has the issuer's key is told what does not fit."""
    stranger = Issuer()
    stranger.add_key("one")
    assert await _verifier(issuer).verify_token(stranger.token(iss="https://other.example")) is None
    assert not caplog.records


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
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", Clock(), transport))
    assert await verifier.verify_token(issuer.token()) is None
    assert sent < 15


# A slow key server --------------------------------------------------------------------------------


class SlowIssuer(Issuer):
    """Its answer takes `seconds`, in small pieces, so that no single read takes long."""

    seconds = 0.0

    async def slowly(self, request: httpx2.Request) -> httpx2.Response:
        answer = self(request)

        async def dripping() -> AsyncIterator[bytes]:
            for number in range(10):
                await anyio.sleep(self.seconds / 10)
                yield answer.content if number == 0 else b" "

        return httpx2.Response(answer.status_code, content=dripping())

    def verifier(self) -> JwtVerifier:
        transport = httpx2.MockTransport(self.slowly)
        clock = lambda: time.monotonic()  # noqa: E731, PLW0108 - looked up when it is called, as the time is virtual
        return JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", clock, transport))


async def seconds_of(verifier: JwtVerifier, token: str, *, good: bool) -> float:
    """How long the token takes, which is good or not."""
    began = time.monotonic()
    assert (await verifier.verify_token(token) is not None) == good
    return time.monotonic() - began


def made_up(number: int) -> str:
    return unsigned({}, {"alg": "RS256", "kid": f"made-up-{number}"})


@pytest.mark.parametrize("seconds", [4.9, 60.0])
def test_tokens_with_made_up_keys_keep_nobody_waiting(seconds: float) -> None:
    """While 200 of them wait for a slow key server, a good token is let in at once; no wait is longer than a fetch."""

    async def scenario() -> None:
        issuer = SlowIssuer()
        issuer.add_key("one")
        verifier = issuer.verifier()
        assert await verifier.verify_token(issuer.token())
        issuer.seconds = seconds
        waited: list[float] = []

        async def knock(number: int) -> None:
            waited.append(await seconds_of(verifier, made_up(number), good=False))

        for _ in range(5):
            await anyio.sleep(11)
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(knock, number)
                await anyio.sleep(1)
                assert await seconds_of(verifier, issuer.token(), good=True) < 0.1
        assert len(waited) == 1_000
        assert max(waited) < FETCH_SECONDS + 0.5
        assert issuer.asked == 6

    virtual_time.run(scenario())


def test_keys_in_use_are_renewed_before_anybody_has_to_wait_for_them() -> None:
    """Who comes every minute never waits, neither for a slow key server nor for one that hangs or fails."""

    async def scenario() -> None:
        issuer = SlowIssuer()
        issuer.add_key("one")
        verifier = issuer.verifier()
        token = issuer.token(exp=int(time.time()) + 10_000)
        assert await verifier.verify_token(token)
        for issuer.seconds, issuer.down in ((4.9, False), (60.0, False), (0.0, True)):
            for _ in range(15):
                await anyio.sleep(60)
                assert await seconds_of(verifier, token, good=True) < 0.1

    virtual_time.run(scenario())


def test_a_withdrawn_key_counts_for_nobody_who_comes_late() -> None:
    """After hours without a token the first one waits for the keys of today, also where the last fetch had failed."""

    async def scenario() -> None:
        issuer = SlowIssuer()
        issuer.add_key("one")
        verifier, token = issuer.verifier(), issuer.token()
        assert await verifier.verify_token(token)
        issuer.down = True
        await anyio.sleep(200)
        assert await verifier.verify_token(token)
        await anyio.sleep(200)
        issuer.down, issuer.seconds = False, 3.0
        issuer.private.clear()
        issuer.add_key("two")
        assert await verifier.verify_token(token) is None
        assert await verifier.verify_token(issuer.token("two"))

    virtual_time.run(scenario())


# Odd keys -----------------------------------------------------------------------------------------


def _published(key: Any, **more: Any) -> dict[str, Any]:
    is_rsa = isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey)
    algorithm = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key, as_dict=True), **more}


ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVED = ec.generate_private_key(ec.SECP256R1())

ODD_KEYS: dict[str, tuple[Any, str]] = {
    "a private key": (_published(ANOTHER, kid="odd"), "private or symmetric"),
    "a private key on a curve": (_published(CURVED, kid="odd"), "private or symmetric"),
    "a symmetric key": ({"kty": "oct", "k": "c2VjcmV0" * 8, "alg": "HS256", "kid": "odd"}, "private or symmetric"),
    "a key for encryption": (_published(ANOTHER.public_key(), kid="odd", use="enc"), ""),
    "a key for another algorithm": (_published(ANOTHER.public_key(), kid="odd", alg="RSA-OAEP"), ""),
    "a key that only signs": (_published(ANOTHER.public_key(), kid="odd", key_ops=["sign"]), ""),
    "an algorithm of another kind": (_published(ANOTHER.public_key(), kid="odd", alg="ES256"), "unreadable"),
    "an unknown kind": ({"kty": "AKP", "kid": "odd"}, "unreadable"),
    "an id that is an object": (_published(ANOTHER.public_key(), kid={"odd": 1}), "unreadable"),
    "no modulus": ({"kty": "RSA", "e": "AQAB", "kid": "odd"}, "unreadable"),
    "a symmetric key without its value": ({"kty": "oct", "kid": "odd"}, "unreadable"),
    "no object": ("odd", "unreadable"),
    "nothing": (None, "unreadable"),
    "the same id once more": (_published(ANOTHER.public_key(), kid="one"), "of an id that stands there before"),
}


@pytest.mark.parametrize(("odd", "said"), ODD_KEYS.values(), ids=ODD_KEYS)
async def test_an_odd_key_is_ignored_and_loses_no_other(
    odd: Any, said: str, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Before it and behind it: nobody comes in with it, and the log tells its kind without showing anything of it."""
    good, curved = issuer.jwks()["keys"], _published(CURVED.public_key(), kid="curved")
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"keys": [*good, odd, curved]}))
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", Clock(), transport))
    assert await verifier.verify_token(issuer.token())
    for key, key_id, algorithm, is_good in (
        (CURVED, "curved", "ES256", True),
        (ANOTHER, "odd", "RS256", False),
        (ANOTHER, "one", "RS256", False),
        (CURVED, "odd", "ES256", False),
    ):
        forger = Issuer({key_id: key})  # type: ignore[dict-item]  # keys of other kinds sign, too
        assert (await verifier.verify_token(forger.token(key_id, algorithm)) is not None) == is_good
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == (
        [f"keys of the issuer are ignored: 1 {said}"] if said else []
    )
    for part in ("d", "k", "n"):
        assert not isinstance(odd, dict) or str(odd.get(part, "-" * 9)) not in caplog.text


VALUES = st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "Ed448", "RS256", "ES256", "EdDSA", "AQAB"])
ANYTHING: st.SearchStrategy[Any] = (
    VALUES | st.none() | st.integers() | st.floats() | st.text() | st.lists(VALUES) | st.just({})
)
MEMBERS = st.dictionaries(st.sampled_from(["kty", "n", "e", "crv", "x", "y", "alg", "use", "key_ops", "kid"]), ANYTHING)


@given(MEMBERS, st.sampled_from([ANOTHER, CURVED]))
def test_whatever_stands_in_a_set_loses_no_other_key(odd: dict[str, Any], key: Any) -> None:
    """A key of any kind of which some is replaced."""
    good = _published(CURVED.public_key(), kid="good")
    keys, _ = usable_keys([_published(key.public_key(), kid="odd") | odd, odd, good])
    assert keys["good", "ES256"] == CURVED.public_key()


async def test_the_log_tells_of_odd_keys_once(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """However often the same set is fetched, and again when they are gone."""
    clock, keys = Clock(), [*issuer.jwks()["keys"], None]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"keys": keys}))
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", clock, transport))
    for _ in range(3):
        clock.now += 301
        assert await verifier.verify_token(issuer.token())
    keys.pop()
    clock.now += 301
    assert await verifier.verify_token(issuer.token())
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "keys of the issuer are ignored: 1 unreadable",
        "keys of the issuer are ignored: none any more",
    ]


async def test_a_key_says_what_it_may_be_used_for(issuer: Issuer) -> None:
    """One that names its algorithm verifies that one alone, and one that names none each that fits its kind."""
    (key,) = issuer.jwks()["keys"]
    for named, taken in (({}, ["RS256", "PS256", "RS512"]), ({"alg": "PS256"}, ["PS256"])):
        answer = {"keys": [{**key, **named}]}
        transport = httpx2.MockTransport(lambda _, answer=answer: httpx2.Response(200, json=answer))
        verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", Clock(), transport))
        algorithms = ["RS256", "PS256", "RS512"]
        assert [a for a in algorithms if await verifier.verify_token(issuer.token(algorithm=a))] == taken


async def test_of_thousands_of_keys_only_the_first_are_looked_at(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading keys takes time that everybody else waits for."""
    (key,) = issuer.jwks()["keys"]
    keys = [{**key, "kid": str(number)} for number in range(1_000)]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"keys": keys}))
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", Clock(), transport))
    for key_id, is_good in ((str(MAX_KEYS - 1), True), (str(MAX_KEYS), False)):
        holder = Issuer({key_id: issuer.private["one"]})
        assert (await verifier.verify_token(holder.token(key_id)) is not None) == is_good
    assert "900 too many" in caplog.text


async def test_an_issuer_that_publishes_no_key_any_more_has_withdrawn_all(issuer: Issuer) -> None:
    """An empty set is an answer like any other."""
    clock, keys = Clock(), issuer.jwks()["keys"]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"keys": keys}))
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", clock, transport))
    assert await verifier.verify_token(issuer.token())
    keys.clear()
    clock.now += 301
    assert await verifier.verify_token(issuer.token()) is None


async def test_a_key_that_is_too_short_is_refused() -> None:
    """Whoever publishes it."""
    short = Issuer({"one": rsa.generate_private_key(public_exponent=65537, key_size=1024)})  # noqa: S505 - on purpose
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = short.token()
    assert await _verifier(short).verify_token(token) is None


@pytest.mark.parametrize("key_id", [None, 5, ["one"], {"one": 1}, "", "x" * 50_000, "\ud800"])
async def test_an_odd_key_id_is_refused(issuer: Issuer, key_id: Any) -> None:
    """Whatever stands there."""
    assert await _verifier(issuer).verify_token(unsigned({}, {"alg": "RS256", "kid": key_id})) is None


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [{"kty": "RSA"}]}', b"\xff", b"[" * 40_000]
)
async def test_a_key_server_that_answers_nonsense_lets_nobody_in(issuer: Issuer, answer: bytes) -> None:
    """Whatever it sends, the answer to the caller is a refusal, not a crash."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=answer))
    verifier = JwtVerifier(ISSUER, [AUDIENCE], JwksKeys("https://issuer.example/jwks", Clock(), transport))
    assert await verifier.verify_token(issuer.token()) is None
