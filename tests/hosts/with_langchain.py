# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "langchain-mcp-adapters>=0.3,<0.4",
#     "langchain-openai>=1.7,<2",
#     "langchain-anthropic>=1.7,<2",
# ]
# ///
"""LangChain's adapter with the chat models of OpenAI and Anthropic.

Usage: with_langchain.py COMMAND [ARGUMENT...]
"""

import asyncio
import sys
from typing import Any

from assistant import Assistant
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI
from loopback import completion, model

assistant = Assistant()
anthropic_read: list[str] = []


def openai(request: Any) -> Any:
    if not assistant.offered:
        assistant.offered += [tool["function"]["name"] for tool in request["tools"]]
    else:
        content = request["messages"][-1]["content"]
        assistant.hear(content if isinstance(content, str) else "".join(part["text"] for part in content))
    return completion(assistant.call(), len(assistant.read))


def anthropic(request: Any) -> Any:
    """It is shown the whole talk at its end, with tools and results in its own format."""
    assert [tool["name"] for tool in request["tools"]] == assistant.offered
    parts = [part for m in request["messages"] if isinstance(m["content"], list) for part in m["content"]]
    results = [part["content"] for part in parts if part["type"] == "tool_result"]
    anthropic_read.extend("".join(block["text"] for block in blocks) for blocks in results)
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": "That is all."}]
    ended = {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
    return {"id": "1", "type": "message", "role": "assistant", "model": "loopback", "content": content, **ended}


async def main(command: str, *args: str) -> None:
    client = MultiServerMCPClient({"server": {"transport": "stdio", "command": command, "args": list(args)}})
    async with client.session("server") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        with model(openai) as address, model(anthropic) as other:
            first = ChatOpenAI(model="loopback", base_url=address, api_key="none").bind_tools([*tools.values()])
            second = ChatAnthropic(model="loopback", base_url=other, api_key="none").bind_tools([*tools.values()])
            talk: list[BaseMessage] = [HumanMessage("Go on.")]
            while (said := await first.ainvoke(talk)).tool_calls:
                assert isinstance(said, AIMessage)
                talk += [said, *[await tools[call["name"]].ainvoke(call) for call in said.tool_calls]]
            await second.ainvoke(talk)
    print(assistant.report(anthropic=anthropic_read))


asyncio.run(main(*sys.argv[1:]))
