"""Putting another version of a flow into an environment."""

import dataclasses
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clients import Era, Person, audit_lines, both_eras, connected, data, in_turn, no, text, yes
from support.faults import Step, Upstream, lost, reply, write

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.estate import Deployment

TOOL = "replace_deployment"
NOT_DEPLOYABLE = {"message": "No.", "errors": {"flow_version_id": ["is not deployable"]}}


def _setting(sandbox: Sandbox, *, seen_elsewhere: bool = True) -> tuple[Deployment, dict[str, Any]]:
    """An enabled deployment with a priority, and arguments that put another version of its flow in its place."""
    estate = sandbox.estate
    old = next(d for d in estate.deployments.values() if d.virtual_environment_id and d.enabled_at and d.priority)
    version = estate.version_of(old)
    new = next(v for v in estate.flow_versions.values() if v.flow_id == version.flow_id and v.id != version.id)
    for row in list(estate.deployments.values()):
        if row.flow_version_id == new.id:
            del estate.deployments[row.id]
    if seen_elsewhere:
        other = next(
            d for d in estate.deployments.values() if d.id != old.id and estate.flow_of(d).id == version.flow_id
        )
        other.flow_version_id = new.id
    ids = {"flow_version_id": str(old.flow_version_id), "deployment_id": str(old.id)}
    return old, {**ids, "new_flow_version_id": str(new.id)}


def _at(sandbox: Sandbox, old: Deployment) -> list[Deployment]:
    """What the old one's environment holds of its flow."""
    estate = sandbox.estate
    flow = estate.flow_versions[old.flow_version_id].flow_id
    place = old.virtual_environment_id
    return [
        d for d in estate.deployments.values() if d.virtual_environment_id == place and estate.flow_of(d).id == flow
    ]


@both_eras
@pytest.mark.parametrize("seen_elsewhere", [True, False])
async def test_priority_and_state_carry_over_under_one_consent(era: Era, seen_elsewhere: bool) -> None:  # noqa: FBT001
    """The new version takes the old one's place, queue priority and state; the gap is reported; undo puts it back."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox, seen_elsewhere=seen_elsewhere)
    before = len(sandbox.estate.deployments)
    person = Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = data(await client.call_tool(TOOL, arguments))
        assert (result["status"], result["verified"]) == ("done", True)
        assert len(person.asked) == 1
        (new,) = _at(sandbox, old)
        assert str(new.flow_version_id) == arguments["new_flow_version_id"]
        assert (new.priority, new.enabled_at is not None) == (old.priority, True)
        assert result["gap_milliseconds"] >= 0
        undone = data(await client.call_tool(result["undo"]["tool"], result["undo"]["arguments"]))
    assert undone["status"] == "done"
    assert [d.flow_version_id for d in _at(sandbox, old)] == [old.flow_version_id]
    assert len(sandbox.estate.deployments) == before


async def test_the_question_shows_both_sides() -> None:
    """What goes and what comes, where, and with which state and priority."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    person = Person(no)
    async with connected(sandbox, person=person) as client:
        result = await client.call_tool(TOOL, {**arguments, "enabled": False, "priority": 3})
    assert data(result)["status"] == "declined"
    goes, comes = [line for line in person.asked[0].splitlines() if line.startswith(("Goes", "Comes"))]
    assert f"deployment {old.id}" in goes
    assert f"queue priority {old.priority}" in goes
    assert f"(version {arguments['new_flow_version_id']}), disabled, queue priority 3" in comes
    assert sandbox.writes == []


async def test_a_dry_run_and_a_code_work_as_for_single_writes() -> None:
    """A dry run sends nothing; a code carries out what was previewed."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    async with connected(sandbox) as client:
        assert data(await client.call_tool(TOOL, {**arguments, "dry_run": True}))["status"] == "preview"
        preview = data(await client.call_tool(TOOL, arguments))
        assert sandbox.writes == []
        done = await client.call_tool(TOOL, {**arguments, "confirmation_code": preview["confirmation_code"]})
    assert data(done)["status"] == "done", text(done)
    assert str(_at(sandbox, old)[0].flow_version_id) == arguments["new_flow_version_id"]


@both_eras
async def test_what_changed_meanwhile_is_not_replaced(era: Era) -> None:
    """If the old deployment changes while the person thinks, nothing is deleted."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    person = Person(in_turn(yes, no), meanwhile=lambda: setattr(old, "priority", 9))
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert sandbox.writes == []


@pytest.mark.parametrize(
    "wrong", ["unknown version", "other flow", "other flow, unseen", "same version", "already there"]
)
async def test_nothing_is_deleted_when_the_new_version_does_not_fit(wrong: str) -> None:
    """The new version must exist, be of the same flow, be another version, and not be there already."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    estate = sandbox.estate
    others = [v for v in estate.flow_versions.values() if v.flow_id != estate.flow_of(old).id]
    deployed = {d.flow_version_id for d in estate.deployments.values()}
    if wrong == "unknown version":
        arguments["new_flow_version_id"] = "99999"
    elif wrong == "other flow":
        arguments["new_flow_version_id"] = str(next(v.id for v in others if v.id in deployed))
    elif wrong == "other flow, unseen":
        arguments["new_flow_version_id"] = str(next(v.id for v in others if v.id not in deployed))
    elif wrong == "same version":
        arguments["new_flow_version_id"] = arguments["flow_version_id"]
    else:
        other = next(
            d for d in estate.deployments.values() if str(d.flow_version_id) == arguments["new_flow_version_id"]
        )
        other.virtual_environment_id = old.virtual_environment_id
    before = len(estate.deployments)
    async with connected(sandbox, person=Person(yes)) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert old.id in estate.deployments
    assert len(estate.deployments) == before
    assert all(request.method != "DELETE" or str(old.id) not in request.path for request in sandbox.writes)


@both_eras
async def test_a_delete_that_fails_leaves_everything_as_it_was(era: Era) -> None:
    """Nothing is created when the old deployment could not be deleted."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, reply(500)), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "failed"
    assert "The old deployment was not deleted." in text(result)
    assert _at(sandbox, old) == [old]


@both_eras
@pytest.mark.parametrize("fault", [reply(500), reply(422, NOT_DEPLOYABLE)], ids=["500", "422"])
async def test_a_create_that_fails_brings_the_old_version_back(era: Era, fault: Step) -> None:
    """The old version is restored with its priority and state, and the result says so."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, None, fault), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    (back,) = _at(sandbox, old)
    assert (back.flow_version_id, back.priority, back.enabled_at is not None) == (
        old.flow_version_id,
        old.priority,
        True,
    )
    assert result.is_error
    assert data(result)["status"] == "failed"
    assert data(result)["restored"]["id"] == str(back.id)
    assert f"The old version was restored, as deployment {back.id}" in text(result)


@both_eras
async def test_when_restoring_fails_too_the_result_gives_the_call_that_repairs_it(era: Era) -> None:
    """What is missing is said exactly, and the one call in `repair` brings it back."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    broken = Upstream(sandbox).on(write, None, reply(500), reply(500))
    async with connected(transport=broken, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert "could NOT be restored" in text(result)
        assert _at(sandbox, old) == []
        repair = data(result)["repair"]
        repaired = await client.call_tool(repair["tool"], repair["arguments"])
    assert data(repaired)["status"] == "done"
    (back,) = _at(sandbox, old)
    assert (back.flow_version_id, back.priority, back.enabled_at is not None) == (
        old.flow_version_id,
        old.priority,
        True,
    )


@both_eras
async def test_lost_answers_are_looked_up_at_every_step(era: Era) -> None:
    """A delete and a create whose answers are lost are found to have happened."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    async with connected(transport=Upstream(sandbox).on(write, lost, lost), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "done"
    assert len(sandbox.writes) == 2
    assert len(_at(sandbox, old)) == 1


@both_eras
async def test_a_create_whose_fate_is_unknown_is_not_papered_over(era: Era) -> None:
    """When it cannot be learned whether the new one is there, nothing more is tried, and the repair is named."""
    sandbox = Sandbox()
    _, arguments = _setting(sandbox)
    transport = Upstream(sandbox).on(write, None, lost).reading_back(httpx2.ReadTimeout, writes=2)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "unknown"
    assert data(result)["repair"]["tool"] == "create_deployment"
    assert "is deleted" in text(result)
    assert len(sandbox.writes) == 2


@both_eras
async def test_a_delete_whose_fate_is_unknown_leaves_the_repair(era: Era) -> None:
    """Nothing is created, and the result says how to find out and what to call if the old one is gone."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    transport = Upstream(sandbox).on(write, lost).reading_back(httpx2.ReadTimeout)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        assert data(result)["status"] == "unknown"
        assert "find out with get_deployment" in text(result)
        assert _at(sandbox, old) == []
        transport.heal()
        repair = data(result)["repair"]
        await client.call_tool(repair["tool"], repair["arguments"])
    assert [d.flow_version_id for d in _at(sandbox, old)] == [old.flow_version_id]


@both_eras
async def test_throttling_after_the_delete_is_waited_out(era: Era) -> None:
    """A 429 for the create, even one that outlasts the client's own tries, does not leave the environment empty."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    throttled = Upstream(sandbox).on(write, None, *2 * [reply(429, retry_after=40)])
    async with connected(transport=throttled, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "done", text(result)
    assert [str(d.flow_version_id) for d in _at(sandbox, old)] == [arguments["new_flow_version_id"]]


@both_eras
async def test_a_new_version_that_vanished_meanwhile_costs_nothing(era: Era) -> None:
    """What was checked before the question is checked again after it."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    version = int(arguments["new_flow_version_id"])
    person = Person(in_turn(yes, no), meanwhile=lambda: sandbox.estate.flow_versions.pop(version))
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert "Nothing was changed" in text(result)
    assert sandbox.writes == []
    assert old.id in sandbox.estate.deployments


@both_eras
@pytest.mark.parametrize("consent", ["human", "code"])
async def test_an_old_deployment_that_moves_during_the_trial_is_left_alone(era: Era, consent: str) -> None:
    """Decision to a place is no consent to another, protected one, where it is when its turn comes."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox, seen_elsewhere=False)

    def move(_: httpx2.Request) -> None:
        old.virtual_environment_id = 11

    transport = Upstream(sandbox).always("POST", move)
    person = Person(yes) if consent == "human" else None
    async with connected(transport=transport, person=person, era=era, protected_environments="EU Production") as client:
        result = await client.call_tool(TOOL, arguments)
        if consent == "code":
            code = data(result)["confirmation_code"]
            result = await client.call_tool(TOOL, {**arguments, "confirmation_code": code})
    assert data(result)["status"] == "refused"
    assert old.id in sandbox.estate.deployments
    assert not any(str(old.id) in sent.path for sent in sandbox.writes)


def _stranger(sandbox: Sandbox, old: Deployment, version: int) -> Deployment:
    """Somebody else's disabled deployment of the version, without environment."""
    row = dataclasses.replace(
        old, id=777, flow_version_id=version, virtual_environment_id=None, enabled_at=None, enabled_by=None
    )
    sandbox.estate.deployments[row.id] = row
    return row


@both_eras
@pytest.mark.parametrize("how", ["answer lost", "answered with an old one"])
async def test_the_trial_s_clearing_away_touches_only_what_it_made(era: Era, how: str) -> None:
    """A deployment of somebody else that could be taken for the trial is neither deleted nor built upon."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox, seen_elsewhere=False)
    version = int(arguments["new_flow_version_id"])
    if how == "answered with an old one":
        _stranger(sandbox, old, version)

    def lose(request: httpx2.Request) -> None:
        _stranger(sandbox, old, version)
        raise httpx2.ReadTimeout("lost", request=request)

    def tell_no_flow(request: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer, dict) and f"/{version}/" in request.url.path:
            for record in answer["data"] if isinstance(answer.get("data"), list) else []:
                for field in ("flow_id", "flow_name", "flow_version"):
                    record.pop(field, None)
        return answer

    trial = lose if how == "answer lost" else reply(200, {"data": {"id": 777, "flow_version_id": version}})
    transport = Upstream(sandbox).always("POST", trial).alter(tell_no_flow)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "failed"
    assert {777, old.id} <= sandbox.estate.deployments.keys()
    assert not any(sent.method == "DELETE" for sent in sandbox.writes)


@both_eras
@pytest.mark.parametrize("fault", ["stays", "runs"])
async def test_a_trial_that_is_left_over_is_named(era: Era, fault: str) -> None:
    """When it cannot be deleted the result gives the call that does; one that the API enabled is cleared away too."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox, seen_elsewhere=False)
    present = len(sandbox.estate.deployments)

    def enable(_: httpx2.Request, created: httpx2.Response) -> None:
        sandbox.estate.deployments[int(created.json()["data"]["id"])].enabled_at = old.enabled_at

    transport = Upstream(sandbox)
    if fault == "stays":
        transport.always("DELETE", reply(403, {"message": "No."}))
    else:
        transport.after("POST", enable)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
        if fault == "stays":
            left = data(result)["repair"]["arguments"]["deployment_id"]
            assert data(result)["status"] == "failed"
            assert f"The trial deployment {left} is left over" in text(result)
            assert int(left) in sandbox.estate.deployments
            assert old.id in sandbox.estate.deployments
        else:
            assert data(result)["status"] == "done"
            assert len(sandbox.estate.deployments) == present


@both_eras
async def test_flows_that_the_api_does_not_tell_are_not_taken_for_the_same(era: Era) -> None:
    """Where neither side's flow is known, nothing is deleted."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox, seen_elsewhere=False)

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(item) for item in value]
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in {"flow_id", "flow_name", "flow"}}
        return value

    transport = Upstream(sandbox).alter(lambda _, answer: strip(answer))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert result.is_error
    assert old.id in sandbox.estate.deployments


@both_eras
@pytest.mark.parametrize("how", ["created otherwise", "somebody else's"])
async def test_what_is_there_already_is_not_doubled_by_restoring(era: Era, how: str) -> None:
    """If the new version is there, but not as wanted or not from this call, that is said and nothing is restored."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    version, place = int(arguments["new_flow_version_id"]), old.virtual_environment_id

    def alter_it(_: httpx2.Request, created: httpx2.Response) -> None:
        sandbox.estate.deployments[int(created.json()["data"]["id"])].priority = 77

    def take_its_place(*_: object) -> None:
        _stranger(sandbox, old, version).virtual_environment_id = place

    meddling = ("POST", alter_it) if how == "created otherwise" else ("DELETE", take_its_place)
    async with connected(transport=Upstream(sandbox).after(*meddling), person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    (there,) = _at(sandbox, old)
    assert data(result)["status"] == "partial"
    assert data(result)["after"]["id"] == str(there.id)
    assert f"There now: deployment {there.id} of flow version {version}" in text(result)
    assert [sent.method for sent in sandbox.writes].count("POST") == (1 if how == "created otherwise" else 0)


async def test_what_does_not_come_back_is_named_beforehand_and_afterwards() -> None:
    """Package, id and times are lost, and with a given priority the inheriting of it."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    old.priority = None
    person = Person(yes)
    async with connected(sandbox, person=person) as client:
        result = data(await client.call_tool(TOOL, {**arguments, "priority": 9}))
    assert f"package_id {old.package_id}" in person.asked[0]
    assert {f"id {old.id}", f"package_id {old.package_id}", "inherited queue priority"} <= set(result["lost"])


async def test_an_undo_is_refused_once_the_new_deployment_changed() -> None:
    """The undo names the state that it takes back."""
    sandbox = Sandbox()
    old, arguments = _setting(sandbox)
    async with connected(sandbox, person=Person(yes)) as client:
        undo = data(await client.call_tool(TOOL, arguments))["undo"]
        _at(sandbox, old)[0].priority = 66
        late = await client.call_tool(undo["tool"], undo["arguments"])
    assert late.is_error
    assert "no longer in the state" in text(late)
    assert [str(d.flow_version_id) for d in _at(sandbox, old)] == [arguments["new_flow_version_id"]]


async def test_every_step_stands_in_the_audit_log(tmp_path: Path) -> None:
    """Delete, failed create and restoring create each have a line before the call's own."""
    log = tmp_path / "audit.jsonl"
    sandbox = Sandbox()
    _, arguments = _setting(sandbox)
    transport = Upstream(sandbox).on(write, None, reply(500))
    async with connected(transport=transport, person=Person(yes), audit_log=log) as client:
        await client.call_tool(TOOL, arguments)
    lines = audit_lines(log)
    assert [(line["tool"], line["outcome"]) for line in lines] == [
        (f"{TOOL}: delete", "done"),
        (f"{TOOL}: create", "failed"),
        (f"{TOOL}: create", "done"),
        (TOOL, "failed"),
    ]
