"""The question a human sees and the codes a client gets: bound to one target in one state, and not to be forged."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cases import CASES, HOSTILE, Case
from support.clients import Clock, Era, Person, connected, data, newer_era_first, no, text, yes
from support.examples import examples

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment


def _renamed(name: str) -> tuple[Sandbox, Deployment]:
    """A sandbox whose first deployment's flow and environment bear that name."""
    sandbox = Sandbox()
    row = next(row for row in sandbox.account.deployments.values() if row.virtual_environment_id and row.enabled_at)
    sandbox.account.flow_of(row).name = name
    assert row.virtual_environment_id
    sandbox.account.virtual_environments[row.virtual_environment_id].name = name
    return sandbox, row


def _beginnings(question: str) -> list[str]:
    """Those of the lines below the first three, but for the one that has names in full."""
    below = question.splitlines()[3:]
    return [re.split("[:(]", line)[0] for line in below if not line.startswith("In full: ")]


async def _question(sandbox: Sandbox, row: Deployment, era: Era = "auto") -> str:
    person = Person(no)
    async with connected(sandbox, person=person, era=era) as client:
        await client.call_tool("delete_deployment", {"flow_version_id": row.flow_version_id, "deployment_id": row.id})
    return person.asked[0]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@newer_era_first
async def test_a_hostile_name_cannot_forge_a_line_of_the_question(name: str, era: Era) -> None:
    """The question has the same lines with the same beginnings whatever things are called."""
    plain, hostile = [await _question(*_renamed(n), era) for n in ("Orders", name)]
    assert _beginnings(plain) == _beginnings(hostile)
    assert len(hostile) < 1_000
    assert re.search(r"[<>`*\[\]|\x00-\x09\x0b-\x1f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", hostile) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("tool", ["set_deployments_enabled", "replace_deployment", "deployment_overview"])
async def test_a_hostile_name_cannot_forge_a_line_about_many(name: str, tool: str) -> None:
    """Questions of the tools for more than one deployment, and the overview, keep their lines and their length."""
    shown = []
    for flow in ("Orders", name):
        sandbox, row = _renamed(flow)
        person, own = Person(no), sandbox.account.flow_of(row).id
        versions = [v.id for v in sandbox.account.flow_versions.values() if v.flow_id == own]
        other = next(version for version in versions if version != row.flow_version_id)
        arguments: dict[str, dict[str, Any]] = {
            "set_deployments_enabled": {"enabled": row.enabled_at is None, "deployments": [str(row.id)]},
            "replace_deployment": {
                "flow_version_id": str(row.flow_version_id),
                "deployment_id": str(row.id),
                "new_flow_version_id": str(other),
            },
            "deployment_overview": {"flow": str(own)},
        }
        async with connected(sandbox, person=person, confirm="all") as client:
            result = await client.call_tool(tool, arguments[tool])
        shown.append(person.asked[0] if person.asked else text(result))
    plain, hostile = ([line for line in lines.splitlines() if not line.startswith("In full: ")] for lines in shown)
    assert len(plain) == len(hostile)
    assert len(shown[1]) < len(shown[0]) + 1_500
    assert re.search(r"[<>`*\[\]\x00-\x09\x0b-\x1f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", shown[1]) is None


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_name_cannot_forge_a_row_or_a_cell_of_a_table(name: str) -> None:
    """A listing has one line per deployment, each with as many cells as the head."""
    sandbox, _ = _renamed(name)
    async with connected(sandbox) as client:
        result = await client.call_tool("list_deployments", {"per_page": 25})
    head, *lines = text(result).splitlines()[1:]
    rows = [line for line in lines if " | " in line]
    assert len(rows) == len(data(result)["deployments"])
    assert {row.count(" | ") for row in rows} == {head.count(" | ")}
    names = [row.get("flow_name", "") for row in data(result)["deployments"]]
    assert all(n.isprintable() and len(n) <= 120 for n in names)


@pytest.mark.slow
@examples(80)
@given(st.text(max_size=300))
async def test_no_name_at_all_can_forge_a_line(name: str) -> None:
    """The number and the beginnings of the question's lines do not depend on names."""
    sandbox, row = _renamed(name)
    question = await _question(sandbox, row)
    last = "If anything of this changes before the answer, nothing is done "
    assert _beginnings(question) == ["Way back", "Package", "Last changed", "Lost for good", "Account", last]
    assert [re.split("[ :]", line)[0] for line in question.splitlines()[:3]] == ["Delete", "From", "Lost"]


async def test_the_question_shows_flow_iteration_environment_state_and_effect() -> None:
    """Everything a person needs to decide stands in the question."""
    sandbox, row = _renamed("UK Orders")
    person = Person(no)
    ids = {"flow_version_id": row.flow_version_id, "deployment_id": row.id}
    async with connected(sandbox, person=person) as client:
        await client.call_tool("disable_deployment", ids)
        await client.call_tool("update_deployment", {**ids, "priority": 99, "clear": ["virtual_environment_id"]})
    version = sandbox.account.version_of(row)
    for word in ("Disable deployment", "UK Orders", f"iteration {version.iteration}", str(row.id), "enabled since"):
        assert word in person.asked[0]
    assert f"queue priority from {row.priority or 'inherited'} to 99" in person.asked[1]
    assert " to no environment; " in person.asked[1]


FIELDS = st.fixed_dictionaries(
    {"priority": st.none() | st.integers(1, 9), "environment": st.sampled_from([None, 10, 11, 12]), "on": st.booleans()}
)


def _put(row: Deployment, state: dict[str, Any]) -> None:
    row.priority, row.virtual_environment_id = state["priority"], state["environment"]
    row.enabled_at = row.created_at if state["on"] else None


@examples(40)
@given(seen=FIELDS, now=FIELDS, same_target=st.booleans())
@pytest.mark.parametrize("case", [c for c in CASES if c.tool in {"delete_deployment", "disable_deployment"}], ids=str)
async def test_no_destructive_request_leaves_without_consent_to_that_target_in_that_state(
    case: Case,
    seen: dict[str, Any],
    now: dict[str, Any],
    same_target: bool,  # noqa: FBT001
) -> None:
    """A code given for one target in one state works for exactly that target in exactly that state."""
    sandbox = Sandbox(4)
    first, second, *_ = sandbox.account.deployments.values()
    _put(first, seen)
    async with connected(sandbox, clock=Clock()) as client:
        ids = {"flow_version_id": first.flow_version_id, "deployment_id": first.id}
        code = data(await client.call_tool(case.tool, ids)).get("confirmation_code")
        _put(first, now)
        if not same_target:
            ids = {"flow_version_id": second.flow_version_id, "deployment_id": second.id}
        result = await client.call_tool(case.tool, {**ids, "confirmation_code": code})
    consented = same_target and seen == now and code is not None
    assert len(sandbox.writes) == int(consented), text(result)


async def test_a_code_of_one_process_is_good_in_another_with_the_same_keys_only() -> None:
    """Replicas that share a key ring honour each other's codes; the first key signs, all verify."""
    old, new = "o" * 32, "n" * 32
    sandbox, row = _renamed("Orders")
    ids = {"flow_version_id": row.flow_version_id, "deployment_id": row.id}

    async def call(keys: str, code: str | None = None) -> dict[str, Any]:
        async with connected(sandbox, state_keys=keys) as client:
            return data(await client.call_tool("disable_deployment", {**ids, "confirmation_code": code}))

    code = (await call(old))["confirmation_code"]
    assert (await call(new, code))["status"] == "confirmation_required"
    assert (await call(f"{new},{old}", code))["status"] == "done"


async def test_an_undo_reverses_the_change_and_dies_when_things_moved_on() -> None:
    """The call in `undo` restores the state, and is refused once somebody else has changed the deployment."""
    sandbox, row = _renamed("Orders")
    ids = {"flow_version_id": row.flow_version_id, "deployment_id": row.id}
    before = row.priority
    async with connected(sandbox, person=Person(yes)) as client:
        done = data(await client.call_tool("update_deployment", {**ids, "priority": 55}))
        undone = data(await client.call_tool(done["undo"]["tool"], done["undo"]["arguments"]))
        assert (undone["status"], row.priority) == ("done", before)
        row.priority = 66
        late = await client.call_tool(undone["undo"]["tool"], undone["undo"]["arguments"])
    assert late.is_error
    assert "no longer in the state" in text(late)
    assert row.priority == 66


@pytest.mark.slow
@newer_era_first
async def test_every_write_can_be_undone_by_the_call_it_names(era: Era) -> None:
    """Following `undo` brings the facts back for each of the five writes; a delete names what is lost."""
    for case in CASES:
        sandbox = Sandbox()
        facts = _facts(sandbox)
        async with connected(sandbox, person=Person(yes), era=era) as client:
            done = data(await client.call_tool(case.tool, case.arguments(sandbox)))
            assert _facts(sandbox) != facts
            undone = await client.call_tool(done["undo"]["tool"], done["undo"]["arguments"])
        assert data(undone)["status"] == "done", text(undone)
        assert _facts(sandbox) == facts
        assert ("lost" in done) is (case.tool == "delete_deployment")


def _facts(sandbox: Sandbox) -> set[tuple[object, ...]]:
    rows = sandbox.account.deployments.values()
    return {(d.flow_version_id, d.virtual_environment_id, d.priority, d.enabled_at is not None) for d in rows}
