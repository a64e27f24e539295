"""Measures the overview of 10,000 deployments and switching about 100, at 50 ms per request; prints, asserts nothing.

Run: python tests/benchmark_account.py
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx2
from benchmark import API_KEY, sandbox
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, TextContent
from support.faults import Upstream, delay, every

from patchworks_deployments.api.pacing import MAX_CONCURRENT_REQUESTS
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

DELAY = 0.05
"""Seconds that the network takes for each request."""


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    del context, params
    return ElicitResult(action="accept", content={"agree": True})


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measured(address: str, tool: str, arguments: dict[str, Any]) -> tuple[float, int, float, str]:
    """Seconds, requests, growth of resident MiB, and the text of one call."""
    network = Upstream(httpx2.AsyncHTTPTransport()).always(every, delay(DELAY))
    server = create_server(load_settings(None, api_key=API_KEY, base_url=address), network)
    async with Client(server, elicitation_callback=yes) as client:
        await client.list_tools()
        await client.call_tool("list_deployments", {})
        requests, before, peak = len(network.requests), resident_mib(), 0.0

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, resident_mib())
                await asyncio.sleep(0.02)

        watcher = asyncio.create_task(watch())
        started = time.perf_counter()
        result = await client.call_tool(tool, arguments)
        seconds = time.perf_counter() - started
        watcher.cancel()
    assert isinstance(result.content[0], TextContent)
    assert not result.is_error, result.content[0].text
    return seconds, len(network.requests) - requests, max(peak, resident_mib()) - before, result.content[0].text


async def main() -> None:
    with sandbox(10_000) as address:
        seconds, requests, growth, text = await measured(address, "deployment_overview", {})
    goal = 1.5 * (requests / MAX_CONCURRENT_REQUESTS * DELAY) + 1
    print(f"overview of 10,000: {seconds:.2f} s with {requests} requests (at most {goal:.2f})")
    print(f"  memory growth {growth:.1f} MiB (at most 60), text {len(text) // 4} tokens (at most 1,200)")
    with sandbox(2_400) as address:
        arguments = {"enabled": False, "environment": "UK Live"}
        seconds, requests, _, text = await measured(address, "set_deployments_enabled", arguments)
    goal = 1.5 * (requests / MAX_CONCURRENT_REQUESTS * DELAY) + 1
    print(f"switching: {seconds:.2f} s with {requests} requests (at most {goal:.2f}); {text.splitlines()[0]}")


if __name__ == "__main__":
    asyncio.run(main())
