"""Names: a whole one wins over those that contain it, and what was matched is named."""

import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.clients import Era, Person, complete, connected, data, newer_era_first, read, text, yes
from support.examples import examples
from support.overviews import assert_both_tell_all

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, VirtualEnvironment

TOOL, SWITCH = "deployment_overview", "set_deployments_enabled"

TABLES = {"flow": ("flows", 100, 101), "environment": ("virtual_environments", 10, 11), "package": ("packages", 60, 61)}
"""Where the things of each part stand in the account, and the ids of two."""


def _named(part: str, whole: str, longer: str, *, size: int = 200) -> Sandbox:
    """A sandbox in which one thing has the `whole` name, and another one a `longer` name that contains it."""
    sandbox = Sandbox(size)
    table, first, second = TABLES[part]
    things = getattr(sandbox.account, table)
    for thing in things.values():
        thing.name = f"Other {thing.id}"
    things[first].name, things[second].name = whole, longer
    return sandbox


def _of(sandbox: Sandbox, part: str, *ids: int) -> set[str]:
    """The deployments of the things with these ids."""
    account = sandbox.account
    held: dict[str, Callable[[Deployment], int | None]] = {
        "flow": lambda d: account.flow_of(d).id,
        "environment": lambda d: d.virtual_environment_id,
        "package": lambda d: d.package_id,
    }
    return {str(d.id) for d in account.deployments.values() if held[part](d) in ids}


async def _shown(client: Any, arguments: dict[str, Any]) -> set[str]:
    """The ids of all deployments that an overview with these filters shows, page by page."""
    ids: set[str] = set()
    call: Any = {"arguments": {**arguments, "show": "deployments"}}
    while call:
        seen = data(await client.call_tool(TOOL, call["arguments"]))
        ids |= {row["id"] for row in seen["rows"]}
        call = seen.get("call")
    return ids


@newer_era_first
@pytest.mark.parametrize("part", TABLES)
async def test_a_whole_name_does_not_take_along_what_only_contains_it(part: str, era: Era) -> None:
    """Nobody means EU Production by "Production": in the overview, in its resource, in a switch, in completions."""
    sandbox = _named(part, "Production", "EU Production")
    _, first, second = TABLES[part]
    meant = _of(sandbox, part, first)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        overview = await client.call_tool(TOOL, {part: "Production"})
        resource = await read(client, f"patchworks://overview?{part}=Production")
        assert await _shown(client, {part: "Production"}) == meant
        both = await _shown(client, {part: "Productio"})
        result = data(await client.call_tool(SWITCH, {"enabled": False, part: "Production"}))
        offered = await complete(client, "deployment_id", "", **{part: "Production"})
    assert data(overview)["deployments"] == resource["deployments"] == len(meant) > 0
    assert data(overview)["matched"] == resource["matched"] == {part: [f"Production ({first})"]}
    assert data(overview)["left_out"] == {part: [f"EU Production ({second})"]}
    said = f"{part}: Production ({first}); left out, because that is a whole name: EU Production ({second})"
    assert text(overview).splitlines()[0] == said
    assert both == _of(sandbox, part, first, second)
    assert {name.partition("/")[2] for name in (*result["done"], *result.get("unchanged", []))} == meant
    assert {value.split(" ")[0] for value in offered} <= meant


WRITTEN = [
    ("Büro Köln", "bu\u0308ro ko\u0308ln"),
    ("Bu\u0308ro Ko\u0308ln", "BÜRO KÖLN"),
    ("Production", "  pRODUCTION "),
    ("UK | [Live]", "UK | [Live]"),
    ("UK | [Live]", "UK ¦ (Live)"),
    ('The "best" shop', "The 'best' shop"),
    ('The "best" shop', "The “best” shop"),
    ("한국 주문", "한국 주문"),
    ("Café", "Cafe\u0301"),
]


@pytest.mark.parametrize("part", TABLES)
@pytest.mark.parametrize(("stored", "typed"), WRITTEN)
async def test_names_are_compared_as_people_compare_them(part: str, stored: str, typed: str) -> None:
    """Case, blanks around it, the normal form, and marks that a result shows in place of others make no difference."""
    sandbox = _named(part, stored, f"{stored} 2", size=60)
    _, first, second = TABLES[part]
    async with connected(sandbox) as client:
        assert await _shown(client, {part: typed}) == _of(sandbox, part, first)
        assert await _shown(client, {part: typed.strip()[:-2]}) == _of(sandbox, part, first, second)
        resource = await read(client, f"patchworks://overview?{part}={quote(typed.strip())}")
    assert resource["deployments"] == len(_of(sandbox, part, first))


async def test_what_a_part_of_a_name_matched_is_named() -> None:
    """In text and data, at the top, and at most eight of them."""
    sandbox = Sandbox(300)
    for number in range(16, 26):
        sandbox.account.virtual_environments[number] = VirtualEnvironment(number, f"Shop {number} Live")
    for row, number in zip(list(sandbox.account.deployments.values())[:100], [*range(10, 26)] * 6, strict=False):
        row.virtual_environment_id = number
    async with connected(sandbox) as client:
        two = await client.call_tool(TOOL, {"environment": "uk"})
        many = await client.call_tool(TOOL, {"environment": "Live"})
        none = await client.call_tool(TOOL, {"environment": "Atlantis"})
        by_id = await client.call_tool(TOOL, {"environment": "10"})
    assert data(two)["matched"] == {"environment": ["UK Live (10)", "UK Sandbox (15)"]}
    assert text(two).splitlines()[0] == "environment: several fit: UK Live (10), UK Sandbox (15)"
    assert len(data(many)["matched"]["environment"]) == 9
    assert data(many)["matched"]["environment"][-1].startswith("and ")
    assert data(none)["matched"] == {"environment": []}
    assert text(none).splitlines()[0] == "environment: none has such a name"
    assert "matched" not in data(by_id)
    for result in (two, many, none, by_id):
        assert_both_tell_all(result)


async def test_a_name_of_several_flows_is_said_first() -> None:
    """Both are meant, and both are named with their ids."""
    async with connected(Sandbox(200)) as client:
        result = await client.call_tool(TOOL, {"flow": "Shopify orders to NetSuite"})
    both = ["Shopify orders to NetSuite (100)", "Shopify orders to NetSuite (103)"]
    assert next(iter(data(result))) == "matched"
    assert data(result)["matched"] == {"flow": both}
    assert text(result).splitlines()[0] == f"flow: several fit: {', '.join(both)}"


@newer_era_first
@pytest.mark.parametrize("other", [{"flow": "100"}, {"flow": "Orders"}, {"package": "60"}])
async def test_a_whole_name_wins_also_where_other_filters_hide_it(era: Era, other: dict[str, str]) -> None:
    """A flow that runs in "EU Production" alone is not stopped by "this flow in Production"."""
    sandbox, person = Sandbox(), Person(yes)
    account = sandbox.account
    account.flows[100].name = "Orders"
    account.virtual_environments[10].name = "Production"
    for row in account.deployments.values():
        is_other = account.flow_of(row).id == 100 or row.package_id == 60
        row.virtual_environment_id = 11 if is_other else 10
    async with connected(sandbox, person=person, era=era) as client:
        overview = await client.call_tool(TOOL, {"environment": "Production", **other})
        switch = await client.call_tool(SWITCH, {"enabled": False, "environment": "Production", **other})
    assert data(overview)["deployments"] == 0
    assert data(overview)["matched"]["environment"] == ["Production (10)"]
    assert data(overview)["left_out"]["environment"] == ["EU Production (11)"]
    assert_both_tell_all(overview)
    assert "which leaves out EU Production (11). Nothing was changed." in text(switch)
    assert (sandbox.writes, person.asked) == ([], [])


async def test_a_flow_s_whole_name_wins_also_where_it_runs_elsewhere() -> None:
    """In an environment that holds only "Orders EU", the name "Orders" means nothing."""
    sandbox = Sandbox()
    account = sandbox.account
    account.flows[100].name, account.flows[101].name = "Orders", "Orders EU"
    for row in account.deployments.values():
        row.virtual_environment_id = 10 if account.flow_of(row).id == 100 else 11
    async with connected(sandbox) as client:
        overview = await client.call_tool(TOOL, {"flow": "orders", "environment": "11"})
    assert data(overview)["deployments"] == 0
    assert data(overview)["matched"] == {"flow": ["Orders (100)"]}


async def test_looking_further_costs_requests_only_where_a_name_is_not_whole() -> None:
    """A whole name that shows among what is read anyway needs one request."""
    sandbox = Sandbox(60)
    async with connected(sandbox) as client:
        await client.call_tool(TOOL, {"flow": "100", "environment": "UK Live"})
        await client.call_tool(TOOL, {"environment": "UK"})
        assert len(sandbox.requests) == 2
        await client.call_tool(TOOL, {"flow": "100", "environment": "UK"})
    assert len(sandbox.requests) == 4


@newer_era_first
async def test_a_name_of_nothing_that_shows_selects_nothing(era: Era) -> None:
    """A letter that is not drawn is part of no name: it does not select everything."""
    sandbox, person = Sandbox(), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        overview = await client.call_tool(TOOL, {"environment": "\u3164"})
        switch = await client.call_tool(SWITCH, {"enabled": False, "environment": "\u3164"})
    assert data(overview)["deployments"] == 0
    assert "No deployment matches." in text(switch)
    assert sandbox.writes == []


@examples(30)
@given(
    name=st.text(st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Nd", "Po", "Sm", "Zs"]), min_size=1, max_size=20),
    forms=st.permutations(["NFC", "NFD"]),
)
@example(name="Ạ̈rger, (Straße) ¦ 2", forms=["NFC", "NFD"])
async def test_any_name_is_found_in_either_form(name: str, forms: list[Any]) -> None:
    """However Patchworks stores it, the API's own filter hides nothing of what a flow's name means."""
    stored, typed = (unicodedata.normalize(form, f"x {name}") for form in forms)
    assume(typed.isprintable())
    sandbox = _named("flow", stored, f"{stored} 2", size=20)
    async with connected(sandbox) as client:
        assert await _shown(client, {"flow": typed}) >= _of(sandbox, "flow", 100)
