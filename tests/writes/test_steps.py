"""The steps of a replacement: what is known before each, and what is said where one does not come."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support.cases import replaceable, stranger, versions_at
from support.clients import Era, Person, both_eras, connected, data, text, yes
from support.faults import Step, Upstream, listing, lost, reply

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment

TOOL = "replace_deployment"
NO = reply(403, {"message": "No."})
EMPTY = reply(200, {"data": [], "meta": {"total": 0, "last_page": 1, "current_page": 1, "per_page": 100}})


def _without_environment(sandbox: Sandbox) -> tuple[Deployment, dict[str, Any]]:
    old, arguments = replaceable(sandbox)
    old.virtual_environment_id = None
    return old, arguments


async def _replace(transport: Upstream, era: Era, arguments: dict[str, Any]) -> CallToolResult:
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        return await client.call_tool(TOOL, arguments)


def _methods(transport: Upstream) -> list[str]:
    return [request.method for request in transport.writes]


def _read(transport: Upstream, writes: int, path: str = "") -> Callable[[httpx2.Request], bool]:
    """A read between this write and the next one, if its own path ends so."""
    return lambda r: r.method == "GET" and len(transport.writes) == writes and r.url.path.endswith(path)


# Where there is no environment, the new one comes first -------------------------------------------


@both_eras
async def test_a_create_that_is_refused_leaves_the_old_one_alone(era: Era) -> None:
    """Without environment the create comes first, so nothing was changed."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox).on("POST", NO)
    result = await _replace(transport, era, arguments)
    assert data(result)["status"] == "failed"
    assert text(result).startswith("The new version was not deployed.")
    assert "Nothing was changed." in text(result)
    assert _methods(transport) == ["POST"]
    assert versions_at(sandbox, old) == [old]


@both_eras
@pytest.mark.parametrize(("step", "reading"), [(httpx2.ReadTimeout, None), (None, reply(500))])
async def test_nothing_is_deleted_for_a_create_that_was_not_seen(era: Era, step: Step, reading: Step) -> None:
    """It may have replaced the old deployment, or may still do so: the result says that, and what repairs it."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox).on("POST", step).reading_back(reading)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        transport.heal()
        for row in versions_at(sandbox, old):
            del sandbox.account.deployments[row.id]
        repair = data(result)["repair"]
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
    assert data(result)["status"] == "unknown"
    assert "Deploying it may have replaced the old deployment." in text(result)
    assert _methods(transport)[:-1] == ["POST"]
    assert data(repaired)["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@both_eras
@pytest.mark.parametrize("step", [NO, reply(500)], ids=["refused", "no answer"])
async def test_an_old_one_that_does_not_go_is_named_with_the_call_that_deletes_it(era: Era, step: Step) -> None:
    """Both are there then: the result holds the new one, all that is there, what would be lost, and the delete."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox).on("DELETE", step)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        outcome = data(result)
        there = versions_at(sandbox, old)
        repaired = await client.call_tool(outcome["repair"]["tool"], outcome["repair"]["arguments"])
    assert outcome["status"] == "partial"
    assert "The new version is deployed, but the old deployment was not seen to go." in text(result)
    assert "The call in `repair` deletes it." in text(result)
    assert str(there[-1].id) == outcome["after"]["id"]
    assert {held["id"] for held in outcome["now"]} == {str(row.id) for row in there}
    assert f"id {old.id}" in outcome["lost"]
    assert "undo" not in outcome
    assert data(repaired)["status"] == "done"
    assert old.id not in sandbox.account.deployments


@both_eras
async def test_an_old_one_that_cannot_be_read_is_deleted_all_the_same(era: Era) -> None:
    """Only what is certainly gone needs no delete."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox)
    transport.always(_read(transport, 1, f"/{old.id}"), reply(500))
    result = await _replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert _methods(transport) == ["POST", "DELETE"]
    assert old.id not in sandbox.account.deployments


# In an environment --------------------------------------------------------------------------------


@both_eras
async def test_reading_back_waits_where_patchworks_throttles(era: Era) -> None:
    """What comes next rests on it, so more refusals than a single write would bear do not make a delete unknown."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)
    transport.on(_read(transport, 1), *10 * [reply(429, {}, retry_after=1)])
    result = await _replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert _methods(transport) == ["DELETE", "POST"]
    assert len(versions_at(sandbox, old)) == 1


@both_eras
async def test_a_way_to_patchworks_that_is_cut_after_the_delete_is_tried_again(era: Era) -> None:
    """The environment is empty then, so a create that never left is tried for longer than any other write."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", *5 * [httpx2.ConnectError])
    result = await _replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert len(versions_at(sandbox, old)) == 1


@both_eras
async def test_nothing_is_restored_in_a_place_that_cannot_be_read(era: Era) -> None:
    """The new one was refused, and somebody else's may be there: `repair` restores the old one if nothing is."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", NO).always(listing, reply(500))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert _methods(transport) == ["DELETE", "POST"]
        transport.heal()
        repair = data(result)["repair"]
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
    assert data(result)["status"] == "unknown"
    assert f"The old deployment {old.id} is deleted." in text(result)
    assert "Nothing was restored. What is there now is not known:" in text(result)
    assert "the call in `repair` restores the old version" in text(result)
    assert "now" not in data(result)
    assert data(repaired)["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@both_eras
async def test_two_that_have_not_changed_places_are_no_success(era: Era) -> None:
    """Each was seen by itself, but the listing of the flow still shows the old one: the result says what is there."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)
    transport.before(
        lambda request: listing(request) and len(transport.writes) > 1,
        lambda _: sandbox.account.deployments.setdefault(old.id, old),
    )
    result = await _replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("unknown", False)
    assert "Yet the two have not changed places. There now: deployment" in text(result)
    assert str(old.id) in {held["id"] for held in data(result)["now"]}


@both_eras
async def test_a_place_that_cannot_be_read_at_the_end_is_said_to_be_unknown(era: Era) -> None:
    """Both steps were seen; what is there by now is not."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await _replace(Upstream(sandbox).always(listing, reply(500)), era, arguments)
    assert data(result)["status"] == "done"
    assert "What is there now is not known:" in text(result)
    assert "now" not in data(result)


@both_eras
async def test_a_new_one_that_cannot_be_read_back_is_not_verified(era: Era) -> None:
    """Patchworks accepted it: the replacement is done, unverified, and its undo rests on no state."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    blind = f"/flow-versions/{arguments['new_flow_version_id']}/"
    transport = Upstream(sandbox).reading_back(reply(500), blind, writes=2)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        transport.heal()
        undo = data(result)["undo"]
        undone = await client.call_tool(undo["tool"], undo["arguments"])
    assert (data(result)["status"], data(result)["verified"]) == ("done", False)
    assert text(result).startswith("Replaced. Created: Patchworks accepted it.")
    assert "if_state" not in undo["arguments"]
    assert data(undone)["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@both_eras
async def test_what_was_restored_is_looked_for_in_its_place(era: Era) -> None:
    """The result names it, what is there, and how long nothing was."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    result = await _replace(Upstream(sandbox).on("POST", NO), era, arguments)
    (back,) = versions_at(sandbox, old)
    outcome = data(result)
    assert (outcome["status"], outcome["verified"]) == ("failed", True)
    assert outcome["gap_milliseconds"] >= 0
    assert f"There now: deployment {back.id} of flow version {old.flow_version_id}" in text(result)
    assert {"after", "now", "undo", "repair", "lost"}.isdisjoint(outcome)


@both_eras
async def test_what_was_restored_and_is_not_in_its_place_is_not_verified(era: Era) -> None:
    """Its own record was read, but the listing of the flow does not hold it."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await _replace(Upstream(sandbox).on("POST", NO).always(listing, EMPTY), era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("failed", False)
    assert "There now: nothing of the flow." in text(result)


@both_eras
@pytest.mark.parametrize("step", [lost, httpx2.ReadTimeout], ids=["acted", "not acted"])
async def test_a_restoring_whose_fate_is_unknown_is_said_to_be(era: Era, step: Step) -> None:
    """The old one may or may not be back: nothing else is tried, and `repair` gives way to it."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", NO, step).reading_back(reply(500), writes=3)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        transport.heal()
        repair = data(result)["repair"]
        await client.call_tool(repair["tool"], repair["arguments"])
    assert data(result)["status"] == "unknown"
    assert f"The old deployment {old.id} is deleted and may or may not be restored:" in text(result)
    assert "lost" not in data(result)
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@both_eras
async def test_who_has_restored_it_meanwhile_is_not_forestalled(era: Era) -> None:
    """Somebody else's deployment of the old version counts as restored."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    place = old.virtual_environment_id

    def somebody(_: httpx2.Request) -> None:
        row = stranger(sandbox, old, old.flow_version_id)
        row.virtual_environment_id, row.enabled_at = place, old.enabled_at

    transport = Upstream(sandbox).on("POST", NO)
    transport.before(_read(transport, 2, f"{old.flow_version_id}/deployments"), somebody)
    result = await _replace(transport, era, arguments)
    assert data(result)["status"] == "failed"
    assert data(result)["restored"]["id"] == "777"
    assert _methods(transport) == ["DELETE", "POST"]


@both_eras
async def test_an_inherited_queue_priority_that_is_kept_is_not_lost(era: Era) -> None:
    """Only a queue priority that was given takes the place of the flow's."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.priority = None
    result = await _replace(Upstream(sandbox), era, arguments)
    assert "inherited queue priority" not in data(result)["lost"]
    assert f"id {old.id}" in data(result)["lost"]
