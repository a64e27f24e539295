"""Bad arguments and bad answers: each a clear error, no library noise, no secret, and the server keeps serving."""

import json
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, Tool
from support.clients import IDS, READING, Era, Person, connected, data, newer_era_first, text, yes
from support.examples import examples
from support.faults import Step, Upstream, delay, every, reply, scripted
from support.team import calling, serving

from patchworks_deployments.audit.line import MAX_LINE_BYTES
from patchworks_deployments.sandbox import Sandbox

BAD_ARGUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("get_deployment", {**IDS, "deployment_id": "5/0"}, "deployment_id: must be an id"),
    ("get_deployment", {**IDS, "deployment_id": ".."}, "deployment_id: must be an id"),
    ("get_deployment", {**IDS, "deployment_id": "5\n0"}, "deployment_id: must be an id"),
    ("get_deployment", {**IDS, "deployment_id": "5" * 10_000}, "deployment_id: must be an id"),
    ("get_deployment", {**IDS, "deployment_id": ""}, "deployment_id: is required"),
    ("get_deployment", {**IDS, "deployment_id": True}, "deployment_id: must be a valid string"),
    ("get_deployment", {**IDS, "deployment_id": None}, "deployment_id: is required"),
    ("get_deployment", {**IDS, "deployment_id": {"id": 5}}, "deployment_id: must be a valid string"),
    ("get_deployment", {"deployment_id": "500"}, "flow_version_id: is required"),
    ("get_deployment", {**IDS, "detail": "everything"}, "detail: must be 'summary' or 'full'"),
    ("list_deployments", {"page": 0}, "page: must be greater than or equal to 1"),
    ("list_deployments", {"page": "one"}, "page: must be a valid integer"),
    ("list_deployments", {"per_page": 101}, "per_page: must be less than or equal to 100"),
    ("list_deployments", {"sort": "name; drop"}, "sort: must be 'created_at'"),
    ("list_deployments", {"include": ["secrets"]}, "include: must be 'enabledBy'"),
    ("list_deployments", {"flow_id": "1,,2"}, "flow_id: must be an id"),
    ("list_deployments", {"virtual_environment_id": "UK Live"}, "zero. To find ids by name, use deployment_overview."),
    ("disable_deployment", {**IDS, "deployment_id": "x"}, "Nothing was changed. To find ids by name, use deployment_"),
    ("list_deployments", {"name": "a\nb"}, "name: must be text without line breaks"),
    ("list_deployments", {"name": "x" * 501}, "name: String should have at most 500 characters"),
    ("list_deployments", {"enviroment_id": 1}, "did you mean virtual_environment_id?"),
    ("list_deployments", {"filter[name]": 1}, "is not an argument"),
    ("create_deployment", {"flow_version_id": "1001", "deploy_disable": True}, "did you mean deploy_disabled?"),
    ("create_deployment", {"flow_version_id": "1001", "priority": 1.5}, "priority: must be a valid integer"),
    ("create_deployment", {"flow_version_id": "1001", "priority": True}, "priority: must be a whole number"),
    ("create_deployment", {"flow_version_id": "1001", "deploy_disabled": "maybe"}, "deploy_disabled: must be"),
    ("update_deployment", IDS, "There is nothing to update. Nothing was changed. Give a field to set or to clear."),
    ("update_deployment", {**IDS, "enabled_at": "tomorrow"}, "enabled_at: must be an ISO 8601 time"),
    ("update_deployment", {**IDS, "clear": ["id"]}, "clear: must be"),
    (
        "update_deployment",
        {**IDS, "clear": ["priority"], "priority": 4},
        "is both set and cleared. Nothing was changed. Do one",
    ),
    ("update_deployment", {**IDS, "deploy_disabled": False}, "=false enables nothing. Nothing was changed. Use enable"),
    (
        "update_deployment",
        {**IDS, "deploy_disabled": True, "enabled_at": "2026-01-01T00:00:00Z"},
        "enabled_at and deploy_disabled=true contradict each other. Nothing was changed. Give one of the two.",
    ),
    ("disable_deployment", {**IDS, "confirm": True}, "is not an argument"),
    ("disable_deployment", {**IDS, "reason": "x" * 501}, "reason: "),
    (
        "disable_deployment",
        {**IDS, "reason": "x" * 30_001},
        "reason: has 30001 characters, and may have",
    ),
    ("get_deployment", {**IDS, "deployment_id": 10**5_000}, "deployment_id: is too large a number"),
    ("list_deployments", {"flow_id": [1] * 201}, "flow_id: has 201 values, and may have at most 200"),
    ("list_deployments", {"flow_id": ",".join(["1"] * 201)}, "flow_id: has too many values"),
    ("list_deployments", {"flow_id": [[1]]}, "flow_id: must be text, or a list of texts"),
    ("list_deployments", {"name": [{"of": "orders"}]}, "name: must be text, or a list of texts"),
    ("list_deployments", {"include": ["user"] * 201}, "include: has 201 values"),
    ("list_deployments", {"include": str([1] * 201)}, "include: has 201 values"),
    ("list_deployments", {"include": ",".join(["user"] * 201)}, "include: has too many values"),
    ("list_deployments", {"include": "package,secrets"}, "include: must be 'enabledBy'"),
    ("list_deployments", {"include": {"package": True}}, "include: must be a valid list"),
    ("list_deployments", {"page": 1_000_001}, "page: must be at most 1000000"),
    ("list_deployments", {"page": 1e308}, "page: Unable to parse"),
    (
        "list_deployments",
        {"name": "\N{OK HAND SIGN}" * 500, "search": "\N{OK HAND SIGN}" * 500},
        "filters are too long",
    ),
    ("update_deployment", {**IDS, "priority": 10**18}, "priority: is too large a number"),
    ("update_deployment", {**IDS, "clear": ["priority"] * 201}, "clear: has 201 values"),
    ("set_deployments_enabled", {"enabled": True, "deployments": ["1"] * 201}, "deployments: has 201 values"),
    ("set_deployments_enabled", {"enabled": True, "deployments": "1," * 201}, "deployments: has too many values"),
    ("set_deployments_enabled", {"enabled": True, "deployments": "1001/500,"}, "deployments: must be an id"),
    ("set_deployments_enabled", {"enabled": True, "deployments": [1.5]}, "deployments: must be a valid string"),
    ("get_deployment", {**IDS, "deployment_id": 500.5}, "deployment_id: must be a valid string"),
    ("get_deployment", {**IDS, "deployment_id": 2.0**53}, "deployment_id: is too large a number"),
    ("get_deployment", {**IDS, "deployment_id": "500.0"}, "deployment_id: must be an id"),
]


@pytest.mark.parametrize(("tool", "arguments", "said"), BAD_ARGUMENTS)
async def test_a_bad_argument_is_named_briefly_and_nothing_is_sent(
    tool: str, arguments: dict[str, Any], said: str
) -> None:
    """The error names the argument and what it must be, in a few words, and no write is sent."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        result = await client.call_tool(tool, arguments)
        assert (await client.call_tool("list_deployments", {})).is_error is False
    assert result.is_error
    assert said in text(result)
    assert ("Nothing was changed." in text(result)) is (tool not in READING)
    assert "pydantic" not in text(result)
    assert "must be None" not in text(result)
    assert len(text(result)) < 600
    assert sandbox.writes == []


async def test_a_number_as_text_and_text_as_a_number_are_understood() -> None:
    """Ids may be numbers, and numbers may be text, as models write them."""
    async with connected() as client:
        numbers = await client.call_tool("get_deployment", {"flow_version_id": 1001, "deployment_id": 500})
        texts = await client.call_tool("list_deployments", {"page": "1", "per_page": "2"})
    assert data(numbers)["id"] == "500"
    assert len(data(texts)["deployments"]) == 2


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@examples(60)
@given(st.dictionaries(st.sampled_from([*IDS, "page", "clear", "priority", "dry_run"]) | st.text(), any_json))
async def test_whatever_a_model_passes_nothing_destructive_happens_unasked(arguments: dict[str, Any]) -> None:
    """Any arguments at all end in a result, and without a person's yes no write leaves."""
    sandbox = Sandbox(3)
    async with connected(sandbox) as client:
        for tool in ("update_deployment", "delete_deployment", "disable_deployment", "list_deployments"):
            result = await client.call_tool(tool, arguments)
            assert "Error executing tool" not in text(result)
    assert sandbox.writes == []


MEGABYTE = 2**20
"""Bytes of the largest body that the server takes."""

LARGE: dict[str, Any] = {
    "text": "x" * MEGABYTE,
    "digits": "1" * MEGABYTE,
    "ids": "1," * (MEGABYTE // 2),
    "emoji": "\N{OK HAND SIGN}" * (MEGABYTE // 12),
    "a list as text": f"[{'1,' * (MEGABYTE // 2 - 2)}1]",
    "lists in lists as text": "[" * (MEGABYTE // 2) + "]" * (MEGABYTE // 2),
    "numbers": [1] * (MEGABYTE // 2),
    "nulls": [None] * (MEGABYTE // 5),
    "empty texts": [""] * (MEGABYTE // 3),
    "empty lists": [[]] * (MEGABYTE // 3),
    "values": ["user"] * (MEGABYTE // 7),
    "an object": {str(number): number for number in range(MEGABYTE // 16)},
    "a long key": {"k" * MEGABYTE: 1},
    "a number": 10**4_000,
    "a large float": 1e308,
}
"""What an argument can be at most, in every kind of JSON."""

MAX_SECONDS = 0.5
"""Seconds of the processor for a call, the client's part and the validation of both sides included."""

TRIES = 3
"""How often a call is timed until it is quick enough."""

REQUIRED = {"flow_version_id": "1001", "deployment_id": "500", "new_flow_version_id": "1000", "enabled": False}


async def _refuse_quickly(client: Client, tool: Tool, given: dict[str, Any]) -> None:
    """The call ends in words, before long; the rest of its arguments is in order."""
    needed = {name: REQUIRED[name] for name in tool.input_schema.get("required", ())}
    # What is slow is slow each time; a processor that others use, too, may be so once.
    for _ in range(TRIES):
        began = time.thread_time()
        result = await client.call_tool(tool.name, {**needed, **given})
        seconds = time.thread_time() - began
        if seconds < MAX_SECONDS:
            break
    assert seconds < MAX_SECONDS, f"{tool.name}: {seconds:.2f} s"
    assert "Error executing tool" not in text(result)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(4))
async def test_no_argument_of_any_size_keeps_the_process_busy(turn: int, tmp_path: Path) -> None:
    """Lengths are looked at before contents, for every argument of every tool, known or not: each gets four kinds."""
    async with connected(audit_log=tmp_path / "log") as client:
        tools = (await client.list_tools()).tools
        names = [(tool, name) for tool in tools for name in (*tool.input_schema["properties"], "unknown")]
        for number, (tool, name) in enumerate(names):
            kind = list(LARGE)[(number + 4 * turn) % len(LARGE)]
            await _refuse_quickly(client, tool, {name: LARGE[kind]})
    assert (tmp_path / "log").stat().st_size < 60 * MAX_LINE_BYTES


many_arguments: dict[str, Any] = {f"unknown {number}": number for number in range(MEGABYTE // 20)}
anything_large = st.sampled_from([*LARGE.values(), many_arguments]) | any_json


@examples(20)
@given(st.data(), st.lists(anything_large, min_size=1, max_size=3))
async def test_large_arguments_together_and_within_each_other_are_refused_quickly(
    drawn: st.DataObject, values: list[Any]
) -> None:
    """Several of them, in lists and objects, of any tool."""
    sandbox = Sandbox(3)
    async with connected(sandbox) as client:
        tool = drawn.draw(st.sampled_from((await client.list_tools()).tools))
        names = st.sampled_from([*tool.input_schema["properties"], "unknown"])
        for value in (values, {"within": values}, values[0]):
            await _refuse_quickly(client, tool, {drawn.draw(names): value, drawn.draw(names): values[-1]})
        await _refuse_quickly(client, tool, many_arguments)
    assert sandbox.writes == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, value in LARGE.items() if isinstance(value, str)])
async def test_no_uri_prompt_or_completion_of_any_size_keeps_the_process_busy(kind: str) -> None:
    """A URI that is too long is refused in words, and nothing is offered for what nobody typed by hand."""
    long: str = LARGE[kind]
    prompt = PromptReference(name="move_version")
    async with connected() as client:
        began = time.thread_time()
        for uri in (f"patchworks://deployments?name={long}", f"patchworks://{long}", f"patchworks://overview?{long}"):
            with pytest.raises(MCPError, match="may have at most 8000"):
                await client.read_resource(uri)
        await client.get_prompt("stop_environment", {"environment": long})
        with pytest.raises(MCPError):
            await client.get_prompt("stop_environment", {"environment": "1", **dict.fromkeys(many_arguments, "x")})
        for value, chosen in ((long, {}), ("", {"flow": long}), ("", dict.fromkeys(many_arguments, "x"))):
            result = await client.complete(prompt, {"name": "environment", "value": value}, context_arguments=chosen)
            assert result.completion.values == []
        assert time.thread_time() - began < 8 * MAX_SECONDS


BODIES: dict[str, bytes] = {
    "an integer of 100,000 digits": b'{"page": ' + b"1" * 100_000 + b"}",
    "a float beyond all floats": b'{"page": 1e400}',
    "100,000 lists in each other": b'{"include": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a lone surrogate": b'{"name": "\\ud800"}',
    "a key of half a megabyte": b'{"' + b"k" * 500_000 + b'": 1}',
    "60,000 unknown arguments": b"{" + b",".join(b'"%d": 1' % number for number in range(60_000)) + b"}",
}
"""Arguments as bytes, of which some are JSON that Python cannot read."""


@pytest.mark.slow
async def test_no_body_stops_the_server() -> None:
    """In both eras each is answered as a bad request or with a result, and the next caller is served."""
    ours = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    newer = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "list_deployments"}
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    envelope = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": client["clientInfo"],
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "list_deployments", "_meta": envelope, "arguments": "HERE"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    with serving("--sandbox") as served:
        async with httpx2.AsyncClient(trust_env=False, headers=ours, timeout=10) as http:
            begun = await http.post(
                served.url, json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}
            )
            older = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
            await http.post(served.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=older)
            for what, arguments in BODIES.items():
                for era in (newer, older):
                    answer = await http.post(served.url, content=body.replace(b'"HERE"', arguments), headers=era)
                    assert answer.status_code == 400 or '"result"' in answer.text, what
                    assert "Traceback" not in answer.text
        async with calling(served.url) as caller:
            assert not (await caller.call_tool("list_deployments", {})).is_error


KEY = "a-very-secret-api-key"


class Stream(httpx2.AsyncByteStream):
    """Twenty megabytes, as they come over a network: in pieces."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000_000


BAD_ANSWERS: dict[str, tuple[Step, str]] = {
    "HTML": (reply(200, b"<html>hello</html>", content_type="text/html"), "200 that is not the Patchworks Core API"),
    "empty body": (reply(200), "Patchworks answered with nothing"),
    "truncated body": (reply(200, b'{"data": [{"id": 1}'), "not JSON"),
    "list for an object": (reply(200, b"[]"), "Patchworks answered with a list"),
    "20 MB": (lambda _: httpx2.Response(200, stream=Stream()), "more than 8 MiB"),
    "redirect": (reply(302, location="https://elsewhere.example/"), "a redirect (302) to the host elsewhere.example"),
    "401": (reply(401, b'{"message": "Unauthenticated."}'), "does not accept the credentials"),
    "403": (reply(403, b'{"message": "No."}'), "does not allow this"),
    "404": (reply(404, b'{"message": "No."}'), "404 to the list of all deployments"),
    "409": (reply(409, b'{"message": "Busy."}'), "conflicts"),
    "413": (reply(413, b""), "too large"),
    "422": (reply(422, b'{"message": "Bad.", "errors": {"sort": ["is odd"]}}'), "sort: is odd"),
    "429": (reply(429, b"{}"), "Wait a minute"),
    "429 with Retry-After": (reply(429, b"{}", retry_after="90"), "Wait 90 seconds"),
    "500": (reply(500, b'{"message": "Server Error"}'), "Patchworks failed (status 500)"),
    "echoed key": (reply(400, b'{"message": "bad key ' + KEY.encode() + b'"}'), "(secret)"),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
@newer_era_first
async def test_a_bad_answer_is_a_clear_error(answer: str, era: Era) -> None:
    """The error says what Patchworks did, in our words, and the server keeps serving."""
    fault, said = BAD_ANSWERS[answer]
    transport = Upstream().always(every, fault)
    async with connected(era=era, transport=transport, api_key=KEY) as client:
        result = await client.call_tool("list_deployments", {})
        transport.heal()
        transport.always(every, reply(200, {"data": []}))
        assert not (await client.call_tool("list_deployments", {})).is_error
    assert result.is_error
    assert said in text(result)
    assert KEY not in text(result)
    assert "Traceback" not in text(result)


async def test_a_hang_ends_with_an_error() -> None:
    """An API that never answers is given up after the timeout."""
    async with connected(transport=scripted(delay(math.inf)), timeout=0.05) as client:
        result = await client.call_tool("list_deployments", {})
    assert "did not answer in time" in text(result)


@newer_era_first
async def test_null_is_not_given_for_every_optional_argument_of_every_tool(era: Era) -> None:
    """Hosts that fill in all arguments pass null for what is left out, and it means just that."""
    required = {
        "flow_version_id": "1001",
        "deployment_id": "500",
        "new_flow_version_id": "1000",
        "enabled": False,
        "deployments": ["1001/500"],
        "priority": 5,
        "dry_run": True,
    }
    async with connected(era=era) as client:
        for tool in (await client.list_tools()).tools:
            known = tool.input_schema["properties"]
            needed = required if tool.name not in {"deployment_overview", "list_deployments"} else {}
            given = {name: needed.get(name) for name in known}
            result = await client.call_tool(tool.name, given)
            assert not result.is_error, text(result)


@newer_era_first
async def test_a_crash_is_logged_and_tells_the_caller_nothing(era: Era, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw leaves a traceback for who runs the server, and none of its words for the model."""

    def crash(_: httpx2.Request) -> None:
        raise RuntimeError("boom")

    transport = Upstream().always(every, crash)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        read = await client.call_tool("list_deployments", {})
        written = await client.call_tool("disable_deployment", IDS)
    assert (read.is_error, text(read)) == (True, "Error executing tool list_deployments")
    assert written.is_error
    assert text(written) == (
        "An error inside this server ended it (RuntimeError). Nothing was changed. "
        "Whoever runs this server finds more on its stderr."
    )
    crashes = [line for line in caplog.records if line.levelname == "ERROR" and line.exc_info]
    assert len(crashes) == 2
