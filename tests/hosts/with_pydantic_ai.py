# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[mcp]>=2.68,<3"]
# ///
"""An agent of Pydantic AI, whose model reads structured content.

Usage: with_pydantic_ai.py COMMAND [ARGUMENT...]
"""

import asyncio
import sys

from assistant import Assistant
from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

assistant = Assistant()


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    if not assistant.offered:
        assistant.offered += [tool.name for tool in info.function_tools]
    else:
        (part,) = messages[-1].parts
        assistant.hear(part.model_response_str() if part.part_kind == "tool-return" else part.model_response())
    call = assistant.call()
    return ModelResponse([ToolCallPart(*call) if call else TextPart("That is all.")])


async def main(command: str, *args: str) -> None:
    server = MCPToolset(StdioTransport(command, list(args)))
    await Agent(FunctionModel(answer), toolsets=[server]).run("Go on.")
    print(assistant.report())


asyncio.run(main(*sys.argv[1:]))
