"""Who may call over HTTP, and what those who may not are told."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.session import DEFAULT_CLIENT_INFO
from mcp.shared.exceptions import MCPError
from support.clients import READING, TOOLS, Era, Person, audit_lines, both_eras, data, text, yes
from support.team import ALICE, BOB, READER, Served, answer_to, calling, serving, tokens_file, tool_call


@pytest.mark.slow
async def test_without_a_good_token_the_door_stays_shut(closed: Served) -> None:
    """No token and a wrong one get 401 with a challenge, before anything is looked at."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ALICE}):
            answer = await http.post(closed.url, json=tool_call("list_deployments"), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
        assert (await http.get(f"{closed.base}/health")).json() == {"status": "alive"}


@pytest.mark.slow
@both_eras
async def test_a_reader_neither_sees_nor_runs_a_write_tool(era: Era, tmp_path: Path) -> None:
    """Without the write scope the write tools are not listed, and calling one challenges for the scope."""
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        async with calling(served.url, READER, era=era, person=Person(yes)) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == READING
            assert not (await client.call_tool("list_deployments", {})).is_error
        async with calling(served.url, ALICE, era=era, person=Person(yes)) as client:
            assert len((await client.list_tools()).tools) == len(TOOLS)
            ids = {"flow_version_id": "1001", "deployment_id": "500"}
            assert data(await client.call_tool("disable_deployment", ids))["status"] == "done"
        async with httpx2.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {READER}"}) as http:
            for tool in ("delete_deployment", "replace_deployment", "set_deployments_enabled"):
                for url in (served.url, f"{served.url}/"):
                    answer = await http.post(url, json=tool_call(tool))
                    assert answer.status_code == 403
                    challenge = answer.headers["WWW-Authenticate"]
                    assert challenge.startswith('Bearer error="insufficient_scope"')
                    assert 'scope="deployments:read deployments:write"' in challenge


@pytest.mark.slow
@both_eras
async def test_a_reader_s_attempt_to_write_leaves_an_audit_line(era: Era, tmp_path: Path) -> None:
    """Who tried what, and that it was refused; the client's name where each call tells it."""
    log = tmp_path / "audit.jsonl"
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log))
    with serving(*arguments) as served:
        async with calling(served.url, READER, era=era) as client:
            with pytest.raises(MCPError):
                await client.call_tool(
                    "delete_deployment", {"deployment_id": "500", "api_key": "S3CRET", "if_state": ""}
                )
    (line,) = audit_lines(log)
    assert (line["tool"], line["outcome"], line["caller"]) == ("delete_deployment", "refused", "reader")
    assert line["message"] == "The token lacks the scope deployments:write."
    assert (line["arguments"], line["target"]) == ({"deployment_id": "500"}, "500")
    assert line["client"] == (f"mcp {DEFAULT_CLIENT_INFO.version}" if era == "auto" else None)


@pytest.mark.slow
@both_eras
async def test_a_removed_token_is_refused_in_the_middle_of_what_its_holder_does(era: Era, tmp_path: Path) -> None:
    """From the next request on, in an open session too; the others go on."""
    path = Path(tokens_file(tmp_path))
    with serving("--sandbox", "--tokens-file", str(path)) as served:
        async with calling(served.url, ALICE, era=era) as alice, calling(served.url, BOB, era=era) as bob:
            assert not (await alice.call_tool("list_deployments", {})).is_error
            _remove("alice", path)
            with pytest.raises(MCPError):
                await alice.call_tool("list_deployments", {})
            assert not (await bob.call_tool("list_deployments", {})).is_error


@pytest.mark.slow
async def test_each_of_several_workers_follows_the_tokens_file(tmp_path: Path) -> None:
    """Whichever gets the next request."""
    path = Path(tokens_file(tmp_path))
    arguments = ("--sandbox", "--tokens-file", str(path), "--workers", "2")
    with serving(*arguments, PATCHWORKS_STATE_KEYS="k" * 32) as served:
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            assert (await http.get(f"{served.base}/health")).status_code == 200  # a worker has started
        before = {(await answer_to(served, ALICE)).status_code for _ in range(20)}
        _remove("alice", path)
        after = {(await answer_to(served, ALICE)).status_code for _ in range(20)}
    assert 401 not in before
    assert after == {401}


def _remove(name: str, path: Path) -> None:
    """Take the holder's line out of the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith(name)), encoding="utf-8")


@pytest.mark.slow
async def test_a_caller_s_code_is_nobody_else_s(tmp_path: Path) -> None:
    """A code that Alice got does nothing for Bob, and the audit log says who did what."""
    log = tmp_path / "audit.jsonl"
    ids = {"flow_version_id": "1001", "deployment_id": "500"}
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log))
    with serving(*arguments) as served:
        async with calling(served.url, ALICE) as alice, calling(served.url, BOB) as bob:
            code = data(await alice.call_tool("disable_deployment", ids))["confirmation_code"]
            stolen = await bob.call_tool("disable_deployment", {**ids, "confirmation_code": code})
            assert data(stolen)["status"] == "confirmation_required", text(stolen)
            done = await alice.call_tool("disable_deployment", {**ids, "confirmation_code": code})
            assert data(done)["status"] == "done"
    lines = audit_lines(log)
    assert [(line["caller"], line["outcome"]) for line in lines] == [
        ("alice", "confirmation_required"),
        ("bob", "confirmation_required"),
        ("alice", "done"),
    ]
    assert ALICE not in log.read_text(encoding="utf-8")


@pytest.mark.slow
async def test_nobody_can_finish_a_round_that_somebody_else_began(tmp_path: Path) -> None:
    """The state of Alice's question, with her yes, is refused when Bob sends it, and still good for her."""
    arguments = ("--sandbox", "--tokens-file", tokens_file(tmp_path))
    with serving(*arguments, PATCHWORKS_STATE_KEYS="k" * 32) as served:
        question = await _round(served, ALICE)
        assert question["resultType"] == "input_required"
        stolen = await _round(served, BOB, question)
        own = await _round(served, ALICE, question)
    assert stolen["content"][0]["text"].startswith("The answer cannot be taken")
    assert own["structuredContent"]["status"] == "done"


async def _round(served: Served, token: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request of a call in the new era: the first, or the one that answers the question with yes."""
    ids = {"flow_version_id": "1001", "deployment_id": "500"}
    params: dict[str, Any] = {"name": "disable_deployment", "arguments": ids, "_meta": _ENVELOPE}
    if question:
        agreed = {"action": "accept", "content": {"agree": True}}
        params["inputResponses"] = dict.fromkeys(question["inputRequests"], agreed)
        params["requestState"] = question["requestState"]
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "disable_deployment",
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx2.AsyncClient(trust_env=False, headers=headers) as http:
        answer = await http.post(served.url, json=message)
    body = answer.text.rpartition("data: ")[2] if answer.text.startswith("event") else answer.text
    told: dict[str, Any] = json.loads(body)
    found: dict[str, Any] = told.get("result") or told["error"]
    return found


_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
