"""A host's end of the wire: raw JSON-RPC in both eras, written and read as it is, without the SDK's client."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Literal, TypeAlias

import anyio
import httpx2
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from patchworks_deployments.sdk import lowlevel_server
from patchworks_deployments.serving.server import DeploymentsServer

Json: TypeAlias = dict[str, Any]

Version = Literal["2025-06-18", "2025-11-25", "2026-07-28"]
"""How the host speaks: the last is of the newer era, in which a question ends the call."""

NEWER: Version = "2026-07-28"

MAX_LINE_BYTES = 1 << 20
"""Bytes of a line that a server may write."""


class Wire(ABC):
    """Carries messages to one server and back."""

    def __init__(self) -> None:
        self._ids = count(1)

    @abstractmethod
    async def send(self, message: Json) -> None:
        """Let the message leave as it is, fit or not."""

    @abstractmethod
    async def receive(self) -> Json:
        """The next message of the server."""

    async def notify(self, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def request(self, method: str, params: Json) -> int:
        """Ask something; the id, by which the answer is known."""
        number = next(self._ids)
        await self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    async def answer(self, question: Json, reply: Json) -> None:
        """Answer what the server asks, with a result or an error."""
        await self.send({"jsonrpc": "2.0", "id": question["id"], **reply})

    async def until_answered(self, number: int) -> AsyncIterator[Json]:
        """The server's own requests until the answer to that one, which is the last that comes."""
        while True:
            message = await self.receive()
            is_answer = "method" not in message and message.get("id") == number
            if is_answer or ("method" in message and "id" in message):
                yield message
            if is_answer:
                return

    async def open(self, version: Version, capabilities: Json) -> None:
        """Shake hands, where the era does that."""
        if version == NEWER:
            return
        client = {"name": "a host", "version": "1"}
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": client}
        number = await self.request("initialize", params)
        async for answer in self.until_answered(number):
            assert answer["result"]["protocolVersion"] == version
        await self.notify("notifications/initialized")


def envelope(capabilities: Json) -> Json:
    """What each request of the newer era carries."""
    prefix = "io.modelcontextprotocol/"
    return {
        f"{prefix}protocolVersion": NEWER,
        f"{prefix}clientInfo": {"name": "a host", "version": "1"},
        f"{prefix}clientCapabilities": capabilities,
    }


class _Memory(Wire):
    """To a server in this process; what is no message arrives as the SDK's reader of stdin passes it on."""

    def __init__(
        self,
        leave: MemoryObjectSendStream[SessionMessage | Exception],
        arrive: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        super().__init__()
        self._leave, self._arrive = leave, arrive

    async def send(self, message: Json) -> None:
        try:
            item = SessionMessage(jsonrpc_message_adapter.validate_json(json.dumps(message)))
        except ValidationError as error:
            await self._leave.send(error)
        else:
            await self._leave.send(item)

    async def receive(self) -> Json:
        item = await self._arrive.receive()
        return item.message.model_dump(mode="json", by_alias=True, exclude_unset=True)


@asynccontextmanager
async def in_process(server: DeploymentsServer) -> AsyncIterator[Wire]:
    """A wire to the server, which runs here until the wire is cut."""
    lowlevel = lowlevel_server(server)
    leave, arriving = anyio.create_memory_object_stream[SessionMessage | Exception](8)
    leaving, arrive = anyio.create_memory_object_stream[SessionMessage](8)
    async with lowlevel.lifespan(lowlevel) as services, anyio.create_task_group() as group:
        group.start_soon(partial(serve_dual_era_loop, lowlevel, arriving, leaving, lifespan_state=services))
        async with leave, arrive:
            yield _Memory(leave, arrive)


class Piped(Wire):
    """To a process over its stdin and stdout."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        assert process.stdin
        assert process.stdout
        self.process = process
        self._stdin, self._stdout = process.stdin, BufferedByteReceiveStream(process.stdout)

    async def send(self, message: Json) -> None:
        await self._stdin.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Json:
        message: Json = json.loads(await self._stdout.receive_until(b"\n", MAX_LINE_BYTES))
        return message


@asynccontextmanager
async def over_pipes(command: list[str], env: Mapping[str, str]) -> AsyncIterator[Piped]:
    """A wire to a server in a process of its own, which ends with it."""
    process = await anyio.open_process(command, env=env, stderr=None)
    async with process:
        try:
            yield Piped(process)
        finally:
            if process.returncode is None:
                process.terminate()


class _Posted(Wire):
    """To a server over HTTP: each message is posted, and what comes back to it is read beside it."""

    def __init__(self, http: httpx2.AsyncClient, url: str, group: anyio.abc.TaskGroup) -> None:
        super().__init__()
        self._http, self._url, self._group = http, url, group
        self._arriving, self._arrived = anyio.create_memory_object_stream[Json](64)

    def close(self) -> None:
        self._arriving.close()
        self._arrived.close()

    async def send(self, message: Json) -> None:
        params = message.get("params", {})
        if "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {}):
            named = {"MCP-Protocol-Version": NEWER, "Mcp-Method": message["method"], "Mcp-Name": params["name"]}
            self._group.start_soon(self._post, message, named)
        elif message.get("method") == "tools/call":
            self._group.start_soon(self._post, message, {})  # it may wait for the answer to a question
        else:
            await self._post(message, {})

    async def _post(self, message: Json, headers: dict[str, str]) -> None:
        async with self._http.stream("POST", self._url, json=message, headers=headers) as answer:
            if session := answer.headers.get("mcp-session-id"):
                self._http.headers["Mcp-Session-Id"] = session
            async for line in answer.aiter_lines():
                data = line.removeprefix("data:").strip()
                if data.startswith("{"):
                    await self._arriving.send(json.loads(data))

    async def receive(self) -> Json:
        return await self._arrived.receive()


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncIterator[Wire]:
    """A wire to a server over HTTP, in the name of a token's holder."""
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(trust_env=False, headers=headers, timeout=30) as http,
        anyio.create_task_group() as group,
    ):
        wire = _Posted(http, url, group)
        try:
            yield wire
        finally:
            group.cancel_scope.cancel()
            wire.close()
