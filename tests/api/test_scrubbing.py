"""The server's own credentials never come back out, however Patchworks echoes them."""

import json
import string
from collections.abc import Callable
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encodings import ENCODINGS, Encoding
from support.examples import examples
from support.faults import reply, scripted

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.api.credentials import caller_key
from patchworks_deployments.api.failures import read_answer
from patchworks_deployments.api.scrubbing import HOLE, MIN_SECRET_CHARACTERS, Scrubber
from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.settings import load_settings

RECORD = {"id": 2, "flow_version_id": 1, "enabled_at": None}
LOGIN = "https://app.example.com/fabric/api/login"
ALPHABET = string.ascii_letters + string.digits + "-_.+/=:%&"

# By lot, as keys are: what hypothesis makes itself would be one letter many times.
credentials = st.builds(
    lambda lot, size: "".join(lot.choices(ALPHABET, k=size)), st.randoms(use_true_random=False), st.integers(8, 90)
)
encodings = st.sampled_from([*ENCODINGS.values()])
around = st.sampled_from(["", "x", "The key is ", "Schlüssel: ", '{"a": "', "é", "?k="])

Place = Callable[[str], Any]
ANSWERS: dict[str, Place] = {
    "flow": lambda echo: {**RECORD, "flow_version": {"id": 1, "flow_name": echo}},
    "environment": lambda echo: {**RECORD, "virtual_environment": {"id": 3, "name": echo}},
    "package": lambda echo: {**RECORD, "package": {"id": 3, "name": echo}},
    "person": lambda echo: {**RECORD, "user": {"email": echo}},
    "status": lambda echo: {**RECORD, "status": echo},
    "field": lambda echo: {**RECORD, "remark": echo},
    "key": lambda echo: {**RECORD, "remarks": {echo: 1}},
    "list": lambda echo: {**RECORD, "remarks": [[echo], {"text": echo}]},
    "JSON in text": lambda echo: {**RECORD, "remark": json.dumps({"text": [echo]})},
    "id": lambda echo: {**RECORD, "package_id": echo},
}
FAILURES: dict[str, Place] = {
    "message": lambda echo: {"message": echo},
    "field": lambda echo: {"message": "Bad.", "errors": {echo: ["bad"]}},
    "text": lambda echo: {"message": "Bad.", "errors": {"priority": [echo, {"x": echo}]}},
}


def _shown(answer: object, status: int, content_type: str, secret: str) -> str:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def ask() -> str:
        script = scripted(reply(status, body, Content_Type=content_type))
        settings = load_settings({}, credentials="caller", http="8000")
        with caller_key(secret):
            async with open_client(settings, script) as client:
                return json.dumps((await client.get("1", "2", with_other=True)).to_json(), ensure_ascii=False)

    try:
        return anyio.run(ask)
    except UpstreamError as error:
        return str(error)


def _leaks(shown: str, told: str, size: int) -> list[str]:
    """The parts of what was told, of this size, that are shown."""
    lower, shown = told.lower(), shown.lower()
    return [part for at in range(len(told) - size + 1) if (part := lower[at : at + size]) in shown]


@examples(300)
@given(
    credentials,
    encodings,
    around,
    st.sampled_from([*((200, place) for place in ANSWERS.values()), *((422, place) for place in FAILURES.values())]),
)
def test_no_echo_of_a_credential_is_shown(secret: str, encode: Encoding, before: str, place: tuple[int, Place]) -> None:
    """In whatever encoding, at whatever place of a success or a failure."""
    status, answer = place
    echo = encode(secret)
    shown = _shown(answer(f"{before}{echo}"), status, "application/json", f"Bearer {secret}")
    assert not _leaks(shown, secret, len(secret) // 2 + 1)
    assert not _leaks(shown, echo, max(8, len(echo) // 2))


@examples(200)
@given(credentials.filter(lambda secret: len(secret) >= 20), encodings, st.integers(0, 90), st.integers(16, 90))
def test_no_part_of_a_credential_is_shown(secret: str, encode: Encoding, start: int, size: int) -> None:
    """Cut at either end, from 16 characters on."""
    start = min(start, len(secret) - 16)
    part = secret[start : start + size]
    found = Scrubber([secret]).scrub({"name": f"It is {encode(part)}!"})["name"]
    assert HOLE in found
    assert not _leaks(found, part, 8)


@pytest.mark.parametrize("size", [8, 12, 30])
def test_a_part_with_a_digit_counts_from_half_the_credential(size: int) -> None:
    """A part of eight to twelve characters, which may be all of a short one."""
    secret = "ab3d-xy7z-qr5s-mn9p-uv2w-kl"[:size]
    part = secret[: max(8, min(12, size // 2))]
    assert Scrubber([secret]).scrub(f"({part})") == f"({HOLE})"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
async def test_no_header_shows_a_credential(encode: Encoding) -> None:
    """The content type of what is no JSON is named, without an echo in it."""
    secret = "k9Fz-3aQx7-Lw2M"
    echo = encode(secret).encode("ascii", "ignore").decode().replace("\x00", "")
    script = scripted(reply(200, b"<html>", Content_Type=f"text/{echo}"))
    async with open_client(load_settings({}, api_key=secret), script) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.get("1", "2")
    assert not _leaks(str(caught.value), secret, 8)
    assert not _leaks(str(caught.value), echo, len(echo) // 2 + 1)


async def test_neither_the_password_nor_any_token_of_a_login_is_shown() -> None:
    """The token before counts too: answers to requests that carried it are still under way when it is renewed."""
    logins = 0

    def patchworks(request: httpx2.Request) -> httpx2.Response:
        nonlocal logins
        if request.url == LOGIN:
            logins += 1
            return httpx2.Response(200, json={"token": f"t0ken-number-{logins}", "expires_in": 86_400})
        if logins == 1:
            return httpx2.Response(401)
        told = "pass-w0rd-1 t0ken-number-1 t0ken-number-2"
        return httpx2.Response(200, json={**RECORD, "flow_version": {"id": 1, "flow_name": told}})

    settings = load_settings({}, username="me", password="pass-w0rd-1", login_url=LOGIN)
    async with open_client(settings, scripted(patchworks)) as client:
        assert (await client.get("1", "2")).flow_name == f"{HOLE} {HOLE} {HOLE}"


@pytest.mark.parametrize("secret", ["live", "orders", "Sandbox"])
def test_a_short_credential_makes_no_holes_in_names(secret: str) -> None:
    """It may be a word, and what is missing would tell which."""
    assert len(secret) < MIN_SECRET_CHARACTERS
    page = {"name": "UK Live", "flow": "Shopify orders", "place": "DE Sandbox"}
    assert Scrubber([secret]).scrub(page) == page


@pytest.mark.parametrize("secret", ["Production2024!", "sandbox-key", "correct horse battery staple"])
def test_the_words_of_a_passphrase_stay_in_names(secret: str) -> None:
    """Only the whole of it, or a longer part, is taken out."""
    page = {"name": "EU Production", "flow": "Sandbox orders", "note": "horse battery, correct"}
    assert Scrubber([secret]).scrub(page) == page
    assert Scrubber([secret]).scrub([f"x{secret}"]) == [f"x{HOLE}"]


def test_a_number_that_is_a_credential_is_taken_out() -> None:
    """A key of digits may be echoed as a number."""
    assert Scrubber(["8400112233"]).scrub({"flow_id": 8400112233, "n": 1}) == {"flow_id": HOLE, "n": 1}


BROKEN = [
    (rb'"UK \ud800Live"', "UK �Live"),
    (rb'"UK \udc00\ud83d Live"', "UK �� Live"),
    (rb'"\ud83d\ude00 Live"', "😀 Live"),
    (b'"UK \xff Live"', "UK � Live"),
    (b'"UK \xed\xa0\x80 Live"', "UK ��� Live"),
    (b'"UK\x00 \x01Live"', "UK Live"),
    (b'"UK\tLive"', "UK Live"),
    (rb'"UK\u0000 Live"', "UK Live"),
]


@pytest.mark.parametrize(("name", "shown"), BROKEN)
async def test_a_text_that_is_no_unicode_costs_itself_alone(name: bytes, shown: str) -> None:
    """Half a pair, a byte that is no UTF-8 and a raw control character are replaced, and the page stays."""
    records = b'{"data":[{"id":1},{"id":2,"virtual_environment":{"id":3,"name":' + name + b"}}]}"
    response = httpx2.Response(200, content=records)
    answer = read_answer(response, ())
    json.dumps(answer, ensure_ascii=False).encode()

    async with open_client(load_settings({}, api_key="the-key-1"), scripted(reply(200, records))) as client:
        page = await DeploymentsClient.list_for_flow_version(client, "1")
    assert [d.virtual_environment_name for d in page.deployments] == [None, shown]


def test_a_number_of_thousands_of_digits_costs_itself_alone() -> None:
    """Python refuses to read it."""
    answer = read_answer(httpx2.Response(200, content=b'{"id": 1, "priority": ' + b"9" * 5_000 + b"}"), ())
    assert answer == {"id": 1, "priority": None}
