"""Bringing the old version back where the new one was refused."""

import httpx2
import pytest
from support.cases import replaceable, stranger, versions_at
from support.clients import Era, Person, connected, data, newer_era_first, text, yes
from support.faults import Step, Upstream, listing, lost, reply
from support.replacing import EMPTY, NO, TOOL, methods, read_after, replace

from patchworks_deployments.sandbox import Sandbox


@newer_era_first
async def test_what_was_restored_is_looked_for_in_its_place(era: Era) -> None:
    """The result names it, what is there, and how long nothing was."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).on("POST", NO), era, arguments)
    (back,) = versions_at(sandbox, old)
    outcome = data(result)
    assert (outcome["status"], outcome["verified"]) == ("failed", True)
    assert outcome["gap_milliseconds"] >= 0
    assert f"restored: Deployment {back.id} of flow version {old.flow_version_id}" in text(result)
    assert f"id {old.id}" in outcome["lost"]
    assert {"after", "now", "undo", "repair"}.isdisjoint(outcome)


@newer_era_first
async def test_a_new_version_of_which_nobody_knows_is_not_said_to_be_undeployed(era: Era) -> None:
    """Where the change may still come, the result says that it was not seen, and names what was restored."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).on("POST", reply(500)), era, arguments)
    (back,) = versions_at(sandbox, old)
    message = data(result)["message"]
    assert message.startswith("The new version was not seen to be deployed as wanted: Patchworks failed (status 500).")
    assert message.endswith(f"The old version was restored, as deployment {back.id}.")


@newer_era_first
async def test_what_was_restored_and_is_not_in_its_place_is_not_verified(era: Era) -> None:
    """Its own record was read, but the listing of the flow does not hold it."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).on("POST", NO).always(listing, EMPTY), era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("failed", False)
    assert "There now: nothing of the flow" in text(result)


@newer_era_first
@pytest.mark.parametrize(("step", "verified"), [(EMPTY, True), (reply(500), False)], ids=["late", "unreadable"])
async def test_what_was_restored_is_looked_for_more_than_once(era: Era, step: Step, verified: bool) -> None:  # noqa: FBT001
    """A listing that shows it late is waited for; one that cannot be read is not called verified."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on("POST", NO)
    look = read_after(transport, 3, "/flow-version-deployments")
    transport = transport.on(look, step) if verified else transport.always(look, step)
    result = await replace(transport, era, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("failed", verified)
    assert ("What is there now is not known:" in text(result)) is not verified


@newer_era_first
async def test_what_was_restored_otherwise_is_not_said_to_be_restored(era: Era) -> None:
    """Its queue priority is another: the result shows it, and does not call the old version back."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)

    def alter(_: httpx2.Request, made: httpx2.Response) -> None:
        sandbox.account.deployments[int(made.json()["data"]["id"])].priority = 77

    result = await replace(Upstream(sandbox).on("POST", NO).after("POST", alter), era, arguments)
    (back,) = versions_at(sandbox, old)
    assert data(result)["status"] == "unknown"
    assert "restored" not in data(result)
    assert [held["id"] for held in data(result)["now"]] == [str(back.id)]
    assert "may or may not be restored" in text(result)


@newer_era_first
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
    assert "What is there now is not known:" in text(result)
    assert f"id {old.id}" in data(result)["lost"]
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@newer_era_first
async def test_who_has_restored_it_meanwhile_is_not_forestalled(era: Era) -> None:
    """Somebody else's deployment of the old version counts as restored."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    place = old.virtual_environment_id

    def somebody(_: httpx2.Request) -> None:
        row = stranger(sandbox, old, old.flow_version_id)
        row.virtual_environment_id, row.enabled_at = place, old.enabled_at

    transport = Upstream(sandbox).on("POST", NO)
    transport.before(read_after(transport, 2, f"{old.flow_version_id}/deployments"), somebody)
    result = await replace(transport, era, arguments)
    assert data(result)["status"] == "failed"
    assert (data(result)["restored"]["id"], data(result)["verified"]) == ("777", False)
    assert methods(transport) == ["DELETE", "POST"]
