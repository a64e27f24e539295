"""Answers of the newer era, each of which comes with a call of its own: from when it is timed, and whether it fits."""

from typing import Any

import pytest
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult, ListRootsResult
from support.clients import IDS, Clock, Person, agreed, answered, asked, connected, data, text

from patchworks_deployments.consent.answers import MAX_ROUNDS, PATIENCE_SECONDS, Rounds
from patchworks_deployments.sandbox import Sandbox

DECLINE = ElicitResult(action="decline")
KEYS: dict[str, Any] = {"state_keys": "a-key-that-both-servers-share-000001"}


async def _told(came: CallToolResult | InputRequiredResult) -> tuple[str, str]:
    assert isinstance(came, CallToolResult)
    return data(came)["status"], text(came)


async def test_each_answer_is_timed_from_its_own_question() -> None:
    """One question asked twice is two windows on one screen; and an answer sent again is older."""
    clock = Clock()
    async with connected(person=Person(), clock=clock) as client:
        first = await asked(client, "disable_deployment", IDS)
        clock.now += 3
        second = await asked(client, "disable_deployment", IDS)
        clock.now += 0.25
        fast, said = await _told(await answered(client, "disable_deployment", IDS, second, DECLINE))
        slow, _ = await _told(await answered(client, "disable_deployment", IDS, first, DECLINE))
        third = await asked(client, "disable_deployment", IDS)
        soon, _ = await _told(await answered(client, "disable_deployment", IDS, third, DECLINE))
        clock.now += 3
        again, _ = await _told(await answered(client, "disable_deployment", IDS, third, DECLINE))
    assert (fast, slow) == (soon, again) == ("confirmation_required", "declined")
    assert said.startswith("The client answered 'decline' after 250 ms")


async def test_a_question_that_is_asked_anew_is_timed_anew() -> None:
    """The state has changed while the first question was on the screen."""
    clock, sandbox = Clock(), Sandbox()
    async with connected(sandbox, person=Person(), clock=clock) as client:
        first = await asked(client, "disable_deployment", IDS)
        clock.now += 30
        sandbox.account.deployments[500].priority = 77
        second = await agreed(client, "disable_deployment", IDS, first)
        assert isinstance(second, InputRequiredResult)
        clock.now += 0.01
        status, said = await _told(await answered(client, "disable_deployment", IDS, second, DECLINE))
    assert (status, said[:43]) == ("confirmation_required", "The client answered 'decline' after 10 ms, ")


@pytest.mark.parametrize("settings", [{}, {"confirm_by": "human"}, {"protected_environments": "UK Live"}])
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_no_to_the_question_of_another_process_stays_a_no(action: Any, settings: dict[str, Any]) -> None:
    """How long it took is not known, and the result says so."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(), **KEYS, **settings) as client:
        question = await asked(client, "disable_deployment", IDS)
    async with connected(sandbox, person=Person(), **KEYS, **settings) as client:
        came = await answered(client, "disable_deployment", IDS, question, ElicitResult(action=action))
    status, said = await _told(came)
    assert status == "declined"
    assert said.startswith(
        f"The client answered '{action}'. Nothing was changed. Another process had asked the question, or "
    )
    assert "it cannot be told how long the answer took, and whether a person saw it." in said
    assert "PATCHWORKS_CONFIRM_BY=code" in said
    assert ("does not count in a protected environment" in said) is ("protected_environments" in settings)


async def test_a_form_that_nobody_filled_in_is_unseen_whoever_asked() -> None:
    """For that, no time has to be known."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(), **KEYS) as client:
        question = await asked(client, "disable_deployment", IDS)
    async with connected(sandbox, person=Person(), **KEYS) as client:
        form = ElicitResult(action="accept", content={})
        status, said = await _told(await answered(client, "disable_deployment", IDS, question, form))
    assert (status, sandbox.writes) == ("confirmation_required", [])
    assert said.startswith("The client answered 'accept' without a filled-in form. Nothing was changed yet.")


async def test_what_is_no_answer_to_a_question_is_told_as_such() -> None:
    """A list of roots, for example, answers another question."""
    async with connected(person=Person()) as client:
        question = await asked(client, "disable_deployment", IDS)
        came = await client.session.call_tool(
            "disable_deployment",
            IDS,
            input_responses=dict.fromkeys(question.input_requests or {}, ListRootsResult(roots=[])),
            request_state=question.request_state,
        )
    status, said = await _told(came)
    assert status == "confirmation_required"
    assert said.startswith("The client answered the question after 0 ms with something that is no answer to it.")


async def test_an_answer_without_its_question_s_state_is_none() -> None:
    """Nobody knows what it was about, so the question is asked."""
    async with connected(person=Person()) as client:
        question = await asked(client, "disable_deployment", IDS)
        question.request_state = None
        assert isinstance(await agreed(client, "disable_deployment", IDS, question), InputRequiredResult)


def test_when_questions_were_asked_is_known_of_so_many_and_for_ten_minutes() -> None:
    """Whoever asks and never answers fills no memory."""
    clock = Clock(0.0)
    rounds = Rounds(clock)
    for number in range(MAX_ROUNDS + 10):
        rounds.ask(str(number))
        clock.now += 0.001
    assert rounds.seconds_since("9") is None
    assert rounds.seconds_since("10") == pytest.approx(clock.now - 0.01)
    clock.now += PATIENCE_SECONDS
    rounds.ask("last")
    assert rounds.seconds_since(str(MAX_ROUNDS)) is None
    assert [rounds.seconds_since(other) for other in ("last", "never", None, 7, "\ud800")] == [
        0,
        None,
        None,
        None,
        None,
    ]
