"""One yes, one write: whatever somebody agreed to is carried out once, however often and wherever it is sent."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp_types import CallToolResult, ElicitRequestFormParams, InputRequiredResult
from support.clients import IDS, Clock, Era, Person, agreed, asked, both_eras, connected, data, text, yes
from support.examples import examples
from support.faults import Upstream, delay, every, reply, write
from support.processes import sandbox_over_http
from support.sandboxes import FakeClock
from support.team import calling, serving

from patchworks_deployments.sandbox import Sandbox

CREATE = {"flow_version_id": "1001"}


def slow(sandbox: Sandbox) -> Upstream:
    return Upstream(sandbox).always(every, delay(0.05))


def without_times(upstream: Upstream) -> Upstream:
    """An API that tells no time of a change, so that a state which comes back looks as it did before."""

    def timeless(_: object, answer: Any) -> Any:
        records = answer.get("data", answer) if isinstance(answer, dict) else answer
        for record in records if isinstance(records, list) else [records]:
            record.pop("updated_at", None)
            if record.get("enabled_at"):
                record["enabled_at"] = "2026-01-01T00:00:00Z"
        return answer

    return upstream.alter(timeless)


async def test_ten_redemptions_of_one_yes_at_once_make_one_deployment() -> None:
    """The rest is refused, and says that it changed nothing."""
    sandbox = Sandbox()
    # A slow network, so that all have read the state before the first one writes.
    async with connected(transport=slow(sandbox), person=Person(yes), confirm="all") as client:
        question = await asked(client, "create_deployment", CREATE)
        results = await asyncio.gather(*[agreed(client, "create_deployment", CREATE, question) for _ in range(10)])
    assert len(sandbox.writes) == 1
    told = [data(result)["status"] for result in results if isinstance(result, CallToolResult)]
    assert told.count("done") == 1
    refused = [text(r) for r in results if isinstance(r, CallToolResult) and data(r)["status"] == "refused"]
    assert all("nothing was changed by this call" in words for words in refused)


@both_eras
async def test_ten_redemptions_of_one_code_at_once_make_one_deployment(era: Era) -> None:
    """Whoever comes second gets another preview or is refused."""
    sandbox = Sandbox()
    async with connected(transport=slow(sandbox), confirm="all", era=era) as client:
        code = data(await client.call_tool("create_deployment", CREATE))["confirmation_code"]
        call = {**CREATE, "confirmation_code": code}
        results = await asyncio.gather(*[client.call_tool("create_deployment", call) for _ in range(10)])
    statuses = [data(result)["status"] for result in results]
    assert len(sandbox.writes) == statuses.count("done") == 1
    assert set(statuses) <= {"done", "refused", "confirmation_required"}


async def test_a_yes_is_void_after_its_write_even_if_the_state_comes_back() -> None:
    """Somebody enables it again in the same second, or where no times are told: the old yes asks anew."""
    sandbox = Sandbox()
    async with connected(transport=without_times(Upstream(sandbox)), person=Person(yes)) as client:
        question = await asked(client, "disable_deployment", IDS)
        first = await agreed(client, "disable_deployment", IDS, question)
        assert isinstance(first, CallToolResult)
        assert data(first)["status"] == "done"
        await client.call_tool("enable_deployment", IDS)
        again = await agreed(client, "disable_deployment", IDS, question)
    assert isinstance(again, InputRequiredResult)
    assert [write.path.rpartition("/")[2] for write in sandbox.writes] == ["disable", "enable"]


async def test_a_second_yes_that_was_given_before_the_write_is_void_too() -> None:
    """Two questions about one state are two windows on one screen: one write, and then it is asked anew."""
    sandbox = Sandbox()
    async with connected(transport=without_times(Upstream(sandbox)), person=Person(yes)) as client:
        questions = [await asked(client, "disable_deployment", IDS) for _ in range(2)]
        await agreed(client, "disable_deployment", IDS, questions[0])
        await client.call_tool("enable_deployment", IDS)
        second = await agreed(client, "disable_deployment", IDS, questions[1])
        assert isinstance(second, InputRequiredResult)
        (asked_anew,) = (second.input_requests or {}).values()
        assert isinstance(asked_anew.params, ElicitRequestFormParams)
        assert "\nThis was tried or declined once lately on this very state.\n" in asked_anew.params.message
        # Who is asked anew and agrees gets the write.
        third = await agreed(client, "disable_deployment", IDS, second)
    assert isinstance(third, CallToolResult)
    assert data(third)["status"] == "done"
    assert len(sandbox.writes) == 3


STEPS = ("ask", "agree", "somebody enables it")


@pytest.mark.slow
@pytest.mark.parametrize("by_code", [True, False])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=12))
@examples(30)
async def test_in_any_order_an_agreement_is_good_for_one_write_and_only_if_none_came_between(
    by_code: bool,  # noqa: FBT001 - a parameter of the test
    steps: list[tuple[str, int]],
) -> None:
    """Codes and yeses, old and new, used again and again, where a state cannot be told from its return."""
    sandbox, clock = Sandbox(), Clock()
    transport = without_times(Upstream(sandbox))
    agreements: list[tuple[Any, int]] = []
    """Each with the number of writes that had been agreed to when it was given."""
    writes = 0
    async with connected(transport=transport, clock=clock, person=None if by_code else Person(yes)) as client:
        for step, which in steps:
            clock.now += 1
            is_enabled = sandbox.account.deployments[500].enabled_at is not None
            if step == "somebody enables it" and not is_enabled:
                await client.call_tool("enable_deployment", IDS)
            elif step == "ask" and is_enabled and by_code:
                preview = data(await client.call_tool("disable_deployment", IDS))
                agreements.append((preview["confirmation_code"], writes))
            elif step == "ask" and is_enabled:
                agreements.append((await asked(client, "disable_deployment", IDS), writes))
            elif step == "agree" and agreements:
                agreement, given_after = agreements[which % len(agreements)]
                if by_code:
                    await client.call_tool("disable_deployment", {**IDS, "confirmation_code": agreement})
                else:
                    await agreed(client, "disable_deployment", IDS, agreement)
                writes += is_enabled and given_after == writes
            assert sum(write.path.endswith("/disable") for write in sandbox.writes) == writes


@pytest.mark.slow
async def test_processes_that_share_a_redis_carry_out_one_agreement_once(redis_url: str) -> None:
    """Ten redemptions of a yes and of a code, spread over two processes at once, make one deployment each."""
    with sandbox_over_http() as upstream:
        settings = {
            "PATCHWORKS_API_KEY": "sandbox-key",
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_REDIS_URL": redis_url,
            "PATCHWORKS_CONFIRM": "all",
        }
        async with AsyncExitStack() as stack:
            servers = [stack.enter_context(serving(**settings)) for _ in range(2)]
            people = [await stack.enter_async_context(calling(s.url, person=Person(yes))) for s in servers]
            programs = [await stack.enter_async_context(calling(s.url)) for s in servers]
            count = await deployments_of(programs[0])
            question = await asked(people[0], "create_deployment", CREATE)
            await asyncio.gather(*[agreed(people[n % 2], "create_deployment", CREATE, question) for n in range(10)])
            assert await deployments_of(programs[0]) == count + 1
            code = data(await programs[0].call_tool("create_deployment", CREATE))["confirmation_code"]
            call = {**CREATE, "confirmation_code": code}
            await asyncio.gather(*[programs[n % 2].call_tool("create_deployment", call) for n in range(10)])
            assert await deployments_of(programs[0]) == count + 2


async def deployments_of(client: Client) -> int:
    page = data(await client.call_tool("list_flow_version_deployments", CREATE))
    return int(page["total"])


@both_eras
async def test_a_question_says_how_often_the_same_was_tried_and_not_that_it_was_done(era: Era) -> None:
    """A write that Patchworks refused counts, because what was agreed to it is used up, but it was not done."""
    person, upstream = Person(yes), Upstream().on(write, *[reply(422, {"message": "No."})] * 2)
    async with connected(transport=upstream, person=person, era=era) as client:
        for _ in range(3):
            await client.call_tool("update_deployment", {**IDS, "priority": 9})
    often = [question.splitlines()[-2] for question in person.asked]
    said = [f"This was tried or declined {times} lately on this very state." for times in ("once", "2 times")]
    assert often == ["Account: the sandbox", *said]


async def test_where_each_call_has_a_process_a_used_code_is_void_as_soon_as_time_has_passed() -> None:
    """No process knows what another has done, but the time of the last change is part of what a code is for."""
    clock = FakeClock()
    sandbox = Sandbox(clock=clock)

    async def call(tool: str, **arguments: str) -> dict[str, Any]:
        async with connected(sandbox) as client:
            return data(await client.call_tool(tool, {**IDS, **arguments}))

    code = (await call("disable_deployment"))["confirmation_code"]
    for tool, more, status in (
        ("disable_deployment", {"confirmation_code": code}, "done"),
        ("enable_deployment", {}, "done"),
        ("disable_deployment", {"confirmation_code": code}, "confirmation_required"),
    ):
        clock.advance(seconds=1)
        assert (await call(tool, **more))["status"] == status
    assert len(sandbox.writes) == 2
