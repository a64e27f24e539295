"""Codes: what each is good for, in which process, and what is said of one that is not good."""

import base64
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult
from support.clients import (
    IDS,
    Clock,
    Era,
    Person,
    agreed,
    asked,
    both_eras,
    connected,
    data,
    text,
    yes,
)
from support.examples import examples
from support.faults import Upstream, reply, write
from support.processes import over_stdio, sandbox_over_http
from support.team import ALICE, BOB, accounts, calling, on_loopback, serving, tokens_file

from patchworks_deployments.consent.keys import key_ring
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.settings import load_settings

LONG, OTHER_LONG = "k3y-of-one-account-xx", "k3y-of-another-one-xx"
"""API keys that are too long to be guessed."""

FOREIGN = "That code is not from this server, or it was mistyped."
EXPIRED = "That code has expired: it was good for 10 minutes."
USED = "That code is void: since it was given, this very change was tried, or a person has declined it."
OTHER = "That code was issued for something else: other arguments, another state, another caller or another account."
AND_NOW = (
    " Nothing was changed. Show this new preview to the person. Only if they agree, call again with the same arguments "
    "and the new confirmation_code within 10 minutes."
)

WRITE = {**IDS, "priority": 42}


async def preview(client: Any, **more: object) -> str:
    """The code of a preview."""
    return str(data(await client.call_tool("update_deployment", {**WRITE, **more}))["confirmation_code"])


async def use(client: Any, code: str, **more: object) -> CallToolResult:
    result: CallToolResult = await client.call_tool("update_deployment", {**WRITE, **more, "confirmation_code": code})
    return result


def of(*keys: str) -> httpx2.AsyncBaseTransport:
    """One account that each of the keys opens."""
    sandbox = Sandbox()
    return httpx2.ASGITransport(app=accounts(**dict.fromkeys(keys, sandbox)))


# What is said ----------------------------------------------------------------------------------


@both_eras
async def test_a_code_that_is_not_good_says_which_it_was_and_what_to_do(era: Era) -> None:
    """A new preview comes with it; a first preview has words of its own."""
    clock, upstream = Clock(), Upstream().on(write, reply(422, {"message": "No."}))
    async with connected(transport=upstream, clock=clock, era=era) as client:
        first = await client.call_tool("update_deployment", WRITE)
        code = data(first)["confirmation_code"]
        mistyped = await use(client, "6b49d458-aaaaaaaaaaaaaaaaaaaa")
        other = await use(client, code, priority=43)
        await use(client, code)  # which Patchworks refuses
        used = await use(client, code)
        clock.now += 600
        expired = await use(client, code)
    assert text(first).startswith("Nothing was changed yet. Show this preview to the person.")
    said = (FOREIGN, mistyped), (OTHER, other), (USED, used), (EXPIRED, expired)
    for why, result in said:
        assert data(result)["message"] == why + AND_NOW
        assert text(result).startswith(why + AND_NOW)
        assert data(result)["status"] == "confirmation_required"
        assert data(result)["confirmation_code"] in text(result)


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        " {}\n",
        "`{}`",
        '"{}".',
        "**{}**",
        "_{}_",
        "confirmation_code: {}",
        'Confirmation code = "{}"',
        "code: {}",
        "\u201c{}\u201d",
    ],
)
@pytest.mark.parametrize("seconds", [0, 599])
async def test_a_code_may_be_copied_carelessly_and_late(written: str, seconds: int) -> None:
    """Capitals, and what stands around a code where people and models quote it; the last second counts."""
    for case in (str.lower, str.upper):
        clock = Clock()
        async with connected(clock=clock) as client:
            code = await preview(client)
            clock.now += seconds
            assert data(await use(client, written.format(case(code))))["status"] == "done"


@pytest.mark.parametrize(
    "written",
    ["-", "zz", "zzzzzzzz-a", "ffffffff-", "-1", "x{}", "{}x", "not {}", "{0} {0}", "{} or not", "code{}", "{}\u0131"],
)
async def test_what_is_no_code_is_worth_nothing(written: str) -> None:
    """Whatever a model makes up, or writes around a code that may mean something else."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        result = await use(client, written.format(await preview(client)))
    assert data(result)["message"] == FOREIGN + AND_NOW
    assert sandbox.writes == []


# What may be tried -----------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def changed(at: int, letter: str) -> Callable[[str, str], str]:
    return lambda code, _: code[:at] + letter + code[at + 1 :]


def put_in(at: int, letter: str) -> Callable[[str, str], str]:
    return lambda code, _: code[:at] + letter + code[at:]


def taken_out(at: int) -> Callable[[str, str], str]:
    return lambda code, _: code[:at] + code[at + 1 :]


def crossed(at: int) -> Callable[[str, str], str]:
    return lambda code, other: code[:at] + other[at:]


POSITIONS, LETTER = st.integers(0, 28), st.sampled_from(LETTERS)
TAMPERING = st.one_of(
    st.builds(changed, POSITIONS, LETTER),
    st.builds(put_in, POSITIONS, LETTER),
    st.builds(taken_out, POSITIONS),
    st.builds(crossed, POSITIONS),
    st.text(LETTERS, max_size=40).map(lambda made_up: lambda *_: made_up or "-"),
)


@examples(30)
@given(attempts=st.lists(st.lists(TAMPERING, min_size=1, max_size=3), min_size=1, max_size=10))
async def test_a_code_that_was_tampered_with_is_not_from_this_server(
    attempts: list[list[Callable[[str, str], str]]],
) -> None:
    """Another letter, one more, one less, parts of two codes, or none of it: nothing of it is good for anything."""
    sandbox, clock = Sandbox(), Clock()
    async with connected(sandbox, clock=clock) as client:
        first = await preview(client)
        clock.now += 77
        second = await preview(client, priority=43)
        for attempt in attempts:
            code = first
            for tamper in attempt:
                code = tamper(code, second) or "-"
            if code.strip("-") not in {first, second}:
                assert data(await use(client, code))["message"] == FOREIGN + AND_NOW
    assert sandbox.writes == []


async def test_a_code_is_good_for_what_it_was_given_for_and_the_reason_is_right() -> None:
    """The same call on the same state within ten minutes; whatever differs, alone or with the rest, is told."""
    sandbox, clock = Sandbox(), Clock()
    row = sandbox.account.deployments[500]
    transport = httpx2.ASGITransport(app=accounts(**{LONG: sandbox, OTHER_LONG: sandbox}))
    async with (
        connected(transport=transport, clock=clock, api_key=LONG) as mine,
        connected(transport=transport, clock=clock, api_key=OTHER_LONG) as other,
    ):
        for is_mine, seconds, wanted, there in product((True, False), (0, 599, 600, 6000), (42, 43), (1, 2)):
            row.priority = 1
            code, writes = await preview(mine), len(sandbox.writes)
            row.priority = there
            clock.now += seconds
            result = data(await use(mine if is_mine else other, code, priority=wanted))
            reasons = {FOREIGN: not is_mine, EXPIRED: seconds >= 600, OTHER: (wanted, there) != (42, 1)}
            why = next((reason for reason, holds in reasons.items() if holds), "")
            told = (result["status"], result["message"].removesuffix(AND_NOW))
            assert told[0] == "done" if not why else told == ("confirmation_required", why)
            assert len(sandbox.writes) - writes == (not why)


# Whose keys make it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_by", "used_by", "why"),
    [
        ({"api_key": LONG}, {"api_key": LONG}, ""),
        ({"bearer_token": LONG}, {"bearer_token": LONG}, ""),
        ({"api_key": "sandbox-key"}, {"api_key": "sandbox-key"}, ""),
        ({"api_key": LONG[:20]}, {"api_key": LONG[:20]}, ""),
        ({"api_key": LONG[:19]}, {"api_key": LONG[:19]}, FOREIGN),
        ({"api_key": LONG}, {"api_key": OTHER_LONG}, FOREIGN),
        ({"api_key": LONG}, {"api_key": LONG, "state_keys": "s" * 32}, FOREIGN),
        ({"api_key": LONG, "state_keys": "s" * 32}, {"api_key": LONG}, FOREIGN),
        ({"api_key": LONG, "state_keys": "s" * 32}, {"api_key": OTHER_LONG, "state_keys": "s" * 32}, OTHER),
    ],
)
async def test_which_server_takes_the_codes_of_which(
    given_by: dict[str, Any], used_by: dict[str, Any], why: str
) -> None:
    """Those of one account, if its key or token is long enough; keys that are set stand in the place of all others."""
    transport = of(LONG, OTHER_LONG, LONG[:19], LONG[:20], "sandbox-key", f"Bearer {LONG}")
    async with connected(transport=transport, **given_by) as client:
        code = await preview(client)
    async with connected(transport=transport, **used_by) as client:
        result = data(await use(client, code))
    if why:
        assert (result["status"], result["message"].startswith(why)) == ("confirmation_required", True)
    else:
        assert result["status"] == "done"


async def test_a_server_whose_codes_end_with_it_says_so() -> None:
    """With a short key, each new process would refuse the codes of the one before, again and again."""
    async with connected(transport=of("short"), api_key="short") as client:
        result = data(await use(client, "6b49d458-aaaaaaaaaaaaaaaaaaaa"))
    assert result["message"].startswith(
        f"{FOREIGN} This server takes only codes that it has made since its start. Where it is started anew for each "
        "call, or several serve the same people, a person has to set PATCHWORKS_STATE_KEYS. Nothing was changed."
    )


def test_a_password_and_callers_own_keys_make_no_key() -> None:
    """A code would let whoever sees it try passwords: each server makes a key of its own at its start."""
    login = load_settings({}, username="u", password="a-password-of-any-length")
    callers = load_settings({}, credentials="caller", sandbox=True, http="0")
    for settings in (login, callers):
        assert settings.shared_secret is None
        assert not settings.has_shared_keys
        assert key_ring(settings) != key_ring(settings)


def test_a_made_key_stays_the_same_from_release_to_release() -> None:
    """HKDF-SHA256 without a salt; a code that was given before an update is good after it."""
    (key,) = key_ring(load_settings({}, api_key=LONG))
    assert key.hex() == "34ab4c9bc86ebe65285fdd193304b9fb5386f03ff6bd8c149239aba93cad12c0"


@pytest.mark.parametrize("field", ["api_key", "bearer_token"])
async def test_neither_the_secret_nor_the_key_is_shown(
    field: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Not in results, errors, logs, the audit log or the settings, however it is written."""
    caplog.set_level(0)
    log = tmp_path / "audit"
    shown: list[str] = []
    given_: dict[str, Any] = {field: LONG, "audit_log": log}
    person = Person(yes)
    async with AsyncExitStack() as stack:
        transport = of(LONG, f"Bearer {LONG}")
        client = await stack.enter_async_context(connected(transport=transport, **given_))
        asking = await stack.enter_async_context(connected(transport=transport, person=person, **given_))
        codes = await preview(client), "wrong", "6b49d458-aaaaaaaaaaaaaaaaaaaa"
        shown += [repr(await use(client, code, priority=43)) for code in codes]
        question = await asked(asking, "disable_deployment", IDS)
        shown.append(repr(question))
        question.request_state = "v1.forged"
        shown.append(repr(await agreed(asking, "disable_deployment", IDS, question)))
    settings = load_settings({}, **given_)
    (key,) = key_ring(settings)
    out = capfd.readouterr()
    shown += [
        out.out,
        out.err,
        caplog.text,
        log.read_text(encoding="utf-8"),
        repr(settings),
        str(settings.model_dump()),
    ]
    told = "\n".join(shown)
    written = [key.hex(), base64.b64encode(key).decode(), base64.b32encode(key).decode(), repr(key), str([*key])]
    assert not [secret for secret in (LONG, *written) if secret.lower() in told.lower()]


# Real processes --------------------------------------------------------------------------------

slow = pytest.mark.slow


@slow
@both_eras
async def test_a_host_that_starts_a_process_for_each_call_gets_its_changes_made(era: Era) -> None:
    """The preview in one process, the code in the next; and a question is answered to another than asked it."""
    with sandbox_over_http() as upstream:
        env = {"PATCHWORKS_BASE_URL": upstream, "PATCHWORKS_API_KEY": "sandbox-key"}
        async with over_stdio(era=era, env=env) as client:
            code = await preview(client)
        async with over_stdio(era=era, env=env) as client:
            done = data(await use(client, code))
        assert (done["status"], done["confirmed_by"]) == ("done", "code")
        if era == "legacy":
            return
        async with over_stdio(era=era, env=env, person=Person(yes)) as client:
            question = await asked(client, "disable_deployment", IDS)
        async with over_stdio(era=era, env=env, person=Person(yes)) as client:
            answered = await agreed(client, "disable_deployment", IDS, question)
        assert isinstance(answered, CallToolResult)
        assert (data(answered)["status"], data(answered)["confirmed_by"]) == ("done", "human")


@slow
async def test_the_embedded_sandbox_takes_the_codes_of_every_process() -> None:
    """It begins with the same account each time, and its key is public."""
    async with over_stdio("--sandbox", era="auto") as client:
        code = await preview(client)
    async with over_stdio("--sandbox", era="auto") as client:
        assert data(await use(client, code))["status"] == "done"


@slow
async def test_two_processes_with_a_login_refuse_each_other_s_codes_and_questions() -> None:
    """A password makes no key, so neither is from this server; the same process takes its own."""
    with sandbox_over_http() as upstream:
        env = {
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_USERNAME": "operator@example.com",
            "PATCHWORKS_PASSWORD": "sandbox-password",
            "PATCHWORKS_LOGIN_URL": f"{upstream}/fabric/api/login",
        }
        async with AsyncExitStack() as stack:
            first, second = [await stack.enter_async_context(over_stdio(era="auto", env=env)) for _ in range(2)]
            code = await preview(first)
            refused = data(await use(second, code))
            assert (refused["status"], refused["message"].startswith(FOREIGN)) == ("confirmation_required", True)
            assert "PATCHWORKS_STATE_KEYS" in refused["message"]
            assert data(await use(first, code))["status"] == "done"
        async with over_stdio(era="auto", env=env, person=Person(yes)) as client:
            question = await asked(client, "disable_deployment", IDS)
        async with over_stdio(era="auto", env=env, person=Person(yes)) as client:
            late = await agreed(client, "disable_deployment", IDS, question)
        assert isinstance(late, CallToolResult)
        assert text(late).startswith("The answer cannot be taken")
        assert "Nothing was changed" in text(late)


@slow
async def test_where_callers_bring_their_keys_no_process_takes_the_codes_of_another(tmp_path: Path) -> None:
    """The server has no secret of which to make a key; another caller's code is for something else."""
    async with on_loopback(accounts(mine=Sandbox())) as upstream:
        arguments = ("--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}")
        with (
            serving(*arguments, PATCHWORKS_BASE_URL=upstream) as one,
            serving(*arguments, PATCHWORKS_BASE_URL=upstream) as two,
        ):
            async with calling(one.url, ALICE, key="mine") as client:
                code = await preview(client)
            async with calling(two.url, ALICE, key="mine") as client:
                assert data(await use(client, code))["message"].startswith(FOREIGN)
            async with calling(one.url, BOB, key="mine") as client:
                assert data(await use(client, code))["message"].startswith(OTHER)
            async with calling(one.url, ALICE, key="mine") as client:
                assert data(await use(client, code))["status"] == "done"
