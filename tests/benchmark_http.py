"""Measures calls per second and memory over HTTP against the smallest possible MCP server; prints, asserts nothing.

Run: python tests/benchmark_http.py
"""

import asyncio
import itertools
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from benchmark import API_KEY, PATH, canned, sandbox

CALLERS = 32
LISTENERS = 1_000

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

    mcp.run("streamable-http", port=int(os.environ["PORT"]))
    """
)


@asynccontextmanager
async def serving(kind: str, base_url: str) -> AsyncIterator[tuple[str, int]]:
    """A server in a process of its own; yields its address and process id."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "PATCHWORKS_BASE_URL": base_url, "PORT": str(port)}
    arguments = ["-c", SMALLEST]
    if kind == "ours":
        environment |= {"PATCHWORKS_API_KEY": API_KEY, "PATCHWORKS_RATE_LIMIT": "0"}
        arguments = ["-m", "patchworks_deployments", "--http", str(port)]
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/mcp"
        await _until_it_answers(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


async def _until_it_answers(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        for _ in range(200):
            try:
                await http.get(url)
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def message(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}


async def calls_per_second(url: str, calls: int) -> float:
    """`calls` listings of 25 rows by 32 callers at once, in raw HTTP of the new era."""
    numbers = itertools.count(1)
    arguments = {"per_page": 25} if "ours" in url else {}

    async def caller(http: httpx2.AsyncClient) -> None:
        while (number := next(numbers)) <= calls:
            headers = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": "list_deployments"}
            body = message(number, "tools/call", name="list_deployments", arguments=arguments)
            answer = await http.post(url.partition("#")[0], json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            assert '"isError":true' not in answer.text, answer.text

    limits = httpx2.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as http:
        started = time.perf_counter()
        await asyncio.gather(*(caller(http) for _ in range(CALLERS)))
        return calls / (time.perf_counter() - started)


async def idle_listeners(url: str, pid: int) -> float:
    """Growth of resident MiB with a thousand open listeners."""
    limits = httpx2.Limits(max_connections=LISTENERS, max_keepalive_connections=LISTENERS)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as http, AsyncExitStack() as stack:
        before = resident_mib(pid)
        for number in range(LISTENERS):
            body = message(
                number, "subscriptions/listen", notifications={"resourceSubscriptions": ["patchworks://deployments"]}
            )
            headers = {**HEADERS, "Mcp-Method": "subscriptions/listen"}
            answer = await stack.enter_async_context(http.stream("POST", url, json=body, headers=headers))
            assert answer.status_code == 200
            await anext(answer.aiter_lines())
        return resident_mib(pid) - before


async def main() -> None:
    with sandbox() as base_url:
        async with canned(base_url) as canned_url:
            speeds: dict[str, list[float]] = {"smallest": [], "ours": []}
            for _ in range(3):
                for kind, measured in speeds.items():
                    async with serving(kind, canned_url) as (url, _):
                        await calls_per_second(f"{url}#{kind}", 100)
                        measured.append(await calls_per_second(f"{url}#{kind}", 1_000))
            smallest, ours = (sorted(speeds[kind])[1] for kind in ("smallest", "ours"))
            print(
                f"calls per second, {CALLERS} callers: smallest {smallest:.0f}, ours {ours:.0f}, ratio {ours / smallest:.2f} (at least 1.50)"
            )
            async with serving("ours", canned_url) as (url, pid):
                await calls_per_second(f"{url}#ours", 100)
                after_100 = resident_mib(pid)
                await calls_per_second(f"{url}#ours", 9_900)
                print(
                    f"memory after 10,000 calls: {resident_mib(pid) - after_100:+.1f} MiB over that after 100 (at most 10)"
                )
            async with serving("ours", canned_url) as (url, pid):
                await calls_per_second(f"{url}#ours", 100)
                print(f"memory of {LISTENERS} idle listeners: {await idle_listeners(url, pid):.1f} MiB (at most 30)")


if __name__ == "__main__":
    asyncio.run(main())
