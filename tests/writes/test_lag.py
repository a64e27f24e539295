"""Reads that lag behind writes, requests that are late, and answers about something else."""

import asyncio
import dataclasses
import itertools
import math
from typing import Any

import httpx2
import pytest
from support.cases import CASES, FLOW, Case, ids_of, replaceable, target, versions_at, without
from support.clients import IDS, LISTENS, Era, Person, Progress, connected, data, newer_era_first, text, yes
from support.faults import Acted, Upstream, delay, listing, lost, reply, write
from support.replacing import EMPTY
from support.virtual_time import in_virtual_time

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment

pytestmark = pytest.mark.slow

CREATE = {"flow_version_id": "1001", "deploy_disabled": True}
"""Without environment, where any number of deployments can be side by side."""


def _add(sandbox: Sandbox, row: Deployment, id_: int, **changed: Any) -> None:
    sandbox.account.deployments[id_] = dataclasses.replace(row, id=id_, **changed)


@newer_era_first
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("step", [None, lost], ids=["answered", "answer lost"])
async def test_a_write_that_shows_late_is_waited_for(case: Case, step: Acted | None, era: Era) -> None:
    """Two reads that still show the old state do not make a failure of a change."""
    sandbox = Sandbox()
    arguments = case.arguments(sandbox)
    transport = Upstream(sandbox).on(write, step).lag(write, reads=2)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(case.tool, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True), text(result)


@newer_era_first
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_write_that_was_accepted_and_never_shows_is_unknown(case: Case, era: Era) -> None:
    """It may be a replica that is far behind: nothing is said to have failed, and nothing to be done."""
    sandbox = Sandbox()
    arguments = case.arguments(sandbox)
    transport = Upstream(sandbox).lag(write)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(case.tool, arguments)
    assert data(result)["status"] == "unknown"
    shown = "no such deployment" if case.tool == "create_deployment" else "the old state."
    assert f"Patchworks accepted it, and still shows {shown}" in text(result)
    assert not {"undo", "lost"} & data(result).keys()


@newer_era_first
@pytest.mark.parametrize("shown", ["gateway", "Patchworks"])
async def test_that_a_deployment_is_gone_takes_two_witnesses(shown: str, era: Era) -> None:
    """After a lost answer a 404 alone proves nothing, whoever says it; the version's list has to lack it as well."""
    sandbox = Sandbox()
    arguments = ids_of(target(sandbox))
    transport = Upstream(sandbox).on("DELETE", lost if shown == "Patchworks" else httpx2.ReadTimeout)
    if shown == "gateway":
        transport.reading_back(reply(404, {"message": "no Route matched with those values"}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("delete_deployment", arguments)
    assert data(result)["status"] == ("done" if shown == "Patchworks" else "unknown")
    reads = [request.url.path.rpartition("/")[2] for request in transport.requests[-2:]]
    assert shown == "gateway" or reads == [arguments["deployment_id"], "deployments"]


@newer_era_first
async def test_a_404_for_a_deployment_that_is_listed_does_not_hide_it(era: Era) -> None:
    """A change that was accepted is verified by the list where the deployment itself is said to be missing."""
    sandbox = Sandbox()
    gateway = reply(404, {"message": "no Route matched with those values"})
    transport = Upstream(sandbox).reading_back(gateway, f"/deployments/{IDS['deployment_id']}")
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)


@newer_era_first
async def test_an_old_deployment_is_not_taken_for_the_new_one(era: Era) -> None:
    """A create without answer is not called done because of a deployment that was there before it."""
    sandbox = Sandbox()
    _add(sandbox, target(sandbox, enabled=True), 700, virtual_environment_id=None, enabled_at=None)
    transport = Upstream(sandbox).on(write, httpx2.ReadTimeout)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", CREATE)
    assert data(result)["status"] == "unknown"
    assert "Deployment 700" not in text(result)
    assert "after" not in data(result)


@newer_era_first
async def test_a_new_deployment_elsewhere_is_not_taken_for_the_one_wanted(era: Era) -> None:
    """Somebody else deploys the version in another environment while the answer to a create is lost."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    transport = Upstream(sandbox).on("POST", httpx2.ReadTimeout)
    transport.before("POST", lambda _: _add(sandbox, row, 700, virtual_environment_id=12))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", CREATE)
    assert data(result)["status"] == "unknown"
    assert "Deployment 700" not in text(result)
    assert "after" not in data(result)


@newer_era_first
async def test_of_two_new_deployments_neither_is_taken_for_one_s_own(era: Era) -> None:
    """Where somebody else creates at the same time and the answer is lost, nobody can know whose is whose."""
    sandbox = Sandbox()

    def somebody_too(_: httpx2.Request, __: httpx2.Response) -> None:
        _add(sandbox, target(sandbox), 700, virtual_environment_id=None, enabled_at=None)

    transport = Upstream(sandbox).on("POST", lost).after("POST", somebody_too)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", CREATE)
    assert data(result)["status"] == "unknown"
    made = next(id_ for id_ in sorted(sandbox.account.deployments, reverse=True) if id_ != 700)
    assert f"{made} and 700 are new there, and one of them may be somebody else's" in text(result)
    assert "undo" not in data(result)


@newer_era_first
@pytest.mark.parametrize("other", [{"flow_version_id": 1002}, {"virtual_environment_id": 11}])
async def test_an_answer_about_another_place_is_no_answer_to_a_create(other: dict[str, int], era: Era) -> None:
    """Version and environment are checked in the create's own answer; what was made is found by itself."""
    sandbox = Sandbox()

    def mix_up(_: httpx2.Request, made: httpx2.Response) -> httpx2.Response:
        return httpx2.Response(201, json={"data": {**made.json()["data"], "id": 9999, **other}})

    transport = Upstream(sandbox).after("POST", mix_up)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", CREATE)
    assert "which is not what was to be created" in text(result)
    assert data(result)["status"] == "done"
    assert int(data(result)["after"]["id"]) in sandbox.account.deployments


@newer_era_first
@pytest.mark.parametrize("tool", ["enable_deployment", "disable_deployment", "update_deployment", "delete_deployment"])
async def test_an_answer_about_another_deployment_accepts_nothing(tool: str, era: Era) -> None:
    """Such an answer counts as none: without reading back the result is unknown."""
    sandbox = Sandbox()
    row = target(sandbox, enabled=tool != "enable_deployment")
    about = reply(200, {"data": {"id": 9999, "flow_version_id": row.flow_version_id}})
    transport = Upstream(sandbox).on(write, Acted(about)).reading_back(reply(500))
    more = {"priority": 7} if tool == "update_deployment" else {}
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(tool, {**ids_of(row), **more})
    assert data(result)["status"] == "unknown"
    assert "9999" in text(result)


@newer_era_first
@pytest.mark.parametrize("answer", [b"null", b"[]", b'"ok"', b""])
async def test_what_is_no_object_accepts_nothing(answer: bytes, era: Era) -> None:
    """The contract promises an object: anything else may come from anybody."""
    transport = Upstream().on(write, reply(200, answer)).reading_back(reply(500))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        assert data(await client.call_tool("disable_deployment", IDS))["status"] == "unknown"


@newer_era_first
async def test_of_an_update_that_took_in_part_the_part_is_told_and_undone(era: Era) -> None:
    """The result shows what took and what did not, and its undo takes back just that."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    was = row.priority, row.virtual_environment_id

    def half(_: httpx2.Request, answer: httpx2.Response) -> None:
        del answer
        row.virtual_environment_id = was[1]

    place = next(e for e in sandbox.account.virtual_environments if e != row.virtual_environment_id)
    sandbox.account.deployments = {500: row}
    arguments = {**IDS, "priority": 42, "virtual_environment_id": str(place)}
    transport = Upstream(sandbox).after("PUT", half)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("update_deployment", arguments)
        assert data(result)["status"] == "unknown"
        assert f"only a part of it (queue priority: {was[0]} → 42)" in text(result)
        transport.heal()
        undo = data(result)["undo"]
        assert "if_state" in undo["arguments"]
        await client.call_tool(undo["tool"], undo["arguments"])
    assert (row.priority, row.virtual_environment_id) == was


@newer_era_first
@pytest.mark.parametrize("version", ["another", "the same"])
async def test_bringing_back_what_was_deleted_gives_way_to_what_is_there(era: Era, version: str) -> None:
    """The undo of a delete rests on an empty place: the flow's listing and that of the version have to lack it."""
    sandbox = Sandbox()
    old, replacing = replaceable(sandbox)
    other = int(replacing["new_flow_version_id"]) if version == "another" else old.flow_version_id
    transport = Upstream(sandbox)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        undo = data(await client.call_tool("delete_deployment", ids_of(old)))["undo"]
        _add(sandbox, old, 800, flow_version_id=other)
        if version == "the same":
            transport.always(listing, EMPTY)
        late = await client.call_tool(undo["tool"], undo["arguments"])
    assert late.is_error
    assert f"By now deployment 800 of flow version {other} is there" in text(late)
    assert "Nothing was changed." in text(late)
    assert [row.id for row in versions_at(sandbox, old)] == [800]


@newer_era_first
async def test_bringing_back_what_tells_no_flow_rests_on_its_version_alone(era: Era) -> None:
    """The undo of a delete is good once: where the version is back, it is refused."""
    sandbox = Sandbox()
    row = target(sandbox)
    transport = Upstream(sandbox).alter(lambda _, answer: without(answer, *FLOW))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        undo = data(await client.call_tool("delete_deployment", ids_of(row)))["undo"]
        assert undo["arguments"]["if_state"] == "empty"
        undone = await client.call_tool(undo["tool"], undo["arguments"])
        again = await client.call_tool(undo["tool"], undo["arguments"])
    assert data(undone)["status"] == "done"
    assert f"of flow version {row.flow_version_id} is there" in text(again)


@pytest.mark.parametrize("state", ["bff25e553843", "empty.", "empty.1/2", "empty-100", "full", "full.100"])
async def test_a_state_that_no_place_has_is_refused(state: str) -> None:
    """A create takes only the state of an empty place."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        result = await client.call_tool("create_deployment", {**CREATE, "if_state": state})
    assert result.is_error
    assert "not the state of an empty place. Nothing was changed. Give if_state as the undo" in text(result)
    assert sandbox.writes == []


@newer_era_first
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_ordinary_write_takes_four_requests_at_most(case: Case, era: Era) -> None:
    """Read, write, read back; and read again after a question, or else look what is beside it."""
    sandbox = Sandbox()
    arguments = case.arguments(sandbox)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        await client.call_tool(case.tool, arguments)
    assert len(sandbox.requests) <= 4


@in_virtual_time
async def test_waiting_for_what_shows_late_takes_some_five_seconds_and_gives_signs_of_life() -> None:
    """The pauses grow, and a client that asked for progress hears in between that the call goes on."""
    progress, transport = Progress(), Upstream().lag(write)
    async with connected(transport=transport, person=Person(yes), era="legacy") as client:
        await client.call_tool("disable_deployment", IDS, progress_callback=progress, meta=LISTENS)
    looks = [passage.came for passage in transport.passages if passage.is_stale]
    pauses = [later - sooner for sooner, later in itertools.pairwise(looks)]
    assert pauses == pytest.approx([0.25, 0.5, 1.0, 2.0, 2.0], abs=0.2)
    assert progress.heard


@in_virtual_time
async def test_a_call_ends_in_time_whatever_never_answers() -> None:
    """A write without answer and reads without answer cost less than the patience of a client."""
    transport = Upstream().always(write, delay(math.inf)).reading_back(delay(math.inf))
    clock = asyncio.get_running_loop().time
    async with connected(transport=transport, person=Person(yes)) as client:
        began = clock()
        result = await client.call_tool("disable_deployment", IDS)
    assert data(result)["status"] == "unknown"
    assert clock() - began < 45


@in_virtual_time
async def test_an_empty_environment_is_filled_as_soon_as_patchworks_allows_with_signs_of_life() -> None:
    """A throttle after the delete is waited out to the second, and the client hears ever higher numbers meanwhile."""
    sandbox, progress = Sandbox(), Progress()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", *2 * [reply(429, {}, retry_after=40)])
    async with connected(transport=transport, person=Person(yes), era="legacy") as client:
        result = await client.call_tool("replace_deployment", arguments, progress_callback=progress, meta=LISTENS)
    assert data(result)["status"] == "done"
    assert len(versions_at(sandbox, old)) == 1
    posts = [passage.came for passage in transport.passages if passage.request.method == "POST"]
    assert [later - sooner for sooner, later in itertools.pairwise(posts)] == pytest.approx([40, 40], abs=0.5)
    numbers = [number for number, _ in progress.heard]
    assert len(numbers) > 20
    assert all(sooner < later for sooner, later in itertools.pairwise(numbers))
