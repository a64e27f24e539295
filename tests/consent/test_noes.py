"""A person's no is the last word on what was asked and offered before it: whoever wants more has to ask again."""

import time
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult, ElicitResult, InputRequiredResult
from support.clients import IDS, Clock, Era, Person, agreed, answered, asked, both_eras, connected, data, no, text
from support.hosts import Host, Told, agree
from support.stage import Stage
from support.team import calling, serving
from support.wire import Json

from patchworks_deployments.sandbox import Sandbox

DECLINED = "This was tried or declined once lately on this very state."
NOES: dict[str, dict[str, Any]] = {
    "decline": {"action": "decline"},
    "cancel": {"action": "cancel"},
    "no tick": {"action": "accept", "content": {"agree": False}},
}


@pytest.mark.parametrize("said", NOES)
async def test_a_question_that_was_declined_takes_no_yes_any_more(said: str) -> None:
    """The same request state comes back with a yes: the person is asked anew, and told of the no."""
    sandbox, clock = Sandbox(), Clock()
    async with connected(sandbox, person=Person(), clock=clock) as client:
        question = await asked(client, "disable_deployment", IDS)
        clock.now += 3
        declined = await answered(client, "disable_deployment", IDS, question, ElicitResult(**NOES[said]))
        again = await agreed(client, "disable_deployment", IDS, question)
        assert isinstance(declined, CallToolResult)
        assert isinstance(again, InputRequiredResult)
        assert (data(declined)["status"], sandbox.writes) == ("declined", [])
        (request,) = (again.input_requests or {}).values()
        assert DECLINED in request.model_dump()["params"]["message"].splitlines()
        done = await agreed(client, "disable_deployment", IDS, again)
    assert isinstance(done, CallToolResult)
    assert (data(done)["status"], len(sandbox.writes)) == ("done", 1)


@both_eras
async def test_a_no_makes_void_each_code_that_was_given_before_it(era: Era) -> None:
    """The host refuses a first question unseen, and a person declines the second: the first one's code is worthless."""
    sandbox, person = Sandbox(), Person(no, takes=0.01)
    async with connected(sandbox, person=person, era=era) as client:
        code = data(await client.call_tool("disable_deployment", IDS))["confirmation_code"]
        person.takes = 3.0
        assert data(await client.call_tool("disable_deployment", IDS))["status"] == "declined"
        after = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
        assert data(after)["status"] == "declined"
        person.takes = 0.01
        unseen = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert sandbox.writes == []
    assert DECLINED in person.asked[2].splitlines()
    assert "That code is void: since it was given, this very change was tried, or a person has declined it." in text(
        unseen
    )


async def test_what_nobody_has_seen_takes_nothing_back() -> None:
    """A host that refuses unseen refuses each question, and its code has to count all the same."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(no, takes=0.01)) as client:
        code = data(await client.call_tool("disable_deployment", IDS))["confirmation_code"]
        await client.call_tool("disable_deployment", IDS)
        done = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert (data(done)["status"], len(sandbox.writes)) == ("done", 1)


async def _two_questions(*replies: Json) -> tuple[list[Told], int]:
    """What becomes of two calls of the older era whose questions are open at once, answered one after the other."""
    stage = Stage(Host("shows two", agree, "yes", ""), "2025-11-25", {})
    async with stage.wire() as wire:
        questions = [await stage.visit.ask(wire, "disable_deployment", IDS) for _ in replies]
        stage.clock.now += 3
        told: list[Told] = []
        for question, reply in zip(questions, replies, strict=True):
            await wire.answer(question, {"result": reply})
            answer = await anext(wire.until_answered(question["call"]))
            told.append(Told(answer.get("result", {}), answer.get("error")))
    return told, len(stage.sandbox.writes)


async def test_of_two_open_questions_a_no_to_one_is_a_no_to_both() -> None:
    """The yes that follows was not given to a question that tells of the no."""
    (first, second), writes = await _two_questions(NOES["decline"], {"action": "accept", "content": {"agree": True}})
    assert (first.status, second.status, writes) == ("declined", "refused", 0)
    assert second.text.startswith("Another call came first: what was agreed to was carried out by it, or declined.")


async def test_a_no_that_comes_after_a_yes_to_the_same_says_so() -> None:
    """Nothing was changed by its own call, but by the other one."""
    (first, second), writes = await _two_questions({"action": "accept", "content": {"agree": True}}, NOES["decline"])
    assert (first.status, second.status, writes) == ("done", "declined", 1)
    assert second.data["message"] == (
        "The person declined. Nothing was changed. "
        "Meanwhile another call tried the same, or was declined as well, so read the deployment."
    )


@pytest.mark.parametrize("typed", ["500" + " " * 70 + "is not what I want", "500\u200b", "\uff15\uff10\uff10", "0500"])
async def test_what_only_begins_or_looks_like_the_id_is_not_the_id(typed: str) -> None:
    """All that was typed counts, however long it is."""
    sandbox = Sandbox()
    person = Person(lambda _: ElicitResult(action="accept", content={"typed_id": typed}))
    async with connected(transport=httpx2.ASGITransport(app=sandbox.app), person=person) as client:
        result = await client.call_tool("delete_deployment", IDS)
    assert (data(result)["status"], sandbox.writes) == ("declined", [])


@pytest.mark.slow
async def test_a_no_reaches_all_processes_that_share_a_redis(redis_url: str) -> None:
    """The code comes from one process, the person declines in the other, and the first one takes the code no more."""
    settings = {"PATCHWORKS_SANDBOX": "true", "PATCHWORKS_REDIS_URL": redis_url}
    person = Person(no, meanwhile=lambda: time.sleep(1))
    with serving(**settings) as one, serving(**settings) as two:
        async with calling(one.url) as program, calling(two.url, person=person, era="legacy") as somebody:
            code = data(await program.call_tool("disable_deployment", IDS))["confirmation_code"]
            assert data(await somebody.call_tool("disable_deployment", IDS))["status"] == "declined"
            after = await program.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert data(after)["status"] == "confirmation_required"
    assert text(after).startswith("That code is void")
