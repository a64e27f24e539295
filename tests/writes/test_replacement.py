"""Putting another version of a flow into an environment."""

import re

import httpx2
import pytest
from mcp_types import ElicitResult
from support.cases import ids_of, replaceable, versions_at
from support.clients import Era, Person, connected, data, in_turn, newer_era_first, no, text, yes
from support.faults import Upstream

from patchworks_deployments.sandbox import Sandbox

TOOL = "replace_deployment"

READS: dict[Era, int] = {"legacy": 4, "auto": 6}
"""Requests before the first step: both versions, for each round of a call and once more after the question."""


@newer_era_first
@pytest.mark.parametrize("seen_elsewhere", [True, False])
async def test_priority_and_state_carry_over_under_one_consent(era: Era, seen_elsewhere: bool) -> None:  # noqa: FBT001
    """The new version takes the old one's place, queue priority and state; the gap is reported; undo puts it back."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox, seen_elsewhere=seen_elsewhere)
    before = len(sandbox.account.deployments)
    person = Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = data(await client.call_tool(TOOL, arguments))
        assert (result["status"], result["verified"]) == ("done", True)
        assert [sent.method for sent in sandbox.requests][READS[era] :] == ["DELETE", "GET", "POST", "GET", "GET"]
        assert len(person.asked) == 1
        assert ("whose flow is not known" in person.asked[0]) is not seen_elsewhere
        (new,) = versions_at(sandbox, old)
        assert str(new.flow_version_id) == arguments["new_flow_version_id"]
        assert (new.priority, new.enabled_at is not None) == (old.priority, True)
        gap = result["gap_milliseconds"]
        assert 0 <= gap < 10_000
        verified = "Replaced, and verified by reading back"
        steps = f"deployment {old.id} was deleted, then deployment {new.id} created"
        assert result["message"] == f"{verified}: {steps}; for at most {gap} ms neither was there."
        assert result["after"]["id"] == str(new.id)
        assert {"now", "restored", "repair"}.isdisjoint(result)
        undone = data(await client.call_tool(result["undo"]["tool"], result["undo"]["arguments"]))
    assert undone["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]
    assert len(sandbox.account.deployments) == before


@newer_era_first
async def test_a_version_of_which_nobody_knows_the_flow_has_to_be_typed(era: Era) -> None:
    """Patchworks tells a flow only where the version is deployed: the question says so, and a tick is not enough."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox, seen_elsewhere=False)
    person = Person(lambda _: ElicitResult(action="accept", content={"typed_id": "1"}))
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "declined"
    version = arguments["new_flow_version_id"]
    assert f"Not known: whether version {version} is of the same flow" in person.asked[0]
    assert sandbox.writes == []


@newer_era_first
async def test_a_version_that_turns_out_to_be_of_another_flow_is_reported_with_the_ways_back(era: Era) -> None:
    """`repair` brings the old version back, `undo` removes the other one; both work."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox, seen_elsewhere=False)
    account = sandbox.account
    deployed = {d.flow_version_id for d in account.deployments.values()}
    taken = {account.flow_of(d).id for d in account.deployments.values() if d.virtual_environment_id == 10}
    other = next(v.id for v in account.flow_versions.values() if v.id not in deployed and v.flow_id not in taken)
    before = {(d.flow_version_id, d.virtual_environment_id) for d in account.deployments.values()}
    async with connected(sandbox, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {**arguments, "new_flow_version_id": str(other)})
        assert data(result)["status"] == "partial"
        assert "The new version is not known to be of the same flow" in text(result)
        assert "There now: nothing of the flow" in text(result)
        assert f"Deployment {data(result)['after']['id']}:" not in text(result)
        assert data(result)["now"] == []
        for word in ("repair", "undo"):
            call = data(result)[word]
            assert data(await client.call_tool(call["tool"], call["arguments"]))["status"] == "done"
    assert {(d.flow_version_id, d.virtual_environment_id) for d in account.deployments.values()} == before
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
async def test_without_environment_the_new_one_comes_before_the_old_one_goes(era: Era) -> None:
    """Deploying may itself replace there, so nothing is deleted first; what is left of the old one is deleted after."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.virtual_environment_id = None
    person = Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = data(await client.call_tool(TOOL, arguments))
        steps = ["POST", "GET", "GET", "DELETE", "GET", "GET"]  # each is read back, and before the delete it is looked
        assert [sent.method for sent in sandbox.requests][READS[era] :] == steps
        undone = data(await client.call_tool(result["undo"]["tool"], result["undo"]["arguments"]))
    assert (result["status"], result["verified"]) == ("done", True)
    assert "gap_milliseconds" not in result
    new = result["after"]["id"]
    assert (
        f"verified by reading back: deployment {new} was created, then deployment {old.id} went." in result["message"]
    )
    assert "the new one is created, then the old one is deleted" in person.asked[0]
    assert undone["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


@newer_era_first
@pytest.mark.parametrize("left", [5, 6])
async def test_nothing_is_deleted_while_too_few_requests_are_left_for_the_rest(era: Era, left: int) -> None:
    """What Patchworks says about its limit is heeded before the delete: a throttle after it would leave a gap."""
    sandbox = Sandbox(requests_per_minute=left + (4 if era == "legacy" else 6))
    old, arguments = replaceable(sandbox)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    if left == 6:
        assert (data(result)["status"], data(result)["verified"]) == ("done", True)
        return
    assert data(result)["status"] == "failed"
    assert "too few to replace a deployment" in text(result)
    assert "Nothing was changed." in text(result)
    assert (versions_at(sandbox, old), sandbox.writes) == ([old], [])


@newer_era_first
@pytest.mark.parametrize("meddled", [True, False])
async def test_throttling_before_the_delete_is_waited_out_and_then_looked_at_again(era: Era, meddled: bool) -> None:  # noqa: FBT001
    """A delete that was throttled is sent later, if all is still as it was agreed to."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)

    def throttle(_: httpx2.Request) -> httpx2.Response:
        old.priority = 77 if meddled else old.priority
        return httpx2.Response(429, headers={"Retry-After": "30"}, json={"message": "Too Many Attempts."})

    transport = Upstream(sandbox).on("DELETE", throttle)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    if meddled:
        assert data(result)["status"] == "refused"
        assert "Patchworks throttled. Something that was agreed to changed meanwhile." in text(result)
        assert sandbox.writes == []
    else:
        assert data(result)["status"] == "done"


@newer_era_first
async def test_in_an_account_without_environments_deploying_is_all_it_takes(era: Era) -> None:
    """There the create replaces, so nothing is deleted; undo puts the old version back in the same way."""
    sandbox = Sandbox(virtual_environments=False)
    account = sandbox.account
    old = next(d for d in account.deployments.values() if d.enabled_at)
    flow = account.flow_of(old).id
    new = next(v for v in account.flow_versions.values() if v.flow_id == flow and v.id != old.flow_version_id)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        result = data(await client.call_tool(TOOL, {**ids_of(old), "new_flow_version_id": str(new.id)}))
        assert (result["status"], result["verified"]) == ("done", True)
        assert [sent.method for sent in sandbox.writes] == ["POST"]
        assert old.id not in account.deployments
        undone = data(await client.call_tool(result["undo"]["tool"], result["undo"]["arguments"]))
    assert undone["status"] == "done"
    assert [d.flow_version_id for d in versions_at(sandbox, old)] == [old.flow_version_id]


async def test_the_question_shows_both_sides() -> None:
    """What goes and what comes, where, and with which state and priority."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    person = Person(no)
    async with connected(sandbox, person=person) as client:
        result = await client.call_tool(TOOL, {**arguments, "enabled": False, "priority": 3})
    assert data(result)["status"] == "declined"
    goes, comes = [line for line in person.asked[0].splitlines() if line.startswith(("Goes", "Comes"))]
    assert person.asked[0].startswith(f'Replace deployment {old.id} in "UK Live" (10): flow 100 "')
    assert f"iteration 2 (version {old.flow_version_id}), enabled since " in goes
    assert f"queue priority {old.priority}" in goes
    assert f"(version {arguments['new_flow_version_id']}), disabled, queue priority 3" in comes
    assert sandbox.writes == []


async def test_a_dry_run_and_a_code_work_as_for_single_writes() -> None:
    """A dry run sends nothing; a code carries out what was previewed."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(sandbox) as client:
        assert data(await client.call_tool(TOOL, {**arguments, "dry_run": True}))["status"] == "preview"
        preview = data(await client.call_tool(TOOL, arguments))
        assert sandbox.writes == []
        done = await client.call_tool(TOOL, {**arguments, "confirmation_code": preview["confirmation_code"]})
    assert data(done)["status"] == "done", text(done)
    assert str(versions_at(sandbox, old)[0].flow_version_id) == arguments["new_flow_version_id"]


@newer_era_first
async def test_what_changed_meanwhile_is_not_replaced(era: Era) -> None:
    """If the old deployment changes while the person thinks, nothing is deleted."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    person = Person(in_turn(yes, no), meanwhile=lambda: setattr(old, "priority", 9))
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert sandbox.writes == []


@pytest.mark.parametrize("wrong", ["unknown version", "other flow", "same version", "already there"])
async def test_nothing_is_deleted_when_the_new_version_does_not_fit(wrong: str) -> None:
    """The new version must exist, be of the same flow, be another version, and not be there already."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    account = sandbox.account
    deployed = {d.flow_version_id for d in account.deployments.values()}
    if wrong == "unknown version":
        arguments["new_flow_version_id"] = "99999"
    elif wrong == "other flow":
        flow = account.flow_of(old).id
        others = [v.id for v in account.flow_versions.values() if v.flow_id != flow and v.id in deployed]
        arguments["new_flow_version_id"] = str(others[0])
    elif wrong == "same version":
        arguments["new_flow_version_id"] = arguments["flow_version_id"]
    else:
        other = next(
            d for d in account.deployments.values() if str(d.flow_version_id) == arguments["new_flow_version_id"]
        )
        other.virtual_environment_id = old.virtual_environment_id
    before = len(account.deployments)
    async with connected(sandbox, person=Person(yes)) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert old.id in account.deployments
    assert len(account.deployments) == before
    assert all(request.method != "DELETE" or str(old.id) not in request.path for request in sandbox.writes)


@newer_era_first
async def test_a_new_version_that_vanished_meanwhile_costs_nothing(era: Era) -> None:
    """What was checked before the question is checked again after it."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    version = int(arguments["new_flow_version_id"])
    person = Person(in_turn(yes, no), meanwhile=lambda: sandbox.account.flow_versions.pop(version))
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert "Nothing was changed" in text(result)
    assert sandbox.writes == []
    assert old.id in sandbox.account.deployments


async def test_what_does_not_come_back_is_named_beforehand_and_afterwards() -> None:
    """Id and history go for certain; package and inherited queue priority are lost where they did not come back."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.priority = None
    person = Person(yes)
    async with connected(sandbox, person=person) as client:
        result = data(await client.call_tool(TOOL, {**arguments, "priority": 9}))
    certain = [f"id {old.id}", "deployed_by Tom Becker"]
    assert all(re.search(f"[ ,]{lost}[,\n]", person.asked[0]) for lost in certain)
    assert "package_id" not in person.asked[0]
    assert {*certain, f"package_id {old.package_id}", "inherited queue priority"} <= set(result["lost"])


async def test_an_undo_is_refused_once_the_new_deployment_changed() -> None:
    """The undo names the state that it takes back."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(sandbox, person=Person(yes)) as client:
        undo = data(await client.call_tool(TOOL, arguments))["undo"]
        versions_at(sandbox, old)[0].priority = 66
        late = await client.call_tool(undo["tool"], undo["arguments"])
    assert late.is_error
    assert "no longer in the state" in text(late)
    assert [str(d.flow_version_id) for d in versions_at(sandbox, old)] == [arguments["new_flow_version_id"]]
