"""The audit log: one line per attempt, whatever became of it, and no write without it."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestFormParams, ElicitResult
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, data, no, text, yes
from support.faults import Acted, Upstream, lost, write

from patchworks_deployments.audit.line import line_of
from patchworks_deployments.caller import Who
from patchworks_deployments.sandbox import Sandbox


@both_eras
async def test_every_attempt_leaves_one_line(era: Era, tmp_path: Path) -> None:
    """Done, unchanged, previewed, declined, awaiting a code, refused and failed attempts are all recorded, once."""
    log = tmp_path / "audit.jsonl"
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool("disable_deployment", {**IDS, "reason": "stocktake"})
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("enable_deployment", {**IDS, "dry_run": True})
        await client.call_tool("delete_deployment", {**IDS, "deployment_id": "1"})
        await client.call_tool("disable_deployment", {**IDS, "nonsense": 1})
        await client.call_tool("list_deployments", {})
    async with connected(sandbox, person=Person(no), era=era, audit_log=log) as client:
        await client.call_tool("delete_deployment", IDS)
    async with connected(sandbox, era=era, audit_log=log) as client:
        await client.call_tool("delete_deployment", IDS)
    async with connected(sandbox, era=era, audit_log=log, confirm_by="human") as client:
        await client.call_tool("delete_deployment", IDS)
    outcomes = [line["outcome"] for line in audit_lines(log)]
    assert outcomes == [
        "done",
        "unchanged",
        "preview",
        "failed",
        "refused",
        "declined",
        "confirmation_required",
        "refused",
    ]


async def test_a_line_holds_who_what_why_and_how(tmp_path: Path) -> None:
    """Time, tool, arguments, target, states, reason, caller, client, confirmation and duration are in the line."""
    log = tmp_path / "audit.jsonl"
    async with connected(person=Person(yes), audit_log=log) as client:
        await client.call_tool("disable_deployment", {**IDS, "reason": "line one\nline two"})
    (line,) = audit_lines(log)
    assert line["tool"] == "disable_deployment"
    assert line["arguments"] == IDS
    assert line["target"] == "500"
    assert (line["before"]["enabled"], line["after"]["enabled"], line["verified"]) == (True, False, True)
    assert line["reason"] == "line one\nline two"
    assert line["caller"] == "local"
    assert line["client"].startswith("mcp")
    assert line["confirmed_by"] == "human"
    assert line["milliseconds"] >= 0
    assert line["time"].endswith("+00:00")


async def test_an_unknown_fate_is_recorded_as_unknown(tmp_path: Path) -> None:
    """A write whose answer and reading back are lost stands in the log as unknown."""
    log = tmp_path / "audit.jsonl"
    transport = Upstream().on(write, lost).reading_back(httpx2.ReadTimeout)
    async with connected(transport=transport, person=Person(yes), audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
    assert [line["outcome"] for line in audit_lines(log)] == ["unknown"]


@pytest.mark.parametrize("unwritable", ["/dev/full", "a/missing/folder/log", "."])
async def test_without_a_writable_log_no_write_is_sent(unwritable: str, tmp_path: Path) -> None:
    """A log on a full disk, in no folder, or that is a folder stops the write before it leaves; reading goes on."""
    sandbox = Sandbox()
    log = tmp_path / unwritable
    async with connected(sandbox, person=Person(yes), audit_log=log) as client:
        result = await client.call_tool("disable_deployment", IDS)
        assert not (await client.call_tool("list_deployments", {})).is_error
    assert result.is_error
    assert "audit log cannot be written" in text(result)
    assert "Nothing was changed" in text(result)
    assert sandbox.writes == []


@both_eras
async def test_an_unwritable_log_stops_a_replacement_before_all_is_read_again(era: Era, tmp_path: Path) -> None:
    """It costs Patchworks no more requests than a person's no."""
    requests: list[int] = []
    for answer in (no, yes):
        sandbox = Sandbox()
        async with connected(sandbox, person=Person(answer), era=era, audit_log=tmp_path) as client:
            result = await client.call_tool("replace_deployment", {**IDS, "new_flow_version_id": "1000"})
        requests.append(len(sandbox.requests))
    assert "audit log cannot be written" in text(result)
    assert requests[0] == requests[1]


APPENDER = """
import sys
from pathlib import Path
import anyio
from patchworks_deployments.audit.attempt import Attempt
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who

async def append():
    log = AuditLog(Path(sys.argv[1]))
    for number in range(200):
        given = {"priority": number, "reason": "x" * 400}
        attempt = Attempt(log, "disable_deployment", given, Who(sys.argv[2], None))
        await attempt.keep_room(1)
        await attempt.end({})

anyio.run(append)
"""


@pytest.mark.slow
async def test_several_processes_can_share_one_log(tmp_path: Path) -> None:
    """Lines that several processes append at the same time stay whole, and none is lost."""
    log = tmp_path / "audit.jsonl"
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(anyio.run_process, [sys.executable, "-c", APPENDER, str(log), name])
    written = sorted((line["caller"], line["arguments"]["priority"]) for line in audit_lines(log))
    assert written == [(name, number) for name in "abc" for number in range(200)]


async def test_codes_never_stand_in_the_log(tmp_path: Path) -> None:
    """A confirmation code is a key: the log says that a code was used, not which."""
    log = tmp_path / "audit.jsonl"
    async with connected(audit_log=log) as client:
        code = data(await client.call_tool("disable_deployment", IDS))["confirmation_code"]
        await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert [line["confirmed_by"] for line in audit_lines(log)] == [None, "code"]
    assert code not in log.read_text(encoding="utf-8")


async def test_a_question_that_the_client_fails_to_ask_leaves_a_line(tmp_path: Path) -> None:
    """A client whose dialog answers with an error has made an attempt, and it stands in the log."""

    def crash(_: ElicitRequestFormParams) -> ElicitResult:
        raise MCPError(code=-1, message="the dialog\ncrashed")

    sandbox = Sandbox()
    async with connected(sandbox, person=Person(crash), era="legacy", audit_log=tmp_path / "log") as client:
        with pytest.raises(MCPError):
            await client.call_tool("disable_deployment", IDS)
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["message"]) == ("failed", "Ended by MCPError: the dialog crashed")
    assert sandbox.writes == []


async def test_a_refused_call_is_recorded_within_bounds_and_without_what_nobody_asked_for(tmp_path: Path) -> None:
    """Known arguments are cut to what an accepted call could hold; of unknown ones just the names are kept."""
    long: dict[str, Any] = {"reason": "r" * 900_000, "if_state": [["s" * 900_000]], "deployment_id": 10**6_000}
    async with connected(person=Person(yes), audit_log=tmp_path / "log") as client:
        await client.call_tool("disable_deployment", {**IDS, **long})
        await client.call_tool("disable_deployment", {**IDS, "api_key": "S3CRET"})
    bounded, unknown = audit_lines(tmp_path / "log")
    assert len(json.dumps(bounded)) < 3_000
    assert bounded["reason"] == "r" * 506 + "…"
    assert (bounded["arguments"]["if_state"], bounded["target"]) == (["[list]"], "[int]")
    assert "S3CRET" not in json.dumps(unknown)
    assert '"api_key" is not an argument' in unknown["message"]
    assert unknown["arguments"] == IDS


async def test_a_line_that_a_full_disk_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """What comes after the stump, from this process or the next one, begins a line of its own."""
    log = tmp_path / "log"
    stump = '{"time": "2026-03-02T09:00:00", "tool": "disable_deployment", "message": "Disabled, '
    log.write_text(stump, encoding="utf-8")
    async with connected(person=Person(yes), audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("enable_deployment", IDS)
    first, *whole = log.read_text(encoding="utf-8").splitlines()
    assert first == stump
    assert [json.loads(line)["tool"] for line in whole] == ["disable_deployment", "enable_deployment"]


@both_eras
@pytest.mark.parametrize("tool", ["disable_deployment", "set_deployments_enabled"])
async def test_a_log_that_fails_after_the_write_is_reported_with_the_result(
    era: Era, tool: str, tmp_path: Path
) -> None:
    """The change is done and verified, and the caller is told that the log does not know of it."""
    log, sandbox = tmp_path / "log", Sandbox()

    def lose_the_log(_: httpx2.Request) -> httpx2.Response:
        log.unlink()
        log.mkdir()
        return httpx2.Response(200, json={})

    transport = Upstream(sandbox).on(write, Acted(lose_the_log))
    arguments = IDS if tool == "disable_deployment" else {"enabled": False, "deployments": ["1001/500"]}
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool(tool, arguments)
    assert data(result)["status"] == "done"
    assert "missing in the audit log: The audit log cannot be written" in text(result)
    assert "missing in the audit log" in data(result)["message"]


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_does_not_know_keeps_the_line_parsable(number: float) -> None:
    """Over stdio 1e999 arrives as infinity, and a line with it would be no JSON."""
    line = line_of("update_deployment", {"priority": number}, {}, Who("local", None), 0.0)
    assert json.loads(line)["arguments"] == {"priority": "[float]"}
