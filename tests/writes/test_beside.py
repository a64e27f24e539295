"""What else of a flow runs where a deployment comes or starts to run: it is looked for, said, and asked about."""

import dataclasses
import math
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support.cases import FLOW, without
from support.clients import IDS, Era, Person, connected, data, in_turn, newer_era_first, no, text, yes
from support.faults import Step, Upstream, delay, listing, reply

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, VirtualEnvironment

RUNS = 'Beside it runs: deployment 777 of flow version 1000, flow "Shopify orders to NetSuite" (100) iteration 1, '
UNKNOWN = "Not known: what else of the flow is deployed there"
MAY_SWITCH_OFF = "May switch off, if the account has no virtual environments: "
ENABLE, MANY = "enable_deployment", "set_deployments_enabled"


def _stopped(**beside: Any) -> Sandbox:
    """Deployment 500, disabled, and another version of its flow beside it, which differs from it in that."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    sandbox.account.deployments[777] = dataclasses.replace(row, id=777, flow_version_id=1000, **beside)
    row.enabled_at = None
    return sandbox


def _double(sandbox: Sandbox) -> None:
    """Somebody deploys once more what is beside it."""
    rows = sandbox.account.deployments
    rows[778] = dataclasses.replace(rows[777], id=778)


async def _call(
    sandbox: Sandbox | Upstream, person: Person | None, era: Era, tool: str, arguments: dict[str, Any], **settings: Any
) -> CallToolResult:
    transport = sandbox if isinstance(sandbox, Upstream) else Upstream(sandbox)
    async with connected(transport=transport, person=person, era=era, **settings) as client:
        return await client.call_tool(tool, arguments)


# One that starts to run ---------------------------------------------------------------------------


@newer_era_first
async def test_enabling_beside_a_running_version_asks_and_says_so(era: Era) -> None:
    """The question names the other one with its state, and so does the result."""
    person = Person(yes)
    result = await _call(_stopped(), person, era, ENABLE, IDS)
    (question,) = person.asked
    assert f'{RUNS}environment "UK Live" (10), enabled since' in question
    assert data(result)["confirmed_by"] == "human"
    assert data(result)["message"].startswith(f"Enabled, and verified by reading back. {RUNS}")
    assert data(result)["message"].endswith("(as read before).")


@newer_era_first
@pytest.mark.parametrize(
    ("beside", "said"),
    [({"enabled_at": None}, "Beside it, disabled: deployment 777"), ({"virtual_environment_id": 12}, None)],
    ids=["disabled", "elsewhere"],
)
async def test_beside_what_does_not_run_nobody_is_asked(beside: dict[str, Any], said: str | None, era: Era) -> None:
    """What is disabled is said all the same, and what is elsewhere does not matter."""
    person = Person(yes)
    result = await _call(_stopped(**beside), person, era, ENABLE, IDS)
    assert (data(result)["status"], person.asked) == ("done", [])
    assert said in text(result) if said else "777" not in text(result)


@newer_era_first
@pytest.mark.parametrize("hidden", [("enabled_at",), ("virtual_environment_id", "virtual_environment")], ids=str)
async def test_what_does_not_tell_whether_it_runs_there_may_run_there(hidden: tuple[str, ...], era: Era) -> None:
    """It is asked about like what runs, and not said to run."""

    def hide(request: httpx2.Request, answer: Any) -> Any:
        if listing(request):
            answer["data"] = [without(row, *hidden) for row in answer["data"]]
        return answer

    person = Person(no)
    await _call(Upstream(_stopped()).alter(hide), person, era, ENABLE, IDS)
    assert person.asked[0].splitlines()[2].startswith("Beside it may run 777 (version 1000, iteration 1): the work ")
    assert "Beside it may run: deployment 777 " in person.asked[0]
    assert ("enabled or not: unknown" in person.asked[0]) is ("enabled_at" in hidden)


@newer_era_first
@pytest.mark.parametrize(
    "step",
    [
        reply(403, {"message": "No."}),
        reply(500),
        reply(200, {"data": [{"id": None}]}),
        reply(200, b"<html>", content_type="text/html"),
        httpx2.ReadTimeout,
    ],
    ids=["forbidden", "broken", "unreadable", "HTML", "no answer"],
)
async def test_what_cannot_be_read_is_asked_about_and_stops_nothing(step: Step, era: Era) -> None:
    """Where the listing fails the question says that it is not known, and after a yes the deployment is enabled."""
    sandbox, person = _stopped(), Person(yes)
    result = await _call(Upstream(sandbox).always(listing, step), person, era, ENABLE, IDS)
    assert [UNKNOWN in question for question in person.asked] == [True]
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert UNKNOWN in data(result)["message"]


@newer_era_first
@pytest.mark.parametrize("untold", [FLOW, ("virtual_environment_id", "virtual_environment")], ids=["flow", "place"])
async def test_a_deployment_that_does_not_tell_where_it_is_is_asked_about(untold: tuple[str, ...], era: Era) -> None:
    """Without its flow or its environment nobody can look what is beside it."""
    person = Person(no)
    transport = Upstream(_stopped()).alter(lambda _, answer: without(answer, *untold))
    await _call(transport, person, era, ENABLE, IDS)
    assert "what else of th" in person.asked[0].partition("Not known: ")[2]


@newer_era_first
async def test_who_cannot_be_asked_is_told_what_runs_beside_it(era: Era) -> None:
    """A code comes with a preview that says it; where no code will do, the refusal does."""
    preview = await _call(_stopped(), None, era, ENABLE, IDS)
    refused = await _call(_stopped(), None, era, ENABLE, IDS, confirm_by="human")
    assert (data(preview)["status"], data(refused)["status"]) == ("confirmation_required", "refused")
    assert RUNS in text(preview)
    assert RUNS in text(refused)


@newer_era_first
@pytest.mark.parametrize("was_there", [True, False])
async def test_what_changes_beside_it_while_a_person_is_asked_is_noticed(was_there: bool, era: Era) -> None:  # noqa: FBT001
    """In the older era nothing is changed, in the newer one the question is another, and is asked."""
    sandbox = _stopped()
    rows = sandbox.account.deployments
    other = rows.pop(777) if not was_there else rows[777]

    def meanwhile() -> None:
        other.priority, rows[777] = 9, other
        other.enabled_at = other.created_at.replace(year=2027)

    person = Person(in_turn(yes, no), meanwhile=meanwhile)
    result = await _call(sandbox, person, era, ENABLE, IDS, confirm="all")
    assert sandbox.writes == []
    if era == "legacy":
        assert "What is known of the deployments beside it is not what it was when the person was asked" in text(result)
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert len(person.asked) == (1 if era == "legacy" else 2)


@newer_era_first
async def test_a_code_is_bound_to_what_runs_beside_it(era: Era) -> None:
    """Once something else runs there, another code is needed."""
    sandbox = _stopped()
    async with connected(sandbox, era=era) as client:
        code = data(await client.call_tool(ENABLE, IDS))["confirmation_code"]
        _double(sandbox)
        stale = data(await client.call_tool(ENABLE, {**IDS, "confirmation_code": code}))
        done = await client.call_tool(ENABLE, {**IDS, "confirmation_code": stale["confirmation_code"]})
    assert stale["status"] == "confirmation_required"
    assert data(done)["status"] == "done"


@newer_era_first
async def test_an_undo_that_enables_asks_where_something_has_come_to_run_there(era: Era) -> None:
    """The deployment is still in the state that the undo names, so it is not refused."""
    sandbox, person = Sandbox(), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        undo = data(await client.call_tool("disable_deployment", IDS))["undo"]
        like = sandbox.account.deployments[502]
        sandbox.account.deployments[777] = dataclasses.replace(
            like, id=777, flow_version_id=1000, virtual_environment_id=10, enabled_at=like.created_at
        )
        undone = await client.call_tool(undo["tool"], undo["arguments"])
    assert data(undone)["status"] == "done"
    assert RUNS in person.asked[1]


# One that comes -----------------------------------------------------------------------------------


def _runs_there(sandbox: Sandbox) -> Deployment:
    """Another version of the first deployment's flow, in environment 12."""
    account, row = sandbox.account, sandbox.account.deployments[500]
    account.deployments = {500: row}
    account.deployments[777] = dataclasses.replace(row, id=777, flow_version_id=1000, virtual_environment_id=12)
    return account.deployments[777]


@newer_era_first
async def test_creating_beside_a_running_version_asks(era: Era) -> None:
    """Unless the new one is deployed disabled; either way it is said, and the environment has its name."""
    person, sandbox = Person(no), Sandbox()
    _runs_there(sandbox)
    arguments: dict[str, Any] = {"flow_version_id": "1001", "virtual_environment_id": "12"}
    result = await _call(sandbox, person, era, "create_deployment", arguments)
    disabled = await _call(
        sandbox, None, era, "create_deployment", {**arguments, "deploy_disabled": True, "dry_run": True}
    )
    assert data(result)["status"] == "declined"
    assert f'{RUNS}environment "DE Sandbox" (12), enabled' in person.asked[0]
    assert person.asked[0].startswith('Deploy flow version 1001 in "DE Sandbox" (12): iteration 2 of flow 100 "')
    assert RUNS in text(disabled)
    assert sandbox.writes == []


@newer_era_first
async def test_a_new_version_may_come_unasked_although_its_flow_is_not_known(era: Era) -> None:
    """It is the everyday case, and Patchworks refuses a second version in an environment; the result says it."""
    person, sandbox = Person(yes), Sandbox()
    result = await _call(
        sandbox, person, era, "create_deployment", {"flow_version_id": "1002", "virtual_environment_id": "12"}
    )
    assert (data(result)["status"], person.asked) == ("done", [])
    assert "Not known: of which flow it is, and so what else of that is deployed there" in data(result)["message"]


@newer_era_first
async def test_a_move_says_what_runs_where_it_leads(era: Era) -> None:
    """Another version of the flow is named with its state, and the environment with its name."""
    person, sandbox = Person(no), Sandbox()
    _runs_there(sandbox)
    await _call(sandbox, person, era, "update_deployment", {**IDS, "virtual_environment_id": "12"})
    assert f'{RUNS}environment "DE Sandbox" (12), enabled' in person.asked[0]
    assert '\nFrom "UK Live" (10) to "DE Sandbox" (12); stays enabled' in person.asked[0]


@newer_era_first
async def test_an_update_that_enables_says_what_runs_there(era: Era) -> None:
    """So does not one that changes something else."""
    person = Person(no)
    for arguments in ({"enabled_at": "2026-03-05T00:00:00Z"}, {"priority": 4}):
        await _call(_stopped(), person, era, "update_deployment", {**IDS, **arguments})
    assert [RUNS in question for question in person.asked] == [True, False]


@newer_era_first
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("update_deployment", {**IDS, "virtual_environment_id": "12"}),
        ("create_deployment", {"flow_version_id": "1002", "virtual_environment_id": "12"}),
        ("create_deployment", {"flow_version_id": "1001", "virtual_environment_id": "12", "deploy_disabled": True}),
    ],
)
async def test_where_it_leads_is_protected_by_name(tool: str, arguments: dict[str, Any], era: Era) -> None:
    """The environment's name is read although the call has its id alone; only a person may agree."""
    person, sandbox = Person(no), Sandbox()
    sandbox.account.deployments = {id_: row for id_, row in sandbox.account.deployments.items() if id_ in {500, 502}}
    sandbox.account.deployments[502].virtual_environment_id = 12
    await _call(sandbox, person, era, tool, arguments, protected_environments="DE Sandbox")
    refused = await _call(sandbox, None, era, tool, arguments, protected_environments="DE Sandbox")
    assert person.asked[0].splitlines()[2].startswith('Protected environment: "DE Sandbox" (12); ')
    assert data(refused)["status"] == "refused"
    assert sandbox.writes == []


@newer_era_first
async def test_an_environment_that_holds_more_than_a_page_is_asked_for_the_flow(era: Era) -> None:
    """What runs there is seen wherever it stands in the listing, for one request more."""
    sandbox = Sandbox()
    other = _runs_there(sandbox)
    like = sandbox.account.deployments.pop(777)
    for n in range(150):
        version = dataclasses.replace(sandbox.account.flow_versions[1005], id=8000 + n, flow_id=101)
        sandbox.account.flow_versions[version.id] = version
        sandbox.account.deployments[900 + n] = dataclasses.replace(like, id=900 + n, flow_version_id=version.id)
    sandbox.account.deployments[777] = other
    arguments: dict[str, Any] = {"flow_version_id": "1001", "virtual_environment_id": "12"}
    preview = await _call(sandbox, None, era, "create_deployment", {**arguments, "dry_run": True})
    assert RUNS in text(preview)
    assert len(sandbox.requests) == 3


@newer_era_first
async def test_an_environment_that_is_renamed_while_a_person_is_asked_is_noticed(era: Era) -> None:
    """What was agreed to was a move into what was called DE Sandbox then."""
    sandbox = Sandbox()
    sandbox.account.deployments = {500: sandbox.account.deployments[500], 502: sandbox.account.deployments[502]}
    sandbox.account.deployments[502].virtual_environment_id = 12
    renamed = lambda: setattr(sandbox.account.virtual_environments[12], "name", "DE Live")  # noqa: E731
    person = Person(in_turn(yes, no), meanwhile=renamed)
    await _call(sandbox, person, era, "update_deployment", {**IDS, "virtual_environment_id": "12"})
    assert sandbox.writes == []


async def test_what_no_question_can_hold_is_refused() -> None:
    """Dozens of deployments of a flow side by side are more than a person can be shown."""
    sandbox = _stopped()
    for id_ in range(800, 840):
        sandbox.account.deployments[id_] = dataclasses.replace(sandbox.account.deployments[777], id=id_)
    result = await _call(sandbox, Person(yes), "auto", ENABLE, IDS)
    assert result.is_error
    assert "more than a person can be shown in one question. Nothing was changed. Look at the other" in text(result)
    assert sandbox.writes == []


# One without environment --------------------------------------------------------------------------


@newer_era_first
@pytest.mark.parametrize("more", [{}, {"deploy_disabled": True}])
async def test_a_create_without_environment_asks_and_names_what_it_may_switch_off(
    more: dict[str, Any], era: Era
) -> None:
    """In an account without virtual environments it takes the place of what runs; an undo does not bring that back."""
    sandbox, person = Sandbox(), Person(yes)
    _runs_there(sandbox).virtual_environment_id = None
    result = await _call(sandbox, person, era, "create_deployment", {"flow_version_id": "1001", **more})
    assert f"{MAY_SWITCH_OFF}deployment 777 of flow version 1000, " in person.asked[0]
    assert data(result)["status"] == "done"
    assert data(result)["lost"][0].startswith("deployment 777 of flow version 1000, ")
    assert "Undo cannot bring back: deployment 777" in text(result)


@newer_era_first
async def test_in_an_account_without_environments_no_version_is_replaced_unasked(era: Era) -> None:
    """Nothing tells the new version's flow, so it is not known what it switches off, and that is said."""
    sandbox = Sandbox(virtual_environments=False)
    before, person = set(sandbox.account.deployments), Person(no)
    arguments: dict[str, Any] = {"flow_version_id": "1002", "deploy_disabled": True}
    declined = await _call(sandbox, person, era, "create_deployment", arguments)
    preview = await _call(sandbox, None, era, "create_deployment", arguments)
    assert f"{MAY_SWITCH_OFF}what of its flow is deployed (not known)" in person.asked[0]
    assert (data(declined)["status"], data(preview)["status"]) == ("declined", "confirmation_required")
    assert MAY_SWITCH_OFF in text(preview)
    assert set(sandbox.account.deployments) == before


@newer_era_first
async def test_an_undo_that_creates_without_environment_asks(era: Era) -> None:
    """It is refused where something has come there, so it says that it switches off nothing of that flow."""
    sandbox, person = Sandbox(), Person(yes)
    sandbox.account.deployments = {500: sandbox.account.deployments[500]}
    sandbox.account.deployments[500].virtual_environment_id = None
    async with connected(sandbox, person=person, era=era) as client:
        undo = data(await client.call_tool("delete_deployment", IDS))["undo"]
        undone = await client.call_tool(undo["tool"], undo["arguments"])
        again = await client.call_tool(undo["tool"], undo["arguments"])
    assert "Switches off: nothing, because nothing of flow 100 is there" in person.asked[1]
    assert data(undone)["status"] == "done"
    assert "By now deployment 501 of flow version 1001 is there" in text(again)


async def test_a_state_of_another_flow_is_not_believed() -> None:
    """Naming a flow of which nothing is there does not hide what is there of the version's own."""
    sandbox = Sandbox()
    arguments = {"flow_version_id": "1001", "virtual_environment_id": "12", "if_state": "empty.999"}
    result = await _call(sandbox, Person(yes), "auto", "create_deployment", arguments)
    assert "if_state speaks of flow 999, but the flow version belongs to flow 100. Nothing was changed" in text(result)
    assert sandbox.writes == []


# Many that start to run ---------------------------------------------------------------------------


def _many(count: int) -> tuple[Sandbox, dict[str, Any]]:
    """So many disabled deployments, each of a flow of its own, and the call that enables them."""
    sandbox = Sandbox(300)
    account = sandbox.account
    rows = {account.flow_of(row).id: row for row in account.deployments.values() if row.virtual_environment_id == 10}
    chosen = list(rows.values())[:count]
    assert len(chosen) == count
    for row in chosen:
        row.enabled_at = None
    named = [f"{row.flow_version_id}/{row.id}" for row in chosen]
    return sandbox, {"enabled": True, "deployments": named}


@newer_era_first
@pytest.mark.parametrize(("count", "questions"), [(5, 0), (6, 1)])
async def test_enabling_more_than_a_handful_asks(count: int, questions: int, era: Era) -> None:
    """Five at once do not."""
    person = Person(yes)
    sandbox, arguments = _many(count)
    result = await _call(sandbox, person, era, MANY, arguments)
    assert (data(result)["status"], len(person.asked)) == ("done", questions)
    assert "beside" not in text(result)


@newer_era_first
async def test_enabling_some_beside_running_versions_asks_and_says_so(era: Era) -> None:
    """All that run beside any of them are named, in the question and in the result."""
    sandbox, person = _stopped(), Person(yes)
    named = {"enabled": True, "deployments": ["500", *[str(d.id) for d in _stop(sandbox, 501)]]}
    result = await _call(sandbox, person, era, MANY, named)
    assert RUNS.replace("it runs", "them runs") in person.asked[0]
    assert "Beside them runs: deployment 777" in data(result)["message"]
    assert data(result)["status"] == "done"


@newer_era_first
async def test_many_of_which_nobody_knows_what_runs_beside_them_fit_the_third_line(era: Era) -> None:
    """It names some of them and counts the others, which stand below."""
    person = Person(no)
    sandbox, arguments = _many(25)
    await _call(Upstream(sandbox).always(listing, reply(500)), person, era, MANY, arguments)
    ids = [name.partition("/")[2] for name in arguments["deployments"]]
    at_stake, below = person.asked[0].splitlines()[2], person.asked[0].splitlines()[3:]
    rest = "their triggers start runs by themselves; nothing is lost"
    assert at_stake == f"Not known: what runs beside {ids[0]} and 24 more below; {rest}"
    assert f"Not known: what runs beside {', '.join(sorted(ids, key=int))}" in below


def _stop(sandbox: Sandbox, *ids: int) -> list[Deployment]:
    rows = [sandbox.account.deployments[id_] for id_ in ids]
    for row in rows:
        row.enabled_at = None
    return rows


@newer_era_first
async def test_two_versions_that_one_call_enables_side_by_side_are_asked_about(era: Era) -> None:
    """Nothing runs there now, and both would."""
    person = Person(yes)
    result = await _call(_stopped(enabled_at=None), person, era, MANY, {"enabled": True, "deployments": ["500", "777"]})
    assert "Side by side would run: deployment 500 of flow version 1001, " in person.asked[0]
    assert data(result)["status"] == "done"


@newer_era_first
@pytest.mark.parametrize("change", ["fails", "hides"])
async def test_what_runs_beside_many_and_cannot_be_read_is_asked_about(change: str, era: Era) -> None:
    """They are named, and after a yes they are enabled."""
    sandbox, person = _stopped(), Person(yes)
    transport = Upstream(sandbox)
    if change == "fails":
        transport.always(listing, reply(403, {"message": "No."}))
    else:
        transport.alter(lambda _, answer: without(answer, *FLOW))
    result = await _call(transport, person, era, MANY, {"enabled": True, "deployments": ["1001/500"]})
    assert "Not known: what runs beside 500; " in person.asked[0]
    assert data(result)["status"] == "done"


@newer_era_first
async def test_what_comes_to_run_beside_many_while_a_person_is_asked_is_noticed(era: Era) -> None:
    """In the older era too, where the deployments themselves are compared at their turns."""
    sandbox = _stopped()
    person = Person(in_turn(yes, no), meanwhile=lambda: _double(sandbox))
    result = await _call(sandbox, person, era, MANY, {"enabled": True, "deployments": ["1001/500"]})
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert sandbox.writes == []


@newer_era_first
async def test_replacing_what_does_not_run_by_what_runs_says_what_runs_beside_it(era: Era) -> None:
    """It would do the work twice, and the preview, the question and the result say so."""
    sandbox, person = _stopped(virtual_environment_id=None), Person(yes)
    sandbox.account.deployments[500].virtual_environment_id = None
    _stop(sandbox, 545)
    arguments = {**IDS, "new_flow_version_id": "1002", "enabled": True}
    preview = await _call(sandbox, None, era, "replace_deployment", {**arguments, "dry_run": True})
    result = await _call(sandbox, person, era, "replace_deployment", arguments)
    assert f"\n{RUNS}no environment, enabled since" in person.asked[0]
    assert f"\n{RUNS}no environment, enabled since" in text(preview)
    assert data(result)["message"].startswith("Replaced, and verified by reading back: ")
    assert f". {RUNS}no environment, enabled since" in data(result)["message"]


@newer_era_first
async def test_what_comes_to_run_beside_a_replacement_while_a_person_is_asked_is_noticed(era: Era) -> None:
    """What was agreed to was a replacement beside something else."""
    sandbox = _stopped()
    person = Person(in_turn(yes, no), meanwhile=lambda: _double(sandbox))
    arguments = {**IDS, "new_flow_version_id": "1002", "enabled": True}
    result = await _call(sandbox, person, era, "replace_deployment", arguments)
    assert data(result)["status"] == ("refused" if era == "legacy" else "declined")
    assert sandbox.writes == []


async def test_disabling_and_deleting_look_at_nothing_else() -> None:
    """What stops does not run beside anything."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).always(listing, delay(math.inf))
    async with connected(transport=transport, person=Person(yes)) as client:
        for tool in ("disable_deployment", "delete_deployment"):
            assert data(await client.call_tool(tool, IDS))["status"] == "done"


async def test_what_is_deployed_nowhere_yet_has_an_environment_without_a_name() -> None:
    """Where nothing is deployed, nothing tells the environment's name, and a create says so beforehand."""
    sandbox = Sandbox()
    sandbox.account.virtual_environments[77] = VirtualEnvironment(77, "Empty")
    arguments = {"flow_version_id": "1001", "virtual_environment_id": "77"}
    preview = await _call(sandbox, None, "auto", "create_deployment", {**arguments, "dry_run": True})
    done = await _call(sandbox, None, "auto", "create_deployment", arguments)
    assert "Not known: the name of environment 77" in text(preview)
    assert data(done)["message"] == "Created, and verified by reading back."
    assert data(done)["after"]["virtual_environment_name"] == "Empty"


@newer_era_first
async def test_a_list_of_another_version_tells_nothing_of_this_one(era: Era) -> None:
    """A create that Patchworks answers for another flow version is not planned on that one's flow."""
    sandbox = Sandbox()

    def other(_: httpx2.Request, answer: Any) -> Any:
        for record in answer["data"]:
            record["flow_version_id"] = 1037
        return answer

    arguments = {"flow_version_id": "1001", "virtual_environment_id": "12"}
    result = await _call(Upstream(sandbox).alter(other), Person(yes), era, "create_deployment", arguments)
    assert "Asked for flow version 1001, Patchworks answered with flow version 1037." in text(result)
    assert sandbox.writes == []


@newer_era_first
async def test_what_may_be_switched_off_is_said_also_where_nothing_can_be_read_back(era: Era) -> None:
    """The undo of a create that was accepted brings nothing back."""
    sandbox = Sandbox(virtual_environments=False)
    transport = Upstream(sandbox).reading_back(reply(500))
    result = await _call(transport, Person(yes), era, "create_deployment", {"flow_version_id": "1002"})
    assert (data(result)["status"], data(result)["verified"]) == ("done", False)
    assert data(result)["lost"] == ["what this switches off (not known)"]
