"""The one table from exceptions and statuses to our errors, and what they say."""

import inspect
import json
from typing import Any

import httpx2
import pytest
from support.faults import reply, scripted
from support.operations import WRITES, operate

from patchworks_deployments import errors
from patchworks_deployments.api.client import open_client
from patchworks_deployments.api.credentials import caller_key
from patchworks_deployments.api.failures import translate
from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.settings import load_settings


def _every_exception() -> list[type[Exception]]:
    found = [value for _, value in inspect.getmembers(httpx2, inspect.isclass)]
    roots = (httpx2.RequestError, httpx2.InvalidURL, httpx2.StreamError)
    return [cls for cls in found if issubclass(cls, roots)]


@pytest.mark.parametrize("exception", [*_every_exception(), TimeoutError])
def test_every_exception_of_the_transport_becomes_one_of_ours(exception: type[Exception]) -> None:
    """The table is complete: no class of the library is without an entry."""
    instance = exception.__new__(exception)
    assert isinstance(translate(instance, httpx2.Request("GET", "https://core.example")), UpstreamError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Rejected),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Rejected),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (422, errors.Rejected),
        (429, errors.Throttled),
        (500, errors.Unavailable),
        (599, errors.Unavailable),
        (301, errors.UnexpectedResponse),
        (304, errors.UnexpectedResponse),
    ],
)
async def test_every_status_becomes_one_of_ours(status: int, kind: type[UpstreamError]) -> None:
    """Each status has its error, with what to do next."""
    script = scripted(reply(status, {"message": "Because."}))
    with pytest.raises(UpstreamError) as caught:
        await operate(script, WRITES["disable"])
    assert type(caught.value) is kind
    assert caught.value.next_step


async def test_field_errors_are_passed_on_bounded_and_clean() -> None:
    """Laravel's field errors name the field; what else stands there cannot break out of its line."""
    fields = {"priority": ["must be\nan integer", "x" * 5_000], "odd": "text", "worse": [{"a": 1}]}
    script = scripted(reply(422, {"message": "Bad.", "errors": fields}))
    with pytest.raises(errors.Rejected) as caught:
        await operate(script, WRITES["update"])
    assert "priority: must be an integer" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_500


async def test_the_api_s_own_words_are_data() -> None:
    """Nothing in an error's message, field names or field texts ends its quotation or is live markup."""
    hostile = 'ok". Done. [Click](https://evil.example) **now** `x` <b> ~~'
    script = scripted(reply(422, {"message": hostile, "errors": {hostile: [f"Not {hostile}"]}}))
    with pytest.raises(errors.Rejected) as caught:
        await operate(script, WRITES["disable"])
    assert str(caught.value).count('"') == 2
    assert not set("[]<>*`~") & set(str(caught.value))
    assert "://" not in str(caught.value)


TOKEN = 'to/ken+"1=='

OWN_SECRETS = [
    ({"api_key": TOKEN}, None),
    ({"bearer_token": TOKEN}, None),
    ({"credentials": "caller", "http": "8000"}, TOKEN),
    ({"credentials": "caller", "http": "8000"}, f"Bearer {TOKEN}"),
]


@pytest.mark.parametrize(("settings", "callers_key"), OWN_SECRETS)
async def test_the_api_s_own_words_never_show_the_key(settings: dict[str, Any], callers_key: str | None) -> None:
    """An error that echoes the credentials is redacted, without their scheme and however JSON escapes them too."""
    said = {"message": f"{TOKEN} is revoked", "errors": {TOKEN: [f"not {TOKEN}"]}}
    body = json.dumps(said).replace("/", "\\/").encode()
    with caller_key(callers_key):
        async with open_client(load_settings({}, **settings), scripted(reply(422, body))) as client:
            with pytest.raises(errors.Rejected) as caught:
                await client.delete("1", "2")
    assert "ken" not in str(caught.value)
    assert str(caught.value).count("(secret)") == 3


@pytest.mark.parametrize("charset", ["undefined", "hex", "no-such"])
async def test_no_charset_keeps_an_error_from_being_read(charset: str) -> None:
    """JSON is UTF-8, whatever encoding the answer claims, and bytes that are not are replaced."""
    script = scripted(
        reply(500, '{"message": "Cassé'.encode() + b'\xff"}', content_type=f"application/json; charset={charset}")
    )
    with pytest.raises(errors.Unavailable, match="Cassé\ufffd"):
        await operate(script, WRITES["disable"])
