"""Measures calls per second and memory over HTTP against the smallest possible MCP server; prints, asserts nothing.

Run: python tests/benchmark_http.py
"""

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from benchmark import API_KEY, PATH, canned, sandbox

CALLERS = 32
ROUNDS = 15
LISTENERS = 200
"""As many as one caller may have."""

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


@contextmanager
def serving(kind: str, base_url: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; yields its address and process id."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "PATCHWORKS_BASE_URL": base_url, "PORT": str(port)}
    arguments = ["-c", SMALLEST]
    if kind == "ours":
        environment |= {"PATCHWORKS_API_KEY": API_KEY, "PATCHWORKS_RATE_LIMIT": "0"}
        arguments = ["-m", "patchworks_deployments", "--http", str(port)]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=nowhere, stderr=nowhere)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/mcp", process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(400):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


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


async def calls_per_second(url: str, kind: str, calls: int) -> float:
    """`calls` listings of 25 rows by 32 callers at once, over plain sockets: the load must not be the bottleneck."""
    arguments = {"per_page": 25} if kind == "ours" else {}
    body = json.dumps(message(1, "tools/call", name="list_deployments", arguments=arguments)).encode()
    headers = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": "list_deployments", "Content-Length": str(len(body))}
    port = int(url.rpartition(":")[2].removesuffix("/mcp"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items())
    request = f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body
    left = iter(range(calls))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        for _ in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"(?i)content-length: (\d+)", head)
            answer = await (reader.readexactly(int(length[1])) if length else reader.readuntil(b"0\r\n\r\n"))
            assert b'"isError":true' not in answer, answer
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return calls / (time.perf_counter() - started)


async def idle_listeners(url: str, pid: int) -> float:
    """Growth of resident MiB with so many open listeners."""
    limits = httpx2.Limits(max_connections=LISTENERS, max_keepalive_connections=LISTENERS)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as http, AsyncExitStack() as stack:
        before = resident_mib(pid)
        held = []  # an iterator that nobody holds closes its stream
        for number in range(LISTENERS):
            body = message(
                number, "subscriptions/listen", notifications={"resourceSubscriptions": ["patchworks://deployments"]}
            )
            headers = {**HEADERS, "Mcp-Method": "subscriptions/listen"}
            answer = await stack.enter_async_context(http.stream("POST", url, json=body, headers=headers))
            assert answer.status_code == 200
            lines = answer.aiter_lines()
            held.append(lines)
            while "acknowledged" not in (line := await anext(lines)):
                assert "error" not in line, line
        return resident_mib(pid) - before


async def measure_speed(canned_url: str) -> None:
    """Both servers stay up and take turns, so that a slow moment of the machine hits both."""
    with serving("smallest", canned_url) as smallest, serving("ours", canned_url) as ours:
        servers = {"smallest": smallest[0], "ours": ours[0]}
        speeds: dict[str, list[float]] = {kind: [] for kind in servers}
        for _ in range(ROUNDS):
            for kind, url in servers.items():
                speeds[kind].append(await calls_per_second(url, kind, 500))
    medians = {kind: statistics.median(measured) for kind, measured in speeds.items()}
    ratio = statistics.median(ours / smallest for smallest, ours in zip(*speeds.values(), strict=True))
    shown = ", ".join(f"{kind} {speed:.0f}" for kind, speed in medians.items())
    print(f"calls per second, {CALLERS} callers: {shown}; ratio {ratio:.2f}")


async def measure_memory(canned_url: str) -> None:
    with serving("ours", canned_url) as (url, pid):
        await calls_per_second(url, "ours", 100)
        after_100 = resident_mib(pid)
        await calls_per_second(url, "ours", 9_900)
        print(f"memory after 10,000 calls: {resident_mib(pid) - after_100:+.1f} MiB over that after 100")
    for kind in ("smallest", "ours"):
        with serving(kind, canned_url) as (url, pid):
            await calls_per_second(url, kind, 100)
            print(f"memory of {LISTENERS} idle listeners, {kind}: {await idle_listeners(url, pid):.1f} MiB")


async def main() -> None:
    with sandbox() as base_url:
        async with canned(base_url) as canned_url:
            await measure_speed(canned_url)
            await measure_memory(canned_url)


if __name__ == "__main__":
    asyncio.run(main())
