"""Replacing a version where a step fails, is lost, or somebody meddles."""

from pathlib import Path

import httpx2
import pytest
from support.cases import FLOW, replaceable, stranger, versions_at, without
from support.clients import Era, Person, audit_lines, connected, data, newer_era_first, text, yes
from support.faults import Step, Upstream, lost, reply, write

from patchworks_deployments.sandbox import Sandbox

TOOL = "replace_deployment"
NOT_DEPLOYABLE = {"message": "No.", "errors": {"flow_version_id": ["is not deployable"]}}


@newer_era_first
@pytest.mark.parametrize(("fault", "status"), [(reply(403, {"message": "No."}), "failed"), (reply(500), "unknown")])
async def test_nothing_is_created_unless_the_old_one_is_certainly_gone(era: Era, fault: Step, status: str) -> None:
    """A delete that was refused changed nothing; one that may still come about leaves the new version undeployed."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, fault), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == status
        assert ("Nothing was changed." in text(result)) is (status == "failed")
        unseen = "No new one was created, as the old one was not seen to go. "
        assert text(result).startswith("The old deployment was not deleted." if status == "failed" else unseen)
        if status == "unknown":
            assert [held["id"] for held in data(result)["now"]] == [str(old.id)]
            repair = data(result)["repair"]
            refused = await client.call_tool(repair["tool"], repair["arguments"])
            assert f"By now deployment {old.id}" in text(refused)
    assert versions_at(sandbox, old) == [old]


@newer_era_first
async def test_a_delete_that_was_accepted_and_cannot_be_read_back_stops_it(era: Era) -> None:
    """Nothing is built on a delete that nobody has seen; `repair` fills the place if it is empty, and only then."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).reading_back(reply(500))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == "unknown"
        assert [sent.method for sent in sandbox.writes] == ["DELETE"]
        transport.heal()
        repair = data(result)["repair"]
        assert repair["arguments"]["if_state"] == f"empty.{sandbox.account.flow_of(old).id}"
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
        again = await client.call_tool(repair["tool"], repair["arguments"])
    assert data(repaired)["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]
    assert "By now deployment" in text(again)


@newer_era_first
async def test_a_create_that_may_still_come_is_not_forestalled(era: Era) -> None:
    """While a create without answer may still arrive nothing is restored, and the repair gives way to it."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    late: list[httpx2.Request] = []

    def swallow(request: httpx2.Request) -> None:
        late.append(request)
        raise httpx2.ReadTimeout("late", request=request)

    transport = Upstream(sandbox).on("POST", swallow)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == "unknown"
        assert [sent.method for sent in sandbox.writes] == ["DELETE"]
        await transport.handle_async_request(late[0])
        repair = data(result)["repair"]
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
    assert repaired.is_error
    assert "By now deployment" in text(repaired)
    assert [str(d.flow_version_id) for d in versions_at(sandbox, old)] == [arguments["new_flow_version_id"]]


@newer_era_first
@pytest.mark.parametrize("fault", [reply(500), reply(422, NOT_DEPLOYABLE)], ids=["500", "422"])
async def test_a_create_that_fails_brings_the_old_version_back(era: Era, fault: Step) -> None:
    """The old version is restored with its priority and state, and the result says so."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, None, fault), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    (back,) = versions_at(sandbox, old)
    assert (back.flow_version_id, back.priority, back.enabled_at is not None) == (
        old.flow_version_id,
        old.priority,
        True,
    )
    assert result.is_error
    assert data(result)["status"] == "failed"
    assert data(result)["restored"]["id"] == str(back.id)
    assert f"The old version was restored, as deployment {back.id}" in text(result)


@newer_era_first
async def test_when_restoring_fails_too_the_result_gives_the_call_that_repairs_it(era: Era) -> None:
    """What is missing is said exactly, and the one call in `repair` brings it back."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    broken = Upstream(sandbox).on(write, None, reply(422), reply(422))
    async with connected(transport=broken, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == "partial"
        assert "could NOT be restored" in text(result)
        assert versions_at(sandbox, old) == []
        repair = data(result)["repair"]
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
    assert data(repaired)["status"] == "done"
    (back,) = versions_at(sandbox, old)
    assert (back.flow_version_id, back.priority, back.enabled_at is not None) == (
        old.flow_version_id,
        old.priority,
        True,
    )


@newer_era_first
async def test_lost_answers_are_looked_up_at_every_step(era: Era) -> None:
    """A delete and a create whose answers are lost are found to have happened."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, lost, lost), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "done"
    assert len(sandbox.writes) == 2
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
async def test_a_create_whose_fate_is_unknown_is_not_papered_over(era: Era) -> None:
    """When it cannot be learned whether the new one is there, nothing more is tried, and the repair is named."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on(write, None, lost).reading_back(httpx2.ReadTimeout, writes=2)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "unknown"
    assert data(result)["repair"]["tool"] == "create_deployment"
    assert "is deleted" in text(result)
    assert len(sandbox.writes) == 2


@newer_era_first
async def test_a_delete_whose_fate_is_unknown_leaves_the_repair(era: Era) -> None:
    """Nothing is created, and the result says how to find out and what to call if the old one is gone."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on(write, lost).reading_back(httpx2.ReadTimeout)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == "unknown"
        assert "Look again with get_deployment" in text(result)
        assert versions_at(sandbox, old) == []
        transport.heal()
        assert "now" not in data(result)
        repair = data(result)["repair"]
        await client.call_tool(repair["tool"], repair["arguments"])
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@newer_era_first
async def test_throttling_after_the_delete_is_waited_out(era: Era) -> None:
    """A 429 for the create, even one that outlasts the client's own tries, does not leave the environment empty."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    throttled = Upstream(sandbox).on(write, None, *2 * [reply(429, retry_after=40)])
    async with connected(transport=throttled, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "done", text(result)
    assert [str(d.flow_version_id) for d in versions_at(sandbox, old)] == [arguments["new_flow_version_id"]]


@newer_era_first
async def test_flows_that_the_api_does_not_tell_are_not_taken_for_the_same(era: Era) -> None:
    """Where neither side's flow is known, nothing is deleted."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox, seen_elsewhere=False)
    transport = Upstream(sandbox).alter(lambda _, answer: without(answer, *FLOW))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert old.id in sandbox.account.deployments


@newer_era_first
@pytest.mark.parametrize("how", ["created otherwise", "somebody else's"])
async def test_what_is_there_already_is_not_doubled_by_restoring(era: Era, how: str) -> None:
    """If the new version is there, but not as wanted or not from this call, that is said and nothing is restored."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    version, place = int(arguments["new_flow_version_id"]), old.virtual_environment_id

    def alter_it(_: httpx2.Request, created: httpx2.Response) -> None:
        sandbox.account.deployments[int(created.json()["data"]["id"])].priority = 77

    def take_its_place(*_: object) -> None:
        stranger(sandbox, old, version).virtual_environment_id = place

    meddling = ("POST", alter_it) if how == "created otherwise" else ("DELETE", take_its_place)
    async with connected(transport=Upstream(sandbox).after(*meddling), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    (there,) = versions_at(sandbox, old)
    assert data(result)["status"] == "partial"
    assert [held["id"] for held in data(result)["now"]] == [str(there.id)]
    assert f"There now: deployment {there.id} of flow version {version}" in text(result)
    assert [sent.method for sent in sandbox.writes] == ["DELETE", "POST"]


async def test_every_step_stands_in_the_audit_log(tmp_path: Path) -> None:
    """Delete, failed create and restoring create each have a line before the call's own."""
    log = tmp_path / "audit.jsonl"
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).on(write, None, reply(422))
    async with connected(transport=transport, person=Person(yes), audit_log=log) as client:
        await client.call_tool(TOOL, arguments)
    lines = audit_lines(log)
    assert [(line["tool"], line["outcome"]) for line in lines] == [
        (f"{TOOL}: delete", "done"),
        (f"{TOOL}: create", "failed"),
        (f"{TOOL}: create", "done"),
        (TOOL, "failed"),
    ]
