"""The steps of a replacement: what is known before each, and what is said where one does not come."""

import dataclasses
from typing import Any

import httpx2
import pytest
from support.cases import replaceable, versions_at
from support.clients import Era, Person, connected, data, newer_era_first, text, yes
from support.faults import Step, Upstream, delay, listing, reply
from support.replacing import EMPTY, NO, TOOL, methods, read_after, replace

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment


def _without_environment(sandbox: Sandbox) -> tuple[Deployment, dict[str, Any]]:
    old, arguments = replaceable(sandbox)
    old.virtual_environment_id = None
    return old, arguments


# Where there is no environment, the new one comes first -------------------------------------------


@newer_era_first
async def test_a_create_that_is_refused_leaves_the_old_one_alone(era: Era) -> None:
    """Without environment the create comes first, so nothing was changed."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox).on("POST", NO)
    result = await replace(transport, era, arguments)
    assert data(result)["status"] == "failed"
    assert text(result).startswith("The new version was not deployed.")
    assert "Nothing was changed." in text(result)
    assert methods(transport) == ["POST"]
    assert versions_at(sandbox, old) == [old]


@newer_era_first
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
    assert ("What is there now is not known:" in text(result)) is (reading is not None)
    assert methods(transport)[:-1] == ["POST"]
    assert data(repaired)["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@newer_era_first
@pytest.mark.parametrize("step", [NO, reply(500)], ids=["refused", "no answer"])
async def test_an_old_one_that_does_not_go_is_named_with_the_call_that_deletes_it(era: Era, step: Step) -> None:
    """Both are there then: the result holds the new one, all that is there, and the delete; nothing is lost yet."""
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
    assert {"lost", "undo"}.isdisjoint(outcome)
    assert data(repaired)["status"] == "done"
    assert old.id not in sandbox.account.deployments


@newer_era_first
async def test_an_old_one_that_cannot_be_read_is_not_deleted(era: Era) -> None:
    """It may have gone as the new one came: without knowing, nothing more is done."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox)
    transport.always(read_after(transport, 1, f"/{old.id}"), reply(500))
    result = await replace(transport, era, arguments)
    assert data(result)["status"] == "unknown"
    assert "Whether the old deployment is gone could not be read." in text(result)
    assert methods(transport) == ["POST"]
    assert str(old.id) in {held["id"] for held in data(result)["now"]}


@newer_era_first
async def test_what_is_there_beside_an_old_one_that_does_not_go_may_be_unknown(era: Era) -> None:
    """Where the flow's listing cannot be read either, the result says so."""
    sandbox = Sandbox()
    _, arguments = _without_environment(sandbox)
    result = await replace(Upstream(sandbox).on("DELETE", NO).always(listing, reply(500)), era, arguments)
    assert data(result)["status"] == "partial"
    assert "What is there now is not known:" in text(result)
    assert "now" not in data(result)


@newer_era_first
async def test_throttling_after_the_create_delays_the_delete_and_no_more(era: Era) -> None:
    """That the new one is there by now is what was agreed to, and no reason to leave the old one."""
    sandbox = Sandbox()
    old, arguments = _without_environment(sandbox)
    transport = Upstream(sandbox).on("DELETE", reply(429, {}, retry_after=30))
    result = await replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert old.id not in sandbox.account.deployments


@newer_era_first
async def test_few_requests_that_are_left_after_the_create_do_not_keep_the_old_one(era: Era) -> None:
    """Only what would leave a place empty waits for enough of them."""
    sandbox = Sandbox(requests_per_minute=10 if era == "legacy" else 12)
    old, arguments = _without_environment(sandbox)
    result = await replace(Upstream(sandbox), era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert old.id not in sandbox.account.deployments


# In an environment --------------------------------------------------------------------------------


@newer_era_first
async def test_reading_back_waits_where_patchworks_throttles(era: Era) -> None:
    """What comes next rests on it, so more refusals than a single write would bear do not make a delete unknown."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)
    transport.on(read_after(transport, 1), *10 * [reply(429, {}, retry_after=1)])
    result = await replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert methods(transport) == ["DELETE", "POST"]
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
async def test_a_way_to_patchworks_that_is_cut_after_the_delete_is_tried_again(era: Era) -> None:
    """The environment is empty then, so a create that never left is tried for longer than any other write."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", *5 * [httpx2.ConnectError])
    result = await replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
async def test_nothing_is_restored_in_a_place_that_cannot_be_read(era: Era) -> None:
    """The new one was refused, and somebody else's may be there: `repair` restores the old one if nothing is."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", NO).always(listing, reply(500))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert methods(transport) == ["DELETE", "POST"]
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


@newer_era_first
async def test_a_new_one_that_is_not_alone_is_no_success(era: Era) -> None:
    """Each step was seen by itself, but somebody else's is there as well: the result says what is there."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)

    def somebody_too(_: httpx2.Request) -> None:
        sandbox.account.deployments[777] = dataclasses.replace(old, id=777)

    transport.before(lambda request: listing(request) and len(transport.writes) > 1, somebody_too)
    result = await replace(transport, era, arguments)
    assert data(result)["status"] == "unknown"
    assert "Yet the place does not hold it alone." in text(result)
    assert "\nThere now: deployment" in text(result)
    assert "777" in {held["id"] for held in data(result)["now"]}


@newer_era_first
async def test_an_exchange_that_the_listing_shows_late_is_waited_for(era: Era) -> None:
    """The first look at the place finds nothing, the second one what is there."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)
    transport.on(read_after(transport, 2, "/flow-version-deployments"), EMPTY)
    result = await replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)


@newer_era_first
async def test_a_place_that_cannot_be_read_at_the_end_is_said_to_be_unknown(era: Era) -> None:
    """Both steps were seen; what is there by now is not."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).always(listing, reply(500)), era, arguments)
    assert data(result)["status"] == "done"
    assert "What is there now is not known:" in text(result)
    assert "now" not in data(result)


@newer_era_first
async def test_another_flow_s_version_in_a_place_that_cannot_be_read(era: Era) -> None:
    """The new one was seen to be of another flow; what is there of the old one's is not known."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox, seen_elsewhere=False)
    account = sandbox.account
    account.flows[3000] = dataclasses.replace(account.flow_of(old), id=3000)
    account.flow_versions[int(arguments["new_flow_version_id"])].flow_id = 3000
    result = await replace(Upstream(sandbox).always(listing, reply(500)), era, arguments)
    assert data(result)["status"] == "partial"
    assert "What is there now is not known:" in text(result)
    assert "now" not in data(result)


@newer_era_first
async def test_a_new_one_that_cannot_be_read_back_is_not_verified(era: Era) -> None:
    """Patchworks accepted it, no list shows it: it is done, unverified, and its undo rests on no state."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    blind = f"/flow-versions/{arguments['new_flow_version_id']}/"
    transport = Upstream(sandbox).reading_back(reply(500), blind, writes=2).always(listing, reply(500))
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


@newer_era_first
async def test_a_create_that_was_accepted_and_does_not_show_may_still_come(era: Era) -> None:
    """Nothing is restored beside it."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).lag("POST")
    result = await replace(transport, era, arguments)
    assert data(result)["status"] == "unknown"
    assert "Nothing was restored, because the new one may still come." in text(result)
    assert data(result)["repair"]["tool"] == "create_deployment"
    assert methods(transport) == ["DELETE", "POST"]
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
@pytest.mark.parametrize(("priority", "given"), [(None, {}), (4, {"priority": 5}), (4, {})])
async def test_only_an_inherited_queue_priority_that_is_replaced_is_lost(
    priority: int | None, given: dict[str, int], era: Era
) -> None:
    """One that is kept, or that takes the place of another that was set, is no loss."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.priority = priority
    result = await replace(Upstream(sandbox), era, {**arguments, **given})
    assert "inherited queue priority" not in data(result)["lost"]
    assert f"id {old.id}" in data(result)["lost"]


@newer_era_first
async def test_the_gap_is_told_in_milliseconds(era: Era) -> None:
    """It lasts from the delete's leaving to the new deployment's being seen."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).on("POST", delay(0.05)), era, arguments)
    assert 50 <= data(result)["gap_milliseconds"] < 10_000
