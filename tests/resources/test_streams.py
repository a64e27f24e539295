"""`subscriptions/listen` streams over HTTP, as they travel."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import SubscriptionsListenRequestParams
from support.clients import data
from support.team import calling, on_loopback, serving

from patchworks_deployments.resources.subscriptions import ListingBus, Streams
from patchworks_deployments.sdk import lowlevel_server
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.settings import load_settings

ALL = "patchworks://deployments"


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """A server in this process, where its limits can be set; yields its endpoint."""
    app = create_app(load_settings({}, sandbox=True))
    async with app.router.lifespan_context(app), on_loopback(app) as base:
        yield f"{base}/mcp"


@asynccontextmanager
async def requested(url: str, *uris: str) -> AsyncIterator[httpx2.Response]:
    """The answer to a request for a stream; the client leaves at the end."""
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"notifications": {"resourceSubscriptions": uris}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "subscriptions/listen",
    }
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
        http.stream("POST", url, json=body, headers=headers) as got,
    ):
        yield got


@asynccontextmanager
async def listener(url: str, *uris: str) -> AsyncIterator[AsyncIterator[Any]]:
    """What arrives on an open stream after its acknowledgement: JSON, and comments as they are."""
    async with requested(url, *uris) as answer:
        arriving = _frames(answer)
        with anyio.fail_after(10):
            acknowledged = await anext(arriving)
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": [*uris]}
        yield arriving


async def _frames(answer: httpx2.Response) -> AsyncIterator[Any]:
    async for line in answer.aiter_lines():
        if line.startswith(("data: ", ":")):
            yield line if line[0] == ":" else json.loads(line.removeprefix("data: "))


async def enable_one(url: str) -> None:
    """Enable the first deployment that is disabled, which nobody has to agree to."""
    async with calling(url) as client:
        rows = data(await client.call_tool("list_deployments", {"per_page": 100}))["deployments"]
        row = next(row for row in rows if not row["enabled"])
        ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
        assert data(await client.call_tool("enable_deployment", ids))["status"] == "done"


async def test_an_open_stream_hears_of_what_it_asked_for_and_nothing_else() -> None:
    """Each update carries the id of the request that asked for it."""
    async with (
        served() as url,
        listener(url, ALL) as arriving,
        listener(url, "patchworks://flow-versions/1/deployments") as other,
    ):
        await enable_one(url)
        with anyio.fail_after(10):
            told = await anext(arriving)
        assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", ALL)
        assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 7}
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await anext(other)


@pytest.mark.slow
async def test_an_idle_stream_gets_comments() -> None:
    """A proxy that counts the seconds of silence does not cut it: the SDK sends a comment every 15 seconds."""
    async with served() as url, listener(url, ALL) as arriving:
        with anyio.fail_after(30):
            assert await anext(arriving) == ": ping"


async def test_a_client_that_leaves_makes_room_for_another() -> None:
    """Beyond the limit a stream is refused, with an error instead of an acknowledgement."""
    server, streams = MCPServer("one stream"), Streams(ListingBus(InMemorySubscriptionBus()), max_streams=1)
    lowlevel_server(server).add_request_handler(
        "subscriptions/listen", SubscriptionsListenRequestParams, streams.listen
    )
    async with Client(server) as client:
        async with client.listen(resource_subscriptions=[ALL]):
            with pytest.raises(MCPError, match="Too many streams of changes: this server has 1 for all"):
                async with client.listen(resource_subscriptions=[ALL]):
                    pass
        async with client.listen(resource_subscriptions=[ALL]):
            pass


@pytest.mark.slow
async def test_a_stopping_server_ends_its_streams_and_says_so() -> None:
    """The client gets the result that ends the stream, and the server does not wait for it to leave."""
    with serving("--sandbox") as server:
        async with calling(server.url) as client, client.listen(resource_subscriptions=[ALL]) as stream:
            server.process.terminate()
            with anyio.fail_after(10):
                assert [event async for event in stream] == []
                await anyio.to_thread.run_sync(server.process.wait)
