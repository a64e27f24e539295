"""Whose rights: with PATCHWORKS_CREDENTIALS=caller each request acts with its caller's own Patchworks key."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.server.subscriptions import ResourceUpdated
from mcp_types import ResourceUpdatedNotification
from support.clients import IDS, Era, Person, audit_lines, both_eras, data, older_way, read, text, yes
from support.processes import sandbox_over_http
from support.team import ALICE, BOB, Served, accounts, calling, on_loopback, serving, tokens_file

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow

HEADER = "X-Patchworks-Authorization"


@both_eras
async def test_each_request_acts_with_its_caller_s_own_key(era: Era, tmp_path: Path) -> None:
    """Alice's key may write and Bob's may not; a third caller without a key is told what to send."""
    log = tmp_path / "audit.jsonl"
    with (
        sandbox_over_http() as upstream,
        serving(
            "--credentials=caller",
            f"--tokens-file={tokens_file(tmp_path)}",
            f"--audit-log={log}",
            PATCHWORKS_BASE_URL=upstream,
        ) as served,
    ):
        async with (
            calling(served.url, ALICE, era=era, person=Person(yes), key="sandbox-key") as alice,
            calling(served.url, BOB, era=era, person=Person(yes), key="sandbox-read-only-key") as bob,
            calling(served.url, BOB, era=era, person=Person(yes)) as keyless,
            calling(served.url, ALICE, era=era, person=Person(yes), key="wrong-key-s3cr3t") as mistaken,
        ):
            refused = await bob.call_tool("disable_deployment", IDS)
            done = await alice.call_tool("disable_deployment", IDS)
            without = await keyless.call_tool("list_deployments", {})
            wrong = await mistaken.call_tool("list_deployments", {})
    assert data(refused)["status"] == "failed"
    assert "403" in text(refused)
    assert data(done)["status"] == "done"
    assert HEADER in text(without)
    assert "does not accept the credentials" in text(wrong)
    assert "s3cr3t" not in text(wrong)
    assert [line["caller"] for line in audit_lines(log)] == ["bob", "alice"]
    assert "sandbox-key" not in log.read_text(encoding="utf-8")


async def test_callers_at_the_same_time_never_see_each_other_s_data(tmp_path: Path) -> None:
    """Fifty interleaved calls of two people with two accounts over shared connections: each sees only their own."""
    seen: dict[str, set[int]] = {ALICE: set(), BOB: set()}
    async with on_loopback(accounts(alices=Sandbox(60), bobs=Sandbox(7))) as upstream:
        with serving_callers(upstream, tmp_path) as served:

            async def look(token: str, key: str) -> None:
                async with calling(served.url, token, key=key) as client:
                    for _ in range(25):
                        page = data(await client.call_tool("list_deployments", {"per_page": 1}))
                        seen[token].add(page["total"])

            async with anyio.create_task_group() as group:
                group.start_soon(look, ALICE, "alices")
                group.start_soon(look, BOB, "bobs")
    assert seen == {ALICE: {60}, BOB: {7}}


def serving_callers(upstream: str, folder: Path, **more: str) -> AbstractContextManager[Served]:
    """A server whose callers bring their own keys."""
    arguments = ("--credentials=caller", f"--tokens-file={tokens_file(folder)}")
    return serving(*arguments, PATCHWORKS_BASE_URL=upstream, **more)


ONE = "patchworks://flow-versions/1001/deployments/500"
OTHER = "patchworks://flow-versions/1054/deployments/503"
LISTING = "patchworks://deployments?virtual_environment_id=10"


@both_eras
@pytest.mark.parametrize("processes", [1, 2])
@older_way
async def test_a_caller_hears_only_of_changes_made_with_the_same_key(
    era: Era, processes: int, redis_url: str, tmp_path: Path
) -> None:
    """Bob watches Alice's deployment and a listing that holds it; her colleague hears of her write and he does not."""
    redis = {"PATCHWORKS_REDIS_URL": redis_url} if processes > 1 else {}
    async with on_loopback(accounts(alices=Sandbox(), bobs=Sandbox())) as upstream, AsyncExitStack() as stack:
        servers = [stack.enter_context(serving_callers(upstream, tmp_path, **redis)) for _ in range(processes)]
        colleague = await stack.enter_async_context(heard_by(servers[0], BOB, "alices", era))
        bob = await stack.enter_async_context(heard_by(servers[0], BOB, "bobs", era))
        await disable(servers[-1], ALICE, "alices", IDS)
        await disable(servers[-1], BOB, "bobs", {"flow_version_id": "1054", "deployment_id": "503"})
        with anyio.fail_after(20):
            assert {await anext(colleague), await anext(colleague)} == {ONE, LISTING}
            assert await anext(bob) == OTHER


async def disable(served: Served, token: str, key: str, ids: dict[str, str]) -> None:
    async with calling(served.url, token, person=Person(yes), key=key) as client:
        assert data(await client.call_tool("disable_deployment", ids))["status"] == "done"


@both_eras
async def test_a_caller_sees_only_what_was_changed_with_the_same_key(era: Era, tmp_path: Path) -> None:
    """From the tool and from the resource, also in another process; who brings no key is told to."""
    log = {"PATCHWORKS_AUDIT_LOG": str(tmp_path / "audit.jsonl")}
    seen: dict[str, list[str]] = {}
    async with on_loopback(accounts(alices=Sandbox(), bobs=Sandbox())) as upstream:
        with serving_callers(upstream, tmp_path, **log) as first, serving_callers(upstream, tmp_path, **log) as second:
            await disable(first, ALICE, "alices", IDS)
            await disable(second, BOB, "bobs", {"flow_version_id": "1054", "deployment_id": "503"})
            for token, key in ((BOB, "alices"), (BOB, "bobs"), (ALICE, "nobodys")):
                async with calling(second.url, token, era=era, key=key) as client:
                    told = data(await client.call_tool("list_changes", {}))
                    assert (await read(client, "patchworks://changes"))["changes"] == told["changes"]
                    seen[key] = [value for row in told["changes"] for value in row if "/" in value]
            async with calling(second.url, BOB, era=era) as keyless:
                assert HEADER in text(await keyless.call_tool("list_changes", {}))
    assert seen == {"alices": ["1001/500"], "bobs": ["1054/503"], "nobodys": []}


@asynccontextmanager
async def heard_by(served: Served, token: str, key: str, era: Era) -> AsyncIterator[AsyncIterator[str]]:
    """The URIs that a subscriber with this key is told of, as they arrive."""
    watched = [ONE, OTHER, LISTING]
    send, heard = anyio.create_memory_object_stream[str](10)

    async def on_message(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            send.send_nowait(str(message.params.uri))

    async with calling(served.url, token, era=era, message_handler=on_message, key=key) as client, send, heard:
        if era == "legacy":
            for uri in watched:
                await client.session.subscribe_resource(uri)
            yield heard
        else:
            async with client.listen(resource_subscriptions=watched) as stream:
                yield (event.uri async for event in stream if isinstance(event, ResourceUpdated))


async def test_a_caller_s_key_is_no_identity(tmp_path: Path) -> None:
    """A Patchworks key without a token does not open the door."""
    with sandbox_over_http() as upstream, serving_callers(upstream, tmp_path) as served:
        async with httpx2.AsyncClient(trust_env=False, headers={HEADER: "sandbox-key"}) as http:
            assert (await http.post(served.url, json={})).status_code == 401
