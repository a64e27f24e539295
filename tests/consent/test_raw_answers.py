"""Whatever a client sends in answer to a question: nothing but a form that agrees lets anything happen."""

from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import (
    CallToolResult,
    ElicitResult,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)
from support.clients import Clock, Person, connected, data, text
from support.examples import examples

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sdk import lowlevel_server
from patchworks_deployments.serving.server import DeploymentsServer, create_server
from patchworks_deployments.settings import load_settings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FORMS = st.fixed_dictionaries({}, optional={"agree": JSON, "typed_id": JSON | st.just("500"), "else": JSON})
ANSWERS = st.fixed_dictionaries(
    {},
    optional={"action": st.sampled_from(["accept", "decline", "cancel"]) | JSON, "content": FORMS | JSON, "role": JSON},
)

with_any_answer = given(raw=ANSWERS, takes=st.sampled_from([0.01, 3.0]))
of_each_kind = pytest.mark.parametrize(
    ("tool", "settings"),
    [
        ("disable_deployment", {}),
        ("delete_deployment", {}),
        pytest.param("disable_deployment", {"confirm_by": "human"}, marks=pytest.mark.slow),
        pytest.param("delete_deployment", {"protected_environments": "UK Live"}, marks=pytest.mark.slow),
    ],
)

IDS = {"flow_version_id": "1001", "deployment_id": "500"}


def _check(result: CallToolResult, sandbox: Sandbox, tool: str, raw: dict[str, Any]) -> None:
    """Nothing was sent without a yes, and the result tells what happened."""
    content = raw.get("content") if raw.get("action") == "accept" else None
    told = content if isinstance(content, dict) else {}
    is_yes = told.get("agree") is True if tool == "disable_deployment" else told.get("typed_id") == "500"
    assert len(sandbox.writes) <= is_yes
    if not sandbox.writes:
        assert data(result)["status"] in {"confirmation_required", "declined", "refused"}
        assert text(result).startswith(("The client answered ", "The person "))
        assert "Nothing was changed" in text(result)


@of_each_kind
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@with_any_answer
@examples(60)
async def test_in_the_newer_era(tool: str, settings: dict[str, Any], raw: dict[str, Any], takes: float) -> None:
    """The answer comes with a call of its own, which never fails because of it."""
    sandbox, person = Sandbox(4), Person(lambda _: ElicitResult.model_construct(**raw), takes=takes)
    async with connected(sandbox, person=person, **settings) as client:
        _check(await client.call_tool(tool, IDS), sandbox, tool, raw)


@of_each_kind
@with_any_answer
@examples(60)
async def test_in_the_older_era(tool: str, settings: dict[str, Any], raw: dict[str, Any], takes: float) -> None:
    """The answer is that of a request to the client; the call within which it was asked goes on."""
    sandbox, clock = Sandbox(4), Clock()
    upstream = httpx2.ASGITransport(app=sandbox.app)
    server = create_server(load_settings({}, sandbox=True, **settings), upstream, clock, clock)
    _check(await _called(server, tool, lambda: _after(clock, takes, raw)), sandbox, tool, raw)


def _after(clock: Clock, takes: float, raw: dict[str, Any]) -> dict[str, Any]:
    clock.now += takes
    return raw


async def _called(server: DeploymentsServer, tool: str, answer: Any) -> CallToolResult:
    """What becomes of a call whose question is answered with JSON that no client has looked at."""
    lowlevel = lowlevel_server(server)
    client = {"name": "raw", "version": "1"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": client}
    async with create_client_server_memory_streams() as ((read, write), its), anyio.create_task_group() as group:
        group.start_soon(lowlevel.run, *its, lowlevel.create_initialization_options())

        async def answer_to(*messages: JSONRPCMessage) -> Any:
            for message in messages:
                await write.send(SessionMessage(message))
            came = await read.receive()
            assert isinstance(came, SessionMessage)
            return came.message

        await answer_to(JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=hello))
        question = await answer_to(
            JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"),
            JSONRPCRequest(jsonrpc="2.0", id=2, method="tools/call", params={"name": tool, "arguments": IDS}),
        )
        told = await answer_to(JSONRPCResponse(jsonrpc="2.0", id=question.id, result=answer()))
        await write.aclose()
    return CallToolResult.model_validate(told.result)
