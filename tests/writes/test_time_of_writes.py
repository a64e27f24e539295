"""A write ends, with its outcome told, before its host gives up; and what must not stop halfway does not."""

import asyncio
import math

import httpx2
import pytest
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, ErrorData
from support.cases import CASES, Case, ids_of, replaceable, target, versions_at
from support.clients import IDS, LISTENS, Era, Person, Progress, both_eras, connected, data, text, yes
from support.faults import Upstream, delay, later, reply, write
from support.virtual_time import in_virtual_time

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow


class _Thoughtful(Person):
    """Thinks for five minutes before each answer."""

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        await asyncio.sleep(300)
        return await super().__call__(context, params)


HOST_SECONDS = 60
"""Seconds after which most hosts give up on a call."""


def silent_from_the_write_on(sandbox: Sandbox) -> Upstream:
    return Upstream(sandbox).always(write, delay(math.inf)).reading_back(delay(math.inf))


REPLACE = Case("replace_deployment", lambda sandbox: replaceable(sandbox)[1], lambda *_: True, None)
SWITCH = Case("set_deployments_enabled", lambda _: {"enabled": False, "environment": "UK Live"}, lambda *_: True, None)


@pytest.mark.parametrize("seconds", [12, 30])
@both_eras
@pytest.mark.parametrize("case", [*CASES, REPLACE, SWITCH], ids=str)
@in_virtual_time
async def test_what_became_of_a_write_without_answer_is_told_in_45_seconds(case: Case, era: Era, seconds: int) -> None:
    """Counted from when it was sent; and within a minute of the last question."""
    sandbox = Sandbox()
    transport, clock = silent_from_the_write_on(sandbox), asyncio.get_running_loop().time
    answered = list[float]()
    person = Person(yes, meanwhile=lambda: answered.append(clock()))
    async with connected(transport=transport, person=person, era=era, timeout=seconds) as client:
        began = clock()
        result = await client.call_tool(case.tool, case.arguments(sandbox))
    assert data(result)["status"] == "unknown"
    sent = next(passage.came for passage in transport.passages if write(passage.request))
    assert clock() - sent <= 45.5
    assert clock() - max([began, *answered]) <= HOST_SECONDS


@both_eras
@in_virtual_time
async def test_a_write_is_not_sent_when_its_outcome_would_come_too_late(era: Era) -> None:
    """Reading has taken so long that a host would give up before it heard of a change."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).on("GET", delay(21))
    async with connected(transport=transport, era=era, timeout=30) as client:
        result = await client.call_tool("enable_deployment", ids_of(target(sandbox, enabled=False)))
    assert transport.writes == []
    assert "It was not sent, because" in text(result)
    assert "Nothing was changed. Call again" in text(result)


@both_eras
@in_virtual_time
async def test_many_that_are_throttled_end_in_time_with_what_is_done_where_nobody_listens(era: Era) -> None:
    """The rest is named as not tried; a host that hears of it gets all of them done."""
    for listens in (False, True):
        sandbox, progress, clock = Sandbox(), Progress() if listens else None, asyncio.get_running_loop().time
        transport = Upstream(sandbox).on(write, *4 * [None], *9 * [reply(429, **later(40))])
        async with connected(transport=transport, person=Person(yes), era=era) as client:
            began = clock()
            arguments = {"enabled": False, "environment": "UK Live"}
            result = await client.call_tool(
                "set_deployments_enabled", arguments, progress_callback=progress, meta=LISTENS if listens else None
            )
        counts = {name: len(data(result).get(name, [])) for name in ("done", "failed", "not_tried")}
        if listens:
            assert (data(result)["status"], counts["not_tried"]) == ("done", 0)
        else:
            assert clock() - began <= 55.5
            assert data(result)["status"] == "partial"
            assert counts["done"] == 4
            assert counts["failed"]
            assert counts["not_tried"]
            assert "Wait 40 seconds" in text(result)


@both_eras
@in_virtual_time
async def test_many_that_are_slow_end_in_time_with_what_is_done(era: Era) -> None:
    """What was not begun by then is named as not tried, and the same call finishes it."""
    sandbox, clock = Sandbox(600), asyncio.get_running_loop().time
    transport = Upstream(sandbox).always(
        lambda request: write(request) or "/flow-versions/" in str(request.url), delay(4)
    )
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        began = clock()
        result = await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "UK Live"})
    assert clock() - began <= 55.5
    assert data(result)["status"] == "partial"
    assert "unknown" not in data(result)
    assert "It was not sent, because" in text(result)
    assert "The same call again, without if_state, tries the rest once more." in text(result)
    rows = sandbox.account.deployments
    assert all(rows[int(name.partition("/")[2])].enabled_at is None for name in data(result)["done"])


@both_eras
@in_virtual_time
async def test_a_replacement_never_stops_between_its_steps_to_end_in_time(era: Era) -> None:
    """Once the old deployment is deleted, a throttle is waited out, whether or not anybody listens."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", reply(429, **later(55)), reply(429, retry_after=40))

    def is_down(request: httpx2.Request) -> bool:
        deleted = next((p.ended for p in transport.passages if p.request.method == "DELETE" and p.ended), math.inf)
        return request.method == "GET" and deleted < asyncio.get_running_loop().time() < deleted + 60

    transport.always(is_down, reply(503, retry_after=60)).reading_back(delay(2))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("replace_deployment", arguments)
    assert data(result)["status"] == "done", text(result)
    assert [str(row.flow_version_id) for row in versions_at(sandbox, old)] == [arguments["new_flow_version_id"]]


@in_virtual_time
async def test_the_time_for_a_question_is_not_counted() -> None:
    """Whoever thinks for minutes finds that all is read anew, and done."""
    async with connected(person=_Thoughtful(yes), era="legacy") as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert data(result)["status"] == "done"
