"""A server that is told to stop."""

import json
import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from support.clients import Era, Person, both_eras, data, yes
from support.team import ALICE, HALVES, calling, serving, slow_upstream, tokens_file

pytestmark = pytest.mark.slow


@both_eras
async def test_a_stopping_server_finishes_the_write_it_is_in(era: Era, tmp_path: Path) -> None:
    """SIGTERM during a slow write: the write is carried out, verified, answered and recorded, and the server ends."""
    log = tmp_path / "audit.jsonl"
    async with slow_upstream() as (upstream, gate):
        environment = {
            "PATCHWORKS_API_KEY": "sandbox-key",
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_AUDIT_LOG": str(log),
        }
        with serving(**environment) as served:
            outcome: list[dict[str, Any]] = []

            async def disable(client: Client) -> None:
                ids = {"flow_version_id": "1001", "deployment_id": "500"}
                outcome.append(data(await client.call_tool("disable_deployment", ids)))

            async with calling(served.url, era=era, person=Person(yes)) as client, anyio.create_task_group() as group:
                await client.list_tools()
                group.start_soon(disable, client)
                await gate.arrived.wait()
                served.process.send_signal(signal.SIGTERM)
                await _refuses_connections(served.base)
                gate.go_on.set()
            assert await anyio.to_thread.run_sync(served.process.wait) is not None
    assert [result["status"] for result in outcome] == ["done"]
    assert [json.loads(line)["outcome"] for line in log.read_text(encoding="utf-8").splitlines()] == ["done"]


async def test_half_a_body_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A stopping server waits no longer for it than a running one, and ends without a traceback."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(HALVES["half a body"])
            async with calling(served.url, ALICE) as client:
                await client.list_tools()
            served.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(20):
                assert (await connection.receive()).startswith(b"HTTP/1.1 408")
                await anyio.to_thread.run_sync(served.process.wait)
    assert log.read_text(encoding="utf-8") == ""


async def _refuses_connections(base: str) -> None:
    """Return once the stopping server takes no new connection."""
    with anyio.fail_after(20):
        while True:
            try:
                async with httpx2.AsyncClient(trust_env=False) as http:
                    await http.get(f"{base}/health")
            except httpx2.TransportError:
                return
