"""Whose deployment it is, which flow's, and what is still to be said when a step went wrong."""

import dataclasses
import itertools
from typing import Any

import httpx2
import pytest
from support.cases import ids_of, replaceable, stranger, target, versions_at
from support.clients import IDS, LISTENS, Era, Person, Progress, connected, data, newer_era_first, text, yes
from support.faults import Acted, Upstream, delay, listing, lost, reply, write
from support.virtual_time import in_virtual_time

from patchworks_deployments.sandbox import API_KEY, Sandbox

REPLACE = "replace_deployment"
NOT_DEPLOYABLE = reply(422, {"message": "No.", "errors": {"flow_version_id": ["is not deployable"]}})
NOWHERE = {"flow_version_id": "1001", "deploy_disabled": True}


def _unseen(sandbox: Sandbox, *, flow: int | None = None, not_flow: int | None = None) -> str:
    """A version that is deployed nowhere, of this flow or of any other."""
    deployed = {d.flow_version_id for d in sandbox.account.deployments.values()}
    versions = [v for v in sandbox.account.flow_versions.values() if v.id not in deployed]
    return str(next(v.id for v in versions if (v.flow_id == flow if flow else v.flow_id != not_flow)))


@newer_era_first
@pytest.mark.parametrize("environments", [True, False])
async def test_without_environment_the_old_one_stays_when_the_new_one_is_of_another_flow(
    era: Era,
    environments: bool,  # noqa: FBT001
) -> None:
    """Nothing is deleted once the flow is seen to be another one, and the question had said what could happen."""
    sandbox = Sandbox(virtual_environments=environments)
    old = next(d for d in sandbox.account.deployments.values() if d.enabled_at)
    old.virtual_environment_id = None
    new = _unseen(sandbox, not_flow=sandbox.account.flow_of(old).id)
    person = Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(REPLACE, {**ids_of(old), "new_flow_version_id": new})
    assert data(result)["status"] == "partial"
    assert "If it is of another flow, deploying it may replace what runs of that flow" in person.asked[0]
    assert "not known to be of the same flow" in text(result)
    assert data(result)["undo"]["tool"] == "delete_deployment"
    assert old.id in sandbox.account.deployments
    assert [sent.method for sent in sandbox.writes] == ["POST"]


@in_virtual_time
async def test_a_blip_uses_up_no_patience() -> None:
    """A connection that fails once, after the delete, does not keep the throttled create from being waited for."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = (
        Upstream(sandbox)
        .on(
            lambda r: r.method == "GET" and any(sent.method == "DELETE" for sent in sandbox.writes), httpx2.ConnectError
        )
        .on("POST", reply(429, {}, retry_after=30))
    )
    async with connected(transport=transport, person=Person(yes)) as client:
        result = await client.call_tool(REPLACE, arguments)
    assert data(result)["status"] == "done", text(result)
    assert len(versions_at(sandbox, old)) == 1


@in_virtual_time
async def test_a_call_waits_for_throttling_six_minutes_in_all() -> None:
    """However many of its requests are throttled."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox)

    def throttle(_: httpx2.Request) -> httpx2.Response | None:
        is_begun = any(sent.method == "DELETE" for sent in sandbox.writes)
        return httpx2.Response(429, headers={"Retry-After": "60"}, json={}) if is_begun else None

    transport.always(lambda _: True, throttle)
    async with connected(transport=transport, person=Person(yes)) as client:
        result = await client.call_tool(REPLACE, arguments)
    assert data(result)["status"] == "unknown"
    times = [passage.came for passage in transport.passages]
    assert times[-1] - times[0] < 400


@newer_era_first
@pytest.mark.parametrize("lagging", ["list of the version", "list of all"])
async def test_a_list_that_lags_does_not_bring_the_old_one_back(era: Era, lagging: str) -> None:
    """After a delete that was seen, an old list is no sign of the old one: it is restored by a create of its own."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old_list = f"/flow-versions/{old.flow_version_id}/deployments"
    past = httpx2.ASGITransport(app=Sandbox().app)

    async def stale(request: httpx2.Request) -> httpx2.Response | None:
        is_lagging = listing(request) if lagging == "list of all" else request.url.path.endswith(old_list)
        if not is_lagging or not any(sent.method == "DELETE" for sent in sandbox.writes):
            return None
        headers = {**request.headers, "Authorization": API_KEY}
        return await past.handle_async_request(httpx2.Request("GET", request.url, headers=headers))

    transport = Upstream(sandbox).on("POST", NOT_DEPLOYABLE).always("GET", stale)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(REPLACE, arguments)
    (back,) = versions_at(sandbox, old)
    assert back.id != old.id
    assert data(result)["restored"]["id"] == str(back.id)
    assert f"id {old.id}" in data(result)["lost"]


@in_virtual_time
async def test_a_slow_server_leaves_no_place_empty() -> None:
    """Where each answer takes seven seconds, reading back takes its time and the replacement goes through."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).always(lambda _: True, delay(7))
    async with connected(transport=transport, person=Person(yes)) as client:
        result = await client.call_tool(REPLACE, arguments)
    assert (data(result)["status"], data(result)["verified"]) == ("done", True), text(result)
    assert len(versions_at(sandbox, old)) == 1


@newer_era_first
async def test_where_the_answer_names_the_deployment_only_that_one_counts(era: Era) -> None:
    """Somebody else's that came at the same moment is not taken for it while reads lag."""
    sandbox = Sandbox()

    def somebody_first(_: httpx2.Request) -> None:
        row = target(sandbox)
        sandbox.account.deployments[700] = dataclasses.replace(
            row, id=700, virtual_environment_id=None, enabled_at=None, priority=None
        )

    transport = (
        Upstream(sandbox)
        .on("POST", somebody_first)
        .on(lambda r: r.method == "GET" and r.url.path.endswith("/701"), reply(404, {"message": "No."}))
    )
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool("create_deployment", NOWHERE))
    assert (result["status"], result["verified"]) == ("done", True)
    assert result["after"]["id"] == result["undo"]["arguments"]["deployment_id"] == "701"


@newer_era_first
async def test_where_it_does_not_the_message_says_whose_it_may_be(era: Era) -> None:
    """A create whose answer was lost is found by its being new, and that proves no author."""
    sandbox = Sandbox()
    async with connected(transport=Upstream(sandbox).on("POST", lost), person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", NOWHERE)
    assert data(result)["status"] == "done"
    assert "so it may be somebody else's" in text(result)


@newer_era_first
async def test_a_create_answered_with_its_flow_version_is_looked_for(era: Era) -> None:
    """The contract lets nested requests answer with the version: its id is not taken for the deployment's."""
    sandbox = Sandbox()
    version = reply(201, {"data": {"id": 1001, "iteration": 2, "status": "Deployed"}})
    transport = Upstream(sandbox).on("POST", Acted(version))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool("create_deployment", NOWHERE))
    assert (result["status"], result["verified"]) == ("done", True)
    assert int(result["after"]["id"]) in sandbox.account.deployments


@newer_era_first
async def test_a_second_copy_that_somebody_else_deployed_is_not_passed_over(era: Era) -> None:
    """Where several versions can be side by side, a stranger's copy of the new one is named."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.virtual_environment_id = None
    version = int(arguments["new_flow_version_id"])

    def somebody_too(*_: object) -> None:
        stranger(sandbox, old, version)

    transport = Upstream(sandbox).after("DELETE", somebody_too)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(REPLACE, arguments)
    assert data(result)["status"] == "unknown"
    assert "777" in [held["id"] for held in data(result)["now"]]
    assert "does not hold it alone" in text(result)


@newer_era_first
async def test_what_holds_now_verifies_what_could_not_be_read_by_itself(era: Era) -> None:
    """The new deployment is seen in the place at the end, though the single one could not be read."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    new = arguments["new_flow_version_id"]
    transport = Upstream(sandbox).reading_back(reply(500), f"/flow-versions/{new}/", writes=2)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool(REPLACE, arguments))
    assert (result["status"], result["verified"]) == ("done", True)


@newer_era_first
async def test_nothing_is_called_lost_that_is_still_there(era: Era) -> None:
    """Where the delete was refused the old deployment stands among those that are there now."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    old.virtual_environment_id = None
    transport = Upstream(sandbox).always("DELETE", reply(403, {"message": "No."}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool(REPLACE, arguments))
        repair = result["repair"]
    assert (result["status"], "lost" in result) == ("partial", False)
    assert str(old.id) in [held["id"] for held in result["now"]]
    assert (repair["tool"], "if_state" in repair["arguments"]) == ("delete_deployment", True)


@newer_era_first
async def test_an_undo_of_what_was_found_in_a_list_is_not_refused(era: Era) -> None:
    """A list tells less than a single deployment, but not less of its state."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).on("POST", lost)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        undo = data(await client.call_tool("create_deployment", NOWHERE))["undo"]
        undone = await client.call_tool(undo["tool"], undo["arguments"])
    assert data(undone)["status"] == "done", text(undone)


@newer_era_first
async def test_what_is_not_told_is_no_change(era: Era) -> None:
    """A record that leaves out fields after the write has not changed them."""
    sandbox = Sandbox()

    def forget(request: httpx2.Request, answer: Any) -> Any:
        if sandbox.writes and request.method == "GET":
            for field in ("priority", "virtual_environment_id", "virtual_environment"):
                answer["data"].pop(field, None)
        return answer

    async with connected(transport=Upstream(sandbox).alter(forget), person=Person(yes), era=era) as client:
        result = data(await client.call_tool("disable_deployment", IDS))
    assert (result["status"], result["verified"]) == ("done", True)
    assert "also_changed" not in result


async def test_a_list_without_times_of_change_stops_no_switch() -> None:
    """Where the list does not tell when a deployment changed, nobody is said to have changed it."""
    sandbox = Sandbox()

    def forget(request: httpx2.Request, answer: Any) -> Any:
        for record in answer["data"] if listing(request) else []:
            record.pop("updated_at")
        return answer

    async with connected(transport=Upstream(sandbox).alter(forget), person=Person(yes)) as client:
        result = data(await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "UK Live"}))
    assert result["status"] == "done"


@newer_era_first
async def test_the_text_of_a_write_that_failed_does_not_show_the_past_as_the_present(era: Era) -> None:
    """What was read before is called so, and of what never was there is no state."""
    gone = Upstream().before("POST", lambda _: None).always("POST", reply(403, {"message": "No."}))
    async with connected(transport=gone, person=Person(yes), era=era) as client:
        disabled = await client.call_tool("disable_deployment", IDS)
        created = await client.call_tool("create_deployment", NOWHERE)
    assert "\nBefore: Deployment 500 of flow version 1001: " in text(disabled)
    assert "enabled" not in text(created)


@in_virtual_time
async def test_a_switch_that_is_throttled_gives_signs_of_life_between_its_steps() -> None:
    """The numbers of its steps and of the signs between them only grow."""
    sandbox, progress = Sandbox(), Progress()
    transport = Upstream(sandbox).on(write, None, None, *2 * [reply(429, {}, retry_after=30)])
    async with connected(transport=transport, person=Person(yes), era="legacy") as client:
        arguments = {"enabled": False, "environment": "DE Sandbox"}
        await client.call_tool("set_deployments_enabled", arguments, progress_callback=progress, meta=LISTENS)
    numbers = [number for number, _ in progress.heard]
    assert len(numbers) > 6 + 5
    assert all(sooner < later for sooner, later in itertools.pairwise(numbers))


@newer_era_first
async def test_an_undo_without_environment_knows_its_neighbours(era: Era) -> None:
    """What was beside the deleted deployment does not keep it from coming back; what has come since does."""
    sandbox = Sandbox()
    row = target(sandbox)
    row.virtual_environment_id = None
    version = next(v.id for v in sandbox.account.flow_versions.values() if v.flow_id == sandbox.account.flow_of(row).id)
    stranger(sandbox, row, version)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        undo = data(await client.call_tool("delete_deployment", ids_of(row)))["undo"]
        assert undo["arguments"]["if_state"].endswith(".777")
        sandbox.account.deployments[778] = dataclasses.replace(sandbox.account.deployments[777], id=778)
        late = await client.call_tool(undo["tool"], undo["arguments"])
        assert "By now deployment 778" in text(late)
        del sandbox.account.deployments[778]
        undone = await client.call_tool(undo["tool"], undo["arguments"])
    assert data(undone)["status"] == "done", text(undone)


async def test_what_does_not_tell_its_state_is_not_said_to_have_changed() -> None:
    """Nobody can compare it with what was agreed to: it is left alone for that reason."""
    sandbox = Sandbox()

    def forget(request: httpx2.Request, answer: Any) -> Any:
        if request.method == "GET" and not listing(request):
            answer["data"].pop("enabled_at")
        return answer

    async with connected(transport=Upstream(sandbox).alter(forget), person=Person(yes)) as client:
        result = await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "UK Live"})
    assert sandbox.writes == []
    assert "It does not tell whether it changed" in text(result)
    assert "It changed since" not in text(result)


@newer_era_first
async def test_a_replacement_by_what_may_be_somebody_else_s_says_so(era: Era) -> None:
    """The new one was found by its being new, since the answer was lost."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    async with connected(transport=Upstream(sandbox).on("POST", lost), person=Person(yes), era=era) as client:
        result = await client.call_tool(REPLACE, arguments)
    assert data(result)["status"] == "done"
    assert "so it may be somebody else's" in text(result)


@pytest.mark.parametrize("tool", ["disable_deployment", REPLACE])
async def test_what_is_no_longer_told_is_not_said_to_have_changed(tool: str) -> None:
    """In the older era all is read again after the question: what that leaves out cannot be compared."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    forgetting = False

    def forget(_: httpx2.Request, answer: Any) -> Any:
        if forgetting and isinstance(answer["data"], dict):
            answer["data"].pop("priority")
        return answer

    def start_forgetting() -> None:
        nonlocal forgetting
        forgetting = True

    transport = Upstream(sandbox).alter(forget)
    person = Person(yes, meanwhile=start_forgetting)
    async with connected(transport=transport, person=person, era="legacy") as client:
        result = await client.call_tool(tool, arguments if tool == REPLACE else ids_of(target(sandbox)))
    assert "changed while" not in text(result)
    assert "changed meanwhile" not in text(result)
    assert "Nothing was changed" in text(result)
    assert sandbox.writes == []
