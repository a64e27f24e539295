"""What is said of a write whose answer and whose reading back do not fit together."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support.cases import without
from support.clients import IDS, Era, Person, both_eras, connected, data, text, yes
from support.faults import Step, Upstream, lost, reply, write

from patchworks_deployments.sandbox import Sandbox

GATEWAY = reply(404, {"message": "no Route matched with those values"})
EXISTING = ["disable_deployment", "update_deployment", "delete_deployment"]
CREATE = {"flow_version_id": "1001", "deploy_disabled": True, "priority": 5}


async def _call(transport: Upstream, era: Era, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        return await client.call_tool(tool, arguments)


def _arguments(tool: str) -> dict[str, Any]:
    return {**IDS, "priority": 42} if tool == "update_deployment" else IDS


@both_eras
@pytest.mark.parametrize("tool", EXISTING)
async def test_a_deployment_that_vanished_before_the_write_is_not_changed(tool: str, era: Era) -> None:
    """Patchworks' 404, and reading that says so too, refuse the write; for a delete that is all that was wanted."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).before(write, lambda _: sandbox.account.deployments.pop(500))
    result = await _call(transport, era, tool, _arguments(tool))
    if tool == "delete_deployment":
        assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    else:
        assert data(result)["status"] == "failed"
        assert "404" in text(result)
        assert "Nothing was changed." in text(result)


@both_eras
@pytest.mark.parametrize("tool", EXISTING)
@pytest.mark.parametrize("readable", [True, False])
async def test_a_404_that_reading_does_not_confirm_refuses_nothing(tool: str, readable: bool, era: Era) -> None:  # noqa: FBT001
    """It may be a gateway's: whether the deployment is still there or cannot be read, nobody knows what was done."""
    transport = Upstream().on(write, GATEWAY)
    if not readable:
        transport.reading_back(reply(500))
    result = await _call(transport, era, tool, _arguments(tool))
    assert data(result)["status"] == "unknown"
    assert ("shows the old state" in text(result)) is readable


@both_eras
async def test_a_404_for_a_create_is_not_confirmed_by_an_empty_place(era: Era) -> None:
    """A place that was empty before says nothing about who answered."""
    result = await _call(Upstream().on(write, GATEWAY), era, "create_deployment", CREATE)
    assert data(result)["status"] == "unknown"
    assert "shows no such deployment" in text(result)


@both_eras
async def test_a_deployment_that_vanished_while_the_answer_was_lost_is_unknown(era: Era) -> None:
    """Nothing was refused, and that somebody else has deleted it is not what was wanted."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).on(write, lost)
    transport.before(lambda _: bool(sandbox.writes), lambda _: sandbox.account.deployments.pop(500, None))
    result = await _call(transport, era, "disable_deployment", IDS)
    assert data(result)["status"] == "unknown"
    assert "Reading back shows no such deployment, but the change may still come." in text(result)


@both_eras
async def test_what_was_seen_once_is_not_forgotten_when_reading_fails(era: Era) -> None:
    """An accepted change that was seen not to have come is unknown, though later looks get no answer."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).lag(write, reads=1).reading_back(reply(500))
    result = await _call(transport, era, "disable_deployment", IDS)
    assert data(result)["status"] == "unknown"
    assert "still shows the old state." in text(result)
    assert "after" in data(result)


@both_eras
@pytest.mark.parametrize("step", [None, lost], ids=["answered", "answer lost"])
async def test_what_a_create_has_made_otherwise_is_shown(step: Step, era: Era) -> None:
    """It can be undone where Patchworks has said which one it is; without its answer it may be somebody else's."""
    sandbox = Sandbox()

    def alter(_: httpx2.Request, made: httpx2.Response) -> None:
        sandbox.account.deployments[int(made.json()["data"]["id"])].priority = 77

    transport = Upstream(sandbox).on("POST", step).after("POST", alter)
    result = await _call(transport, era, "create_deployment", CREATE)
    made = max(sandbox.account.deployments)
    assert data(result)["status"] == "unknown"
    assert f"shows deployment {made}, disabled, queue priority 77" in text(result)
    assert ("undo" in data(result)) is (step is None)


@both_eras
async def test_a_change_to_something_else_is_shown_as_such(era: Era) -> None:
    """Somebody else's queue priority is neither the old state nor a part of what was wanted."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    transport = Upstream(sandbox).after("PUT", lambda *_: setattr(row, "priority", 77))
    result = await _call(transport, era, "update_deployment", {**IDS, "priority": 42})
    assert data(result)["status"] == "unknown"
    assert "still shows something else (queue priority: 1 → 77)" in text(result)
    assert "undo" not in data(result)


@both_eras
async def test_what_was_so_before_is_no_part_of_a_change(era: Era) -> None:
    """Of two fields one had its value already, and the other never gets it: nothing took, and nothing is undone."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    place = row.virtual_environment_id
    sandbox.account.deployments = {500: row}
    transport = Upstream(sandbox).after("PUT", lambda *_: setattr(row, "virtual_environment_id", place))
    arguments = {**IDS, "priority": row.priority, "virtual_environment_id": "11"}
    result = await _call(transport, era, "update_deployment", arguments)
    assert data(result)["status"] == "unknown"
    assert "still shows the old state" in text(result)
    assert "undo" not in data(result)


@both_eras
async def test_a_part_is_not_undone_while_the_rest_is_not_told(era: Era) -> None:
    """Without an answer, a field that took says nothing of one that nobody shows."""
    sandbox = Sandbox()
    sandbox.account.deployments = {500: sandbox.account.deployments[500]}
    hide = lambda _, answer: without(answer, "priority") if sandbox.writes else answer  # noqa: E731
    transport = Upstream(sandbox).on("PUT", lost).alter(hide)
    arguments = {**IDS, "priority": 42, "virtual_environment_id": "11"}
    result = await _call(transport, era, "update_deployment", arguments)
    assert data(result)["status"] == "unknown"
    assert "It does not tell priority." in text(result)
    assert "undo" not in data(result)


@both_eras
@pytest.mark.parametrize(
    ("others", "told"), [(0, "deployed nowhere"), (10, "as 909, disabled"), (13, "as 909, disabled; and 3 more")]
)
async def test_the_question_of_a_create_tells_where_the_version_is_and_what_comes(
    others: int, told: str, era: Era
) -> None:
    """Ten deployments of the version are named, and the rest counted."""
    sandbox, person = Sandbox(), Person(yes)
    row = sandbox.account.deployments[500]
    sandbox.account.deployments = {
        id_: replace(row, id=id_, virtual_environment_id=None, enabled_at=None) for id_ in range(900, 900 + others)
    }
    async with connected(sandbox, person=person, era=era, confirm="all") as client:
        result = await client.call_tool("create_deployment", CREATE)
    (question,) = person.asked
    (elsewhere,) = [line for line in question.splitlines() if line.startswith("Flow version 1001 is now deployed ")]
    assert elsewhere.endswith(told)
    assert elsewhere.count("no environment as") == min(others, 10)
    place = "Deploy flow version 1001 without environment: "
    assert question.startswith(f"{place}an unknown flow\n") is (others == 0)
    assert "\nFrom not deployed there to disabled; queue priority 5\n" in question
    assert "Lost for good" not in question
    assert data(result)["status"] == "done"


async def test_a_preview_says_what_would_be_and_asks_for_no_more() -> None:
    """Effect, differences and losses stand in it, for each write in its own words."""
    async with connected() as client:
        shown = [
            text(await client.call_tool(tool, {**arguments, "dry_run": True}))
            for tool, arguments in (
                ("create_deployment", CREATE),
                ("update_deployment", {**IDS, "priority": 42}),
                ("delete_deployment", IDS),
                ("enable_deployment", {"flow_version_id": "1052", "deployment_id": "504"}),
                ("disable_deployment", IDS),
            )
        ]
    changes = [
        "From not deployed there to disabled; queue priority 5",
        "Queue priority from 1 to 42; stays enabled since 2026-02-28 19:37 UTC, flow version 1001",
        "From enabled since 2026-02-28 19:37 UTC to deleted; queue priority 1, flow version 1001",
        "From disabled to enabled, its triggers start runs by themselves; queue priority inherited, flow version 1052",
        "From enabled since 2026-02-28 19:37 UTC to disabled; queue priority 1, flow version 1001",
    ]
    assert [preview.splitlines()[2] for preview in shown] == changes
    assert "\nLost for good: id 500, enabled_at " in shown[2]
