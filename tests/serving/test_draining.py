"""A server that is told to stop, as a process: over stdio and over HTTP, by signals and by the end of its input."""

import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, ErrorData
from support.clients import IDS, Era, Person, audit_lines, both_eras, data, text, yes
from support.faults import Gate
from support.processes import COMMAND, clean_environment
from support.team import ALICE, HALVES, calling, serving, slow_upstream, tokens_file

from patchworks_deployments.startup import STOPPING

pytestmark = pytest.mark.slow

PROMISED_SECONDS = 10.0
"""Seconds within which the process is gone."""

Transport = Literal["stdio", "http"]

both_transports = pytest.mark.parametrize("transport", ["stdio", "http"])

KEEPING_PID = 'echo $$ >"$0.pid"; exec "$@" 2>"$0.stderr"'
"""What a shell does on the way to the server: its id becomes the server's."""


@dataclass
class Running:
    """A server in a process of its own, a client of it, and what it leaves behind."""

    client: Client
    process: "subprocess.Popen[str] | int"
    """Over stdio it is the client's, and all that is known is its id."""
    gate: Gate
    """Where writes wait on their way to Patchworks."""
    files: Path
    results: list[CallToolResult] = field(default_factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return audit_lines(self.files.with_suffix(".log"))

    @property
    def stderr(self) -> str:
        return self.files.with_suffix(".stderr").read_text(encoding="utf-8")

    async def call(self) -> None:
        self.results.append(await self.client.call_tool("disable_deployment", IDS))

    def send(self, number: signal.Signals) -> float:
        """Send the signal; the time."""
        os.kill(self.pid, number)
        return time.monotonic()

    @property
    def pid(self) -> int:
        return self.process if isinstance(self.process, int) else self.process.pid

    def is_there(self) -> bool:
        if not isinstance(self.process, int):
            return self.process.poll() is None
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        return True

    async def is_gone(self) -> None:
        """Return once the process is gone."""
        with anyio.fail_after(PROMISED_SECONDS + 10):
            while self.is_there():  # noqa: ASYNC110 - no event tells of it
                await anyio.sleep(0.05)


class Silent(Person):
    """A person who is asked and does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = anyio.Event()

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.is_asked.set()
        await anyio.sleep_forever()
        return await super().__call__(context, params)


@asynccontextmanager
async def _running(transport: Transport, era: Era, person: Person, files: Path) -> AsyncIterator[Running]:
    async with slow_upstream() as (upstream, gate):
        settings = {
            "PATCHWORKS_API_KEY": "sandbox-key",
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_AUDIT_LOG": str(files.with_suffix(".log")),
        }
        try:
            if transport == "http":
                with serving(log=str(files.with_suffix(".stderr")), **settings) as served:
                    async with calling(served.url, era=era, person=person) as client:
                        yield Running(client, served.process, gate, files)
                return
            command = ["-c", KEEPING_PID, str(files), *COMMAND]
            server = StdioServerParameters(command="sh", args=command, env=clean_environment(**settings))
            async with Client(server, mode=era, elicitation_callback=person) as client:
                yield Running(client, int(files.with_suffix(".pid").read_text(encoding="utf-8")), gate, files)
        finally:
            gate.go_on.set()


@both_transports
async def test_an_open_question_ends_with_nothing_changed(transport: Transport, tmp_path: Path) -> None:
    """In the older era a call hangs at its question: SIGTERM ends both, in words, and at once."""
    person = Silent()
    async with _running(transport, "legacy", person, tmp_path / "server") as server:
        await server.client.list_tools()
        async with anyio.create_task_group() as group:
            group.start_soon(server.call)
            await person.is_asked.wait()
            began = server.send(signal.SIGTERM)
        assert [(result.is_error, text(result)) for result in server.results] == [(True, STOPPING)]
        assert time.monotonic() - began < PROMISED_SECONDS / 2
    await server.is_gone()
    assert [line["outcome"] for line in server.lines] == ["cancelled"]


@both_eras
@both_transports
async def test_a_write_that_was_sent_is_finished(transport: Transport, era: Era, tmp_path: Path) -> None:
    """SIGTERM while Patchworks is at it: the write is carried out, verified, recorded, and answered to the host."""
    async with _running(transport, era, Person(yes), tmp_path / "server") as server:
        await server.client.list_tools()
        async with anyio.create_task_group() as group:
            group.start_soon(server.call)
            await server.gate.arrived.wait()
            server.send(signal.SIGTERM)
            await anyio.sleep(0.5)
            server.gate.go_on.set()
        assert [data(result)["status"] for result in server.results] == ["done"]
    await server.is_gone()
    assert [line["outcome"] for line in server.lines] == ["done"]


@both_transports
async def test_the_process_is_gone_in_time_where_patchworks_does_not_answer(
    transport: Transport, tmp_path: Path
) -> None:
    """Ctrl-C while a write hangs: result and line say that it is not known what became of it."""
    async with _running(transport, "auto", Person(yes), tmp_path / "server") as server:
        async with anyio.create_task_group() as group:
            group.start_soon(server.call)
            await server.gate.arrived.wait()
            began = server.send(signal.SIGINT)
        assert [data(result)["status"] for result in server.results] == ["unknown"]
        await server.is_gone()
        assert time.monotonic() - began < PROMISED_SECONDS
    assert [line["outcome"] for line in server.lines] == ["unknown"]
    assert server.stderr == ""


@both_transports
async def test_a_second_ctrl_c_ends_at_once(transport: Transport, tmp_path: Path) -> None:
    """What was sent gets no more time, but is recorded and answered all the same; there is no traceback."""
    async with _running(transport, "auto", Person(yes), tmp_path / "server") as server:
        async with anyio.create_task_group() as group:
            group.start_soon(server.call)
            await server.gate.arrived.wait()
            server.send(signal.SIGINT)
            await anyio.sleep(1.2)
            began = server.send(signal.SIGINT)
        await server.is_gone()
        assert time.monotonic() - began < PROMISED_SECONDS / 3
    assert [data(result)["status"] for result in server.results] == ["unknown"]
    assert [line["outcome"] for line in server.lines] == ["unknown"]
    assert server.stderr == ""


async def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A host of the older era keeps a stream open to hear of changes; it ends with the server, and is no error."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        async with calling(served.url, ALICE, era="legacy") as client:
            await client.list_tools()
            began = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(served.process.wait) == 0
    assert time.monotonic() - began < PROMISED_SECONDS / 2
    assert log.read_text(encoding="utf-8") == ""


async def test_workers_finish_what_was_sent(tmp_path: Path) -> None:
    """SIGTERM to the process that runs them reaches each; the write is finished, answered and recorded."""
    async with slow_upstream() as (upstream, gate):
        settings = {
            "PATCHWORKS_API_KEY": "sandbox-key",
            "PATCHWORKS_BASE_URL": upstream,
            "PATCHWORKS_AUDIT_LOG": str(tmp_path / "log"),
        }
        with serving("--workers", "2", **settings) as served:
            await _answers(served.base)
            results: list[CallToolResult] = []

            async def disable(client: Client) -> None:
                results.append(await client.call_tool("disable_deployment", IDS))

            async with calling(served.url, person=Person(yes)) as client, anyio.create_task_group() as group:
                await client.list_tools()  # else the client asks for them after the call, when nobody listens any more
                group.start_soon(disable, client)
                await gate.arrived.wait()
                served.process.send_signal(signal.SIGTERM)
                await anyio.sleep(1)  # it passes the signal on in half a second
                gate.go_on.set()
            assert await anyio.to_thread.run_sync(served.process.wait) == 0
    assert [data(result)["status"] for result in results] == ["done"]
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["done"]


async def test_half_a_body_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A stopping server waits for no body, and ends without a traceback."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(HALVES["half a body"])
            async with calling(served.url, ALICE) as client:
                await client.list_tools()
            served.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(PROMISED_SECONDS / 2):
                assert (await connection.receive()).startswith(b"HTTP/1.1 408")
                await anyio.to_thread.run_sync(served.process.wait)
    assert log.read_text(encoding="utf-8") == ""


async def _answers(base: str) -> None:
    """Return once a worker has started."""
    async with httpx2.AsyncClient(trust_env=False, timeout=40) as http:
        assert (await http.get(f"{base}/health")).status_code == 200


# Over stdio alone ---------------------------------------------------------------------------------


_CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
_ENABLED = {"name": "enable_deployment", "arguments": {"flow_version_id": "1052", "deployment_id": "504"}}
"""A write for which nobody is asked."""


@asynccontextmanager
async def _writing_over_stdio(log: Path) -> AsyncIterator[tuple["subprocess.Popen[bytes]", Gate]]:
    """A server over stdio, of which we hold both ends ourselves, with a write that waits at the gate."""
    async with slow_upstream() as (upstream, gate):
        settings = clean_environment(
            PATCHWORKS_API_KEY="sandbox-key", PATCHWORKS_BASE_URL=upstream, PATCHWORKS_AUDIT_LOG=str(log)
        )
        pipe = subprocess.PIPE
        process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=settings)  # noqa: ASYNC220, S603 - ours
        assert process.stdin
        assert process.stdout
        assert process.stderr
        with process.stdin, process.stdout, process.stderr:
            messages: list[dict[str, Any]] = [
                {"id": 1, "method": "initialize", "params": _CLIENT},
                {"method": "notifications/initialized"},
                {"id": 2, "method": "tools/call", "params": _ENABLED},
            ]
            for message in messages:
                process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            process.stdin.flush()
            with anyio.fail_after(30):
                await gate.arrived.wait()
            yield process, gate
            with anyio.fail_after(PROMISED_SECONDS):
                await anyio.to_thread.run_sync(process.wait)


async def test_the_end_of_stdin_lets_a_write_end(tmp_path: Path) -> None:
    """A host stops a server by closing its stdin: what was sent is recorded, and answered if the host still reads."""
    async with _writing_over_stdio(tmp_path / "log") as (process, gate):
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        await anyio.sleep(0.5)
        gate.go_on.set()
        answers = await anyio.to_thread.run_sync(process.stdout.readlines, abandon_on_cancel=True)
        assert json.loads(answers[-1])["result"]["structuredContent"]["status"] == "done"
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["done"]
    assert process.returncode == 0


async def test_a_host_that_reads_no_more_leaves_no_write_unrecorded(tmp_path: Path) -> None:
    """The write that is under way is finished and recorded, and one line says why the server has ended."""
    async with _writing_over_stdio(tmp_path / "log") as (process, gate):
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        process.stdin.write(b'{"jsonrpc":"2.0","id":3,"method":"ping"}\n')
        process.stdin.flush()
        await anyio.sleep(0.5)
        gate.go_on.set()
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["done"]
    assert process.returncode == 1


async def test_an_idle_server_ends_at_once_on_ctrl_c() -> None:
    """It need not wait for the next line, says nothing and ends with status 0."""
    with subprocess.Popen([*COMMAND, "--sandbox"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220, S603 - ours
        assert process.stdin
        assert process.stdout
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.stdin.flush()
        await anyio.to_thread.run_sync(process.stdout.readline)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(PROMISED_SECONDS / 3):
            assert await anyio.to_thread.run_sync(process.wait) == 0
