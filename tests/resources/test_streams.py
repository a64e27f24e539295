"""Open `subscriptions/listen` streams of the ASGI application, as a server sees them: messages in, messages out."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import ResourceUpdated
from mcp_types import SubscriptionFilter
from starlette.applications import Starlette
from starlette.types import Message, Scope
from support.team import calling, serving

from patchworks_deployments.resources.streams import Listeners, Stream
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.settings import load_settings

ALL = "patchworks://deployments"


@pytest.fixture
async def app() -> AsyncIterator[Starlette]:
    application = create_app(load_settings({}, sandbox=True))
    async with application.router.lifespan_context(application):
        yield application


def listeners_of(app: Starlette) -> Listeners:
    held = app.user_middleware[0].kwargs["listeners"]
    assert isinstance(held, Listeners)
    return held


class Caller:
    """One request: what the application has sent for it, and a way to leave."""

    def __init__(self, method: str, **params: Any) -> None:
        self.left = anyio.Event()
        self.is_over = anyio.Event()
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}
        self._requests: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode()}]
        headers = {
            "host": "127.0.0.1",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            "mcp-name": str(params.get("name", "")),
        }
        self._scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
        }

    async def run(self, app: Starlette) -> None:
        await app(self._scope, self._receive, self._sent.put)
        self.is_over.set()

    async def _receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Any:
        """The next JSON that arrives; a comment arrives as text."""
        with anyio.fail_after(10):
            while not (body := (await self._sent.get()).get("body")):
                pass
        text = bytes(body).decode()
        return json.loads(text.rpartition("data: ")[2]) if text[0] != ":" else text


@asynccontextmanager
async def listener(app: Starlette, *uris: str) -> AsyncIterator[Caller]:
    """An open stream, after its acknowledgement; the client leaves at the end."""
    caller = Caller("subscriptions/listen", notifications={"resourceSubscriptions": uris})
    async with anyio.create_task_group() as group:
        group.start_soon(caller.run, app)
        acknowledged = await caller.next()
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": [*uris]}
        yield caller
        caller.left.set()
        with anyio.fail_after(10):
            await caller.is_over.wait()


async def call(app: Starlette, tool: str, **arguments: Any) -> Any:
    caller = Caller("tools/call", name=tool, arguments=arguments)
    await caller.run(app)
    return (await caller.next())["result"]


async def enable_one(app: Starlette) -> None:
    """Enable the first deployment that is disabled, which nobody has to agree to."""
    rows = (await call(app, "list_deployments", per_page=100))["structuredContent"]["deployments"]
    row = next(row for row in rows if not row["enabled"])
    ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
    assert (await call(app, "enable_deployment", **ids))["structuredContent"]["status"] == "done"


async def test_an_open_stream_hears_of_what_it_asked_for_and_nothing_else(app: Starlette) -> None:
    """Each update carries the id of the request that asked for it."""
    async with listener(app, ALL) as caller, listener(app, "patchworks://flow-versions/1/deployments") as other:
        await enable_one(app)
        told = await caller.next()
        assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", ALL)
        assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 7}
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await other.next()


async def test_nothing_that_served_the_request_is_kept(app: Starlette) -> None:
    """Or a thousand idle listeners would need 50 MiB."""
    async with listener(app, ALL):
        gc.collect()
        assert not [kept for kept in gc.get_objects() if isinstance(kept, ServerRequestContext)]


async def test_an_idle_stream_gets_comments(app: Starlette) -> None:
    """A proxy that counts the seconds of silence does not cut it."""
    listeners_of(app).ping_after = 0.01
    async with listener(app, ALL) as caller:
        assert [await caller.next(), await caller.next()] == [": ping\r\n\r\n"] * 2


async def test_a_client_that_leaves_makes_room_for_another(app: Starlette) -> None:
    """Beyond the limit a stream is refused, with an error instead of an acknowledgement."""
    listeners_of(app).most = 1
    async with listener(app, ALL):
        refused = Caller("subscriptions/listen", notifications={"resourceSubscriptions": [ALL]})
        with anyio.fail_after(10):
            await refused.run(app)
        assert "Too many subscriptions" in (await refused.next())["error"]["message"]
    async with listener(app, ALL):
        pass


async def test_a_slow_client_is_told_once_of_what_changed_often() -> None:
    """What waits for a client is bounded by what it asked for."""
    stream = Stream(1, SubscriptionFilter(resource_subscriptions=[ALL]))
    for _ in range(1_000):
        stream.deliver(ResourceUpdated(ALL))
    stream.finish()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    await stream.run(asyncio.Queue[Message]().get, sent.put)
    assert [sent.get_nowait()["body"].count(b"data:") for _ in range(sent.qsize())] == [1, 0]


@pytest.mark.slow
async def test_a_stopping_server_ends_its_streams_and_says_so() -> None:
    """The client gets the result that ends the stream, and the server does not wait for it to leave."""
    with serving("--sandbox") as served:
        async with calling(served.url) as client, client.listen(resource_subscriptions=[ALL]) as stream:
            served.process.terminate()
            with anyio.fail_after(10):
                assert [event async for event in stream] == []
                await anyio.to_thread.run_sync(served.process.wait)
