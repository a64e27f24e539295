"""How requests prove who they come from."""

import json
from typing import Any

import anyio
import httpx2
import pytest
from support.faults import Step, reply, scripted

from patchworks_deployments.api.client import open_client
from patchworks_deployments.api.credentials import caller_key
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.errors import Unauthenticated, Unreachable, UpstreamError
from patchworks_deployments.settings import Settings, load_settings

LOGIN = "https://app.example.com/fabric/api/login"
QUERY = DeploymentQuery()


class Patchworks:
    """A login and a list that accept the newest token only."""

    def __init__(self, *, expires_in: object = 86_400, login: httpx2.Response | None = None) -> None:
        self.logins: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self._expires_in = expires_in
        self._login = login
        self.valid = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url == LOGIN:
            self.logins.append(json.loads(request.content))
            if self._login is not None:
                return self._login
            self.valid = f"token-{len(self.logins)}"
            return httpx2.Response(200, json={"message": "ok", "token": self.valid, "expires_in": self._expires_in})
        self.headers.append(request.headers["Authorization"])
        if self.valid and request.headers["Authorization"] != f"Bearer {self.valid}":
            return httpx2.Response(401, json={"message": "Unauthenticated."})
        return httpx2.Response(200, json={"data": []})


def _login_settings(**more: object) -> Settings:
    return load_settings({}, username="me@example.com", password="pass-word", login_url=LOGIN, **more)


async def test_an_api_key_is_sent_raw() -> None:
    """Patchworks takes the key without a scheme word."""
    patchworks = Patchworks()
    async with open_client(load_settings({}, api_key="the-key"), scripted(patchworks)) as client:
        await client.list_deployments(QUERY)
    assert patchworks.headers == ["the-key"]


async def test_a_bearer_token_is_sent_with_its_scheme() -> None:
    """A token that somebody already has needs no login."""
    patchworks = Patchworks()
    async with open_client(load_settings({}, bearer_token="abc"), scripted(patchworks)) as client:
        await client.list_deployments(QUERY)
    assert patchworks.headers == ["Bearer abc"]


async def test_a_login_is_made_once_and_its_token_is_used_again() -> None:
    """The user's name goes under the configured field."""
    patchworks = Patchworks()
    settings = _login_settings(login_user_field="email")
    async with open_client(settings, scripted(patchworks)) as client:
        for _ in range(3):
            await client.list_deployments(QUERY)
    assert patchworks.logins == [{"email": "me@example.com", "password": "pass-word"}]
    assert patchworks.headers == ["Bearer token-1"] * 3


async def test_a_write_whose_second_login_hangs_has_not_been_done() -> None:
    """It was refused with a 401, and what waits for a login has not left."""
    patchworks = Patchworks()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url == LOGIN and patchworks.logins:
            await anyio.sleep(10)
        answered = patchworks(request)
        patchworks.valid = "another"
        return answered

    async with open_client(_login_settings(timeout=0.05), scripted(answer)) as client:
        with pytest.raises(Unreachable) as caught:
            await client.delete("1", "2")
    assert not caught.value.may_have_acted
    assert "The login at Patchworks failed." in str(caught.value)


async def test_a_401_logs_in_once_more_and_repeats_the_request() -> None:
    """A token that Patchworks has revoked is renewed without anybody noticing."""
    patchworks = Patchworks()
    async with open_client(_login_settings(), scripted(patchworks)) as client:
        await client.list_deployments(QUERY)
        patchworks.valid = "revoked"
        await client.list_deployments(QUERY)
    assert len(patchworks.logins) == 2
    assert patchworks.headers == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


async def test_a_second_401_is_not_followed_by_a_third_login() -> None:
    """An account that is refused with a fresh token is reported, not hammered."""
    patchworks = Patchworks()

    def refusing(request: httpx2.Request) -> httpx2.Response:
        answer = patchworks(request)
        return answer if request.url == LOGIN else httpx2.Response(401, json={"message": "Unauthenticated."})

    async with open_client(_login_settings(), scripted(refusing)) as client:
        with pytest.raises(Unauthenticated, match="401"):
            await client.list_deployments(QUERY)
    assert len(patchworks.logins) == 2


async def test_requests_that_meet_a_401_together_share_one_login() -> None:
    """Ten requests with an old token make one login, not ten."""
    patchworks = Patchworks()
    async with open_client(_login_settings(), scripted(patchworks)) as client:
        await client.list_deployments(QUERY)
        patchworks.valid = "revoked"
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(client.list_deployments, QUERY)
    assert len(patchworks.logins) == 2


@pytest.mark.parametrize("expires_in", [1, 0, -5, "soon", None])
async def test_an_odd_or_short_lifetime_does_not_stop_the_work(expires_in: object) -> None:
    """Whatever Patchworks says of the token's life, the token is used."""
    patchworks = Patchworks(expires_in=expires_in)
    async with open_client(_login_settings(), scripted(patchworks)) as client:
        await client.list_deployments(QUERY)
        await client.list_deployments(QUERY)
    assert len(patchworks.logins) == 1


REFUSALS = [
    httpx2.Response(401, json={"message": "pass-word is wrong"}),
    httpx2.Response(422, json={"message": "The username field is required."}),
    httpx2.Response(200, content=b"<html>"),
    httpx2.Response(200, json={"message": "ok"}),
    httpx2.Response(200, json={"token": "bad\r\nInjected: yes"}),
    httpx2.Response(200, json=["token"]),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
async def test_a_refused_login_is_reported_without_secrets_and_not_hammered(refusal: httpx2.Response) -> None:
    """A person must check the settings; trying again at once does not ask Patchworks again."""
    patchworks = Patchworks(login=refusal)
    async with open_client(_login_settings(), scripted(patchworks)) as client:
        for _ in range(3):
            with pytest.raises(Unauthenticated, match="PATCHWORKS_LOGIN_URL") as caught:
                await client.list_deployments(QUERY)
            assert "pass-word" not in str(caught.value)
            assert "Nothing was changed" in str(caught.value)
    assert len(patchworks.logins) == 1
    assert patchworks.headers == []


@pytest.mark.parametrize(
    "failure",
    [reply(500), reply(503), reply(429), httpx2.ConnectError, httpx2.ReadTimeout],
    ids=["500", "503", "429", "connect", "read"],
)
async def test_a_login_that_fails_means_that_nothing_was_changed(failure: Step) -> None:
    """The write itself never left, so its fate is no question."""
    failing = scripted(failure)
    async with open_client(_login_settings(), failing) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.disable("1", "2")
    assert isinstance(caught.value, Unreachable)
    assert "Nothing was changed" in str(caught.value)
    assert {str(request.url) for request in failing.requests} == {LOGIN}


async def test_no_cookie_goes_from_one_caller_s_answer_into_another_s_request() -> None:
    """A session that Patchworks opens is not kept, so it cannot speak for somebody else."""
    cookies: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        cookies.append(request.headers.get("Cookie"))
        key = request.headers["Authorization"]
        return httpx2.Response(200, json={"data": []}, headers={"Set-Cookie": f"laravel_session=of-{key}; Path=/"})

    settings = load_settings({}, credentials="caller", http="8000")
    async with open_client(settings, scripted(answer)) as client:
        for key in ("anna", "bob"):
            with caller_key(key):
                await client.list_deployments(QUERY)
    assert cookies == [None, None]
