"""Who gets in, how often, and how a refusal looks."""

import json
from datetime import UTC, datetime

import httpx2
import pytest
from support.sandboxes import LISTING, Connect, FakeClock

from patchworks_deployments.sandbox import API_KEY, PASSWORD, READ_ONLY_KEY, USERNAME, Sandbox

ONE = "/api/v1/flow-versions/1001/deployments/500"
LOGIN = "/fabric/api/login"
CREDENTIALS = {"username": USERNAME, "password": PASSWORD}


async def log_in(client: httpx2.AsyncClient) -> str:
    response = await client.post(LOGIN, json=CREDENTIALS)
    return f"Bearer {response.json()['token']}"


# Credentials --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", [None, "wrong", f"Bearer {API_KEY}", API_KEY.upper(), "Bearer", "Bearer s3cr3t-token-1"]
)
async def test_unknown_credentials(connect: Connect, sandbox: Sandbox, authorization: str | None) -> None:
    """Only the exact key, without a scheme, or a token that was issued, is let in; nothing is done for others."""
    response = await connect(sandbox, authorization).delete(ONE)

    assert response.status_code == 401
    assert 500 in sandbox.account.deployments


async def test_read_only_key_changes_nothing(connect: Connect, sandbox: Sandbox) -> None:
    """A write with the read-only key is a 403 with a message, and is not carried out."""
    response = await connect(sandbox, READ_ONLY_KEY).delete(ONE)

    assert response.status_code == 403
    assert list(response.json()) == ["message"]
    assert 500 in sandbox.account.deployments


@pytest.mark.parametrize("field", ["username", "email"])
async def test_login(connect: Connect, sandbox: Sandbox, field: str) -> None:
    """A login under either name of the user field gives a token for a day."""
    response = await connect(sandbox, None).post(LOGIN, json={field: USERNAME, "password": PASSWORD})

    assert response.status_code == 200
    assert set(response.json()) == {"message", "token", "expires_in"}
    assert response.json()["expires_in"] == 86400
    assert (await connect(sandbox, f"Bearer {response.json()['token']}").get(LISTING)).status_code == 200
    for scheme in ("", "Basic "):
        assert (await connect(sandbox, scheme + response.json()["token"]).get(LISTING)).status_code == 401


@pytest.mark.parametrize("credentials", [CREDENTIALS | {"password": "x"}, CREDENTIALS | {"username": "x"}])
async def test_wrong_password(connect: Connect, sandbox: Sandbox, credentials: dict[str, str]) -> None:
    """Wrong credentials are a 401 with a message."""
    response = await connect(sandbox, None).post(LOGIN, json=credentials)

    assert response.status_code == 401
    assert list(response.json()) == ["message"]


async def test_incomplete_login(connect: Connect, sandbox: Sandbox) -> None:
    """A login without credentials is a 422 that names both fields."""
    response = await connect(sandbox, None).post(LOGIN, json={})

    assert response.status_code == 422
    assert set(response.json()["errors"]) == {"username", "password"}


async def test_token_expires(connect: Connect, sandbox: Sandbox, clock: FakeClock) -> None:
    """A token works for as long as the login said, and not a moment longer."""
    client = connect(sandbox, await log_in(connect(sandbox, None)))

    clock.advance(seconds=86_399)
    assert (await client.get(LISTING)).status_code == 200
    clock.advance(seconds=1)
    assert (await client.get(LISTING)).status_code == 401


async def test_revoked_tokens(connect: Connect, sandbox: Sandbox) -> None:
    """Revoking ends every token so far; a new login works, and so does the key."""
    revoked = [await log_in(connect(sandbox, None)) for _ in range(2)]
    sandbox.revoke_tokens()
    fresh = await log_in(connect(sandbox, None))

    statuses = [(await connect(sandbox, key).get(LISTING)).status_code for key in (*revoked, fresh, API_KEY)]

    assert statuses == [401, 401, 200, 200]


# Throttling ---------------------------------------------------------------------------------------


async def test_throttle(connect: Connect, clock: FakeClock) -> None:
    """Beyond the limit a request is a 429 that says when to come back, and coming back then works."""
    client = connect(Sandbox(requests_per_minute=2, clock=clock))

    first, second = await client.get(LISTING), await client.get(LISTING)
    assert [first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]] == ["1", "0"]
    assert first.headers["x-ratelimit-limit"] == "2"
    assert "retry-after" not in second.headers

    clock.advance(seconds=20.5)
    refused = await client.get(LISTING)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "40"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    reset = datetime.fromtimestamp(int(refused.headers["x-ratelimit-reset"]), tz=UTC)
    assert (reset - clock.now).total_seconds() == pytest.approx(39.5)

    clock.advance(seconds=39)
    assert (await client.get(LISTING)).status_code == 429
    clock.advance(seconds=1)
    assert (await client.get(LISTING)).status_code == 200


async def test_throttled_write_is_not_carried_out(connect: Connect, clock: FakeClock) -> None:
    """A 429 means that nothing was done."""
    sandbox = Sandbox(requests_per_minute=1, clock=clock)
    client = connect(sandbox)
    await client.get(LISTING)

    assert (await client.delete(ONE)).status_code == 429
    assert 500 in sandbox.account.deployments


async def test_throttle_lets_logins_through(connect: Connect, clock: FakeClock) -> None:
    """Neither logins nor refused credentials use up the limit; errors of the API do, and carry its headers."""
    sandbox = Sandbox(requests_per_minute=1, clock=clock)
    await log_in(connect(sandbox, None))
    await connect(sandbox, None).get(LISTING)

    response = await connect(sandbox).get("/api/v1/flow-versions/1/deployments")

    assert response.status_code == 404
    assert response.headers["x-ratelimit-remaining"] == "0"


async def test_no_throttle_by_default(api: httpx2.AsyncClient) -> None:
    """Without a limit no answer speaks of one."""
    assert not [name for name in (await api.get(LISTING)).headers if name.startswith("x-ratelimit")]


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize(
    ("authorization", "method", "path", "status"),
    [
        (None, "GET", LISTING, 401),
        (READ_ONLY_KEY, "DELETE", ONE, 403),
        (API_KEY, "GET", "/api/v1/flow-versions/1/deployments", 404),
        (API_KEY, "GET", "/api/v1/nothing", 404),
        (API_KEY, "PATCH", LISTING, 405),
        (API_KEY, "POST", "/api/v1/flow-versions/1001/deployments", 422),
        (API_KEY, "GET", f"{LISTING}?sort=id", 400),
    ],
)
async def test_errors_are_html_for_who_does_not_ask_for_json(  # noqa: PLR0913, PLR0917 - a table's columns
    connect: Connect, sandbox: Sandbox, accept: str, authorization: str | None, method: str, path: str, status: int
) -> None:
    """An error is a small HTML page unless the client accepts JSON, and then a message."""
    page = await connect(sandbox, authorization, accept).request(method, path)
    answer = await connect(sandbox, authorization).request(method, path)

    assert page.status_code == answer.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.startswith("<!DOCTYPE html>")
    assert str(status) in page.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["message"]


async def test_answers_are_json_for_everybody(connect: Connect, sandbox: Sandbox) -> None:
    """What is no error is JSON, whatever the client accepts."""
    assert (await connect(sandbox, accept="text/html").get(LISTING)).json()["data"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", LISTING, {"GET", "HEAD"}),
        ("DELETE", "/api/v1/flow-versions/1001/deployments", {"GET", "HEAD", "POST"}),
        ("POST", ONE, {"GET", "HEAD", "PUT", "DELETE"}),
        ("GET", f"{ONE}/enable", {"POST"}),
        ("PUT", f"{ONE}/disable", {"POST"}),
    ],
)
async def test_wrong_method(api: httpx2.AsyncClient, method: str, path: str, allowed: set[str]) -> None:
    """A method that a path does not take is a 405 that names those it takes."""
    response = await api.request(method, path)

    assert response.status_code == 405
    assert list(response.json()) == ["message"]
    assert set(response.headers["allow"].split(", ")) == allowed


async def test_paths_are_exact(api: httpx2.AsyncClient) -> None:
    """A path with a slash too many is a 404, and not a redirect that a client would have to follow."""
    assert (await api.get(f"{LISTING}/")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [b"{", b"NaN", b'{"priority": Infinity}', b"\xff\xfe", b"[" * 100_000, b'{"priority": ' + b"9" * 5000 + b"}"],
)
async def test_malformed_json(api: httpx2.AsyncClient, body: bytes) -> None:
    """A body that is no JSON is a 400 with a message."""
    response = await api.put(ONE, content=body)

    assert response.status_code == 400
    assert list(response.json()) == ["message"]


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
async def test_json_that_is_no_object(api: httpx2.AsyncClient, body: object) -> None:
    """A body that is JSON but no object is a 422."""
    response = await api.put(ONE, content=json.dumps(body))

    assert response.status_code == 422
    assert set(response.json()) == {"message", "errors"}


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 413)])
async def test_body_size(api: httpx2.AsyncClient, excess: int, status: int) -> None:
    """A body may have 8 MB and not a byte more."""
    frame = b'{"note": ""}'
    filler = b"x" * (8 * 1024 * 1024 - len(frame) + excess)

    response = await api.put(ONE, content=frame[:-2] + filler + frame[-2:])

    assert response.status_code == status


# The record of requests ---------------------------------------------------------------------------


async def test_requests_are_recorded(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """Every request is recorded with its status, refused ones too; only those that mean to change count as writes."""
    await api.get(LISTING, params={"filter[name]": "amazon", "page": 1})
    await api.put(ONE, json={"priority": 3})
    await api.delete("/api/v1/flow-versions/1/deployments/1")

    read, written, missed = sandbox.requests
    assert (read.method, read.path, read.query) == ("GET", LISTING, {"filter[name]": "amazon", "page": "1"})
    assert (read.body, read.status) == (None, 200)
    assert (written.method, written.path, written.body, written.status) == ("PUT", ONE, {"priority": 3}, 200)
    assert (missed.method, missed.status) == ("DELETE", 404)
    assert sandbox.writes == [written, missed]


async def test_no_secret_is_recorded(connect: Connect, sandbox: Sandbox) -> None:
    """Neither the key nor a login's password or token is in the record."""
    token = await log_in(connect(sandbox, None))
    await connect(sandbox, token).get(LISTING)
    await connect(sandbox).get(LISTING)

    record = repr(sandbox.requests)
    assert len(sandbox.requests) == 3
    assert not [secret for secret in (PASSWORD, API_KEY, "s3cr3t") if secret in record]
    assert sandbox.writes == []


async def test_refused_at_the_door_is_recorded(connect: Connect, sandbox: Sandbox) -> None:
    """Requests that never reach an endpoint are recorded as well."""
    await connect(sandbox, None).get(LISTING)
    await connect(sandbox, READ_ONLY_KEY).delete(ONE)

    assert [(request.status, request.is_write) for request in sandbox.requests] == [(401, False), (403, True)]
