"""Several processes behind a balancer: any finishes what another began, and tells the others' listeners."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ResourceUpdatedNotification
from support.clients import IDS, Person, agreed, asked, audit_lines, data, older_way, text, yes
from support.processes import sandbox_over_http
from support.team import Served, calling, serving, slow_upstream

pytestmark = pytest.mark.slow

KEY = {"PATCHWORKS_API_KEY": "sandbox-key"}
"""What the processes share, and with it the key that seals questions and codes."""

TOGGLES = (("disable_deployment", "human"), ("enable_deployment", "not_required"))
ONE = "patchworks://flow-versions/1001/deployments/500"


@contextlib.asynccontextmanager
async def round_robin(*servers: Served) -> AsyncIterator[str]:
    """A balancer that gives each connection to the next server; yields its address."""
    turns = itertools.cycle([httpx2.URL(server.url).port for server in servers])

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in servers:
            with contextlib.suppress(ConnectionError):
                upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", next(turns))
                await asyncio.gather(pump(reader, upstream_writer), pump(upstream_reader, writer))
                return
        writer.close()

    balancer = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with balancer:
        yield f"http://127.0.0.1:{balancer.sockets[0].getsockname()[1]}/mcp"


@contextlib.asynccontextmanager
async def through(url: str, person: Person | None = None) -> AsyncIterator[Client]:
    """A client each of whose requests is a connection of its own, so that the balancer spreads them."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with (
        httpx2.AsyncClient(limits=limits, timeout=30, trust_env=False) as http,
        # Nothing is tried out first, which on a busy machine may end in the older era.
        Client(streamable_http_client(url, http_client=http), mode="2026-07-28", elicitation_callback=person) as client,
    ):
        yield client


async def test_a_confirmation_begun_on_one_process_finishes_on_another(tmp_path: Path) -> None:
    """Questions and codes travel: neither the human's answer nor the code is bound to a process."""
    log = tmp_path / "audit.jsonl"
    with sandbox_over_http() as upstream:
        settings = {**KEY, "PATCHWORKS_BASE_URL": upstream, "PATCHWORKS_AUDIT_LOG": str(log)}
        with serving(**settings) as one, serving(**settings) as two:
            async with round_robin(one, two) as url:
                async with through(url, Person(yes)) as client:
                    for _ in range(3):
                        for tool, confirmed_by in (
                            ("disable_deployment", "human"),
                            ("enable_deployment", "not_required"),
                        ):
                            result = data(await client.call_tool(tool, IDS))
                            assert (result["status"], result["confirmed_by"]) == ("done", confirmed_by)
                async with calling(one.url) as first, calling(two.url) as second:
                    code = data(await first.call_tool("disable_deployment", IDS))["confirmation_code"]
                    done = data(await second.call_tool("disable_deployment", {**IDS, "confirmation_code": code}))
                    assert (done["status"], done["confirmed_by"]) == ("done", "code")
    assert len(audit_lines(log)) == 8


@older_way
async def test_a_write_on_one_process_is_heard_on_the_other_in_both_eras(redis_url: str) -> None:
    """With Redis between them, listeners of the new era and subscribers of the older one hear of it, once."""
    heard: list[str] = []
    arrived = anyio.Event()

    async def on_message(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))
            arrived.set()

    with sandbox_over_http() as upstream:
        settings = {**KEY, "PATCHWORKS_BASE_URL": upstream, "PATCHWORKS_REDIS_URL": redis_url}
        with serving(**settings) as one, serving(**settings) as two:
            async with (
                httpx2.AsyncClient(timeout=30, trust_env=False) as http,
                Client(
                    streamable_http_client(two.url, http_client=http), mode="legacy", message_handler=on_message
                ) as old,
                calling(two.url) as new,
                calling(one.url, person=Person(yes)) as writer,
            ):
                await old.session.subscribe_resource(ONE)
                async with new.listen(resource_subscriptions=[ONE]) as stream:
                    assert data(await writer.call_tool("disable_deployment", IDS))["status"] == "done"
                    with anyio.fail_after(20):
                        assert (await anext(stream)).uri == ONE  # type: ignore[union-attr]
                        await arrived.wait()
    assert heard == [ONE]


async def test_a_redis_that_is_away_costs_notifications_of_others_and_agreements() -> None:
    """What asks nobody goes on, and listeners of the same process hear of it; what asks is refused, and says why."""
    with sandbox_over_http() as upstream:
        settings = {**KEY, "PATCHWORKS_BASE_URL": upstream, "PATCHWORKS_REDIS_URL": "redis://127.0.0.1:9/0"}
        with serving(**settings) as server:
            async with calling(server.url, person=Person(yes)) as client:
                page = data(await client.call_tool("list_deployments", {"per_page": 50}))
                row = next(d for d in page["deployments"] if not d["enabled"] and "virtual_environment_id" in d)
                ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
                uri = "patchworks://flow-versions/{flow_version_id}/deployments/{deployment_id}".format(**ids)
                async with client.listen(resource_subscriptions=[uri]) as stream:
                    assert data(await client.call_tool("enable_deployment", ids))["status"] == "done"
                    with anyio.fail_after(20):
                        assert (await anext(stream)).uri == uri  # type: ignore[union-attr]
                refused = await client.call_tool("disable_deployment", ids)
    assert refused.is_error
    assert text(refused) == (
        "Redis does not answer (ConnectionError), so it cannot be seen whether this was done already. "
        "Nothing was changed. Call again when Redis is back, which PATCHWORKS_REDIS_URL names."
    )


async def test_killing_a_process_in_the_middle_of_a_write_loses_nothing() -> None:
    """The one that is left tells what became of the write, and the same call again ends in the wanted state."""
    async with slow_upstream() as (upstream, gate):
        settings = {**KEY, "PATCHWORKS_BASE_URL": upstream}
        with serving(**settings) as one, serving(**settings) as two:
            async with anyio.create_task_group() as group:

                async def doomed() -> None:
                    with contextlib.suppress(BaseExceptionGroup, Exception):
                        async with calling(one.url, person=Person(yes)) as client:
                            await client.call_tool("disable_deployment", IDS)

                group.start_soon(doomed)
                await gate.arrived.wait()
                one.process.kill()
                gate.go_on.set()
            async with calling(two.url, person=Person(yes)) as client:
                result = data(await client.call_tool("disable_deployment", IDS))
                assert result["status"] in {"unchanged", "done"}
                assert data(await client.call_tool("get_deployment", IDS))["enabled"] is False


def workers_of(served: Served) -> list[int]:
    """The ids of the processes that serve."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text(encoding="ascii")
    return [int(id_) for id_ in children.split() if "spawn_main" in Path(f"/proc/{id_}/cmdline").read_text("ascii")]


@contextlib.contextmanager
def halted(process: int) -> Iterator[None]:
    """For a moment the process does nothing, so that another one serves."""
    # Where a moment takes five seconds, uvicorn has put another process in its place.
    gone = contextlib.suppress(ProcessLookupError)
    with gone:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with gone:
            os.kill(process, signal.SIGCONT)


async def test_workers_need_no_keys_of_their_own_to_take_each_other_s_codes_and_answers() -> None:
    """`--workers 2` with an API key is enough: it is the other one that gets the code, and the answer."""
    with sandbox_over_http() as upstream, serving("--workers=2", **KEY, PATCHWORKS_BASE_URL=upstream) as server:
        async with through(server.url, Person(yes)) as person, through(server.url) as program:
            one, other = workers_of(server)
            with halted(other):
                code = data(await program.call_tool("disable_deployment", IDS))["confirmation_code"]
            with halted(one):
                by_code = await program.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
                question = await asked(person, "update_deployment", {**IDS, "priority": 42})
            with halted(other):
                by_answer = await agreed(person, "update_deployment", {**IDS, "priority": 42}, question)
    assert isinstance(by_answer, CallToolResult)
    assert [data(result)["status"] for result in (by_code, by_answer)] == ["done", "done"]
