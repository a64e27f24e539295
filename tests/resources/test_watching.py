"""Who watches what: found by look-up, bounded for each caller and in all, and told without holding anybody up."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp_types import SubscribeRequestParams
from support.clients import connected, older_way

from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.resources.subscriptions import MAX_STREAMS_OF_ONE, ListingBus, OlderSubscribers
from patchworks_deployments.resources.uris import MAX_PLACES, MAX_WATCHED_URI_LENGTH, TOLD_IDS, TOUCHED, Told, watch_of
from patchworks_deployments.resources.watching import MAX_WATCHED, MAX_WATCHED_BY_ONE, Watchers

ALL = "patchworks://deployments"
STRANGE = [
    "",
    "https://example.com/",
    "patchworks://somewhere",
    "patchworks://touched?flow_id=1",
    "patchworks://flow-versions/1001",
    "patchworks://flow-versions/../deployments",
    "patchworks://flow-versions/1001/deployments/500/more",
    "patchworks://flow-versions/1001/deployments/500?page=2",
    "patchworks://deployments?odd=1",
    "patchworks://deployments?flow_id=1&flow_id=2",
    "patchworks://deployments#x",
    "patchworks://overview?odd=1",
    "patchworks://changes?odd=1",
    "patchworks://changes/1",
    f"{ALL}?like=" + "x" * MAX_WATCHED_URI_LENGTH,
]
"""URIs that no resource of this server has."""

ids = st.lists(st.integers(1, 40).map(str), max_size=MAX_PLACES + 5, unique=True)
filters = st.fixed_dictionaries({}, optional=dict.fromkeys(TOLD_IDS, ids) | {"like": st.just(["orders"])})


@given(st.lists(filters, max_size=20), st.fixed_dictionaries(dict.fromkeys(TOLD_IDS, ids)))
def test_look_up_finds_just_the_listings_that_may_have_changed(
    watched: list[dict[str, list[str]]], touched: dict[str, list[str]]
) -> None:
    """Those of whose ids, kind by kind, the written deployment has one: as trying each of them would."""
    watchers, heard = Watchers(), list[str]()
    uris = {
        f"{ALL}?{urlencode({n: ','.join(v) for n, v in wanted.items() if v} | {'page': 2})}": wanted
        for wanted in watched
    }
    stops = [watchers.add({uri: watch_of(uri)}, (None, heard.append)) for uri in uris]
    told = Told.of(f"{TOUCHED}?{urlencode({name: ','.join(known) for name, known in touched.items()})}")
    found = [uri for uri, _ in watchers.of(told, None)]
    expected = [
        uri
        for uri, wanted in uris.items()
        if all(not wanted.get(name) or {*wanted[name]} & {*touched[name]} for name in TOLD_IDS)
    ]
    assert sorted(found) == sorted(expected)
    for stop in stops:
        stop()
    assert not watchers.of(told, None)


@pytest.mark.parametrize("uri", STRANGE)
def test_a_uri_of_no_resource_is_not_watched(uri: str) -> None:
    """Nobody could read it."""
    with pytest.raises(InvalidArgument):
        watch_of(uri)


@older_way
async def test_a_stream_acknowledges_what_it_can_watch() -> None:
    """And nothing else; an older host is told which URI it was."""
    async with connected(era="auto") as client, client.listen(resource_subscriptions=[*STRANGE, ALL]) as stream:
        assert stream.honored.resource_subscriptions == [ALL]
    async with connected(era="legacy") as client:
        for uri in STRANGE:
            with pytest.raises(MCPError, match=r"^(?!.*Nothing was changed).*URI"):
                await client.session.subscribe_resource(uri)


@pytest.mark.slow
@older_way
async def test_one_caller_watches_so_many_uris_and_not_one_more() -> None:
    """A stream with too many is refused before any is read, and what was refused takes no room."""
    many = [f"{ALL}?like={number}" for number in range(MAX_WATCHED_BY_ONE)]
    said = "Too many watched URIs: one caller may have 500 at once. Nothing was changed. Watch a listing"
    async with connected(era="auto") as client:
        with pytest.raises(MCPError, match=said):
            await _listen(client, [*many, ALL] * 40)
        async with client.listen(resource_subscriptions=many):
            with pytest.raises(MCPError, match=said):
                await _listen(client, [ALL])
        await _listen(client, many)
    async with connected(era="legacy") as client:
        for uri in many:
            await client.session.subscribe_resource(uri)
        with pytest.raises(MCPError, match=said):
            await client.session.subscribe_resource(ALL)
        await client.session.subscribe_resource(many[0])
        await client.session.unsubscribe_resource(many[0])
        await client.session.subscribe_resource(ALL)


@pytest.mark.slow
async def test_one_caller_has_so_many_streams() -> None:
    """One more is refused in words."""
    async with connected(era="auto") as client, AsyncExitStack() as stack:
        for _ in range(MAX_STREAMS_OF_ONE):
            await stack.enter_async_context(client.listen(resource_subscriptions=[ALL]))
        with pytest.raises(MCPError, match="Too many streams of changes: one caller may have 200 at once"):
            await _listen(client, [ALL])


async def _listen(client: Client, uris: list[str]) -> None:
    async with client.listen(resource_subscriptions=uris):
        pass


def test_all_callers_together_watch_so_many_uris() -> None:
    """However many callers there are."""
    shares = Watchers().shares
    stops = [shares.take(f"caller {number}", MAX_WATCHED_BY_ONE) for number in range(MAX_WATCHED // MAX_WATCHED_BY_ONE)]
    with pytest.raises(MCPError, match="this server has 10,000 for all callers together, and these are in use"):
        shares.take("one more")
    stops[0]()
    shares.take("one more")


class Deaf:
    """The way to a client that reads nothing until it is told to."""

    def __init__(self) -> None:
        self.reads, self.heard = anyio.Event(), list[str]()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NotImplementedError

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:  # noqa: ARG002 - the SDK's signature
        await self.reads.wait()
        self.heard.append((params or {})["uri"])


async def test_an_older_host_that_does_not_read_holds_up_nobody() -> None:
    """Whatever happens meanwhile, one update of each URI waits for it, and others hear at once."""
    bus, deaf, hearing = ListingBus(InMemorySubscriptionBus()), Deaf(), Deaf()
    hearing.reads.set()
    older = OlderSubscribers(bus)
    async with older.served():
        for outbound in (deaf, hearing):
            connection = Connection.from_envelope("2025-11-25", None, None, outbound=outbound)
            session = ServerSession(None, connection)  # type: ignore[arg-type]
            ctx = ServerRequestContext(
                session=session, lifespan_context=None, protocol_version="2025-11-25", method="resources/subscribe"
            )
            await older.subscribe(ctx, SubscribeRequestParams(uri=ALL))
        for number in range(1, 51):
            await bus.publish(ResourceUpdated(ALL))
            with anyio.fail_after(5):
                while len(hearing.heard) < number:
                    await checkpoint()
        deaf.reads.set()
        await anyio.sleep(0.05)
        assert deaf.heard == [ALL, ALL]
