"""What is offered because of the page, and to whom."""

import json

import httpx2
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents, Tool
from support.clients import CONFIRM, TOOLS, Era, both_eras, connected
from support.processes import ROOT, over_stdio

from patchworks_deployments.app.page import PAGE_URI, page_html
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

REVIEWED = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "tool_schemas").glob("*.json")}
"""The definitions under review: with all that a client gets which shows pages."""


def seen(tool: Tool) -> object:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


@both_eras
async def test_a_client_without_pages_is_offered_the_definitions_without_the_page(era: Era) -> None:
    """As if there were none; so is one that declares the extension for pages of another kind."""
    without = {name: {k: v for k, v in tool.items() if k != "_meta"} for name, tool in REVIEWED.items()}
    del without[CONFIRM]
    server = create_server(load_settings({}, sandbox=True), httpx2.ASGITransport(app=Sandbox().app))
    odd = [advertise(EXTENSION_ID, {"mimeTypes": ["text/html"]})]
    async with connected(era=era) as plain, Client(server, mode=era, extensions=odd) as other:
        for client in (plain, other):
            assert {tool.name: seen(tool) for tool in (await client.list_tools()).tools} == without


@both_eras
async def test_a_client_with_pages_is_offered_the_page_and_what_its_clicks_need(era: Era) -> None:
    """The overview and each write name the page, and one tool is for the page alone; no shared cache keeps the list."""
    async with connected(era=era, pages=True) as client:
        listed = await client.list_tools()
    assert {tool.name: seen(tool) for tool in listed.tools} == REVIEWED
    ui = {tool.name: (tool.meta or {}).get("ui") for tool in listed.tools}
    assert {name for name, told in ui.items() if told} == {"deployment_overview", *WRITES, CONFIRM}
    assert ui.pop(CONFIRM) == {"resourceUri": PAGE_URI, "visibility": ["app"]}
    assert all(told == {"resourceUri": PAGE_URI} for told in ui.values() if told)
    if era == "auto":
        assert listed.cache_scope == "private"


@both_eras
async def test_the_page_is_read_like_any_resource(era: Era) -> None:
    """Of the kind that hosts show, and the very document; it is not listed among what an assistant reads."""
    async with connected(era=era, pages=True) as client:
        (contents,) = (await client.read_resource(PAGE_URI)).contents
        assert PAGE_URI not in [resource.uri for resource in (await client.list_resources()).resources]
        capabilities = client.server_capabilities
    assert isinstance(contents, TextResourceContents)
    assert (contents.uri, contents.mime_type, contents.text) == (PAGE_URI, APP_MIME_TYPE, page_html())
    if era == "auto":  # in the older one the SDK declares no extension
        assert capabilities
        assert EXTENSION_ID in (capabilities.extensions or {})


@pytest.mark.slow
@both_eras
async def test_the_installed_program_has_the_page(era: Era) -> None:
    """Over its stdin and stdout, with the tool for clicks."""
    async with over_stdio("--sandbox", era=era, pages=True) as client:
        (contents,) = (await client.read_resource(PAGE_URI)).contents
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS | {CONFIRM}
    assert isinstance(contents, TextResourceContents)
    assert contents.text == page_html()
