"""Listings as resources, and ready-made prompts."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types import (
    INVALID_PARAMS,
    TextContent,
)
from support.cases import HOSTILE
from support.clients import IDS, Era, Person, complete, connected, data, newer_era_first, read, yes
from support.faults import reply, scripted
from support.processes import over_stdio

from patchworks_deployments.sandbox import Sandbox


@newer_era_first
async def test_a_listing_is_the_same_as_the_tool_s_for_the_same_one_request(era: Era) -> None:
    """It holds the tool's structured content, costs no more, and links to the next page instead of naming a call."""
    sandbox = Sandbox(300)
    async with connected(sandbox, era=era) as client:
        resource = await read(client, "patchworks://deployments?name=orders&sort=-flow_name&include=user,enabledBy")
        assert len(sandbox.requests) == 1
        arguments = {"name": "orders", "sort": "-flow_name", "include": ["user", "enabledBy"]}
        tool = data(await client.call_tool("list_deployments", arguments))
    assert resource.pop("links")["next"]
    assert tool.pop("next")
    assert resource == tool


@newer_era_first
async def test_following_the_links_visits_every_deployment_once(era: Era) -> None:
    """Pages link forwards and backwards as resource URIs that keep the filters."""
    sandbox = Sandbox(23)
    seen: list[str] = []
    async with connected(sandbox, era=era) as client:
        uri: str | None = "patchworks://deployments?per_page=10&sort=created_at"
        while uri:
            page = await read(client, uri)
            seen += [row["id"] for row in page["deployments"]]
            last, uri = uri, page["links"].get("next")
        assert (await read(client, page["links"]["prev"]))["page"] == 2
    assert sorted(seen) == sorted(str(id_) for id_ in sandbox.account.deployments)
    assert last == "patchworks://deployments?per_page=10&sort=created_at&page=3"


@pytest.mark.parametrize(
    ("query", "parameter", "value"),
    [
        ("page=2&per_page=5", "page", "2"),
        ("per_page=5", "per_page", "5"),
        ("sort=-enabled_at", "sort", "-enabled_at"),
        ("flow_id=100,101", "filter[flowVersion.flow]", "100,101"),
        ("virtual_environment_id=10%20UK%20Live", "filter[virtual_environment_id]", "10"),
        ("package_id=60", "filter[package_id]", "60"),
        ("name=a%26b", "filter[name]", "a&b"),
        ("search=UK", "filter[global]", "UK"),
        ("like=stock", "filter[LIKE]", "stock"),
        ("include=user", "include", "flowVersion,virtualEnvironment,package,user"),
    ],
)
async def test_each_parameter_of_the_template_reaches_the_api(query: str, parameter: str, value: str) -> None:
    """Every filter, sort and include of the contract is reachable from the template."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        await read(client, f"patchworks://deployments?{query}")
    assert sandbox.requests[0].query[parameter] == value


@newer_era_first
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("patchworks://deployments?enviroment=1", "enviroment: is not known"),
        ("patchworks://deployments?page=0", "page: must be greater than"),
        ("patchworks://deployments?per_page=lots", "per_page: must be a valid integer"),
        ("patchworks://deployments?sort=id", "sort: must be"),
        ("patchworks://deployments?flow_id=1/2", "flow_id: must be an id"),
        ("patchworks://deployments?page=1&page=2", "repeats a parameter"),
        ("patchworks://deployments?include=secrets", "include: must be"),
        ("patchworks://deployments#x", "has a fragment"),
        ("patchworks://deployments?name=a#b", "has a fragment"),
        ("patchworks://overview#x", "has a fragment"),
        ("patchworks://flow-versions/1001/deployments#x", "has a fragment"),
        ("patchworks://flow-versions/1001/deployments?page=0", "page: must be greater than"),
        ("patchworks://flow-versions/1001/deployments?per_page=5", "per_page: is not known"),
        ("patchworks://overview?enabled=perhaps", "enabled: must be"),
        ("patchworks://changes?tool=enable_deployment", "tool: is not known"),
        ("patchworks://changes?page=0", "page: must be greater than"),
        ("patchworks://changes?since=soon", "since: this is no time"),
        ("patchworks://changes?since=7d&since=1d", "repeats a parameter"),
        ("patchworks://changes#x", "has a fragment"),
        ("patchworks://flow-versions/1001/deployments/a%20b", "id in the resource's URI"),
        ("patchworks://flow-versions/%2E%2E/deployments", "Unknown resource"),
        ("patchworks://nothing", "Unknown resource"),
    ],
)
async def test_an_unknown_or_malformed_parameter_is_an_error(era: Era, uri: str, said: str) -> None:
    """Nothing that was asked for is ever ignored, and nothing is requested."""
    sandbox = Sandbox()
    async with connected(sandbox, era=era) as client:
        with pytest.raises(MCPError, match=said) as caught:
            await client.read_resource(uri)
    assert caught.value.error.code == INVALID_PARAMS
    assert len(sandbox.requests) == 0


@newer_era_first
async def test_an_unknown_deployment_is_the_protocol_s_resource_not_found(era: Era) -> None:
    """The error carries the URI that was asked for."""
    uri = "patchworks://flow-versions/1001/deployments/99999"
    async with connected(era=era) as client:
        with pytest.raises(MCPError, match="404") as caught:
            await client.read_resource(uri)
    assert caught.value.error.code == INVALID_PARAMS
    assert caught.value.error.data == {"uri": uri}


@newer_era_first
async def test_one_deployment_and_the_overview_are_resources(era: Era) -> None:
    """They hold what the tools' structured content holds."""
    async with connected(Sandbox(300), era=era) as client:
        ids = {"flow_version_id": "1001", "deployment_id": "500"}
        one = await read(client, "patchworks://flow-versions/1001/deployments/500")
        assert one == data(await client.call_tool("get_deployment", ids))
        overview = await read(client, "patchworks://overview?environment=UK%20Live&enabled=true")
        arguments = {"environment": "UK Live", "enabled": True}
        assert overview == data(await client.call_tool("deployment_overview", arguments))


@newer_era_first
async def test_a_version_s_listing_is_the_same_as_the_tool_s_page_by_page(era: Era) -> None:
    """Each page holds the tool's structured content for the same one request, and links to its neighbours."""
    sandbox = _deployed_often(40)
    uri: str | None = "patchworks://flow-versions/1001%20Shopify%20orders/deployments"
    pages: list[dict[str, Any]] = []
    async with connected(sandbox, era=era) as client:
        while uri:
            sandbox.requests.clear()
            page = await read(client, uri)
            assert len(sandbox.requests) == 1
            uri = page["links"].get("next")
            pages.append(page)
        tool = [
            data(await client.call_tool("list_flow_version_deployments", {"flow_version_id": "1001", "page": n}))
            for n in (1, 2, 3)
        ]
    assert ["next" in page for page in tool] == [True, True, False]
    tool = [{name: value for name, value in page.items() if name != "next"} for page in tool]
    plain = "patchworks://flow-versions/1001/deployments"
    first, second, third = (page.pop("links") for page in pages)
    assert first == {"self": plain, "next": f"{plain}?page=2"}
    assert second == {"self": f"{plain}?page=2", "prev": plain, "next": f"{plain}?page=3"}
    assert third == {"self": f"{plain}?page=3", "prev": f"{plain}?page=2"}
    assert pages == tool
    assert sum(len(page["deployments"]) for page in pages) == 40


@newer_era_first
async def test_what_was_changed_is_the_same_as_the_tool_s(era: Era) -> None:
    """With the same filters; it links to its neighbours instead of naming a call."""
    filters = {"since": "1h", "environment": "UK Live", "outcome": "done", "tool_name": "set_deployments_enabled"}
    uri: str | None = f"patchworks://changes?{urlencode(filters)}"
    pages: list[dict[str, Any]] = []
    async with connected(Sandbox(400), person=Person(yes), era=era) as client:
        done = data(await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "10"}))["done"]
        await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "11"})
        while uri:
            pages.append(await read(client, uri))
            uri = pages[-1]["links"].get("next")
        tool = [data(await client.call_tool("list_changes", {**filters, "page": n + 1})) for n in range(len(pages))]
    assert ["next" in page for page in tool] == [True] * (len(pages) - 1) + [False]
    assert "prev" in pages[1].pop("links")
    assert sum(len(page["changes"]) for page in pages) == len(done)
    without = [{name: value for name, value in page.items() if name not in {"next", "links"}} for page in pages + tool]
    assert without[: len(pages)] == without[len(pages) :]


def _deployed_often(times: int) -> Sandbox:
    """An account whose flow version 1001 has so many deployments, on pages of fifteen."""
    sandbox = Sandbox(200)
    for row in sandbox.account.deployments.values():
        row.flow_version_id = 1001 if row.id < 500 + times else 1000
    return sandbox


async def test_a_version_with_a_quadrillion_pages_costs_one_request() -> None:
    """However many pages Patchworks claims to have, one is read and the next is a link."""
    endless = scripted(reply(200, {"data": [{"id": 1}], "meta": {"current_page": 1, "last_page": 10**15}}))
    async with connected(transport=endless) as client:
        page = await read(client, "patchworks://flow-versions/1001/deployments")
    assert page["links"]["next"] == "patchworks://flow-versions/1001/deployments?page=2"
    assert len(endless.requests) == 1


@newer_era_first
async def test_the_lists_of_resources_templates_and_prompts_are_cheap(era: Era) -> None:
    """Together at most 1,200 tokens of four characters; everything has a title and a description."""
    async with connected(era=era) as client:
        resources = await client.list_resources()
        templates = await client.list_resource_templates()
        prompts = await client.list_prompts()
    assert [r.uri.removeprefix("patchworks://") for r in resources.resources] == ["deployments", "overview", "changes"]
    dumped = [
        listed.model_dump(mode="json", by_alias=True, exclude_none=True) for listed in (resources, templates, prompts)
    ]
    assert sum(len(json.dumps(d, separators=(",", ":"))) for d in dumped) / 4 <= 1_200
    assert all(resource.title and resource.description for resource in resources.resources)
    assert all(template.title and template.description for template in templates.resource_templates)
    assert all(prompt.title and prompt.description for prompt in prompts.prompts)


async def test_definitions_may_be_kept_long_and_by_all_deployments_briefly_and_by_one() -> None:
    """Cache hints: long for what never changes, and public where all get the same; private, short for deployments."""
    async with connected() as client:
        tools = await client.list_tools()
        hints = [
            (listed.cache_scope, listed.ttl_ms >= 3_600_000)
            for listed in (
                await client.list_resources(),
                await client.list_resource_templates(),
                await client.list_prompts(),
            )
        ]
        read_result = await client.read_resource("patchworks://deployments")
    assert set(hints) == {("public", True)}
    assert (tools.cache_scope, tools.ttl_ms) == ("private", 3_600_000)
    assert read_result.cache_scope == "private"
    assert 0 < read_result.ttl_ms <= 10_000


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_cannot_escape_their_field(name: str) -> None:
    """Whatever a flow is called, the listing stays JSON with that name in its one place."""
    sandbox = Sandbox()
    row = next(iter(sandbox.account.deployments.values()))
    sandbox.account.flow_of(row).name = name
    async with connected(sandbox) as client:
        first = (await read(client, "patchworks://deployments?per_page=1"))["deployments"][0]
    assert first["flow_name"].isprintable()
    assert len(first["flow_name"]) <= 120
    assert first["enabled"] is True


@newer_era_first
async def test_results_hold_texts_and_no_links(era: Era) -> None:
    """Some agents end at a link, when the write is done already: neither what is read nor what is done has one."""
    async with connected(person=Person(yes), era=era) as client:
        for tool in ("get_deployment", "disable_deployment", "enable_deployment"):
            result = await client.call_tool(tool, IDS)
            assert [block.type for block in result.content] == ["text"], tool


@pytest.mark.slow
@newer_era_first
async def test_resources_completions_and_prompts_work_over_stdio(era: Era) -> None:
    """A host lists them, completes a parameter, follows a template's pages, and gets a prompt, from a real process."""
    async with over_stdio("--sandbox", era=era) as client:
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert all([await read(client, uri) for uri in listed])
        (environment,) = await complete(client, "virtual_environment_id", "uk l")
        expanded = UriTemplate.parse(templates[0]).expand({"virtual_environment_id": environment, "per_page": "4"})
        pages = [await read(client, expanded)]
        while following := pages[-1]["links"].get("next"):
            pages.append(await read(client, following))
        version = UriTemplate.parse(templates[1]).expand({"flow_version_id": "1001"})
        assert (await read(client, version))["total"] == 3
        (message,) = (await client.get_prompt("stop_environment", {"environment": environment})).messages
    assert (len(listed), len(templates), len(prompts)) == (3, 5, 5)
    rows = [row for page in pages for row in page["deployments"]]
    assert len(pages) > 1
    assert len({row["id"] for row in rows}) == len(rows) == pages[0]["total"]
    assert {tuple(page["environments"].values()) for page in pages} == {("UK Live",)}
    assert isinstance(message.content, TextContent)
    assert 'environment "10"' in message.content.text
