# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents>=0.24,<0.25"]
# ///
"""The OpenAI Agents SDK with strict schemas, an agent and its runner.

Usage: with_openai_agents.py COMMAND [ARGUMENT...]
"""

import asyncio
import sys
from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from assistant import Assistant
from loopback import completion, model
from openai import AsyncOpenAI

assistant = Assistant()
strict: list[str] = []


def answer(request: Any) -> Any:
    if not assistant.offered:
        functions = [tool["function"] for tool in request["tools"]]
        assistant.offered += [function["name"] for function in functions]
        strict.extend(
            function["name"]
            for function in functions
            if function["strict"]
            and set(function["parameters"]["required"]) == set(function["parameters"]["properties"])
        )
    else:
        content = request["messages"][-1]["content"]
        assistant.hear(content if isinstance(content, str) else "".join(part["text"] for part in content))
    return completion(assistant.call(), len(assistant.read))


async def main(command: str, *args: str) -> None:
    set_tracing_disabled(disabled=True)
    async with MCPServerStdio(params={"command": command, "args": list(args)}) as server:
        with model(answer) as address:
            agent = Agent(
                name="agent",
                mcp_servers=[server],
                mcp_config={"convert_schemas_to_strict": True},
                model=OpenAIChatCompletionsModel("loopback", AsyncOpenAI(base_url=address, api_key="none")),
            )
            await Runner.run(agent, "Go on.", max_turns=20)
    print(assistant.report(strict=strict))


asyncio.run(main(*sys.argv[1:]))
