"""Counts what a model reads: tokens of the definitions, and of both channels of answers; prints, asserts nothing.

A token is counted as four characters of text, or of JSON without spaces.

Run: python tests/benchmark_answers.py
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp_types import CallToolResult, TextContent

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

IDS = {"flow_version_id": "1001", "deployment_id": "500"}
"""The sandbox's first deployment: enabled, in UK Live."""

MANY = 200
"""As many deployments as one call can switch."""

WRITES: Mapping[str, tuple[str, Callable[[Sandbox], dict[str, Any]]]] = {
    "create": ("create_deployment", lambda _: {"flow_version_id": "1001", "virtual_environment_id": "11"}),
    "update": ("update_deployment", lambda _: {**IDS, "priority": 9}),
    "delete": ("delete_deployment", lambda _: IDS),
    "enable": ("enable_deployment", lambda _: {"flow_version_id": "1052", "deployment_id": "504"}),
    "disable": ("disable_deployment", lambda _: IDS),
    "replace": ("replace_deployment", lambda _: {**IDS, "new_flow_version_id": "1000"}),
    "disable 8 and leave 3": ("set_deployments_enabled", lambda _: {"enabled": False, "environment": "UK Live"}),
    f"disable {MANY}": ("set_deployments_enabled", lambda sandbox: {"enabled": False, "deployments": _first(sandbox)}),
}


def _first(sandbox: Sandbox) -> list[str]:
    running = [str(row.id) for row in sandbox.account.deployments.values() if row.enabled_at]
    return running[:MANY]


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[Client]:
    """A host that shows no questions, so that a code takes their place; each write asks for one."""
    settings = load_settings(None, sandbox=True, confirm="all")
    async with Client(create_server(settings, httpx2.ASGITransport(app=sandbox.app))) as client:
        yield client


def tokens(value: object) -> int:
    """Characters / 4 of a text, or of what is written as JSON."""
    said = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(said) // 4


def row(what: str, first: object, second: object) -> None:
    print(f"| {what:<40} | {first:>7} | {second:>10} |")


def answer(what: str, result: CallToolResult) -> None:
    """A row of the table."""
    text = "".join(block.text for block in result.content if isinstance(block, TextContent))
    assert not result.is_error, text
    row(what, tokens(text), tokens(result.structured_content))


async def definitions() -> None:
    async with connected(Sandbox()) as client:
        tools = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
    seen = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    whole = [{**known, "outputSchema": tool["outputSchema"]} for known, tool in zip(seen, tools, strict=True)]
    row("", "without", "with output")
    row(f"definitions of {len(tools)} tools", tokens(seen), tokens(whole))


async def reads() -> None:
    async with connected(Sandbox(2_000)) as client:
        answer("25 rows", await client.call_tool("list_deployments", {"per_page": 25}))
    for count in (25, 60, 2_000, 10_000):
        async with connected(Sandbox(count)) as client:
            answer(f"overview of {count:,}", await client.call_tool("deployment_overview", {}))


async def writes() -> None:
    for what, (tool, arguments) in WRITES.items():
        sandbox = Sandbox(2_000 if what.endswith(str(MANY)) else 60)
        given = arguments(sandbox)
        async with connected(sandbox) as client:
            answer(f"{what}: preview", await client.call_tool(tool, {**given, "dry_run": True}))
            asked = await client.call_tool(tool, given)
            answer(f"{what}: question and code", asked)
            assert asked.structured_content
            code = asked.structured_content["confirmation_code"]
            answer(f"{what}: result", await client.call_tool(tool, {**given, "confirmation_code": code}))


async def main() -> None:
    await definitions()
    row("", "text", "structured")
    await reads()
    await writes()


if __name__ == "__main__":
    asyncio.run(main())
