"""Measures start, memory and overhead against the smallest possible MCP server; prints, asserts nothing.

Run: python tests/benchmark.py [--rounds N]
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

API_KEY = "sandbox-key"
INCLUDE = "flowVersion,virtualEnvironment,package"
PATH = f"/api/v1/flow-version-deployments?include={INCLUDE}&page=1&per_page=25"

SMALLEST = textwrap.dedent(
    f"""
    import os
    import httpx2
    from mcp.server.mcpserver import MCPServer

    mcp = MCPServer("smallest", log_level="WARNING")
    client = httpx2.AsyncClient(base_url=os.environ["PATCHWORKS_BASE_URL"], headers={{"Authorization": "sandbox-key"}})

    @mcp.tool()
    async def list_deployments() -> dict[str, object]:
        return (await client.get({PATH!r})).json()

    mcp.run("stdio")
    """
)
SERVERS = {"smallest": ["-c", SMALLEST], "ours": ["-m", "patchworks_deployments"]}


class Server:
    """A server spoken to in raw JSON-RPC over stdio, so that no client library is part of what is measured."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._id = 0

    async def request(self, method: str, **params: Any) -> Any:
        self._id += 1
        await self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if message.get("id") == self._id:
                return message["result"]
        raise RuntimeError("the server went away")

    async def handshake(self) -> None:
        client = {"name": "benchmark", "version": "1"}
        await self.request("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


@asynccontextmanager
async def running(kind: str, base_url: str) -> AsyncIterator[Server]:
    environment = {**os.environ, "PATCHWORKS_BASE_URL": base_url}
    if kind == "ours":
        environment["PATCHWORKS_API_KEY"] = API_KEY
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *SERVERS[kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        limit=2**24,
    )
    try:
        yield Server(process)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


@contextmanager
def sandbox(deployments: int = 2_000) -> Iterator[str]:
    """The stand-in API in a process of its own."""
    command = [sys.executable, "-m", "patchworks_deployments", "sandbox", "--port", "0"]
    command += ["--deployments", str(deployments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield re.search(r"http://\S+", process.stdout.readline())[0]  # type: ignore[index]
    finally:
        process.terminate()
        process.wait()


async def cold_start(kind: str, base_url: str) -> tuple[float, float]:
    """Seconds from spawn to the first tools/list, and resident MiB then."""
    started = time.perf_counter()
    async with running(kind, base_url) as server:
        await server.handshake()
        await server.request("tools/list")
        return time.perf_counter() - started, server.resident_mib()


async def call_time(kind: str, base_url: str, calls: int) -> float:
    """Median seconds of a 25-row listing through the server."""
    async with running(kind, base_url) as server:
        await server.handshake()
        await server.request("tools/list")
        arguments = {"per_page": 25} if kind == "ours" else {}
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            result = await server.request("tools/call", name="list_deployments", arguments=arguments)
            times.append(time.perf_counter() - started)
            assert not result.get("isError"), result
    return statistics.median(times[5:])


async def raw_time(base_url: str, calls: int) -> tuple[float, int]:
    """Median seconds of the raw GET, and the answer's characters."""
    async with httpx2.AsyncClient(base_url=base_url, headers={"Authorization": API_KEY}) as client:
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            answer = await client.get(PATH)
            times.append(time.perf_counter() - started)
    return statistics.median(times[5:]), len(answer.text)


@asynccontextmanager
async def canned(base_url: str) -> AsyncIterator[str]:
    """The same answer at once, so that the sandbox's own work is not part of what is measured."""
    async with httpx2.AsyncClient(base_url=base_url, headers={"Authorization": API_KEY}) as client:
        body = (await client.get(PATH)).content
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end, when the benchmark closes the server.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(head + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def main(rounds: int) -> None:
    with sandbox() as base_url:
        starts: dict[str, list[tuple[float, float]]] = {"smallest": [], "ours": []}
        for _ in range(rounds + 1):
            for kind, measured in starts.items():
                measured.append(await cold_start(kind, base_url))
        seconds = {kind: statistics.median(s for s, _ in measured[1:]) for kind, measured in starts.items()}
        memory = {kind: statistics.median(m for _, m in measured[1:]) for kind, measured in starts.items()}
        _compare("cold start to tools/list, s", seconds, "at most 1.20")
        _compare("resident memory, MiB", memory, "at most 1.15")

        raws: list[float] = []
        overheads: dict[str, list[float]] = {"smallest": [], "ours": []}
        async with canned(base_url) as canned_url:
            for _ in range(max(3, rounds // 2)):
                raw, size = await raw_time(canned_url, 100)
                raws.append(raw)
                for kind, values in overheads.items():
                    values.append(await call_time(kind, canned_url, 100) - raw)
        print(f"raw GET of 25 rows: {statistics.median(raws) * 1000:.2f} ms, {size // 4} tokens")
        _compare(
            "overhead above the raw GET, ms",
            {k: statistics.median(v) * 1000 for k, v in overheads.items()},
            "at most 0.75",
        )


def _compare(what: str, values: dict[str, float], goal: str) -> None:
    ratio = values["ours"] / values["smallest"]
    print(f"{what}: smallest {values['smallest']:.3f}, ours {values['ours']:.3f}, ratio {ratio:.2f} ({goal})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args().rounds))
