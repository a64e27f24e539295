"""A short conversation with the server, over real stdio, on the sandbox."""

import json
import sys
import textwrap
from collections.abc import AsyncIterator
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "patchworks_deployments", "--sandbox"])


class Person:
    """Answers the server's questions by script, and keeps them to be shown."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = ElicitResult(action="decline")

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """Give the scripted answer."""
        del context
        self.asked.append(params.message)
        return self.answer


async def conversation() -> AsyncIterator[str]:
    """The lines of the conversation: look, disable with a human's yes, undo, preview with a code, decline a delete."""
    person = Person()
    async with Client(SERVER, elicitation_callback=person) as client:
        tools = (await client.list_tools()).tools
        yield f"# {len(tools)} tools: {', '.join(tool.name for tool in tools)}"

        found = await client.call_tool("list_deployments", {"name": "orders", "per_page": 5})
        yield _shown("list_deployments", {"name": "orders", "per_page": 5}, found)
        target = next(row for row in _data(found)["deployments"] if row["enabled"] and "virtual_environment_id" in row)
        ids = {"flow_version_id": target["flow_version_id"], "deployment_id": target["id"]}
        yield _shown("get_deployment", ids, await client.call_tool("get_deployment", ids))

        person.answer = ElicitResult(action="accept", content={"agree": True})
        disabled = await client.call_tool("disable_deployment", {**ids, "reason": "demo"})
        yield _question(person, "ticks the box")
        yield _shown("disable_deployment", {**ids, "reason": "demo"}, disabled)
        yield _shown(
            "list_deployments",
            {"name": "orders", "per_page": 5},
            await client.call_tool("list_deployments", {"name": "orders", "per_page": 5}),
        )

        undo = _data(disabled)["undo"]
        yield _shown(undo["tool"], undo["arguments"], await client.call_tool(undo["tool"], undo["arguments"]))

        person.answer = ElicitResult(action="decline")
        declined = await client.call_tool("delete_deployment", ids)
        yield _question(person, "declines")
        yield _shown("delete_deployment", ids, declined)

    async with Client(SERVER) as client:
        yield "# a client that cannot ask a human: the server gives a preview and a code"
        preview = await client.call_tool("disable_deployment", ids)
        yield _shown("disable_deployment", ids, preview)
        agreed = {**ids, "confirmation_code": _data(preview)["confirmation_code"]}
        done = await client.call_tool("disable_deployment", agreed)
        yield _shown("disable_deployment", agreed, done)
        undo = _data(done)["undo"]
        pinned = "patchworks://deployments?virtual_environment_id=" + target["virtual_environment_id"]
        yield f"# a host has pinned {pinned}"
        async with client.listen(resource_subscriptions=[pinned]) as updates:
            yield _shown(undo["tool"], undo["arguments"], await client.call_tool(undo["tool"], undo["arguments"]))
            update = await anext(updates)
            yield f"! live update arrived: {update}"


def _data(result: CallToolResult) -> dict[str, Any]:
    data: dict[str, Any] | None = result.structured_content
    if data is None:
        raise RuntimeError(f"the demo's call failed: {_text(result)}")
    return data


def _text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def _shown(tool: str, arguments: dict[str, Any], result: CallToolResult) -> str:
    return f"> {tool} {json.dumps(arguments)}\n{textwrap.indent(_text(result), '  ')}\n"


def _question(person: Person, answer: str) -> str:
    return f"? the server asks the person:\n{textwrap.indent(person.asked[-1], '  | ')}\n  the person {answer}\n"
