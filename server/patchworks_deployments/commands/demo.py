"""A short conversation with the server, over real stdio, on the sandbox."""

import json
import signal
import sys
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp.server.subscriptions import ResourceUpdated
from mcp_types import ElicitRequestParams, ElicitResult, TextContent

from patchworks_deployments.commands.output import say
from patchworks_deployments.startup import alone

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "patchworks_deployments", "--sandbox"])

READING_SECONDS = 1.0
"""Seconds that a person takes to read a question: a no that comes at once counts as a host's."""


def run(_: dict[str, Any]) -> None:
    """Play the conversation."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # an exception ends the server, too, before the demo
    with alone():
        anyio.run(converse, say)


class Call(NamedTuple):
    """What came of a tool's call: the result's data, and the call with the result's text as lines to show."""

    data: dict[str, Any]
    shown: str


class Person:
    """Answers the server's questions by script, and keeps the last one to be shown."""

    def __init__(self) -> None:
        self.answer = ElicitResult(action="decline")
        self._asked = ""

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """Give the scripted answer."""
        del context
        if self.answer.action == "decline":
            await anyio.sleep(READING_SECONDS)
        self._asked = params.message
        return self.answer

    def exchange(self, deed: str) -> str:
        """The last question, and what the person did about it."""
        return f"? the server asks the person:\n{textwrap.indent(self._asked, '  | ')}\n  the person {deed}\n"


async def converse(say: Callable[[str], None]) -> None:
    """Look, disable with a person's yes, undo, preview with a code, decline a delete, and `say` all of it."""
    person = Person()
    orders = {"name": "orders", "per_page": 5}
    async with Client(SERVER, elicitation_callback=person) as client:
        tools = (await client.list_tools()).tools
        say(f"# {len(tools)} tools: {', '.join(tool.name for tool in tools)}")

        found = await _call(client, "list_deployments", orders)
        say(found.shown)
        rows = found.data["deployments"]
        target = next(row for row in rows if row["enabled"] and "virtual_environment_id" in row)
        ids = {"flow_version_id": target["flow_version_id"], "deployment_id": target["id"]}
        say((await _call(client, "get_deployment", ids)).shown)

        person.answer = ElicitResult(action="accept", content={"agree": True})
        disabled = await _call(client, "disable_deployment", {**ids, "reason": "demo"})
        say(person.exchange("ticks the box"))
        say(disabled.shown)
        say((await _call(client, "list_deployments", orders)).shown)
        say((await _call(client, **disabled.data["undo"])).shown)

        person.answer = ElicitResult(action="decline")
        declined = await _call(client, "delete_deployment", ids)
        say(person.exchange("declines"))
        say(declined.shown)
    await _converse_by_code(say, ids, target["virtual_environment_id"])


async def _converse_by_code(say: Callable[[str], None], ids: dict[str, Any], environment_id: str) -> None:
    async with Client(SERVER) as client:
        say("# a host that cannot ask a person: the server gives a preview and a code")
        preview = await _call(client, "disable_deployment", ids)
        say(preview.shown)
        agreed = {**ids, "confirmation_code": preview.data["confirmation_code"]}
        disabled = await _call(client, "disable_deployment", agreed)
        say(disabled.shown)
        pinned = "patchworks://deployments?virtual_environment_id=" + environment_id
        say(f"# a host has pinned {pinned}")
        async with client.listen(resource_subscriptions=[pinned]) as updates:
            say((await _call(client, **disabled.data["undo"])).shown)
            event = await anext(updates)
            assert isinstance(event, ResourceUpdated)
            say(f"! live update arrived: {event.uri} has changed")


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> Call:
    result = await client.call_tool(tool, arguments)
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.structured_content is None:
        raise RuntimeError(f"the demo's call failed: {text}")
    return Call(result.structured_content, f"> {tool} {json.dumps(arguments)}\n{textwrap.indent(text, '  ')}\n")
