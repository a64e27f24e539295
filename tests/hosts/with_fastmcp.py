# /// script
# requires-python = ">=3.11"
# dependencies = ["fastmcp>=4.2,<5"]
# ///
"""FastMCP's client, which makes objects of structured content.

Usage: with_fastmcp.py COMMAND [ARGUMENT...]
"""

import asyncio
import sys

from assistant import Assistant
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

assistant = Assistant()


async def main(command: str, *args: str) -> None:
    untold: list[str] = []
    async with Client(StdioTransport(command, list(args))) as client:
        assistant.offered += [tool.name for tool in await client.list_tools()]
        while call := assistant.call():
            result = await client.call_tool(*call, raise_on_error=False)
            untold += set(result.structured_content or {}) - set(vars(result.data) if result.data else {})
            assistant.hear("".join(block.text for block in result.content))
    print(assistant.report(untold=untold))


asyncio.run(main(*sys.argv[1:]))
