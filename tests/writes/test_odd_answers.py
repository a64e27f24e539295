"""What the API leaves out, mixes up or does behind our back, and what is done and said about it."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolRequest
from support.cases import FLOW, replaceable, without
from support.clients import IDS, READING, Era, Person, connected, data, in_turn, newer_era_first, no, text, yes
from support.faults import Upstream, reply, scripted

from patchworks_deployments.sandbox import Sandbox

ENVIRONMENT = ("virtual_environment_id", "virtual_environment")


def _records(change: Callable[[dict[str, Any]], object]) -> Callable[[httpx2.Request, Any], Any]:
    """A change to the record in each single answer."""

    def after(_: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
            change(answer["data"])
        return answer

    return after


def _without(*fields: str) -> Callable[[httpx2.Request, Any], Any]:
    return _records(lambda record: [record.pop(field, None) for field in fields])


@newer_era_first
@pytest.mark.parametrize("other", [{"id": 501}, {"flow_version_id": 1002}])
async def test_an_answer_about_another_deployment_stops_a_delete(era: Era, other: dict[str, int]) -> None:
    """Nobody is asked about one deployment while another would be deleted."""
    sandbox, person = Sandbox(), Person(yes)
    transport = Upstream(sandbox).alter(_records(lambda record: record.update(other)))
    async with connected(transport=transport, person=person, era=era) as client:
        result = await client.call_tool("delete_deployment", IDS)
    assert result.is_error
    assert "Nothing was changed" in text(result)
    assert (person.asked, sandbox.writes) == ([], [])


@newer_era_first
@pytest.mark.parametrize("tool", ["disable_deployment", "enable_deployment"])
@pytest.mark.parametrize("protected", ["UK Live", "10"])
async def test_an_environment_that_is_not_told_counts_as_protected(era: Era, tool: str, protected: str) -> None:
    """A record without environment is treated as if it were in the protected one, by name or by id."""
    sandbox = Sandbox()
    if tool == "enable_deployment":
        sandbox.account.deployments[500].enabled_at = None
    transport = Upstream(sandbox).alter(_without(*ENVIRONMENT))
    async with connected(transport=transport, era=era, protected_environments=protected) as client:
        result = await client.call_tool(tool, IDS)
    assert data(result)["status"] == "refused"
    assert sandbox.writes == []


@pytest.mark.parametrize(
    ("name", "setting"),
    [("UK  Live", "UK  Live"), ("Zu\u0308rich Live", "Z\u00fcrich Live"), ("x" * 130, "x" * 130), ("LIVE", "live")],
)
async def test_protected_names_are_compared_as_names_are_read(name: str, setting: str) -> None:
    """Spaces, composed letters, case and length make no difference to what is protected."""
    sandbox = Sandbox()
    sandbox.account.virtual_environments[10].name = name
    async with connected(sandbox, protected_environments=setting) as client:
        assert data(await client.call_tool("disable_deployment", IDS))["status"] == "refused"


async def test_the_question_names_what_is_not_known() -> None:
    """A person sees that environment, state and priority were not told, instead of values made up for them."""
    sandbox, person = Sandbox(), Person(no)
    transport = Upstream(sandbox).alter(_without(*ENVIRONMENT, "enabled_at", "priority", "updated_at"))
    async with connected(transport=transport, person=person) as client:
        await client.call_tool("delete_deployment", IDS)
    (question,) = person.asked
    assert question.startswith("Delete deployment 500 in an unknown environment: ")
    assert "\nFrom state not known to deleted; queue priority unknown, " in question
    assert "; not known: enabled; Patchworks does not say if runs under way finish\n" in question
    for name in ("virtual_environment_id", "priority", "enabled_at"):
        assert f"{name} (not known)" in question
    assert "Last changed" not in question


async def test_an_update_says_nothing_of_a_state_that_it_does_not_know() -> None:
    """Nothing "stays" of which nobody knows what it is."""
    person = Person(no)
    async with connected(transport=Upstream().alter(_without("enabled_at")), person=person) as client:
        await client.call_tool("update_deployment", {**IDS, "priority": 42})
    assert person.asked[0].splitlines()[1] == "Queue priority from 1 to 42; flow version 1001"


async def test_what_does_not_tell_its_flow_version_is_not_called_none() -> None:
    """Neither in a question about a replacement, nor where it runs beside another, nor in a preview of many."""
    person, sandbox = Person(no), Sandbox()
    _, arguments = replaceable(sandbox)
    sandbox.account.deployments[777] = dataclasses.replace(sandbox.account.deployments[500], id=777)

    def hide(_: httpx2.Request, answer: Any) -> Any:
        told = without(answer, "flow_version_id")
        for record in told["data"] if isinstance(told["data"], list) else [told["data"]]:
            record.get("flow_version", {}).pop("id", None)
        return told

    async with connected(transport=Upstream(sandbox).alter(hide), person=person, confirm="all") as client:
        await client.call_tool("replace_deployment", arguments)
        sandbox.account.deployments[500].enabled_at = None
        await client.call_tool("enable_deployment", IDS)
        many = await client.call_tool(
            "set_deployments_enabled", {"enabled": True, "deployments": ["500"], "dry_run": True}
        )
    assert person.asked[0].splitlines()[1].startswith("From iteration 2 (version 1001) to iteration 1 (version 1000); ")
    assert "Beside it runs: deployment 777 of an unknown flow version, " in person.asked[1]
    assert data(many)["would_change"] == ["500"]
    assert "None" not in "".join([*person.asked, text(many)])


async def test_flows_that_are_not_told_are_counted_as_unknown() -> None:
    """A switch of many whose flows nobody knows does not call their flow by a name."""
    person = Person(no)
    transport = Upstream(Sandbox(300)).alter(lambda _, answer: without(answer, *FLOW, "flow_version"))
    async with connected(transport=transport, person=person) as client:
        await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "UK Live"})
    assert "\nOf: an unknown flow: " in person.asked[0]


@newer_era_first
async def test_a_change_within_the_same_minute_is_noticed(era: Era) -> None:
    """What changed between question and answer is asked about again, or refused, however little it was."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]

    def move() -> None:
        row.package_id, row.updated_at = 62, row.updated_at + timedelta(seconds=30)

    person = Person(in_turn(yes, no), meanwhile=move)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert sandbox.writes == []


async def test_a_person_s_yes_is_good_once() -> None:
    """The same answered round, sent again after the deployment came back to life, asks anew."""
    sandbox, rounds = Sandbox(), []
    async with connected(sandbox, person=Person(yes)) as client:
        send = client.session.send_request

        async def remember(request: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(request, CallToolRequest) and request.params.input_responses:
                rounds.append((request, arguments, options))
            return await send(request, *arguments, **options)

        client.session.send_request = remember  # type: ignore[method-assign] # a client that keeps what it sent
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("enable_deployment", IDS)
        request, arguments, options = rounds[0]
        again = await send(request, *arguments, **options)
    assert again.result_type == "input_required"
    assert [write.path.rpartition("/")[2] for write in sandbox.writes] == ["disable", "enable"]


async def test_deploy_disabled_false_is_not_sent() -> None:
    """What asks for nothing, and stands in no question, is not part of the request."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        await client.call_tool("update_deployment", {**IDS, "priority": 5, "deploy_disabled": False})
    assert sandbox.writes[-1].body == {"priority": 5}


@newer_era_first
async def test_a_create_answered_with_an_old_deployment_is_no_success(era: Era) -> None:
    """An id that was there before is not reported as created, and no undo would delete it."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).always("POST", reply(200, {"data": {"id": 500}}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("create_deployment", {"flow_version_id": "1001", "deploy_disabled": True})
    assert data(result)["status"] == "unknown"
    assert "undo" not in data(result)
    assert "deployment 500, which was there before" in text(result)


async def test_a_state_that_is_not_told_is_neither_success_nor_failure() -> None:
    """A disable whose result the record does not show is accepted but unverified; if its answer is lost, unknown."""
    sandbox = Sandbox()
    silent = Upstream(sandbox).alter(_without("enabled_at"))
    async with connected(transport=silent, person=Person(yes)) as client:
        accepted = await client.call_tool("disable_deployment", IDS)
    assert (data(accepted)["status"], data(accepted)["verified"]) == ("done", False)
    assert sandbox.account.deployments[500].enabled_at is None
    deaf = Upstream().always("POST", httpx2.ReadTimeout).alter(_without("enabled_at"))
    async with connected(transport=deaf, person=Person(yes)) as client:
        assert data(await client.call_tool("disable_deployment", IDS))["status"] == "unknown"


@newer_era_first
@pytest.mark.parametrize(("place", "status"), [("11", "done"), ("10", "unknown")])
async def test_what_is_not_told_excuses_nothing_that_is_told(era: Era, place: str, status: str) -> None:
    """Of an update of two fields one is never told: the other decides whether it may have taken."""
    sandbox = Sandbox()

    def hide(record: dict[str, Any]) -> None:
        if sandbox.writes:
            record.pop("priority", None)
            record |= {"virtual_environment_id": place, "virtual_environment": None}

    arguments = {**IDS, "virtual_environment_id": "11", "priority": 42}
    sandbox.account.deployments = {500: sandbox.account.deployments[500]}
    transport = Upstream(sandbox).alter(_records(hide))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool("update_deployment", arguments)
    assert (data(result)["status"], data(result)["verified"]) == (status, False)
    assert ("It does not tell priority." in text(result)) is (status == "done")


@newer_era_first
async def test_a_field_that_is_not_told_is_not_taken_for_reset(era: Era) -> None:
    """Resetting a queue priority that the record does not show is neither needless nor verified."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).alter(_without("priority"))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool("update_deployment", {**IDS, "clear": ["priority"]}))
    assert (result["status"], result["verified"]) == ("done", False)
    assert sandbox.account.deployments[500].priority is None


async def test_somebody_else_s_404_proves_no_delete() -> None:
    """After a lost answer, a gateway's page saying 404 does not count as Patchworks saying that it is gone."""
    gateway = Upstream().always("DELETE", httpx2.ReadTimeout).reading_back(reply(404, b"<html>no such host</html>"))
    async with connected(transport=gateway, person=Person(yes)) as client:
        result = await client.call_tool("delete_deployment", IDS)
    assert data(result)["status"] == "unknown"
    assert "Look again with get_deployment" in text(result)


@pytest.mark.parametrize(
    ("field", "odd", "arguments"),
    [("enabled_at", "sometime", {"enabled_at": "2026-03-05T00:00:00Z"}), ("priority", "high", {"priority": 5})],
)
async def test_undo_does_not_guess_what_was_there(field: str, odd: str, arguments: dict[str, Any]) -> None:
    """A field that could not be read before is named as lost, and where it is the only one there is no undo."""
    sandbox = Sandbox()
    before = _records(lambda record: None if sandbox.writes else record.update({field: odd}))
    async with connected(transport=Upstream(sandbox).alter(before), person=Person(yes)) as client:
        result = data(await client.call_tool("update_deployment", {**IDS, **arguments}))
    assert "undo" not in result
    assert f"{field} (not known)" in result["lost"]


@pytest.mark.parametrize(
    ("field", "said"),
    [("enabled_at", "this queue priority, disabled"), ("priority", "this state and the flow's queue priority")],
)
async def test_the_way_back_promises_only_what_is_known(field: str, said: str) -> None:
    """What the deployment does not tell does not come back with it."""
    async with connected(transport=Upstream().alter(_without(field))) as client:
        shown = await client.call_tool("delete_deployment", {**IDS, "dry_run": True})
    assert f"\nWay back: to deploy the version there again, with {said}\n" in text(shown)


async def test_undo_of_a_delete_does_not_start_what_may_have_been_off() -> None:
    """Where the state was not told, the deployment is created again disabled; where the place was not, not at all."""
    for fields, undone in ((("enabled_at",), True), (ENVIRONMENT, False)):
        transport = Upstream().alter(_without(*fields))
        async with connected(transport=transport, person=Person(yes)) as client:
            result = data(await client.call_tool("delete_deployment", IDS))
        assert f"{fields[0]} (not known)" in result["lost"]
        assert ("undo" in result) is undone
        assert not undone or result["undo"]["arguments"]["deploy_disabled"] is True


async def test_undo_of_an_update_takes_back_what_changed_unasked() -> None:
    """A PUT that also wiped the environment is reversed as a whole."""
    sandbox = Sandbox()

    def wipe(*_: object) -> None:
        sandbox.account.deployments[500].virtual_environment_id = None

    async with connected(transport=Upstream(sandbox).after("PUT", wipe), person=Person(yes)) as client:
        undo = data(await client.call_tool("update_deployment", {**IDS, "priority": 5}))["undo"]
    assert undo["arguments"]["virtual_environment_id"] == "10"
    assert undo["arguments"]["priority"] == 1


async def test_an_undo_that_rests_on_no_reading_names_no_state() -> None:
    """A create that could not be read back can still be undone."""
    transport = Upstream().reading_back(reply(500), "/deployments/")
    async with connected(transport=transport, person=Person(yes)) as client:
        created = data(await client.call_tool("create_deployment", {"flow_version_id": "1001"}))
        assert (created["status"], created["verified"]) == ("done", False)
        transport.heal()
        undone = await client.call_tool(created["undo"]["tool"], created["undo"]["arguments"])
    assert data(undone)["status"] == "done", text(undone)


@pytest.mark.parametrize("how", ["next link", "nothing"])
async def test_pages_that_nobody_counted_are_all_read_or_nothing_is_switched(how: str) -> None:
    """Laravel's plain paginator names only the next page; without even that, a full page is not taken for all."""
    sandbox = Sandbox(300)

    def plain(_: httpx2.Request, answer: Any) -> Any:
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            return answer
        following = {"next_page_url": answer["links"]["next"]} if how == "next link" else {}
        return {"data": answer["data"], "current_page": answer["meta"]["current_page"], **following}

    arguments = {"enabled": False, "environment": "UK Live"}
    async with connected(transport=Upstream(sandbox).alter(plain), person=Person(yes)) as client:
        overview = await client.call_tool("deployment_overview", {})
        switched = await client.call_tool("set_deployments_enabled", arguments)
    still_running = [
        d for d in sandbox.account.deployments.values() if d.virtual_environment_id == 10 and d.enabled_at is not None
    ]
    if how == "next link":
        assert data(overview)["deployments"] == 300
        assert data(switched)["status"] == "done"
        assert still_running == []
    else:
        assert overview.is_error
        assert "did not say how many pages" in text(switched)
        assert sandbox.writes == []


@pytest.mark.parametrize("status", [500, 502, 302])
async def test_a_write_that_came_no_further_than_reading_has_changed_nothing(status: int) -> None:
    """It says so and leaves no doubt; of a tool that only looks it goes without saying."""
    async with connected(transport=scripted(reply(status, b"<html>")), person=Person(yes)) as client:
        for tool, arguments in (("list_deployments", {}), ("disable_deployment", IDS)):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert ("Nothing was changed." in text(result)) is (tool not in READING)
            assert "hether anything was changed" not in text(result)
