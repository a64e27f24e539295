"""Live listings over real stdio: exactly the expected updates, in both eras."""

from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ResourceUpdatedNotification
from support import Person, data, no, yes
from test_stdio import served

ONE = "patchworks://flow-versions/1001/deployments/500"
VERSION = "patchworks://flow-versions/1001/deployments"
ALL = "patchworks://deployments"
HERE = "patchworks://deployments?virtual_environment_id=10%20UK%20Live"
ELSEWHERE = "patchworks://deployments?virtual_environment_id=11"
OTHER = "patchworks://flow-versions/1002/deployments"
WATCHED = [ONE, VERSION, ALL, HERE, ELSEWHERE, OTHER, "patchworks://overview"]
EXPECTED = {ONE, VERSION, ALL, HERE, "patchworks://overview"}
IDS = {"flow_version_id": "1001", "deployment_id": "500"}


async def _no_change(client: Client, person: Person) -> None:
    """A dry run, a no, a no-op and an error: nobody is to hear of them."""
    await client.call_tool("disable_deployment", {**IDS, "dry_run": True})
    person.answer = no
    assert data(await client.call_tool("disable_deployment", IDS))["status"] == "declined"
    assert data(await client.call_tool("enable_deployment", IDS))["status"] == "unchanged"
    assert (await client.call_tool("disable_deployment", {**IDS, "deployment_id": "1"})).is_error
    person.answer = yes


async def test_listeners_of_the_new_era_hear_exactly_what_changed() -> None:
    """One write updates the deployment and each listing that holds it, and no other."""
    person = Person(yes)
    heard: list[str] = []
    async with served("--sandbox", era="auto", person=person) as client, AsyncExitStack() as stack:
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


@pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")  # the older era's way
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

    async with served("--sandbox", era="legacy", person=person, message_handler=on_message) as client:
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


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_deployments_enabled", {"enabled": False, "deployments": ["1001/500"]}),
        ("update_deployment", {**IDS, "priority": 9}),
        ("delete_deployment", IDS),
    ],
)
async def test_every_kind_of_write_is_heard_of(tool: str, arguments: dict[str, Any]) -> None:
    """Switching many, updating and deleting notify as well."""
    async with (
        served("--sandbox", era="auto", person=Person(yes)) as client,
        client.listen(resource_subscriptions=[ONE, ALL]) as stream,
    ):
        await client.call_tool(tool, arguments)
        heard: set[str] = set()
        with anyio.fail_after(20):
            while heard != {ONE, ALL}:
                heard.add((await anext(stream)).uri)  # type: ignore[union-attr]


async def test_replacing_a_version_tells_of_both() -> None:
    """The listing of the version that went and of the one that came are both updated."""
    both = {VERSION, "patchworks://flow-versions/1000/deployments"}
    async with (
        served("--sandbox", era="auto", person=Person(yes)) as client,
        client.listen(resource_subscriptions=sorted(both)) as stream,
    ):
        result = await client.call_tool("replace_deployment", {**IDS, "new_flow_version_id": "1000"})
        assert data(result)["status"] == "done"
        heard: set[str] = set()
        with anyio.fail_after(20):
            while heard != both:
                heard.add((await anext(stream)).uri)  # type: ignore[union-attr]
