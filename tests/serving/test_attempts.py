"""Who tries to change something leaves a line, also where the protocol or a limit ends the call before its tool."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, data, text, yes
from support.processes import COMMAND, clean_environment
from support.team import ALICE, BOB, READER, Served, calling, serving, tokens_file
from support.virtual_time import in_virtual_time

from patchworks_deployments.audit.line import MAX_LINE_BYTES
from patchworks_deployments.audit.log import MAX_REFUSALS, REFUSALS_SECONDS
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.tools.middleware.attempts import arguments_of

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}


async def _post(served: Served, token: str, name: str, **params: Any) -> dict[str, Any]:
    """What is answered to one `tools/call` of the newer era with these parameters: a result, or an error."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "_meta": ENVELOPE, **params}}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        answer = await http.post(served.url, json=call)
    told: dict[str, Any] = json.loads(answer.text.rpartition("data: ")[2] or answer.text)
    found: dict[str, Any] = told.get("result") or told["error"]
    return found


@pytest.mark.slow
async def test_a_request_state_that_is_not_good_for_a_call_leaves_a_line_and_is_not_in_it(tmp_path: Path) -> None:
    """Stolen, altered, forged, for other arguments or for another tool: who tried it is known afterwards."""
    log = tmp_path / "log"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log)) as served:
        question = await _post(served, ALICE, "disable_deployment", arguments=IDS)
        state: str = question["requestState"]
        agreed = {"action": "accept", "content": {"agree": True}}
        answers = dict.fromkeys(question["inputRequests"], agreed)
        other = {**IDS, "deployment_id": "501"}
        for token, tool, arguments, sent in (
            (BOB, "disable_deployment", IDS, state),
            (ALICE, "disable_deployment", IDS, state[:-8] + "AAAAAAA" + state[-1]),
            (ALICE, "disable_deployment", IDS, "v1.forged"),
            (ALICE, "disable_deployment", IDS, 12),
            (ALICE, "disable_deployment", other, state),
            (ALICE, "delete_deployment", IDS, state),
        ):
            refused = await _post(served, token, tool, arguments=arguments, inputResponses=answers, requestState=sent)
            assert refused["isError"]
            assert "Call again, so that the person is asked anew." in refused["content"][0]["text"]
        done = await _post(
            served, ALICE, "disable_deployment", arguments=IDS, inputResponses=answers, requestState=state
        )
    assert done["structuredContent"]["status"] == "done"
    *refusals, last = audit_lines(log)
    assert last["outcome"] == "done"
    assert [(line["caller"], line["tool"], line["target"]) for line in refusals] == [
        ("bob", "disable_deployment", "500"),
        *[("alice", "disable_deployment", "500")] * 3,
        ("alice", "disable_deployment", "501"),
        ("alice", "delete_deployment", "500"),
    ]
    assert {line["outcome"] for line in refusals} == {"refused"}
    assert all(line["message"].startswith("The answer cannot be taken") for line in refusals)
    assert state[:40] not in log.read_text(encoding="utf-8")


@both_eras
async def test_a_write_on_a_read_only_server_is_told_so_and_leaves_a_line(era: Era, tmp_path: Path) -> None:
    """The tool is not offered; who calls it all the same hears why, in words and not as an unknown tool."""
    log = tmp_path / "log"
    async with connected(era=era, person=Person(yes), audit_log=log, read_only=True) as client:
        for name in WRITES:
            result = await client.call_tool(name, {**IDS, "api_key": "S3CRET", "confirmation_code": "c0de"})
            assert result.is_error
            assert text(result).startswith("This server is read-only")
            assert "Nothing was changed" in text(result)
        assert "Unknown tool" in text(await client.call_tool("drop_everything", IDS))
    lines = audit_lines(log)
    assert [line["tool"] for line in lines] == list(WRITES)
    assert {line["outcome"] for line in lines} == {"refused"}
    assert {line["target"] for line in lines} == {"500", None}  # not every one takes a deployment's id
    assert "S3CRET" not in log.read_text(encoding="utf-8")
    assert "c0de" not in log.read_text(encoding="utf-8")


async def test_what_an_attempt_records_are_the_tool_s_arguments() -> None:
    """Also on a server that does not offer the tool and has no definition of it."""
    async with connected() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for name, write in WRITES.items():
        assert arguments_of(write) == tools[name].input_schema["properties"].keys()
    assert {name for name, tool in tools.items() if not tool.annotations or not tool.annotations.read_only_hint} == set(
        WRITES
    )


NO_OBJECTS: list[Any] = [["1001", "500"], "1001/500", 500, True]


@pytest.mark.slow
async def test_arguments_that_are_no_object_leave_a_line_over_http(tmp_path: Path) -> None:
    """The protocol answers with an error, which no model sees; the log tells who sent it."""
    log = tmp_path / "log"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log)) as served:
        for arguments in NO_OBJECTS:
            assert "code" in await _post(served, ALICE, "delete_deployment", arguments=arguments)
    lines = audit_lines(log)
    assert [(line["tool"], line["outcome"], line["caller"], line["client"]) for line in lines] == [
        ("delete_deployment", "refused", "alice", "test 1")
    ] * len(NO_OBJECTS)
    assert {line["message"] for line in lines} == {"The arguments of the call are no object. Nothing was changed."}


@pytest.mark.slow
def test_arguments_that_are_no_object_leave_a_line_over_stdio(tmp_path: Path) -> None:
    """In the older era, too."""
    log = tmp_path / "log"
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    said: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]
    for number, arguments in enumerate(NO_OBJECTS, start=1):
        params = {"name": "delete_deployment", "arguments": arguments}
        said.append({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--sandbox", "--audit-log", str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as process:
        assert process.stdin
        assert process.stdout
        for message in said:
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(len(NO_OBJECTS) + 1)]
        process.stdin.close()
    assert all("error" in answer for answer in answers[1:])
    assert [(line["tool"], line["outcome"], line["client"]) for line in audit_lines(log)] == [
        ("delete_deployment", "refused", "raw 1")
    ] * len(NO_OBJECTS)


@both_eras
async def test_a_wrong_confirmation_code_leaves_a_line_without_it(era: Era, tmp_path: Path) -> None:
    """The line says that a code was not good, and neither holds that one nor the new one."""
    log = tmp_path / "log"
    async with connected(era=era, audit_log=log) as client:
        result = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": "6553f100-wrongwrongwrong"})
    (line,) = audit_lines(log)
    assert (line["outcome"], line["confirmed_by"]) == ("confirmation_required", None)
    assert line["message"].startswith("That code is not from this server, or it was mistyped. Nothing was changed.")
    assert "wrongwrong" not in log.read_text(encoding="utf-8")
    assert data(result)["confirmation_code"] not in log.read_text(encoding="utf-8")


@both_eras
async def test_of_many_refused_calls_some_have_a_line_and_the_others_are_counted(era: Era, tmp_path: Path) -> None:
    """The log does not grow with them, and the count is there once the server stops."""
    log = tmp_path / "log"
    async with connected(era=era, person=Person(yes), audit_log=log) as client:
        for _ in range(MAX_REFUSALS + 40):
            await client.call_tool("disable_deployment", {**IDS, "nonsense": "x" * 1_000})
        assert data(await client.call_tool("disable_deployment", IDS))["status"] == "done"
    *refused, done, counted = audit_lines(log)
    assert [line["outcome"] for line in refused] == ["refused"] * MAX_REFUSALS
    assert done["outcome"] == "done"
    assert (counted["tool"], counted["outcome"], counted["caller"]) == (None, "refused", "local")
    assert counted["message"].startswith("40 more calls of this caller were refused in this time")


@in_virtual_time
async def test_refused_calls_are_counted_minute_by_minute() -> None:
    """After a minute the count is written, and the next refusals have lines of their own again."""
    async with anyio.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        async with connected(audit_log=log) as client:
            for minute in range(3):
                for _ in range(MAX_REFUSALS + 1 + minute):
                    await client.call_tool("disable_deployment", {"nonsense": 1})
                await anyio.sleep(REFUSALS_SECONDS + 1)
                assert len(audit_lines(log)) == (minute + 1) * (MAX_REFUSALS + 1)
        counts = [line["message"] for line in audit_lines(log) if line["tool"] is None]
        assert [count.partition(" ")[0] for count in counts] == ["1", "2", "3"]


@pytest.mark.slow
async def test_a_flood_of_calls_without_the_scope_is_bounded_for_each_caller(tmp_path: Path) -> None:
    """What a reader sends hundreds of times fills no disk, is counted to the last one, and costs nobody else a line."""
    log, sent = tmp_path / "log", 300
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log), "--rate-limit", "0")
    with serving(*arguments) as served:
        reader = {"Authorization": f"Bearer {READER}"}
        async with httpx2.AsyncClient(trust_env=False, headers=reader) as http:
            call = {"name": "delete_deployment", "arguments": {**IDS, "reason": "r" * 900_000}}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
            for _ in range(sent):
                assert (await http.post(served.url, content=body)).status_code == 403
        async with calling(served.url, ALICE) as client:
            await client.call_tool("disable_deployment", {**IDS, "nonsense": 1})
    lines = audit_lines(log)
    assert Counter(line["caller"] for line in lines) == {"reader": MAX_REFUSALS + 1, "alice": 1}
    assert lines[-1]["message"].startswith(f"{sent - MAX_REFUSALS} more calls of this caller were refused")
    assert log.stat().st_size < (MAX_REFUSALS + 2) * MAX_LINE_BYTES
