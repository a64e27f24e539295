"""The door over HTTP for tokens of an issuer."""

from contextlib import AbstractContextManager

import httpx2
import pytest
from support.clients import READING, Era, Person, both_eras, data, yes
from support.issuer import AUDIENCE, ISSUER, Issuer, bad_tokens
from support.team import READ, WRITE, Served, answer_to, calling, on_loopback, serving

pytestmark = pytest.mark.slow


def serving_issuer(keys_url: str, issuer: str = ISSUER, public: str = AUDIENCE) -> AbstractContextManager[Served]:
    """A server that takes the issuer's tokens."""
    return serving(
        "--sandbox",
        PATCHWORKS_OAUTH_ISSUER=issuer,
        PATCHWORKS_OAUTH_JWKS_URL=keys_url,
        PATCHWORKS_PUBLIC_URL=public,
    )


METADATA = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'


@both_eras
async def test_a_good_token_of_the_issuer_lets_its_bearer_do_what_its_scopes_say(era: Era, issuer: Issuer) -> None:
    """A reader reads and sees no write tool, a writer writes, over real requests and with keys from a real server."""
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys) as served:
            async with calling(served.url, issuer.token(), era=era) as reader:
                assert not (await reader.call_tool("list_deployments", {})).is_error
                assert len((await reader.list_tools()).tools) == len(READING)
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
            refused = {what: await answer_to(served, token) for what, token in bad_tokens(issuer).items()}
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


async def test_an_issuer_with_a_slash_at_its_end_is_told_and_taken_as_it_is_written(issuer: Issuer) -> None:
    """And an address without a path is the same with a slash as without: clients ask for tokens with it."""
    async with on_loopback(issuer.app) as keys:
        with serving_issuer(keys, f"{ISSUER}/", "https://mcp.example") as served:
            async with httpx2.AsyncClient(trust_env=False) as http:
                metadata = (await http.get(f"{served.base}/.well-known/oauth-protected-resource")).json()
            for audience in ("https://mcp.example/", "https://mcp.example"):
                async with calling(served.url, issuer.token(iss=f"{ISSUER}/", aud=audience)) as client:
                    assert not (await client.call_tool("list_deployments", {})).is_error
            assert (await answer_to(served, issuer.token(aud=audience))).status_code == 401
    assert metadata["authorization_servers"] == [f"{ISSUER}/"]
    assert metadata["resource"] == "https://mcp.example"
