"""Who may call over HTTP, and what those who may not are told."""

import base64
import hashlib
import hmac
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from mcp.client.session import DEFAULT_CLIENT_INFO
from mcp.shared.exceptions import MCPError
from support.clients import Era, Person, audit_lines, both_eras, data, text, yes
from support.clocks import Clock
from support.processes import run
from support.team import (
    ALICE,
    AUDIENCE,
    BOB,
    ISSUER,
    READ,
    READER,
    WRITE,
    Issuer,
    Served,
    calling,
    on_loopback,
    serving,
    tokens_file,
)

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.serving.jwt import KEYS_STALE_SECONDS, JwksKeys, JwtVerifier
from patchworks_deployments.serving.tokens import StaticTokens, hash_token


def _verifier(issuer: Issuer, clock: Clock | None = None) -> JwtVerifier:
    keys = JwksKeys("https://issuer.example/jwks", clock or Clock(), httpx2.MockTransport(issuer))
    return JwtVerifier(ISSUER, AUDIENCE, keys)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    made = Issuer()
    made.add_key("one")
    return made


async def test_a_good_token_names_its_caller_and_scopes(issuer: Issuer) -> None:
    """Subject, client and scopes come from the claims; the token itself is not kept."""
    access = await _verifier(issuer).verify_token(issuer.token(scope=f"{READ} {WRITE}", client_id="desktop"))
    assert access
    assert (access.subject, access.client_id, access.scopes) == ("alice", "desktop", [READ, WRITE])
    assert access.token == ""
    assert access.claims == {"iss": ISSUER}


def _unsigned(claims: dict[str, Any], header: dict[str, Any], secret: bytes | None = None) -> str:
    """A token that PyJWT itself would refuse to make."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret else b""
    return f"{signed}.{part(signature)}"


def _bad_tokens(issuer: Issuer) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "scope": f"{READ} {WRITE}"}
    public = issuer.private["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = Issuer()
    stranger.add_key("one")
    return {
        "nothing": "",
        "no token": "not a token",
        "wrong issuer": issuer.token(iss="https://other.example"),
        "wrong audience": issuer.token(aud="https://other.example/mcp"),
        "no audience": issuer.token(aud=None),
        "no subject": issuer.token(sub=None),
        "no expiry": issuer.token(exp=None),
        "expired": issuer.token(exp=now - 60),
        "not yet valid": issuer.token(nbf=now + 60),
        "algorithm none": _unsigned(claims, {"alg": "none", "kid": "one"}),
        "HS256 with the public key": _unsigned(claims, {"alg": "HS256", "kid": "one"}, pem),
        "signed by a stranger": stranger.token(),
        "unknown key": _unsigned(claims, {"alg": "RS256", "kid": "two"}),
        "tampered": issuer.token()[:-6] + "AAAAAA",
    }


async def test_every_bad_token_is_refused(issuer: Issuer) -> None:
    """Wrong in any one way is wrong."""
    for what, token in _bad_tokens(issuer).items():
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
        assert await verifier.verify_token(_unsigned({}, {"alg": "RS256", "kid": f"made-up-{number}"})) is None
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


# Static tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    ["", "# nobody", "alice", "alice deployments:read", f"alice {READ} plain-token", f"alice admin {hash_token('x')}"],
)
def test_a_tokens_file_that_is_not_right_stops_the_start(content: str, tmp_path: Path) -> None:
    """The message names the line and its form, and repeats nothing of it."""
    path = tmp_path / "tokens"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match="PATCHWORKS_TOKENS_FILE") as caught:
        StaticTokens(path)
    assert "plain-token" not in str(caught.value)


def test_a_tokens_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    """A server that was meant to be closed does not start open."""
    outcome = run("--sandbox", "--http", "0", "--tokens-file", str(tmp_path / "nowhere"))
    assert outcome.returncode == 2
    assert "PATCHWORKS_TOKENS_FILE cannot be read" in outcome.stderr


async def test_the_token_command_makes_a_line_that_lets_its_token_in(tmp_path: Path) -> None:
    """The token goes to the person, and only its hash into the file."""
    outcome = run("token", "carol", "--write")
    token = outcome.stderr.split()[-1]
    assert token not in outcome.stdout
    path = tmp_path / "tokens"
    path.write_text(outcome.stdout, encoding="utf-8")
    access = await StaticTokens(path).verify_token(token)
    assert access
    assert (access.client_id, access.scopes) == ("carol", [READ, WRITE])
    assert await StaticTokens(path).verify_token(token + "x") is None


async def test_a_changed_tokens_file_counts_at_once_and_a_broken_one_not_at_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A revoked token is refused without a restart; while the file is broken or away, what was read before counts."""
    path = Path(tokens_file(tmp_path))
    tokens = StaticTokens(path)
    assert await tokens.verify_token(ALICE)
    _let_in_only("carol", "token-of-carol", path)
    assert await tokens.verify_token(ALICE) is None
    assert await tokens.verify_token("token-of-carol")
    for spoil in (lambda: path.write_text("carol is-no-more", encoding="utf-8"), path.unlink):
        caplog.clear()
        spoil()
        for _ in range(3):
            assert await tokens.verify_token("token-of-carol")
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "The tokens that were read before still count." in caplog.text
    _let_in_only("bob", BOB, path)
    assert await tokens.verify_token("token-of-carol") is None
    assert await tokens.verify_token(BOB)


def _let_in_only(name: str, token: str, path: Path) -> None:
    path.write_text(f"{name} {READ} {hash_token(token)}\n", encoding="utf-8")


# Over HTTP ----------------------------------------------------------------------------------------


def _call(tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


async def test_without_a_good_token_the_door_stays_shut(tmp_path: Path) -> None:
    """No token and a wrong one get 401 with a challenge, before anything is looked at."""
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        async with httpx2.AsyncClient(trust_env=False) as http:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ALICE}):
                answer = await http.post(served.url, json=_call("list_deployments"), headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
            assert (await http.get(f"{served.base}/health")).json() == {"status": "alive"}


@both_eras
async def test_a_reader_neither_sees_nor_runs_a_write_tool(era: Era, tmp_path: Path) -> None:
    """Without the write scope the write tools are not listed, and calling one challenges for the scope."""
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        async with calling(served.url, READER, era=era, person=Person(yes)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {
                "list_deployments",
                "list_flow_version_deployments",
                "get_deployment",
                "deployment_overview",
            }
            assert not (await client.call_tool("list_deployments", {})).is_error
        async with calling(served.url, ALICE, era=era, person=Person(yes)) as client:
            assert len((await client.list_tools()).tools) == 11
            ids = {"flow_version_id": "1001", "deployment_id": "500"}
            assert data(await client.call_tool("disable_deployment", ids))["status"] == "done"
        async with httpx2.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {READER}"}) as http:
            for tool in ("delete_deployment", "replace_deployment", "set_deployments_enabled"):
                answer = await http.post(served.url, json=_call(tool))
                assert answer.status_code == 403
                assert 'error="insufficient_scope", scope="deployments:write"' in answer.headers["WWW-Authenticate"]


@both_eras
async def test_a_reader_s_attempt_to_write_leaves_an_audit_line(era: Era, tmp_path: Path) -> None:
    """Who tried what, and that it was refused; the client's name where each call tells it."""
    log = tmp_path / "audit.jsonl"
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log))
    with serving(*arguments) as served:
        async with calling(served.url, READER, era=era) as client:
            with pytest.raises(MCPError):
                await client.call_tool("delete_deployment", {"deployment_id": "500", "api_key": "S3CRET"})
    (line,) = audit_lines(log)
    assert (line["tool"], line["outcome"], line["caller"]) == ("delete_deployment", "refused", "reader")
    assert line["message"] == "The token lacks the scope deployments:write."
    assert (line["arguments"], line["target"]) == ({"deployment_id": "500"}, "500")
    assert line["client"] == (f"mcp {DEFAULT_CLIENT_INFO.version}" if era == "auto" else None)


def serving_issuer(keys_url: str) -> AbstractContextManager[Served]:
    """A server that takes the issuer's tokens."""
    return serving(
        "--sandbox",
        PATCHWORKS_OAUTH_ISSUER=ISSUER,
        PATCHWORKS_OAUTH_JWKS_URL=keys_url,
        PATCHWORKS_PUBLIC_URL=AUDIENCE,
    )


async def answer_to(served: Served, token: str | None, tool: str = "list_deployments") -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".rstrip()}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        return await http.post(served.url, json=_call(tool))


METADATA = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'


@both_eras
async def test_a_good_token_of_the_issuer_lets_its_bearer_do_what_its_scopes_say(era: Era, issuer: Issuer) -> None:
    """A reader reads and sees no write tool, a writer writes, over real requests and with keys from a real server."""
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys) as served:
            async with calling(served.url, issuer.token(), era=era) as reader:
                assert not (await reader.call_tool("list_deployments", {})).is_error
                assert len((await reader.list_tools()).tools) == 4
            async with calling(
                served.url, issuer.token(scope=f"{READ} {WRITE}"), era=era, person=Person(yes)
            ) as writer:
                ids = {"flow_version_id": "1001", "deployment_id": "500"}
                assert data(await writer.call_tool("disable_deployment", ids))["status"] == "done"


async def test_every_bad_token_is_refused_over_http_with_a_challenge_that_says_where_to_get_a_good_one(
    issuer: Issuer,
) -> None:
    """401 for who is not known, 403 for who may not, each pointing to the metadata."""
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys) as served:
            refused = {what: await answer_to(served, token) for what, token in _bad_tokens(issuer).items()}
            refused["nobody"] = await answer_to(served, None)
            unfit = await answer_to(served, issuer.token(scope="something:else"))
            reader = await answer_to(served, issuer.token(), "delete_deployment")
    for what, answer in refused.items():
        assert answer.status_code == 401, what
        assert 'Bearer error="invalid_token"' in answer.headers["WWW-Authenticate"], what
        assert METADATA in answer.headers["WWW-Authenticate"], what
    for answer, scope in ((unfit, READ), (reader, WRITE)):
        assert answer.status_code == 403
        assert 'Bearer error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert scope in answer.headers["WWW-Authenticate"]
        assert METADATA in answer.headers["WWW-Authenticate"]


async def test_a_key_that_was_rotated_away_opens_no_door() -> None:
    """The old key's token is refused and the new one's is let in."""
    issuer = Issuer()
    issuer.add_key("one")
    old = issuer.token()
    issuer.private.clear()
    issuer.add_key("two")
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys) as served:
            assert (await answer_to(served, old)).status_code == 401
            async with calling(served.url, issuer.token("two")) as client:
                assert not (await client.call_tool("list_deployments", {})).is_error


async def test_a_key_server_that_is_down_shuts_out_whoever_comes_with_a_key_that_was_never_fetched() -> None:
    """A server that has fetched the keys goes on; one that has not refuses, with the challenge, and stays alive."""
    issuer = Issuer()
    issuer.add_key("one")
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys) as early, serving_issuer(keys) as late:
            async with calling(early.url, issuer.token()) as client:
                issuer.down = True
                assert not (await client.call_tool("list_deployments", {})).is_error
            refused = await answer_to(late, issuer.token())
            async with httpx2.AsyncClient(trust_env=False) as http:
                assert (await http.get(f"{late.base}/health")).status_code == 200
    assert refused.status_code == 401
    assert METADATA in refused.headers["WWW-Authenticate"]


async def test_the_protected_resource_metadata_name_the_issuer() -> None:
    """A client that knows nothing finds the authorization server."""
    with serving_issuer("http://127.0.0.1:9/jwks") as served:
        async with httpx2.AsyncClient(trust_env=False) as http:
            metadata = (await http.get(f"{served.base}/.well-known/oauth-protected-resource/mcp")).json()
    assert metadata["resource"] == AUDIENCE
    assert metadata["authorization_servers"] == [ISSUER]


async def test_a_caller_s_code_is_nobody_else_s(tmp_path: Path) -> None:
    """A code that Alice got does nothing for Bob, and the audit log says who did what."""
    log = tmp_path / "audit.jsonl"
    ids = {"flow_version_id": "1001", "deployment_id": "500"}
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log))
    with serving(*arguments) as served:
        async with calling(served.url, ALICE) as alice, calling(served.url, BOB) as bob:
            code = data(await alice.call_tool("disable_deployment", ids))["confirmation_code"]
            stolen = await bob.call_tool("disable_deployment", {**ids, "confirmation_code": code})
            assert data(stolen)["status"] == "confirmation_required", text(stolen)
            done = await alice.call_tool("disable_deployment", {**ids, "confirmation_code": code})
            assert data(done)["status"] == "done"
    lines = audit_lines(log)
    assert [(line["caller"], line["outcome"]) for line in lines] == [
        ("alice", "confirmation_required"),
        ("bob", "confirmation_required"),
        ("alice", "done"),
    ]
    assert ALICE not in log.read_text(encoding="utf-8")


async def test_nobody_can_finish_a_round_that_somebody_else_began(tmp_path: Path) -> None:
    """The state of Alice's question, with her yes, is refused when Bob sends it, and still good for her."""
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path))
    with serving(*arguments, PATCHWORKS_STATE_KEYS="k" * 32) as served:
        question = await _round(served, ALICE)
        assert question["resultType"] == "input_required"
        stolen = await _round(served, BOB, question)
        own = await _round(served, ALICE, question)
    assert "requestState" in stolen["message"]
    assert own["structuredContent"]["status"] == "done"


async def _round(served: Served, token: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request of a call in the new era: the first, or the one that answers the question with yes."""
    ids = {"flow_version_id": "1001", "deployment_id": "500"}
    params: dict[str, Any] = {"name": "disable_deployment", "arguments": ids, "_meta": _ENVELOPE}
    if question:
        agreed = {"action": "accept", "content": {"agree": True}}
        params["inputResponses"] = dict.fromkeys(question["inputRequests"], agreed)
        params["requestState"] = question["requestState"]
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "disable_deployment",
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        answer = await http.post(served.url, json=message)
    body = answer.text.rpartition("data: ")[2] if answer.text.startswith("event") else answer.text
    told: dict[str, Any] = json.loads(body)
    found: dict[str, Any] = told.get("result") or told["error"]
    return found


_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
