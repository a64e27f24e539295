"""What a caller may ask of the server, in bytes, seconds, connections and calls."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference
from support.clients import Clock, Era, audit_lines, both_eras, text
from support.team import ALICE, HALVES, READER, Served, calling, head, serving, tokens_file

from patchworks_deployments.serving.limits import RateLimit
from patchworks_deployments.tools.base import Refusals
from patchworks_deployments.writes.audit import AuditLog


@pytest.mark.parametrize("token", [ALICE, READER])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_an_oversized_body_is_refused(token: str, version: str, closed: Served) -> None:
    """A megabyte is far more than any call needs: told beforehand, or as soon as it has come without an end."""
    megabyte = b" " * 2**20
    told = head(token, f"MCP-Protocol-Version: {version}", f"Content-Length: {2**20 + 1}")
    untold = head(token, f"MCP-Protocol-Version: {version}", "Transfer-Encoding: chunked")
    for sent in (told, untold + b"100000\r\n" + megabyte + b"\r\n1\r\n \r\n"):
        async with await anyio.connect_tcp(*closed.address) as connection:
            await connection.send(sent)
            assert (await connection.receive()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
@both_eras
async def test_a_caller_over_its_limit_is_told_how_long_to_wait(era: Era, tmp_path: Path) -> None:
    """The limit reaches the model as an error result, others as a protocol error, and a write leaves an audit line."""
    log = tmp_path / "audit.jsonl"
    said = "Too many requests: the limit is 3 a minute. Nothing was changed. Wait"
    with serving("--sandbox", "--rate-limit", "3", "--audit-log", str(log)) as served:
        async with calling(served.url, era=era) as client:
            results = [await client.call_tool("list_deployments", {"per_page": 1}) for _ in range(4)]
            with pytest.raises(MCPError, match=said):
                await client.read_resource("patchworks://deployments")
            with pytest.raises(MCPError, match=said):
                await client.complete(PromptReference(name="stop_environment"), {"name": "environment", "value": "U"})
            write = await client.call_tool("disable_deployment", {"deployment_id": "500", "api_key": "S3CRET"})
            assert len((await client.list_tools()).tools) == 11
    assert [result.is_error for result in results] == [False, False, False, True]
    assert text(results[-1]).startswith(said)
    (line,) = audit_lines(log)
    assert (line["tool"], line["outcome"], line["message"]) == ("disable_deployment", "refused", text(write))
    assert (line["caller"], line["arguments"]) == ("local", {"deployment_id": "500"})
    assert line["client"].startswith("mcp ")


def test_a_limit_refills_and_is_each_caller_s_own() -> None:
    """What one caller uses up is not another's, and comes back with time."""
    clock = Clock()
    limit = RateLimit(60, Refusals(AuditLog(None), {}), clock)
    assert [limit.take("alice") for _ in range(60)] == [0.0] * 60
    assert limit.take("alice") >= 1
    assert limit.take("bob") == 0
    clock.now += 1
    assert limit.take("alice") == 0
    assert limit.take("alice") > 0


@pytest.mark.slow
async def test_a_request_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    """Half a body ends with 408 and the connection, without a traceback."""
    log = tmp_path / "stderr"
    answers: dict[str, bytes] = {}
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:

        async def ask(what: str) -> None:
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(HALVES[what])
                answers[what] = b"".join([chunk async for chunk in connection])

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for what in HALVES:
                    group.start_soon(ask, what)
    for what in HALVES:
        assert answers[what].startswith(b"HTTP/1.1 408 Request Timeout\r\n"), what
    assert log.read_text(encoding="utf-8") == ""


@pytest.mark.slow
async def test_a_head_without_end_is_refused() -> None:
    """A caller without a token cannot fill the memory: 64 KiB of head end with 400 and the connection."""
    with serving("--sandbox") as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 2**17)
            received = b""
            with anyio.fail_after(10), suppress(anyio.BrokenResourceError):
                async for chunk in connection:
                    received += chunk
    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
async def test_a_client_that_gives_up_in_the_middle_of_a_body_leaves_no_trace(tmp_path: Path) -> None:
    """It is no fault of the server: nothing is logged, and the next request is served."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        for half in HALVES.values():
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(half)
        async with calling(served.url, ALICE) as client:
            assert not (await client.call_tool("list_deployments", {})).is_error
    assert log.read_text(encoding="utf-8") == ""
