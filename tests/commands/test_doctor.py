"""`check` on Patchworks: what fails is named, with what to do about it and a status for scripts."""

from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.certificates import Authority
from support.doctor import found, lines
from support.faults import Fault, Upstream, every, reply, scripted
from support.processes import run_here, sandbox_over_http
from support.team import on_loopback

from patchworks_deployments.commands.doctor.findings import Exit, status_of_all
from patchworks_deployments.sandbox import Sandbox

PAGE = b"<!doctype html><title>Log in</title>"


def page(status: int) -> Fault:
    """A web page in the API's place."""
    return reply(status, PAGE, content_type="text/html")


def refusal(status: int, **headers: object) -> Fault:
    """An error in the API's own words."""
    return reply(status, {"message": "No."}, **headers)


VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_check_says_line_by_line_what_works() -> None:
    """With good settings every line is ok and the status is 0."""
    with sandbox_over_http() as address:
        outcome = run_here("check", PATCHWORKS_API_KEY="sandbox-key", PATCHWORKS_BASE_URL=address)
    assert (outcome.returncode, outcome.stderr) == (0, ""), outcome.stdout
    assert all(line.startswith("ok  ") for line in outcome.stdout.splitlines())
    assert "60 deployments" in outcome.stdout
    assert "sandbox-key" not in outcome.stdout


def test_check_reports_a_protected_environment_that_does_not_exist() -> None:
    """A name that no deployment bears is a FAIL line, as it would protect nothing."""
    outcome = run_here("check", "--sandbox", "--protected-environments", "UK Live,UK Lvie")
    assert outcome.returncode == 1
    assert "ok   protected environment UK Live: found" in outcome.stdout
    assert "FAIL protected environment UK Lvie" in outcome.stdout


# What answers -------------------------------------------------------------------------------------


ANSWERS: dict[str, tuple[Fault, Exit, str, str]] = {
    "a refused key": (
        refusal(401),
        Exit.REFUSED,
        "credentials (401)",
        "general settings",
    ),
    "a right that lacks": (
        refusal(403),
        Exit.REFUSED,
        "does not allow this",
        "give these Patchworks",
    ),
    "a firewall": (page(403), Exit.STRANGE, "403 that is not", "firewall"),
    "another path": (refusal(404), Exit.STRANGE, "404 to the list", "PATCHWORKS_BASE_URL"),
    "a login page": (
        page(200),
        Exit.STRANGE,
        'titled "Log in"',
        "PATCHWORKS_BASE_URL",
    ),
    "a redirect": (reply(302, location="https://sso.corp.test/"), Exit.STRANGE, "host sso.corp.test", "login page"),
    "another API": (reply(200, {"status": "up"}), Exit.STRANGE, "where a page of deployments", "PATCHWORKS_BASE_URL"),
    "a bare list": (reply(200, [1, 2]), Exit.STRANGE, "where a page of deployments", "PATCHWORKS_BASE_URL"),
    "a throttle": (refusal(429, retry_after=90), Exit.LATER, "throttling", "Wait 90 seconds"),
    "a maintenance": (refusal(503), Exit.LATER, "maintenance", "Try again later"),
    "a gateway's page": (page(502), Exit.LATER, "502 that is not", "again later"),
    "silence": (httpx2.ReadTimeout, Exit.UNREACHED, "did not answer in time", "12 seconds now, at most 30"),
    "a broken answer": (httpx2.RemoteProtocolError, Exit.UNREACHED, "broke before the answer", "Try again later"),
    "no connection": (httpx2.ConnectError, Exit.UNREACHED, "could not be reached", "PATCHWORKS_BASE_URL"),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_what_answers_is_named_with_what_to_do(answer: str) -> None:
    """Nothing further is asked then, and no line shows the key."""
    fault, status, what, next_step = ANSWERS[answer]
    upstream = scripted(fault)
    told, ended = await found(upstream, api_key="hush-hush-7")
    assert ended is status
    assert len(upstream.requests) == 1
    (failure,) = [finding for finding in told if finding.mark == "FAIL"]
    assert failure == told[-1]
    assert what in failure.what
    assert next_step in failure.next_step
    assert ("PATCHWORKS_TIMEOUT" in failure.next_step) is (answer == "silence")
    assert "hush" not in lines(told, "ok") + str(failure)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ((), Exit.FINE),
        ((Exit.FINE, Exit.FINE), Exit.FINE),
        ((Exit.FINE, Exit.OTHER), Exit.OTHER),
        ((Exit.OTHER, Exit.LATER), Exit.LATER),
        ((Exit.LATER, Exit.OTHER, Exit.REFUSED, Exit.STRANGE), Exit.REFUSED),
    ],
)
def test_of_several_failures_the_first_named_one_counts(statuses: tuple[Exit, ...], status: Exit) -> None:
    """A script looks at the nearest cause; what has no status of its own gives way to all that have."""
    assert status_of_all(statuses) is status


LOGINS: dict[str, tuple[Fault, Exit, str, str]] = {
    "refused": (refusal(401), Exit.REFUSED, "refused the login", "PATCHWORKS_PASSWORD"),
    "a page": (
        page(200),
        Exit.REFUSED,
        "The login at Patchworks",
        "PATCHWORKS_LOGIN_URL",
    ),
    "down": (refusal(503), Exit.LATER, "The login at Patchworks failed", "Try again later"),
    "throttled": (refusal(429), Exit.LATER, "The login at Patchworks failed", "Try again later"),
}


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_that_fails_is_told_from_what_comes_behind_it(login: str) -> None:
    """It is another host, with settings of its own."""
    fault, status, what, next_step = LOGINS[login]
    told, ended = await found(Upstream().always("POST", fault), username="a@example.com", password="hush-hush-7")
    assert ended is status
    assert what in told[-1].what
    assert next_step in told[-1].next_step
    assert "hush" not in str(told[-1])


async def test_a_token_that_is_refused_may_be_a_day_old() -> None:
    """The next step tells how a server logs in by itself."""
    told, ended = await found(scripted(refusal(401)), api_key=None, bearer_token="hush-hush-7")
    assert ended is Exit.REFUSED
    assert "lives for a day" in told[-1].next_step


Change = Callable[[httpx2.Request, Any], Any]


def _on_rows(change: Callable[[dict[str, Any]], object]) -> Change:
    def altered(_: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer, dict) and isinstance(answer.get("data"), list):
            for row in answer["data"]:
                change(row)
        return answer

    return altered


def _without(*names: str) -> Change:
    return _on_rows(lambda row: [row.pop(name, None) for name in names])


def _counting(**told: Any) -> Change:
    def altered(_: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer, dict) and "meta" in answer:
            answer["meta"] |= told
        return answer

    return altered


def _empty(_: httpx2.Request, answer: Any) -> Any:
    return {**answer, "data": [], "meta": {**answer["meta"], "total": 0}}


def _deaf_to_filters(transport: Upstream) -> Upstream:
    def ask_for_all(request: httpx2.Request) -> None:
        request.url = request.url.copy_remove_param("filter[virtual_environment_id]")

    return transport.before(every, ask_for_all)


ODDITIES: dict[str, tuple[Change, str, str]] = {
    "no ids": (_without("id"), "FAIL", "60 records of the first page cannot be read"),
    "no flow version": (_without("flow_version_id", "flow_version"), "note", "do not tell their flow version"),
    "no names": (_without("flow_name", "flow_version"), "note", "60 of 60 come without all their names"),
    "an odd field": (_on_rows(lambda row: row.update(priority="high")), "note", "cannot be read: priority (60)"),
    "no count": (_counting(total=None), "note", "does not say how many there are"),
    "a wrong count": (_counting(total=70, last_page=1), "note", "counts 70 and sent 60 on the only page"),
    "no environments": (
        _on_rows(lambda row: row.update(virtual_environment_id=None, virtual_environment=None)),
        "note",
        "no deployment is in a virtual environment",
    ),
    "nothing": (_empty, "note", "there is no deployment to look at"),
}


@pytest.mark.parametrize("oddity", ODDITIES)
async def test_answers_of_another_kind_are_told(oddity: str) -> None:
    """What costs something here is told with what it costs; only what cannot be read at all is a failure."""
    change, mark, what = ODDITIES[oddity]
    told, ended = await found(Upstream().alter(change))
    assert what in lines(told, mark)
    assert ended is (Exit.STRANGE if mark == "FAIL" else Exit.FINE)


async def test_a_filter_that_counts_for_nothing_is_told() -> None:
    """A stop of one environment would name deployments of others."""
    told, ended = await found(_deaf_to_filters(Upstream()))
    assert ended is Exit.STRANGE
    assert "asked for environment" in lines(told, "FAIL")
    assert "name deployments by their ids" in lines(told, "FAIL")


async def test_nothing_is_changed() -> None:
    """It only reads, a handful of times."""
    upstream = Upstream()
    _, ended = await found(upstream)
    assert ended is Exit.FINE
    assert not upstream.writes
    assert len(upstream.requests) <= 4


async def test_where_callers_bring_their_keys_a_made_up_one_is_tried() -> None:
    """What refuses it is Patchworks; what takes it is not, and what is not there is not reached."""
    for transport, status, what in [
        (Upstream(), Exit.FINE, "refuses a made-up key, as it should"),
        (scripted(reply(200, {"data": []})), Exit.STRANGE, "a made-up key was accepted"),
        (scripted(httpx2.ConnectError), Exit.UNREACHED, "could not be reached"),
    ]:
        told, ended = await found(transport, credentials="caller")
        assert ended is status
        assert what in told[-1].what


# The way ------------------------------------------------------------------------------------------


def _checked(url: str, **environment: str) -> tuple[int, str]:
    outcome = run_here("check", PATCHWORKS_API_KEY="hush-hush-7", PATCHWORKS_BASE_URL=url, **environment)
    assert outcome.stderr == ""
    assert "hush" not in outcome.stdout
    return outcome.returncode, outcome.stdout


@pytest.mark.parametrize(
    ("url", "proxy", "said"),
    [
        ("http://127.0.0.1:9", "", "127.0.0.1 refused the connection"),
        ("https://core.patchworks.test", "", "the name of core.patchworks.test could not be found (DNS)"),
        ("https://core.patchworks.test", "http://127.0.0.1:9", "the proxy http://127.0.0.1:9 refused the connection"),
    ],
)
def test_what_is_in_the_way_is_named(url: str, proxy: str, said: str) -> None:
    """The status is that of what is not reached, and retries are not announced."""
    status, stdout = _checked(url, **({"HTTPS_PROXY": proxy} if proxy else {}))
    assert status == Exit.UNREACHED
    assert f"FAIL list deployments: Patchworks could not be reached: {said}" in stdout


@pytest.mark.parametrize(
    ("host", "days", "is_trusted", "said"),
    [
        ("localhost", 30, False, "set SSL_CERT_FILE to a PEM file"),
        ("core.example", 30, True, "something else answers there"),
        ("localhost", -1, True, "this machine's clock"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_named(
    host: str, days: int, said: str, tmp_path: Path, *, is_trusted: bool
) -> None:
    """Nobody vouches for it, it is another's, or its time is over."""
    authority = Authority(tmp_path, "corp")
    trust = {"SSL_CERT_FILE": str(authority.path)} if is_trusted else {}
    async with on_loopback(Sandbox().app, authority.vouch_for(host, days=days)) as url:
        status, stdout = await to_thread(_checked, url.replace("127.0.0.1", "localhost"), **trust)
    assert status == Exit.UNREACHED
    assert "the certificate shown for localhost is not trusted" in stdout
    assert said in stdout
