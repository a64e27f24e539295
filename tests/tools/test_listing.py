"""Looking: lists, one deployment, and what they show."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Era, connected, data, newer_era_first, text
from support.examples import examples
from support.faults import reply, scripted
from support.overviews import tokens
from support.read_back import assert_listing_is_whole

from patchworks_deployments.sandbox import Sandbox


@newer_era_first
async def test_a_listing_shows_names_and_state_without_being_asked(era: Era) -> None:
    """Flow, iteration, environment and state stand in the text and in the structured content."""
    sandbox = Sandbox()
    async with connected(sandbox, era=era) as client:
        result = await client.call_tool("list_deployments", {"per_page": 3})
    first = data(result)["deployments"][0]
    row = sandbox.account.deployments[int(first["id"])]
    assert first["flow_name"] == sandbox.account.flow_of(row).name
    assert first["iteration"] == sandbox.account.version_of(row).iteration
    assert first["enabled"] is (row.enabled_at is not None)
    line = next(line for line in text(result).splitlines() if line.startswith(first["id"]))
    environment = data(result)["environments"][first["virtual_environment_id"]]
    assert all(told in line for told in (first["flow_name"], first["flow_id"], environment))
    assert [(request.method, request.status) for request in sandbox.requests] == [("GET", 200)]


@newer_era_first
async def test_the_next_page_is_named_as_an_exact_call_until_there_is_none(era: Era) -> None:
    """Following the calls that text and data name yields every deployment once."""
    sandbox = Sandbox(23)
    seen: list[str] = []
    async with connected(sandbox, era=era) as client:
        call: dict[str, Any] = {"tool": "list_deployments", "arguments": {"per_page": 10, "sort": "-flow_name"}}
        while call:
            result = await client.call_tool(call["tool"], call["arguments"])
            seen += [row["id"] for row in data(result)["deployments"]]
            call = data(result).get("next", {})
            _, _, arguments = text(result).partition("next page: list_deployments ")
            assert (json.loads(arguments) if arguments else None) == call.get("arguments")
    assert sorted(seen) == sorted(str(id_) for id_ in sandbox.account.deployments)
    assert len(sandbox.requests) == 3


@pytest.mark.parametrize(
    ("arguments", "parameter", "value"),
    [
        ({"flow_id": 100}, "filter[flowVersion.flow]", "100"),
        ({"flow_id": ["100", 101]}, "filter[flowVersion.flow]", "100,101"),
        ({"virtual_environment_id": "10, 11"}, "filter[virtual_environment_id]", "10,11"),
        ({"package_id": "60"}, "filter[package_id]", "60"),
        ({"name": "orders"}, "filter[name]", "orders"),
        ({"search": "UK"}, "filter[global]", "UK"),
        ({"like": "stock"}, "filter[LIKE]", "stock"),
        ({"include": ["user", "enabledBy"]}, "include", "flowVersion,virtualEnvironment,package,user,enabledBy"),
        ({"sort": "-enabled_at"}, "sort", "-enabled_at"),
        ({"page": "2"}, "page", "2"),
        ({"per_page": 100}, "per_page", "100"),
    ],
)
async def test_each_argument_reaches_the_api_under_its_own_name(
    arguments: dict[str, object], parameter: str, value: str
) -> None:
    """Every filter, include, sort and page of the contract can be asked for."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        result = await client.call_tool("list_deployments", arguments)
    assert not result.is_error, text(result)
    assert sandbox.requests[0].query[parameter] == value


async def test_every_optional_argument_accepts_null() -> None:
    """A host that fills what was left out with null gets the plain listing."""
    async with connected() as client:
        tool = next(tool for tool in (await client.list_tools()).tools if tool.name == "list_deployments")
        plain = await client.call_tool("list_deployments", {})
        nulls = await client.call_tool("list_deployments", dict.fromkeys(tool.input_schema["properties"]))
    assert data(nulls) == data(plain)


async def test_includes_and_sorts_bring_their_columns() -> None:
    """What an include or a sort asks for is shown, in text and structured content."""
    async with connected() as client:
        result = await client.call_tool("list_deployments", {"include": ["user", "enabledBy"], "sort": "created_at"})
    first = data(result)["deployments"][0]
    assert {"deployed_by", "created_at"} <= first.keys()
    assert first["created_at"][:10] in text(result)
    assert "enabled by | deployed by | created at" in text(result)


async def test_a_flow_version_s_deployments_are_listed() -> None:
    """The nested list holds just that version's deployments, with environments by name."""
    sandbox = Sandbox()
    row = next(iter(sandbox.account.deployments.values()))
    async with connected(sandbox) as client:
        result = await client.call_tool("list_flow_version_deployments", {"flow_version_id": row.flow_version_id})
    assert {r["flow_version_id"] for r in data(result)["deployments"]} == {str(row.flow_version_id)}
    assert data(result)["environments"]


async def test_one_name_for_several_flows_is_said() -> None:
    """A listing in which a name means two flows names their ids."""
    async with connected(Sandbox(200)) as client:
        result = await client.call_tool("list_deployments", {"name": "Shopify orders to NetSuite", "per_page": 100})
    (remark,) = data(result)["remarks"]
    assert remark == '"Shopify orders to NetSuite" is the name of 2 different flows: 100, 103.'
    assert remark in text(result)


@newer_era_first
async def test_full_detail_shows_further_fields_but_never_a_secret(era: Era) -> None:
    """What the API sent beyond the model is shown with secrets masked."""
    sandbox = Sandbox()
    row = next(iter(sandbox.account.deployments.values()))
    ids = {"flow_version_id": row.flow_version_id, "deployment_id": row.id}
    async with connected(sandbox, era=era) as client:
        full = await client.call_tool("get_deployment", {**ids, "detail": "full"})
        summary = await client.call_tool("get_deployment", ids)
    assert "(masked)" in text(full)
    assert "s3cr3t" not in text(full) + json.dumps(data(full))
    other = data(full)["other"]
    assert (other["key"], other["value"]) == ("webhook_token", "(masked)")
    assert other["virtual_environment"]["name"]
    assert other["flow_version"]["variables"] == "(masked)"
    assert "other" not in data(summary)


async def test_json_api_answers_read_the_same_as_flat_ones() -> None:
    """Either shape of the API gives the same listing and the same deployment."""
    results = []
    for sandbox in (Sandbox(shape="flat"), Sandbox(shape="json_api")):
        row = next(iter(sandbox.account.deployments.values()))
        async with connected(sandbox) as client:
            ids = {"flow_version_id": row.flow_version_id, "deployment_id": row.id}
            page = await client.call_tool("list_deployments", {"include": ["user"]})
            results.append((data(page), data(await client.call_tool("get_deployment", ids))))
    assert results[0] == results[1]


async def test_odd_records_are_counted_and_the_others_shown() -> None:
    """One unreadable record costs neither the page nor the truth about it."""
    rows = [
        {"id": 1, "flow_version_id": 2, "enabled_at": None},
        "nonsense",
        {"id": {}},
        {"id": "3", "priority": "high"},
    ]
    async with connected(transport=scripted(reply(200, {"data": rows}))) as client:
        result = await client.call_tool("list_deployments", {})
    assert [row["id"] for row in data(result)["deployments"]] == ["1", "3"]
    (remark,) = data(result)["remarks"]
    assert remark == "2 records could not be read and are left out."
    assert remark in text(result)
    assert "priority" in data(result)["deployments"][1]["unreadable"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    [
        "id",
        "flow_id",
        "flow_name",
        "iteration",
        "enabled_at",
        "priority",
        "user",
        "flow_version",
        "attributes",
        "package",
    ]
)


@examples(60)
@given(rows=st.lists(st.dictionaries(field_names, json_values, max_size=8) | json_values, max_size=4))
async def test_no_answer_of_the_api_breaks_a_listing(rows: list[object]) -> None:
    """Whatever stands in the records, the client gets a valid page or a plain error."""
    body = json.dumps({"data": rows}).encode()
    async with connected(transport=scripted(reply(200, body))) as client:
        result = await client.call_tool("list_deployments", {})
    assert not result.is_error, text(result)
    told = next((remark for remark in data(result).get("remarks", []) if "could not be read" in remark), "0")
    assert len(data(result)["deployments"]) + int(told.split()[0]) == len(rows)


async def test_a_page_is_short_in_both_channels() -> None:
    """Twenty-five deployments with all ids take at most 1,000 tokens of text and 1,600 of data."""
    async with connected(Sandbox(2_000)) as client:
        result = await client.call_tool("list_deployments", {})
    assert len(data(result)["deployments"]) == 25
    assert tokens(text(result)) <= 1_000
    assert tokens(data(result)) <= 1_600


async def test_names_of_environments_and_packages_stand_once_beside_the_rows() -> None:
    """A row names its own only where the id is not known, or another row has another name for it."""
    rows = [
        {"id": 1, "virtual_environment": {"id": 10, "name": "UK Live"}, "package": {"id": 60, "name": "Core"}},
        {"id": 2, "virtual_environment": {"id": 10, "name": "UK Live"}, "package": {"name": "Core"}},
        {"id": 3, "virtual_environment": {"id": 10, "name": "UK Old"}, "package_id": 60},
    ]
    async with connected(transport=scripted(reply(200, {"data": rows}))) as client:
        result = await client.call_tool("list_deployments", {})
    seen = data(result)
    assert (seen["environments"], seen["packages"]) == ({"10": "UK Live"}, {"60": "Core"})
    names = [(row.get("virtual_environment_name"), row.get("package_name")) for row in seen["deployments"]]
    assert names == [(None, None), (None, "Core"), ("UK Old", None)]
    places = [line.split(" | ")[4:6] for line in text(result).splitlines()[2:]]
    assert places == [["UK Live (10)", "Core (60)"], ["UK Live (10)", "Core (?)"], ["UK Old (10)", "Core (60)"]]
    assert_listing_is_whole(result)


async def test_a_page_past_the_last_one_says_so() -> None:
    """It holds no deployment, and tells how many there are and on how many pages."""
    async with connected() as client:
        result = await client.call_tool("list_deployments", {"page": 9})
    assert text(result) == "0 of 60 deployments, page 9 of 3"
    assert data(result) == {"page": 9, "pages": 3, "total": 60, "deployments": []}
