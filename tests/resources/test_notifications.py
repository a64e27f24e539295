"""Live listings over real stdio: exactly the expected updates, in both eras."""

import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import ResourceUpdatedNotification
from support.clients import IDS, Era, Person, data, newer_era_first, no, older_way, yes
from support.ears import overheard, watching
from support.faults import Gate, Step, Upstream, reply, write
from support.processes import over_stdio

from patchworks_deployments.sandbox import Sandbox

ONE = "patchworks://flow-versions/1001/deployments/500"
VERSION = "patchworks://flow-versions/1001/deployments"
ALL = "patchworks://deployments"
OVERVIEW = "patchworks://overview"
HERE = "patchworks://deployments?virtual_environment_id=10%20UK%20Live"
ELSEWHERE = "patchworks://deployments?virtual_environment_id=11"
OTHER = "patchworks://flow-versions/1002/deployments"
CHANGES = "patchworks://changes"
CHANGES_OF_TODAY = "patchworks://changes?since=24h"
WATCHED = [ONE, VERSION, ALL, HERE, ELSEWHERE, OTHER, OVERVIEW, CHANGES, CHANGES_OF_TODAY]
EXPECTED = {ONE, VERSION, ALL, HERE, OVERVIEW, CHANGES, CHANGES_OF_TODAY}


async def _no_change(client: Client, person: Person) -> None:
    """A dry run, a no, a no-op and an error: nobody is to hear of them."""
    await client.call_tool("disable_deployment", {**IDS, "dry_run": True})
    person.answer, person.meanwhile = no, partial(time.sleep, 0.6)  # a no that comes at once is nobody's
    assert data(await client.call_tool("disable_deployment", IDS))["status"] == "declined"
    assert data(await client.call_tool("enable_deployment", IDS))["status"] == "unchanged"
    assert (await client.call_tool("disable_deployment", {**IDS, "deployment_id": "1"})).is_error
    person.answer = yes


@pytest.mark.slow
async def test_listeners_of_the_new_era_hear_exactly_what_changed() -> None:
    """One write updates the deployment and each listing that holds it, and no other."""
    person = Person(yes)
    heard: list[str] = []
    async with over_stdio("--sandbox", era="auto", person=person) as client, AsyncExitStack() as stack:
        stream = await stack.enter_async_context(client.listen(resource_subscriptions=WATCHED))
        await _no_change(client, person)
        await client.call_tool("disable_deployment", IDS)
        with anyio.fail_after(20):
            while set(heard) != EXPECTED:
                heard.append((await anext(stream)).uri)  # type: ignore[union-attr]
        await stack.aclose()
        async with client.listen(resource_subscriptions=[ELSEWHERE, OTHER]) as quiet:
            await client.call_tool("enable_deployment", IDS)
            row = await _somewhere_else(client)
            await client.call_tool("disable_deployment", row)
            with anyio.fail_after(20):
                assert (await anext(quiet)).uri == ELSEWHERE  # type: ignore[union-attr]
    assert sorted(heard) == sorted(EXPECTED)


async def _somewhere_else(client: Client) -> dict[str, Any]:
    rows = data(await client.call_tool("list_deployments", {"virtual_environment_id": "11"}))["deployments"]
    row = next(row for row in rows if row["enabled"])
    return {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}


@pytest.mark.slow
@older_way
async def test_subscribers_of_the_older_era_hear_exactly_what_changed_until_they_unsubscribe() -> None:
    """resources/subscribe works for them, each update comes once, and after unsubscribing none does."""
    person = Person(yes)
    heard: list[str] = []
    arrived = anyio.Event()
    barrier: set[str] = set(EXPECTED)

    async def on_message(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))
            if barrier <= set(heard):
                arrived.set()

    async with over_stdio("--sandbox", era="legacy", person=person, message_handler=on_message) as client:
        for uri in WATCHED:
            await client.session.subscribe_resource(uri)
        await _no_change(client, person)
        await client.call_tool("disable_deployment", IDS)
        with anyio.fail_after(20):
            await arrived.wait()
        assert sorted(heard) == sorted(EXPECTED)
        for uri in WATCHED:
            if uri != ALL:
                await client.session.unsubscribe_resource(uri)
        heard.clear()
        arrived, barrier = anyio.Event(), {ALL}
        await client.call_tool("enable_deployment", IDS)
        with anyio.fail_after(20):
            await arrived.wait()
    assert heard == [ALL]


# In memory, where faults can be injected ----------------------------------------------------------


LATER_IDS = {"flow_version_id": "1054", "deployment_id": "503"}
LATER = "patchworks://flow-versions/1054/deployments/503"
"""Of a write that comes after the one in question: what was to be heard of that has been heard by then."""


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("enable_deployment", {"flow_version_id": "1052", "deployment_id": "504"}),
    ("disable_deployment", IDS),
    ("update_deployment", {**IDS, "priority": 9}),
    ("delete_deployment", IDS),
    ("set_deployments_enabled", {"enabled": False, "deployments": ["1001/500"]}),
]


@older_way
@newer_era_first
@pytest.mark.parametrize(("tool", "arguments"), WRITES, ids=[tool for tool, _ in WRITES])
async def test_every_kind_of_write_is_heard_of(era: Era, tool: str, arguments: dict[str, Any]) -> None:
    """The deployment, its version's listing, the listing of all, the overview and the changes are told, each once."""
    version, id_ = arguments.get("flow_version_id", "1001"), arguments.get("deployment_id", "500")
    mine = f"patchworks://flow-versions/{version}/deployments"
    async with overheard(era, f"{mine}/{id_}", mine, ALL, OVERVIEW, CHANGES, OTHER, LATER) as (client, ears):
        result = data(await client.call_tool(tool, arguments))
        assert result["status"] == "done"
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert sorted(heard) == sorted([f"{mine}/{id_}", mine, ALL, OVERVIEW, CHANGES, LATER])


@older_way
@newer_era_first
async def test_a_new_deployment_is_heard_of(era: Era) -> None:
    """Creating one tells its version's listing, and the filtered listing of the environment where it is now."""
    here, elsewhere = (f"{ALL}?virtual_environment_id={id_}" for id_ in (12, 13))
    async with overheard(era, VERSION, ALL, here, elsewhere, LATER) as (client, ears):
        arguments = {"flow_version_id": "1001", "virtual_environment_id": "12"}
        created = data(await client.call_tool("create_deployment", arguments))
        assert created["status"] == "done", created
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert sorted(heard) == sorted([VERSION, ALL, here, LATER])


@older_way
@newer_era_first
async def test_who_watches_by_what_only_the_listing_tells_hears_of_a_switch(era: Era) -> None:
    """A single record may hold less than the listing by which the deployment was chosen."""

    def bare(request: httpx2.Request, answer: Any) -> Any:
        if request.method == "GET" and "/flow-versions/" in request.url.path:
            for name in ("flow_id", "flow_version", "package_id", "package"):
                answer["data"].pop(name, None)
        return answer

    watched = [f"{ALL}?{query}" for query in ("flow_id=100", "package_id=60", "virtual_environment_id=10")]
    async with overheard(era, *watched, LATER, transport=Upstream().alter(bare)) as (client, ears):
        arguments = {"enabled": False, "environment": "10", "flow": "100"}
        assert data(await client.call_tool("set_deployments_enabled", arguments))["status"] == "done"
        await client.call_tool("disable_deployment", LATER_IDS)
        assert {*watched} <= {*await ears.until(LATER)}


@older_way
@newer_era_first
async def test_where_a_deployment_has_come_unasked_is_told(era: Era) -> None:
    """What was read back counts, and not what was wanted: a change of queue priority that also moved it."""
    sandbox = Sandbox()
    row = sandbox.account.deployments[500]
    moving = Upstream(sandbox).after("PUT", lambda *_: setattr(row, "virtual_environment_id", 11))
    async with overheard(era, ELSEWHERE, HERE, LATER, transport=moving) as (client, ears):
        await client.call_tool("update_deployment", {**IDS, "priority": 9})
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert sorted(heard) == sorted([ELSEWHERE, HERE, LATER])


@older_way
@newer_era_first
async def test_replacing_a_version_tells_of_both(era: Era) -> None:
    """The listing of the version that went and of the one that came are both updated."""
    both = {VERSION, "patchworks://flow-versions/1000/deployments"}
    async with overheard(era, *both, LATER) as (client, ears):
        result = await client.call_tool("replace_deployment", {**IDS, "new_flow_version_id": "1000"})
        assert data(result)["status"] == "done"
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert set(heard) == {*both, LATER}


@older_way
@newer_era_first
async def test_pages_of_a_version_s_listing_and_uris_with_names_are_told_too(era: Era) -> None:
    """Whoever watches a page, or a URI as a completion wrote it, hears of it; another version's page stays silent."""
    page, named = f"{VERSION}?page=2", "patchworks://flow-versions/1001%20Shopify%20orders/deployments"
    one = f"{named}/500%20Shopify%20orders%20in%20UK%20Live"
    async with overheard(era, page, named, one, f"{OTHER}?page=2", LATER) as (client, ears):
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert sorted(heard) == sorted([page, named, one, LATER])


@older_way
@newer_era_first
@pytest.mark.parametrize(
    ("fault", "reading_back", "status"),
    [
        (reply(422, {"message": "No."}), None, "failed"),
        (httpx2.ReadTimeout, httpx2.ReadTimeout, "unknown"),
        (reply(200, {"message": "ok"}), httpx2.ReadTimeout, "done"),
    ],
    ids=["refused", "unknown", "not verified"],
)
async def test_what_may_have_changed_is_told_and_what_was_refused_is_not(
    era: Era, fault: Step, reading_back: Step, status: str
) -> None:
    """Subscribers hear of a write as much as its caller: a change that nobody has seen may be one."""
    transport = Upstream().on(write, fault).reading_back(reading_back, "/deployments/500")
    async with overheard(era, ONE, VERSION, ALL, LATER, transport=transport) as (client, ears):
        result = data(await client.call_tool("disable_deployment", IDS))
        assert (result["status"], result.get("verified", False)) == (status, False)
        await client.call_tool("disable_deployment", LATER_IDS)
        heard = await ears.until(LATER)
    assert (ONE in heard) is (status != "failed")


@older_way
@newer_era_first
async def test_nobody_is_told_before_a_write_is_verified(era: Era) -> None:
    """A write that comes later but is verified sooner is heard of first."""
    gate = Gate()
    slow = Upstream().reading_back(gate, "/deployments/500")
    async with overheard(era, ONE, LATER, transport=slow) as (client, ears):
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "disable_deployment", IDS)
            await gate.arrived.wait()
            await client.call_tool("disable_deployment", LATER_IDS)
            assert await ears.until(LATER) == [LATER]
            gate.go_on.set()
        assert await ears.until(ONE) == [ONE]


async def test_a_closed_stream_of_the_new_era_is_sent_nothing_more() -> None:
    """After a listener has closed its stream, a change puts only the other listener's updates on the wire."""
    async with overheard("auto", VERSION, LATER) as (client, ears):
        async with watching(client, ONE, HERE):
            await client.call_tool("disable_deployment", IDS)
            assert sorted(await ears.until(HERE)) == sorted([ONE, VERSION, HERE])
        await client.call_tool("enable_deployment", IDS)
        await client.call_tool("disable_deployment", LATER_IDS)
        assert await ears.until(LATER) == [VERSION, LATER]
