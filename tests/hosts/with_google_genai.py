# /// script
# requires-python = ">=3.11"
# dependencies = ["google-genai>=3.6,<4", "mcp>=1.30,<2"]
# ///
"""Google's SDK with a session as its tool, which it calls by itself.

Usage: with_google_genai.py COMMAND [ARGUMENT...]
"""

import asyncio
import sys
from typing import Any

from assistant import Assistant
from google import genai
from google.genai import types
from loopback import model
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

assistant = Assistant()
parameters: dict[str, Any] = {}


def answer(request: Any) -> Any:
    if not assistant.offered:
        for tool in request["tools"]:
            for function in tool["functionDeclarations"]:
                assistant.offered.append(function["name"])
                parameters[function["name"]] = function["parameters"]
    else:
        (part,) = request["contents"][-1]["parts"]
        response = part["functionResponse"]["response"]
        told = response.get("result") or response["error"]
        assistant.hear("".join(block["text"] for block in told["content"]))
    call = assistant.call()
    part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": "That is all."}
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


async def main(command: str, *args: str) -> None:
    server = StdioServerParameters(command=command, args=list(args))
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        with model(answer) as address:
            client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=address))
            # As a dictionary: an object of theirs is copied whole, which a session of a running process does not take.
            config = {"tools": [session], "automatic_function_calling": {"maximum_remote_calls": 20}}
            await client.aio.models.generate_content(model="loopback", contents="Go on.", config=config)
    print(assistant.report(parameters=parameters))


asyncio.run(main(*sys.argv[1:]))
