"""What is said of a replacement: in its question, in its result, and where it makes no sense."""

import dataclasses
import json
from typing import Any

import httpx2
import pytest
from support.cases import FLOW, replaceable, without
from support.clients import Era, Person, connected, data, newer_era_first, no, text, yes
from support.faults import Upstream
from support.replacing import NO, TOOL, replace

from patchworks_deployments.sandbox import Sandbox

LATER = "deployed_at 2026-03-01T14:07:00Z, deployed_by Tom Becker"
UNDER_WAY = "Patchworks does not say if runs under way finish"


@newer_era_first
@pytest.mark.parametrize(
    ("given", "comes", "change"),
    [
        ({}, "enabled, queue priority 1", "stays enabled, queue priority 1"),
        ({"priority": 4}, "enabled, queue priority 4", "queue priority from 1 to 4"),
        ({"enabled": False}, "disabled, queue priority 1", "from enabled to disabled"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_the_question_is_the_whole_deed(
    given: dict[str, Any],
    comes: str,
    change: str,
    known: bool,  # noqa: FBT001 - a case
    era: Era,
) -> None:
    """Order, place, what goes, what comes and what is lost, and for an unknown version that it is unknown."""
    sandbox, person = Sandbox(), Person(no)
    old, arguments = replaceable(sandbox, seen_elsewhere=known)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, {**arguments, **given})
    new = sandbox.account.flow_versions[int(arguments["new_flow_version_id"])]
    told = f"iteration {new.iteration} (version {new.id})" if known else f"version {new.id}"
    doubt = "" if known else ", whose flow is not known"
    asked = person.asked[0].splitlines()
    since, changed = (f"{t:%Y-%m-%d %H:%M} UTC" for t in (old.enabled_at or old.created_at, old.updated_at))
    created, enabled = (f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (old.created_at, old.enabled_at or old.created_at))
    unknown = f"Not known: whether version {new.id} is of the same flow; it is deployed nowhere"
    assert asked[:-2] == [
        'Replace deployment 500 in "UK Live" (10): flow 100 "Shopify orders to NetSuite"',
        asked[1],
        f"Lost for good: its id, its history; {UNDER_WAY}",
        *([] if known else [unknown]),
        f"Goes: iteration 2 (version 1001), enabled since {since}, queue priority 1",
        f"Comes: {told}, {comes}",
        "Order: the old one is deleted, then the new one is created",
        'Package: "Order Management" (60), which may not come back',
        f"Last changed: {changed}",
        f"Lost for good: id 500, enabled_at {enabled}, created_at {created}, {LATER}",
    ]
    assert asked[1].startswith(f"From iteration 2 (version 1001) to {told}{doubt}; ")
    assert change in asked[1]
    begins, comes_as = ("Yes,", told.partition(" (")[0]) if known else (f"Type {new.id} to", told)
    disabled = ", disabled" if "enabled" in given else ""
    assert person.titles == [f'{begins} replace 500 in "UK Live" (10) by {comes_as}{disabled}']
    assert data(result)["before"]["id"] == "500"
    assert text(result).startswith("The person declined. Nothing was changed.\nBefore: Deployment 500 of ")


@newer_era_first
@pytest.mark.parametrize("known", [True, False], ids=["known flow", "unknown flow"])
async def test_a_preview_says_of_the_new_deployment_what_is_known(known: bool, era: Era) -> None:  # noqa: FBT001 - a case
    """Neither the package, which may not come back, nor a flow that nobody has told."""
    _, arguments = replaceable(sandbox := Sandbox(), seen_elsewhere=known)
    async with connected(sandbox, era=era) as client:
        after = data(await client.call_tool(TOOL, {**arguments, "dry_run": True}))["after"]
    assert (after["id"], after["flow_version_id"]) == ("new", str(arguments["new_flow_version_id"]))
    assert {"package_id", "package_name"}.isdisjoint(after)
    assert ("flow_id" in after, "flow_name" in after, "iteration" in after) == (known, known, known)


async def test_a_queue_priority_that_is_inherited_and_a_state_that_is_given_are_said_and_sent() -> None:
    """A disabled deployment with the flow's queue priority is replaced by an enabled one that inherits it, too."""
    sandbox, person = Sandbox(), Person(yes)
    old, arguments = replaceable(sandbox)
    old.priority, old.enabled_at = None, None
    async with connected(sandbox, person=person) as client:
        result = await client.call_tool(TOOL, {**arguments, "enabled": True})
    assert "; from disabled to enabled" in person.asked[0].splitlines()[1]
    assert "), enabled, queue priority inherited\nOrder: " in person.asked[0]
    assert "\nLost for good: id 500, created_at " in person.asked[0]
    assert sandbox.writes[-1].body == {
        "flow_version_id": arguments["new_flow_version_id"],
        "virtual_environment_id": "10",
    }
    undo = data(result)["undo"]["arguments"]
    assert (undo["new_flow_version_id"], undo["enabled"], "priority" in undo) == ("1001", False, False)


@newer_era_first
async def test_the_words_of_a_result_hold_what_its_data_holds(era: Era) -> None:
    """The new deployment with place and state, the way back as a call, and what is lost."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox), era, arguments)
    outcome = data(result)
    undo = json.dumps(outcome["undo"]["arguments"])
    head, *lines = text(result).splitlines()
    assert head == outcome["message"]
    assert lines[0].startswith(
        'Before: Deployment 500 of flow version 1001: flow "Shopify orders to NetSuite" (100) iteration '
    )
    (new,) = (
        n
        for n, line in enumerate(lines)
        if line.startswith(f"After: Deployment {outcome['after']['id']} of flow version ")
    )
    assert ', environment "UK Live" (10)' in lines[new]
    assert lines[new + 1].startswith("enabled since ")
    assert lines[-3:-1] == [f"Undo cannot bring back: {'; '.join(outcome['lost'])}", f"Undo: {TOOL} {undo}"]
    assert (outcome["before"]["id"], outcome["confirmed_by"]) == ("500", "human")
    assert (
        outcome["undo"]["arguments"].items()
        >= {
            "flow_version_id": arguments["new_flow_version_id"],
            "deployment_id": outcome["after"]["id"],
            "new_flow_version_id": "1001",
            "priority": 1,
            "enabled": True,
        }.items()
    )


@newer_era_first
async def test_a_repair_stands_in_the_words_too(era: Era) -> None:
    """A host that hands on nothing but words hands on the call."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    result = await replace(Upstream(sandbox).on("POST", NO, NO), era, arguments)
    repair = data(result)["repair"]
    assert f"Repair: {repair['tool']} {json.dumps(repair['arguments'])}" in text(result)
    assert "Undo:" not in text(result)


async def test_a_preview_and_a_code_come_with_the_question() -> None:
    """Whoever cannot be asked reads it there."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    async with connected(sandbox) as client:
        dry = await client.call_tool(TOOL, {**arguments, "dry_run": True})
        preview = await client.call_tool(TOOL, arguments)
    for shown in (dry, preview):
        assert "\nOrder: the old one is deleted, then the new one is created\n" in text(shown)
        assert f"\n{data(shown)['question']}" in text(shown)
        assert data(shown)["before"]["id"] == "500"
    assert text(preview).endswith(f"\nconfirmation_code: {data(preview)['confirmation_code']}")
    assert "confirmation_code" not in text(dry)


@pytest.mark.parametrize("untold", ["enabled_at", "priority", "flow_id"])
async def test_what_could_not_be_restored_is_not_replaced(untold: str) -> None:
    """Each field that the restoring rests on has to be known."""
    sandbox = Sandbox()
    _, arguments = replaceable(sandbox)
    names = ("flow_id", "flow_version") if untold == "flow_id" else (untold,)
    result = await replace(Upstream(sandbox).alter(lambda _, answer: without(answer, *names)), "auto", arguments)
    assert result.is_error
    assert "The old deployment cannot be read completely, so it could not be restored." in text(result)
    assert sandbox.writes == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("same version", "That version is the one deployed there. Nothing was changed. Name another version's id."),
        ("other flow", "to flow 100. Nothing was changed. Name a version of the same flow."),
        ("there already", "The new version is already deployed there. Nothing was changed. Look at both deployments."),
    ],
)
async def test_what_does_not_fit_is_said_with_what_to_do(wrong: str, said: str) -> None:
    """Each refusal has a next step."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    version = int(arguments["new_flow_version_id"])
    if wrong == "same version":
        arguments["new_flow_version_id"] = arguments["flow_version_id"]
    elif wrong == "other flow":
        sandbox.account.flow_versions[version].flow_id = 101
    else:
        other = next(d for d in sandbox.account.deployments.values() if d.flow_version_id == version)
        other.virtual_environment_id = old.virtual_environment_id
    result = await replace(Upstream(sandbox), "auto", arguments)
    assert result.is_error
    assert said in text(result)
    assert sandbox.writes == []


@newer_era_first
async def test_a_version_that_is_elsewhere_may_come(era: Era) -> None:
    """Only its being in the same place stands against it, and where its flow is told nothing has to be typed."""
    sandbox, person = Sandbox(), Person(yes)
    _, arguments = replaceable(sandbox)
    version = int(arguments["new_flow_version_id"])
    other = next(d for d in sandbox.account.deployments.values() if d.flow_version_id == version)
    other.virtual_environment_id = None
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    assert data(result)["status"] == "done"
    assert person.titles[0].startswith("Yes, ")
    assert other.id in sandbox.account.deployments


@newer_era_first
@pytest.mark.parametrize("flow", [100, 101])
async def test_one_deployment_that_tells_its_flow_is_enough(era: Era, flow: int) -> None:
    """The new version's first deployment does not tell it, the second does, and that decides."""
    sandbox, person = Sandbox(), Person(no)
    old, arguments = replaceable(sandbox)
    version = int(arguments["new_flow_version_id"])
    first = next(d for d in sandbox.account.deployments.values() if d.flow_version_id == version)
    sandbox.account.deployments[900] = dataclasses.replace(first, id=900, virtual_environment_id=None)
    sandbox.account.flow_versions[version].flow_id = flow

    def hide(_: httpx2.Request, answer: Any) -> Any:
        rows = answer["data"] if isinstance(answer["data"], list) else []
        return {**answer, "data": [without(rows[0], *FLOW, "flow_version"), *rows[1:]]} if rows else answer

    async with connected(transport=Upstream(sandbox).alter(hide), person=person, era=era) as client:
        result = await client.call_tool(TOOL, arguments)
    if flow == sandbox.account.flow_of(old).id:
        assert f"From iteration 2 (version 1001) to iteration 1 (version {version}); " in person.asked[0]
        assert person.titles[0].startswith("Yes, ")
    else:
        assert "belongs to flow 101, the deployment to flow 100." in text(result)


async def test_a_time_that_is_not_told_is_left_out() -> None:
    """A question without it has one line less."""
    sandbox, person = Sandbox(), Person(no)
    _, arguments = replaceable(sandbox)
    transport = Upstream(sandbox).alter(lambda _, answer: without(answer, "updated_at"))
    async with connected(transport=transport, person=person) as client:
        await client.call_tool(TOOL, arguments)
    assert "Last changed" not in person.asked[0]
