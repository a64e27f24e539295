"""What each write to one deployment asks Patchworks for, what comes of it, and the call that takes it back."""

from dataclasses import replace
from typing import Any

import pytest
from support.cases import target, without
from support.clients import IDS, Era, Person, connected, data, newer_era_first, state_after, text, yes
from support.faults import Upstream

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import VirtualEnvironment

HISTORY = ["created_at 2026-02-28T19:37:00Z", "deployed_at 2026-03-01T14:07:00Z", "deployed_by Tom Becker"]

SINCE = "2026-03-04T23:00:00Z"
UPDATES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        {"enabled_at": "2026-03-05T00:00:00+01:00"},
        {"enabled_at": "2026-03-05T00:00:00+01:00"},
        {"enabled": True, "enabled_at": SINCE},
        {"enabled_at": True},
    ),
    ({"deploy_disabled": True}, {"deploy_disabled": True}, {"enabled": False}, {"enabled_at": True}),
    ({"clear": ["enabled_at"]}, {"enabled_at": None}, {"enabled": False}, {"enabled_at": True}),
    (
        {"priority": 7, "enabled_at": SINCE},
        {"priority": 7, "enabled_at": SINCE},
        {"enabled": True, "enabled_at": SINCE, "priority": 7},
        {"priority": 1, "enabled_at": True},
    ),
    (
        {"priority": 7, "deploy_disabled": True},
        {"priority": 7, "deploy_disabled": True},
        {"enabled": False, "priority": 7},
        {"priority": 1, "enabled_at": True},
    ),
    ({"priority": 7}, {"priority": 7}, {"enabled": True, "priority": 7}, {"priority": 1}),
    (
        {"clear": ["priority", "virtual_environment_id"]},
        {"priority": None, "virtual_environment_id": None},
        {"enabled": True},
        {"priority": 1, "virtual_environment_id": "10"},
    ),
    (
        {"virtual_environment_id": "11"},
        {"virtual_environment_id": "11"},
        {"enabled": True, "virtual_environment_id": "11"},
        {"virtual_environment_id": "10"},
    ),
]
"""Arguments, the body that is sent, what is so afterwards, and what the undo gives back; True where it is a time."""


@newer_era_first
@pytest.mark.parametrize(("arguments", "body", "wanted", "undone"), UPDATES, ids=range(len(UPDATES)))
async def test_an_update_sends_shows_and_undoes_what_was_given(
    arguments: dict[str, Any], body: dict[str, Any], wanted: dict[str, Any], undone: dict[str, Any], era: Era
) -> None:
    """The preview foresees what comes, and the undo leads back to what was."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    sandbox.account.deployments = {500: row}
    was = row.virtual_environment_id, row.priority, row.enabled_at
    async with connected(sandbox, person=Person(yes), era=era) as client:
        preview = data(await client.call_tool("update_deployment", {**IDS, **arguments, "dry_run": True}))
        result = data(await client.call_tool("update_deployment", {**IDS, **arguments}))
        undo = result["undo"]
        assert data(await client.call_tool(undo["tool"], undo["arguments"]))["status"] == "done"
    assert (result["status"], result["verified"]) == ("done", True)
    assert sandbox.writes[0].body == body
    seen = ("enabled", "enabled_at", "priority", "virtual_environment_id")
    foreseen, came = ({name: state_after(of).get(name) for name in seen} for of in (preview, result))
    assert foreseen == came
    assert wanted.items() <= came.items()
    given = {name: value for name, value in undo["arguments"].items() if name not in {*IDS, "if_state"}}
    assert given == {name: result["before"]["enabled_at"] if value is True else value for name, value in undone.items()}
    assert (row.virtual_environment_id, row.priority, row.enabled_at) == was


async def test_what_was_reset_before_is_reset_by_the_undo() -> None:
    """A queue priority and an environment that were not set are cleared again."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    row.priority, row.virtual_environment_id, row.enabled_at = None, None, None
    sandbox.account.deployments = {500: row}
    arguments = {**IDS, "priority": 4, "virtual_environment_id": "11", "enabled_at": SINCE}
    async with connected(sandbox, person=Person(yes)) as client:
        undo = data(await client.call_tool("update_deployment", arguments))["undo"]
        await client.call_tool(undo["tool"], undo["arguments"])
    assert undo["arguments"].keys() == {*IDS, "clear", "if_state"}
    assert undo["arguments"]["clear"] == ["virtual_environment_id", "priority", "enabled_at"]
    assert (row.priority, row.virtual_environment_id, row.enabled_at) == (None, None, None)


async def test_a_new_environment_is_shown_with_its_name() -> None:
    """What is deployed there tells it; where nothing is, it is said not to be known, and the old name is not shown."""
    sandbox = Sandbox()
    sandbox.account.virtual_environments[77] = VirtualEnvironment(77, "Empty")
    async with connected(sandbox) as client:
        moved = await client.call_tool("update_deployment", {**IDS, "virtual_environment_id": "11", "dry_run": True})
        empty = await client.call_tool("update_deployment", {**IDS, "virtual_environment_id": "77", "dry_run": True})
        stayed = await client.call_tool("update_deployment", {**IDS, "priority": 7, "dry_run": True})
    assert '\nFrom "UK Live" (10) to "EU Production" (11); stays enabled' in text(moved)
    assert data(moved)["after"]["virtual_environment_name"] == "EU Production"
    assert '\nFrom "UK Live" (10) to environment 77; stays enabled' in text(empty)
    assert "Not known: the name of environment 77" in text(empty)
    assert data(empty)["after"] == {"id": "500", "virtual_environment_id": "77", "virtual_environment_name": None}
    assert state_after(data(stayed))["virtual_environment_name"] == "UK Live"


@newer_era_first
@pytest.mark.parametrize("asked", [{}, {"priority": 9}], ids=["nobody asked", "asked for"])
async def test_an_undo_leaves_alone_what_the_deployment_does_not_tell(asked: dict[str, Any], era: Era) -> None:
    """A record read back without queue priority is no change of it, unless the update has asked for one."""
    sandbox = Sandbox()
    sandbox.account.deployments = {500: sandbox.account.deployments[500]}
    hide = lambda _, answer: without(answer, "priority") if sandbox.writes else answer  # noqa: E731
    transport = Upstream(sandbox).alter(hide)
    arguments = {**IDS, "virtual_environment_id": "11", **asked}
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool("update_deployment", arguments))
    assert (result["status"], result["verified"]) == ("done", not asked)
    undone = {name: value for name, value in result["undo"]["arguments"].items() if name not in {*IDS, "if_state"}}
    assert undone == {"virtual_environment_id": "10", **({"priority": 1} if asked else {})}


@newer_era_first
async def test_a_create_tells_its_place_and_its_effect(era: Era) -> None:
    """What the version's other deployments tell of flow and environment stands in the question, and its state."""
    sandbox, person = Sandbox(), Person(yes)
    row = target(sandbox)
    flow, version = sandbox.account.flow_of(row), sandbox.account.version_of(row)
    sandbox.account.deployments[700] = replace(row, id=700, virtual_environment_id=None)
    arguments = {"flow_version_id": str(row.flow_version_id), "priority": 3}
    async with connected(sandbox, person=person, era=era, confirm="all") as client:
        running = data(await client.call_tool("create_deployment", arguments))
        await client.call_tool("create_deployment", {**arguments, "deploy_disabled": True})
    place = f"Deploy flow version {version.id} without environment: iteration {version.iteration}"
    effects = ("enabled: its triggers start runs by themselves", "disabled")
    for question, effect in zip(person.asked, effects, strict=True):
        assert question.startswith(f'{place} of flow {flow.id} "{flow.name}"\n')
        assert question.splitlines()[1] == f"From not deployed there to {effect}; queue priority 3"
    assert [sent.body for sent in sandbox.writes] == [arguments, {**arguments, "deploy_disabled": True}]
    undo = {"flow_version_id": arguments["flow_version_id"], "deployment_id": running["after"]["id"]}
    assert running["undo"]["tool"] == "delete_deployment"
    assert undo.items() <= running["undo"]["arguments"].items()


async def test_a_create_in_an_environment_that_is_taken_otherwise_is_refused() -> None:
    """The deployment that is there is named with its state, and the tools that change it."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    arguments = {"flow_version_id": "1001", "virtual_environment_id": "10"}
    async with connected(sandbox, person=Person(yes)) as client:
        other_priority = await client.call_tool("create_deployment", {**arguments, "priority": 9})
        other_state = await client.call_tool("create_deployment", {**arguments, "deploy_disabled": True})
        same = await client.call_tool("create_deployment", arguments)
    for refused in (other_priority, other_state):
        assert text(refused).startswith("Flow version 1001 is already deployed there as deployment 500 (enabled since ")
        assert f"UTC, queue priority {row.priority}). Nothing was changed. Use enable_deployment" in text(refused)
    assert data(same)["status"] == "unchanged"
    assert data(same)["before"]["id"] == "500"
    assert sandbox.writes == []


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_delete_names_what_is_lost_and_what_creates_it_again(enabled: bool) -> None:  # noqa: FBT001
    """Ids and times do not come back; environment, queue priority and state do."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    row.enabled_at = row.enabled_at if enabled else None
    async with connected(sandbox, person=Person(yes)) as client:
        result = data(await client.call_tool("delete_deployment", IDS))
    before = result["before"]
    since = [f"enabled_at {before['enabled_at']}"] if enabled else []
    assert result["lost"] == ["id 500", *since, *HISTORY]
    assert result["undo"] == {
        "tool": "create_deployment",
        "arguments": {
            "flow_version_id": "1001",
            "virtual_environment_id": "10",
            "priority": 1,
            **({} if enabled else {"deploy_disabled": True}),
            "if_state": "empty.100",
        },
    }
