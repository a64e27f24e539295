"""How much an overview shows, and the calls that show the rest."""

from typing import Any

import pytest
from mcp import Client
from support.clients import Person, connected, data, newer_era_first, read, text, yes
from support.overviews import assert_both_tell_all, packed, tokens

from patchworks_deployments.commands.publishing import tool_definitions
from patchworks_deployments.sandbox import Sandbox

TOOL = "deployment_overview"


async def _followed(client: Client, call: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The pages that a call shows, and the calls for the next one that these name."""
    pages = []
    while call:
        assert call["tool"] == TOOL
        result = await client.call_tool(TOOL, call["arguments"])
        assert not result.is_error, text(result)
        assert_both_tell_all(result)
        assert tokens(text(result)) <= 1_000
        assert tokens(data(result)) <= 1_600
        pages.append(data(result))
        call = data(result).get("call")
    return pages


@newer_era_first
async def test_25_deployments_are_rows_from_which_the_next_write_needs_no_second_look(era: Any) -> None:
    """Every id is there in text and data, in 1,000 tokens of text and 1,600 of data; a switch takes them."""
    sandbox, person = Sandbox(25), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, {})
        row = next(row for row in data(result)["rows"] if row["enabled"])
        ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
        assert not (await client.call_tool("disable_deployment", ids)).is_error
    assert {row["id"] for row in data(result)["rows"]} == set(map(str, sandbox.account.deployments))
    assert_both_tell_all(result)
    assert tokens(text(result)) <= 1_000
    assert tokens(data(result)) <= 1_600
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize("size", [60, pytest.param(300, marks=pytest.mark.slow)])
async def test_the_calls_in_an_overview_show_all_that_it_counts(size: int) -> None:
    """At most three examples of each kind, and page by page the whole of it, each once."""
    sandbox = Sandbox(size)
    rows = sandbox.account.deployments.values()
    async with connected(sandbox) as client:
        overview = await client.call_tool(TOOL, {})
        whole = data(overview)
        everything = await _followed(client, whole["call"])
        kinds = {kind["what"]: kind for kind in whole["attention"]}
        shown = {what: await _followed(client, kind.get("call")) for what, kind in kinds.items()}
    assert_both_tell_all(overview)
    assert all(len(kind["examples"]) <= 3 for kind in kinds.values())
    assert "rows" not in whole
    assert _ids(everything) == sorted(str(d.id) for d in rows)
    assert _ids(shown["disabled"]) == sorted(str(d.id) for d in rows if d.enabled_at is None)
    unplaced = sorted(str(d.id) for d in rows if d.virtual_environment_id is None)
    assert _ids(shown["without environment"]) == unplaced
    for what, pages in shown.items():
        if pages and (kinds[what]["examples"] and what not in {"disabled", "without environment"}):
            told = [example for page in pages for example in page["attention"][0]["examples"]]
            assert len(set(told)) == len(told) == kinds[what]["count"] == pages[0]["attention"][0]["count"]
            assert told[:3] == kinds[what]["examples"]


def _ids(pages: list[dict[str, Any]]) -> list[str]:
    return sorted(row["id"] for page in pages for row in page["rows"])


async def test_the_calls_in_an_overview_keep_its_filters() -> None:
    """What is shown next is a part of what was asked for."""
    sandbox = Sandbox(300)
    async with connected(sandbox) as client:
        overview = data(await client.call_tool(TOOL, {"environment": "UK", "enabled": True}))
        pages = await _followed(client, overview["call"])
    assert sum(len(page["rows"]) for page in pages) == overview["deployments"] > 25
    assert {row["environment_id"] for page in pages for row in page["rows"]} == {"10", "15"}
    assert all(row["enabled"] for page in pages for row in page["rows"])


async def test_all_missing_flows_are_shown_page_by_page() -> None:
    """Forty environments that lack a flow each: three are named, and the call names them all."""
    sandbox = Sandbox()
    for number, row in enumerate(packed(sandbox, flows=40, environments=40)):
        if number % 41 == 0:
            del sandbox.account.deployments[row.id]
    async with connected(sandbox) as client:
        overview = await client.call_tool(TOOL, {})
        (kind,) = [kind for kind in data(overview)["attention"] if "missing" in kind["what"]]
        pages = await _followed(client, kind["call"])
    assert (kind["count"], len(kind["examples"])) == (40, 3)
    assert [len(page["attention"][0]["examples"]) for page in pages] == [25, 15]


@pytest.mark.parametrize("filters", [{"enabled": True}, {"environment": "10"}])
async def test_what_the_filters_hide_is_not_called_missing_on_its_own_page_either(filters: dict[str, Any]) -> None:
    """With a filter the page says why it names nothing; without one it counts none."""
    sandbox = Sandbox()
    packed(sandbox, flows=4, environments=2)
    async with connected(sandbox) as client:
        filtered = await client.call_tool(TOOL, {**filters, "show": "missing"})
        none = await client.call_tool(TOOL, {"show": "missing"})
    assert "that the filters hide, or that cannot be read, is not missing: ask for everything" in text(filtered)
    assert "attention" not in data(filtered)
    assert data(none)["attention"][0]["count"] == 0
    for result in (filtered, none):
        assert_both_tell_all(result)


async def test_a_page_past_the_last_one_is_an_error() -> None:
    """It says which one is the last."""
    async with connected() as client:
        result = await client.call_tool(TOOL, {"show": "deployments", "page": 9})
    assert result.is_error
    assert "Page 9 is past the last one, which is 3." in text(result)


async def test_names_as_long_as_they_can_be_do_not_make_an_overview_long() -> None:
    """Sixty environments, endless names and findings of all kinds: 1,200 tokens in either channel."""
    sandbox = Sandbox()
    rows = packed(sandbox, flows=30, environments=60)
    account = sandbox.account
    for place in account.virtual_environments.values():
        place.name = f"Place {place.id} " + "x" * 200
    for flow in account.flows.values():
        flow.name = f"Flow {flow.id // 2} " + "y" * 200
    for number, row in enumerate(rows):
        flow_number, place_number = divmod(number, 60)
        if place_number == 1:  # a second version of each flow where it runs already
            row.virtual_environment_id, row.flow_version_id = 10, row.flow_version_id + 1
        if place_number == 2:
            row.virtual_environment_id = None
        if place_number == 10 + flow_number:  # each environment lacks one flow
            del account.deployments[row.id]
        row.enabled_at = None if place_number > 50 else row.enabled_at
    async with connected(sandbox) as client:
        result = await client.call_tool(TOOL, {})
        *kinds, smaller = data(result)["attention"]
        pages = await _followed(client, smaller["call"])
    assert tokens(text(result)) <= 1_200
    assert tokens(data(result)) <= 1_200
    assert_both_tell_all(result)
    assert [(kind["count"] > 3, len(kind["examples"])) for kind in kinds] == [(True, 3)] * 5
    places = {place.get("id") for page in pages for place in page["environments"]}
    assert len(data(result)["environments"]) + smaller["count"] == len(places) == 59


async def test_the_definition_has_no_references() -> None:
    """Some hosts resolve none."""
    definition = str((await tool_definitions())[TOOL])
    assert "$ref" not in definition
    assert "$defs" not in definition


async def test_the_resource_tells_what_the_tool_tells() -> None:
    """One value for both."""
    async with connected() as client:
        assert await read(client, "patchworks://overview?environment=UK") == data(
            await client.call_tool(TOOL, {"environment": "UK"})
        )
