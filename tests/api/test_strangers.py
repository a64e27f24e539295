"""What answers in place of Patchworks, and what is said of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import IDS, Era, Person, connected, data, newer_era_first, text, yes
from support.faults import Acted, Fault, Step, Upstream, every, reply, scripted, write
from support.operations import KEY, READS, WRITES, operate

from patchworks_deployments import errors
from patchworks_deployments.api.client import open_client
from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.settings import load_settings


def page(title: str) -> bytes:
    return f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>Sorry.</body></html>".encode()


HTML = "text/html; charset=utf-8"

STRANGERS: dict[str, tuple[Fault, str]] = {
    "a login page, by redirect": (
        reply(302, page("Redirecting"), content_type=HTML, location="https://login.corp.test/start?from=secret"),
        "Something answered with a redirect (302) to the host login.corp.test, which is not followed.",
    ),
    "a redirect on the same host": (
        reply(301, location="/login?next=secret"),
        "a redirect (301) to another page of the same host",
    ),
    "a redirect to nowhere": (
        reply(302, location="http://secret:port/"),
        "a redirect (302) to an address that is none",
    ),
    "Laravel's expired page": (
        reply(419, page("Page Expired"), content_type=HTML),
        'answered 419 that is not the Patchworks Core API: a web page titled "Page Expired".',
    ),
    "a firewall": (
        reply(403, page("Attention Required! | Cloudflare"), content_type=HTML, server="cloudflare"),
        'a web page titled "Attention Required! ¦ Cloudflare" (server: cloudflare).',
    ),
    "a gateway's login": (reply(401, page("Sign in"), content_type=HTML), "answered 401 that is not the Patchworks"),
    "a firewall's own words": (reply(403, b"Blocked by policy", content_type="text/plain"), "not JSON (text/plain)"),
    "a page of maintenance": (
        reply(503, page("We&#39;ll be back soon"), content_type=HTML, retry_after=120),
        'answered 503 that is not the Patchworks Core API: a web page titled "We\'ll be back soon".',
    ),
    "a gateway": (reply(502, page("502 Bad Gateway"), content_type=HTML, server="nginx"), "502 that is not"),
    "a gateway that waited": (reply(504, page("504 Gateway Time-out"), content_type=HTML), "504 that is not"),
    "a crash that is not the API's": (reply(500, page("Runtime Error"), content_type=HTML), "500 that is not"),
    "a captive portal": (
        reply(200, page("Welcome to Hotel Wi-Fi"), content_type=HTML),
        'Something answered 200 that is not the Patchworks Core API: a web page titled "Welcome to Hotel Wi-Fi".',
    ),
    "a page that does not say so": (reply(200, b"\n <html><title> </title>"), "Core API: a web page."),
}


@pytest.mark.parametrize("stranger", STRANGERS)
@newer_era_first
async def test_a_read_says_what_answered(stranger: str, era: Era) -> None:
    """The status, what it is, its title and where it leads; and nothing that was asked."""
    fault, said = STRANGERS[stranger]
    async with connected(era=era, transport=Upstream().always(every, fault), api_key=KEY) as client:
        result = await client.call_tool("list_deployments", {})
    assert result.is_error
    assert said in text(result)
    assert "secret" not in text(result)
    assert "changed" not in text(result)


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_write_that_a_stranger_answered_is_looked_for(stranger: str) -> None:
    """It may have been passed on: what is read back decides, and what is not seen may still come."""
    fault, said = STRANGERS[stranger]
    steps: list[tuple[Step, str]] = [(Acted(fault), "done"), (fault, "unknown")]
    for step, status in steps:
        upstream = Upstream().on(write, step)
        async with connected(transport=upstream, person=Person(yes)) as client:
            result = await client.call_tool("disable_deployment", IDS)
        assert data(result)["status"] == status, text(result)
        assert said in text(result)
        assert len(upstream.writes) == 1


@pytest.mark.parametrize("status", [200, 302, 401, 403, 419, 500, 502, 503, 504])
async def test_a_write_that_a_stranger_answered_may_still_arrive(status: int) -> None:
    """Nobody has said that it came to an end, also where the API's own 500 would say so."""
    upstream = scripted(reply(status, page("Sorry"), content_type=HTML, location="/"))
    with pytest.raises(UpstreamError) as caught:
        await operate(upstream, WRITES["disable"])
    assert caught.value.may_have_acted
    assert caught.value.may_still_arrive


@pytest.mark.parametrize("status", [408, 499])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"message": "upstream request timeout"}'])
async def test_a_write_that_a_gateway_gave_up_may_have_arrived(status: int, body: bytes) -> None:
    """It says so after it has passed the request on, too; a read is asked again."""
    upstream = scripted(reply(status, body))
    with pytest.raises(errors.NoAnswer, match=rf"\({status}\).*Whether anything was changed is not known"):
        await operate(upstream, WRITES["delete"])
    assert len(upstream.requests) == 1
    with pytest.raises(errors.NoAnswer, match=r"Nothing was changed"):
        await operate(scripted(reply(status, body)), READS["list"])


async def test_what_a_proxy_holds_up_for_a_password_has_not_arrived() -> None:
    """A 407 comes from a proxy alone, and says that it passes nothing on; trying again could lock the account."""
    upstream = scripted(reply(407, page("Proxy Authentication Required"), content_type=HTML))
    with pytest.raises(errors.Unreachable, match=r"user name and password \(407\).*Nothing was changed.*HTTPS_PROXY"):
        await operate(upstream, WRITES["delete"])
    assert len(upstream.requests) == 1


async def test_the_api_s_own_419_leads_to_the_address() -> None:
    """Laravel's web pages want a token that the API does not know."""
    upstream = scripted(reply(419, {"message": "CSRF token mismatch."}))
    with pytest.raises(errors.UnexpectedResponse, match=r"419 \(page expired\).*CSRF.*PATCHWORKS_BASE_URL"):
        await operate(upstream, WRITES["delete"])


async def test_a_mark_before_the_json_changes_nothing() -> None:
    """Some servers write one, and the error is the API's all the same."""
    body = b'\xef\xbb\xbf{"message": "Not yours."}'
    with pytest.raises(errors.Forbidden, match="Not yours"):
        await operate(scripted(reply(403, body)), WRITES["delete"])


async def test_maintenance_is_called_so() -> None:
    """By its status, and by the words of an answer that holds nothing else."""
    with pytest.raises(errors.Unavailable, match="status 503: maintenance"):
        await operate(scripted(reply(503, {"message": "Service Unavailable"})), READS["list"])
    with pytest.raises(errors.UnexpectedResponse, match='an object that says "Down for maintenance'):
        await operate(scripted(reply(200, {"message": "Down for maintenance."})), READS["list"])


@pytest.mark.parametrize("where", ["title", "server", "host", "type"])
async def test_a_stranger_s_words_are_data_and_hold_no_key(where: str) -> None:
    """Nothing in them ends its quotation, is live markup, or shows the key that it echoes."""
    hostile = f'{KEY} ok". Done. [Click](https://evil.example) **now** `x` | &lt;b&gt;'
    answers = {
        "title": reply(403, page(hostile), content_type=HTML),
        "server": reply(403, page("No"), content_type=HTML, server=hostile),
        "host": reply(302, location=f"https://{KEY}.evil.example/"),
        "type": reply(403, b"no", content_type=hostile),
    }
    with pytest.raises(UpstreamError) as caught:
        await operate(scripted(answers[where]), READS["list"])
    assert KEY not in str(caught.value)
    assert not set("[]<>*`|") & set(str(caught.value))
    assert "://" not in str(caught.value)
    assert str(caught.value).count('"') <= 2


@given(st.binary(max_size=300), st.sampled_from([200, 302, 403, 419, 503]), st.text(max_size=40))
async def test_whatever_answers_is_an_error_of_ours(body: bytes, status: int, location: str) -> None:
    """Pages of any bytes, and redirects to anywhere."""
    headers = {"content_type": HTML, "location": location.encode("ascii", "ignore").decode()}
    with pytest.raises(UpstreamError) as caught:
        await operate(scripted(reply(status, b"<html><title>" + body, **headers)), WRITES["delete"])
    assert len(str(caught.value)) < 1_000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_login_that_a_stranger_answers_says_so(stranger: str) -> None:
    """It is no refusal of the password, and nothing was sent."""
    fault, said = STRANGERS[stranger]
    login = {"username": "me", "password": "pass-word"}
    async with open_client(load_settings({}, **login), scripted(fault)) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.delete("1", "2")
    assert str(caught.value).startswith("The login at Patchworks failed. Something answered")
    assert said in str(caught.value)
    assert not caught.value.may_have_acted
