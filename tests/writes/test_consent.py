"""Who is asked, how, and what counts as agreement."""

from typing import Any

import pytest
from mcp_types import ElicitRequestFormParams, ElicitResult
from support.cases import without
from support.clients import IDS, Answer, Era, Person, both_eras, connected, data, no, text, yes
from support.faults import Upstream

from patchworks_deployments.sandbox import Sandbox


@both_eras
async def test_where_codes_are_wanted_nobody_is_asked_but_in_a_protected_environment(era: Era) -> None:
    """A client that can ask gets a code all the same; a protected environment takes a person."""
    person = Person(yes)
    async with connected(person=person, era=era, confirm_by="code") as client:
        code = data(await client.call_tool("disable_deployment", IDS))["confirmation_code"]
        agreed = data(await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code}))
    assert (person.asked, agreed["status"], agreed["confirmed_by"]) == ([], "done", "code")
    async with connected(person=person, era=era, confirm_by="code", protected_environments="UK Live") as client:
        agreed = data(await client.call_tool("disable_deployment", IDS))
    assert (len(person.asked), agreed["status"], agreed["confirmed_by"]) == (1, "done", "human")


async def test_a_dry_run_of_what_is_so_already_says_that_it_is() -> None:
    """There is nothing to preview."""
    sandbox = Sandbox()
    sandbox.account.deployments[500].enabled_at = None
    async with connected(sandbox) as client:
        result = await client.call_tool("disable_deployment", {**IDS, "dry_run": True})
    assert data(result)["status"] == "unchanged"
    assert "It already is as wanted; nothing was sent and nobody was asked." in text(result)


def unticked(_: ElicitRequestFormParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"agree": False})


def closes(_: ElicitRequestFormParams) -> ElicitResult:
    return ElicitResult(action="cancel")


@both_eras
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (no, "The person declined. Nothing was changed."),
        (closes, "The person closed the question without answering. Nothing was changed."),
        (unticked, "The person sent the form without agreeing"),
    ],
)
async def test_each_no_says_what_it_was(answer: Answer, said: str, era: Era) -> None:
    """Declining, closing the question and sending the form without agreeing are told apart; none is an error."""
    async with connected(person=Person(answer), era=era) as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert (data(result)["status"], result.is_error) == ("declined", False)
    assert text(result).startswith(said)
    assert "Nothing was changed." in text(result)


@both_eras
@pytest.mark.parametrize(("typed", "status"), [(" 500 ", "done"), ("5000", "declined"), ("50", "declined")])
async def test_the_id_that_is_typed_is_compared_whole(typed: str, status: str, era: Era) -> None:
    """Spaces around it make no difference, and nothing else is close enough."""
    person = Person(lambda _: ElicitResult(action="accept", content={"typed_id": typed}))
    async with connected(person=person, era=era) as client:
        assert data(await client.call_tool("delete_deployment", IDS))["status"] == status


@both_eras
@pytest.mark.parametrize(
    ("tool", "arguments", "others"),
    [
        ("update_deployment", {**IDS, "priority": 42}, [{"priority": 43}, {"enabled_at": "2026-03-05T00:00:00Z"}]),
        ("create_deployment", {"flow_version_id": "1001", "priority": 4}, [{"priority": 5}, {"deploy_disabled": True}]),
        ("replace_deployment", {**IDS, "new_flow_version_id": "1000"}, [{"priority": 5}, {"enabled": False}]),
        ("set_deployments_enabled", {"enabled": False, "environment": "10"}, [{"environment": "UK Live"}]),
    ],
)
async def test_a_code_is_bound_to_every_argument(
    tool: str, arguments: dict[str, Any], others: list[dict[str, Any]], era: Era
) -> None:
    """The same target in the same state, but something else that would be done to it."""
    sandbox = Sandbox()
    async with connected(sandbox, era=era, confirm="all") as client:
        code = data(await client.call_tool(tool, arguments))["confirmation_code"]
        for other in others:
            result = await client.call_tool(tool, {**arguments, **other, "confirmation_code": code})
            assert data(result)["status"] == "confirmation_required"
    assert sandbox.writes == []


@both_eras
@pytest.mark.parametrize(
    ("untold", "protected", "named"),
    [
        ((), "UK Live", '"UK Live" (10)'),
        ((), "10", '"UK Live" (10)'),
        ((), "11,US Live", None),
        (("virtual_environment",), "UK Live", "10"),
        (("virtual_environment",), "11", "10"),
        (("virtual_environment", "virtual_environment_id"), "UK Live", "an unknown one"),
        (("virtual_environment", "virtual_environment_id"), "11", "an unknown one"),
    ],
)
async def test_what_is_not_told_of_an_environment_counts_as_protected(
    untold: tuple[str, ...], protected: str, named: str | None, era: Era
) -> None:
    """Its id as well as its name: an entry may mean either. The third line begins with what is known of it."""
    person = Person(no)
    transport = Upstream().alter(lambda _, answer: without(answer, *untold))
    async with connected(transport=transport, person=person, era=era, protected_environments=protected) as client:
        await client.call_tool("disable_deployment", IDS)
    at_stake = person.asked[0].splitlines()[2]
    assert at_stake.startswith(f"Protected environment: {named}; " if named else "Patchworks does not say if runs ")


async def test_all_protected_environments_are_named_in_order() -> None:
    """A move touches the environment that is left and the one that is entered."""
    person, sandbox = Person(no), Sandbox()
    arguments: dict[str, Any] = {**IDS, "virtual_environment_id": "13"}
    async with connected(sandbox, person=person, protected_environments="UK Live,13") as client:
        await client.call_tool("update_deployment", arguments)
    assert person.asked[0].splitlines()[2].startswith('2 protected environments: "UK Live" (10), "US Live" (13); ')


@both_eras
async def test_who_cannot_ask_is_told_why_no_code_will_do(era: Era) -> None:
    """A protected environment is named as the reason where it is, and the setting where that is it."""
    async with connected(era=era, protected_environments="UK Live", confirm_by="human") as client:
        protected = text(await client.call_tool("disable_deployment", IDS))
    async with connected(era=era, confirm_by="human") as client:
        other = text(await client.call_tool("disable_deployment", IDS))
    assert protected.startswith("This client cannot show questions. This touches a protected environment")
    assert other.startswith("This client cannot show questions. Only a human may agree to this.")
    assert "PATCHWORKS_CONFIRM_BY=code (then a preview and a code" in protected
    assert "let a person set PATCHWORKS_CONFIRM_BY=code" in other
