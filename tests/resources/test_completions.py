"""Completions: real ids with names, for one request at most."""

from pathlib import Path

import httpx2
import pytest
from mcp_types import PromptReference, ResourceTemplateReference
from support.clients import Clock, Era, Person, complete, connected, data, newer_era_first, read, yes
from support.faults import Step, Upstream, every, reply, scripted
from support.overviews import counted
from support.processes import sandbox_over_http
from support.team import ALICE, BOB, calling, serving, tokens_file

from patchworks_deployments.resources.uris import CHANGES_TEMPLATE
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, Flow, FlowVersion, Package

FILTERS = ("flow_id", "virtual_environment_id", "package_id")


@newer_era_first
@pytest.mark.parametrize(
    "argument", ["flow_id", "virtual_environment_id", "package_id", "flow_version_id", "deployment_id"]
)
async def test_completions_offer_real_ids_with_names_for_one_request(era: Era, argument: str) -> None:
    """At most 100 values from at most one request, and what is offered is accepted as a parameter."""
    sandbox = Sandbox(2_000)
    async with connected(sandbox, era=era) as client:
        values = await complete(client, argument)
        assert len(sandbox.requests) == 1
        assert 0 < len(values) <= 100
        assert all(value.split(" ", 1)[0].isdigit() and len(value.split(" ", 1)[1]) > 2 for value in values)
        if argument in FILTERS:
            listing = await client.read_resource(f"patchworks://deployments?{argument}={values[0].replace(' ', '%20')}")
            assert listing.contents


async def test_completions_follow_what_was_typed() -> None:
    """Typed text narrows by a part of the name, typed digits by the beginning of the id."""
    async with connected(Sandbox(2_000)) as client:
        named = await complete(client, "virtual_environment_id", "uk")
        assert {"10 [UK Live]", "15 [UK Sandbox]"} <= set(named)
        assert all("uk" in value.casefold() for value in named)
        assert await complete(client, "virtual_environment_id", "10") == ["10 [UK Live]"]
        for typed in ("10 UK", "10 UK Live", "10 [UK", "10 [UK Live]"):
            assert await complete(client, "virtual_environment_id", typed) == ["10 [UK Live]"]
        beginnings = await complete(client, "flow_id", "1")
        assert len(beginnings) > 1
        assert all(value.startswith("1") for value in beginnings)


def _last(sandbox: Sandbox) -> Deployment:
    """The deployment that no first page shows: its flow and version are deployed nowhere else."""
    account = sandbox.account
    row = list(account.deployments.values())[-1]
    now = row.created_at
    account.flows[98765] = Flow(98765, "Rare flow", 1)
    account.flow_versions[87654] = FlowVersion(87654, 98765, 3, "Deployed", "", 1, 90, now, now)
    account.packages[76543] = Package(76543, "Rare package")
    row.flow_version_id, row.package_id = 87654, 76543
    return row


@pytest.mark.parametrize(
    ("argument", "value", "offered"),
    [
        ("flow_id", "98765", "98765 [Rare flow]"),
        ("package_id", "76543", "76543 [Rare package]"),
        ("flow_version_id", "87654", "87654 [Rare flow iteration 3]"),
        ("flow_id", "rare", "98765 [Rare flow]"),
        ("flow_version_id", "RARE", "87654 [Rare flow iteration 3]"),
    ],
)
async def test_an_id_or_a_name_beyond_the_first_page_is_found(argument: str, value: str, offered: str) -> None:
    """A whole id is looked up and a name is searched for, each in one request."""
    sandbox = Sandbox(2_000)
    _last(sandbox)
    async with connected(sandbox) as client:
        assert await complete(client, argument, value) == [offered]
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("chosen", ["10 [UK Live]", "10", "UK Live", "uk l"])
async def test_a_chosen_environment_narrows_the_flows(chosen: str) -> None:
    """By its id or by a part of its name, in one request, only flows that are there are offered."""
    sandbox = Sandbox(2_000)
    account = sandbox.account
    there = {str(account.flow_of(d).id) for d in account.deployments.values() if d.virtual_environment_id == 10}
    next(flow for flow in account.flows.values() if str(flow.id) not in there).name = "Orders of UK Live"
    async with connected(sandbox) as client:
        offered = await complete(client, "flow_id", environment=chosen)
        assert offered == await complete(client, "flow", virtual_environment_id=chosen)
    assert len(offered) > 20
    assert {value.split(" ", 1)[0] for value in offered} <= there
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("chosen", ["100 [Shopify orders to NetSuite]", "100,103", "Shopify orders to Net"])
async def test_a_chosen_flow_narrows_the_deployments(chosen: str) -> None:
    """By its id, by several ids, or by a part of its name, which the API filters."""
    sandbox = Sandbox(2_000)
    async with connected(sandbox) as client:
        offered = await complete(client, "deployment_id", flow=chosen)
    assert len(offered) > 5
    assert all("Shopify orders to NetSuite in " in value for value in offered)
    assert len(sandbox.requests) == 1


async def test_a_chosen_version_s_own_deployments_are_offered() -> None:
    """However far back in the account they are, the version's own listing has them in one request."""
    sandbox = Sandbox(2_000)
    row = _last(sandbox)
    async with connected(sandbox) as client:
        values = await complete(client, "deployment_id", flow_version_id="87654 [Rare flow iteration 3]")
    assert [value.split(" ", 1)[0] for value in values] == [str(row.id)]
    assert [request.path for request in sandbox.requests] == ["/api/v1/flow-versions/87654/deployments"]


@pytest.mark.parametrize(
    "reference", [ResourceTemplateReference(uri=CHANGES_TEMPLATE), PromptReference(name="undo_changes")], ids=type
)
async def test_what_was_changed_is_narrowed_by_real_flows_and_environments(
    reference: PromptReference | ResourceTemplateReference,
) -> None:
    """As the overview is; a period is typed."""
    async with connected() as client:
        for name, value, offered in (("environment", "10", ["10 [UK Live]"]), ("period", "y", []), ("since", "7", [])):
            result = await client.complete(reference, {"name": name, "value": value})
            assert result.completion.values == offered
        flows = await client.complete(reference, {"name": "flow", "value": "100"}, context_arguments={"since": "24h"})
    assert flows.completion.values == ["100 [Shopify orders to NetSuite]"]


async def test_moving_a_version_offers_environments_where_it_is_not() -> None:
    """What is chosen for a move does not narrow: the version is to go somewhere else."""
    async with connected(Sandbox()) as client:
        reference = PromptReference(name="move_version")
        argument = {"name": "environment", "value": ""}
        result = await client.complete(reference, argument, context_arguments={"flow_version_id": "1001"})
    assert "11 [EU Production]" in result.completion.values


async def test_a_name_that_begins_like_an_id_is_found_and_narrows() -> None:
    """The environment named "12 Sandbox" is offered to who types that, and is the one that is meant by it."""
    sandbox = Sandbox(200)
    sandbox.account.virtual_environments[10].name = "12 Sandbox"
    async with connected(sandbox) as client:
        assert await complete(client, "environment", "12 Sand") == ["10 [12 Sandbox]"]
        offered = await complete(client, "flow", environment="12 Sandbox")
        assert offered == await complete(client, "flow", environment="10") != []
        overview = await read(client, "patchworks://overview?environment=12%20Sandbox")
        by_id = await read(client, "patchworks://overview?environment=10%20%5B12%20Sandbox%5D")
    assert counted(overview) == counted(by_id)
    assert overview["deployments"] > 0


async def test_an_argument_does_not_narrow_itself() -> None:
    """A host that sends the old value of the argument along is still offered the others."""
    async with connected() as client:
        offered = await complete(client, "virtual_environment_id", "", virtual_environment_id="10 [UK Live]")
    assert "11 [EU Production]" in offered


async def test_what_patchworks_did_not_say_is_no_part_of_a_value() -> None:
    """Neither "None" nor a claim that there is no environment."""
    answer = {"data": [{"id": 1, "flow_version_id": 7}], "meta": {"current_page": 1, "last_page": 1}}
    async with connected(transport=scripted(reply(200, answer))) as client:
        assert await complete(client, "flow_version_id") == ["7 [iteration ?]"]
        assert await complete(client, "deployment_id") == ["1 [in environment unknown]"]


@newer_era_first
async def test_typing_on_costs_nothing_for_some_seconds(era: Era) -> None:
    """The page that a completion read answers the next letters, until it is a few seconds old."""
    sandbox, clock = Sandbox(2_000), Clock()
    async with connected(sandbox, era=era, clock=clock) as client:
        for typed in ("", "1", "10"):
            assert await complete(client, "virtual_environment_id", typed)
        assert await complete(client, "package_id")
        assert len(sandbox.requests) == 1
        clock.now += 10
        assert await complete(client, "virtual_environment_id")
    assert len(sandbox.requests) == 2


@pytest.mark.slow
async def test_what_is_kept_for_completions_is_bounded() -> None:
    """A hundred searches later the first is forgotten."""
    sandbox = Sandbox()
    async with connected(sandbox, clock=Clock()) as client:
        for n in range(101):
            await complete(client, "flow_id", f"flow {n % 100}")
    assert len(sandbox.requests) == 101


FAULTS: dict[str, Step] = {
    "401": reply(401),
    "500": reply(500),
    "429": reply(429),
    "no connection": httpx2.ConnectError,
    "no JSON": reply(200, b"<html>"),
}


@newer_era_first
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_completions_are_silent_when_the_api_fails(era: Era, fault: Step) -> None:
    """Nothing is offered, nothing is an error, and nothing of the failure is kept."""
    transport = Upstream().always(every, fault)
    async with connected(transport=transport, era=era) as client:
        assert await complete(client, "flow_id") == []
        assert await complete(client, "deployment_id", flow_version_id="1001") == []
        transport.heal()
        assert await complete(client, "flow_id") != []


async def test_an_argument_that_names_nothing_has_no_completions() -> None:
    """A page number or a sort is not looked up."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        assert await complete(client, "page") == []
    assert len(sandbox.requests) == 0


async def test_prompt_arguments_are_completed_too() -> None:
    """A person choosing an environment for a prompt sees real ones."""
    async with connected() as client:
        reference = PromptReference(name="stop_environment")
        result = await client.complete(reference, {"name": "environment", "value": "uk l"})
    assert result.completion.values == ["10 [UK Live]"]


# Whose ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_one_caller_saw_is_not_shown_to_another(tmp_path: Path) -> None:
    """Bob's completion asks Patchworks itself, however lately Alice's has."""
    with (
        sandbox_over_http() as upstream,
        serving(
            f"--tokens-file={tokens_file(tmp_path)}",
            PATCHWORKS_BASE_URL=upstream,
            PATCHWORKS_API_KEY="sandbox-key",
        ) as server,
    ):
        async with calling(server.url, ALICE, person=Person(yes)) as alice, calling(server.url, BOB) as bob:
            before = await complete(alice, "deployment_id", flow_version_id="1001")
            deleted = await alice.call_tool("delete_deployment", {"flow_version_id": "1001", "deployment_id": "500"})
            after = await complete(bob, "deployment_id", flow_version_id="1001")
    assert data(deleted)["status"] == "done"
    assert after == [value for value in before if not value.startswith("500 ")] != before


@pytest.mark.slow
async def test_what_one_key_may_see_is_not_shown_to_another(tmp_path: Path) -> None:
    """With callers' own keys, the same person with a key that opens nothing is offered nothing."""
    with (
        sandbox_over_http() as upstream,
        serving(
            "--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}", PATCHWORKS_BASE_URL=upstream
        ) as server,
    ):
        async with (
            calling(server.url, ALICE, key="sandbox-key") as good,
            calling(server.url, ALICE, key="wrong-key") as wrong,
        ):
            assert await complete(good, "flow_id")
            assert await complete(wrong, "flow_id") == []
