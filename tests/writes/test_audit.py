"""The audit log: one line per attempt, whatever became of it, and no write without it."""

import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp_types import ResourceUpdatedNotification
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, data, no, older_way, text, yes
from support.ears import watching
from support.examples import examples
from support.faults import Acted, Answered, Gate, Upstream, listing, lost, write
from support.virtual_time import in_virtual_time

from patchworks_deployments.audit.attempt import TELL_SECONDS, Attempt
from patchworks_deployments.audit.line import MAX_DEPTH, MAX_LINE_BYTES, MAX_TEXT_BYTES, head_of, line_of
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings
from patchworks_deployments.tools.middleware.attempts import arguments_of
from patchworks_deployments.writes.operations import Update


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


async def test_a_refused_call_is_recorded_within_bounds_and_without_what_nobody_asked_for(tmp_path: Path) -> None:
    """Known arguments are cut to what an accepted call could hold; of unknown ones just the names are kept."""
    deep = list[Any](["s" * 900_000])
    for _ in range(MAX_DEPTH):
        deep = [deep]
    long: dict[str, Any] = {"reason": "r" * 900_000, "if_state": deep, "deployment_id": 10**6_000}
    async with connected(person=Person(yes), audit_log=tmp_path / "log") as client:
        await client.call_tool("disable_deployment", {**IDS, **long})
        await client.call_tool("disable_deployment", {**IDS, "api_key": "S3CRET"})
    bounded, unknown = audit_lines(tmp_path / "log")
    assert bounded["reason"] == "r" * (MAX_TEXT_BYTES - len(json.dumps("…")) + 2) + "…"
    assert (bounded["arguments"]["if_state"], bounded["target"]) == ([["[list]"]], "[int]")
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
    told = [(line["tool"], line["event"]) for line in map(json.loads, whole)]
    assert told == [(f"{verb}_deployment", event) for verb in ("disable", "enable") for event in ("intent", "outcome")]


@both_eras
@pytest.mark.parametrize("tool", ["disable_deployment", "set_deployments_enabled"])
async def test_a_log_that_fails_after_the_write_is_reported_with_the_result(
    era: Era, tool: str, tmp_path: Path
) -> None:
    """The change is done and verified, and the caller is told what the log does not know of it."""
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
    remark = "Of this call the audit log has the intent and not the outcome: The audit log cannot be written (Is a dir"
    if tool != "disable_deployment":
        assert remark.replace("this call", "a step") in text(result)
        remark = "The result of this call is missing in the audit log: The audit log cannot be written (Is a dir"
    assert remark in text(result)
    assert remark in data(result)["message"]


@both_eras
async def test_the_result_counts_the_steps_that_the_log_lacks(era: Era, tmp_path: Path) -> None:
    """Who reads of one would look for one."""
    log, gate = tmp_path / "log", Gate()

    def lose_the_log_of_three(_: httpx2.Request) -> None:
        if len(transport.writes) == 3:
            log.unlink()
            log.mkdir()
            gate.go_on.set()

    arguments = {"enabled": False, "deployments": ["500", "501", "502"]}
    transport = Upstream().before(write, lose_the_log_of_three).always(write, gate)
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool("set_deployments_enabled", arguments)
    assert len(data(result)["done"]) == 3
    assert " Of 3 steps the audit log has the intent and not the outcome: " in text(result)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_does_not_know_keeps_the_line_parsable(number: float) -> None:
    """Over stdio 1e999 arrives as infinity, and a line with it would be no JSON."""
    line = line_of({"arguments": {"priority": number}})
    assert json.loads(line)["arguments"] == {"priority": "[float]"}


texts = st.text(max_size=50) | st.builds(str.__mul__, st.text(min_size=1, max_size=9), st.integers(100, 900))
ids = st.text("0123456789abcdef-_", min_size=1, max_size=64)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=300) | st.dictionaries(texts, inner), max_leaves=20
)
states = st.none() | st.builds(
    lambda known, named, listed: {**known, **named, "unreadable": listed},
    st.fixed_dictionaries({"id": ids, "flow_version_id": ids, "flow_id": ids, "virtual_environment_id": ids}),
    st.dictionaries(st.sampled_from(["flow_name", "package_name", "enabled_by", "priority", "enabled"]), scalars),
    st.lists(texts, max_size=20),
)

calls = st.none() | st.fixed_dictionaries(
    {
        "tool": st.sampled_from(list(WRITES)),
        "arguments": st.fixed_dictionaries({"flow_version_id": ids, "deployment_id": ids, "if_state": ids}),
    }
)


@examples(60)
@given(
    tool=st.sampled_from(list(WRITES)),
    arguments=st.dictionaries(st.sampled_from(sorted(arguments_of(Update) | {"deployments"})), nested),
    result=st.fixed_dictionaries(
        {"status": st.sampled_from(["done", "refused"]), "before": states, "after": states, "message": texts},
        optional={"verified": scalars, "confirmed_by": scalars},
    ),
    undo=calls,
    client=texts | st.none(),
)
def test_a_line_is_short_and_tells_what_matters_whatever_it_is_about(
    tool: str, arguments: dict[str, Any], result: dict[str, Any], undo: dict[str, Any] | None, client: str | None
) -> None:
    """At most 8 kB of JSON on one line, in which head, ids and undo are whole, and what was cut ends in an ellipsis."""
    head = head_of("outcome", "0123456789ab/200", tool, datetime(2026, 3, 2, tzinfo=UTC))
    data = line_of({**head, "arguments": arguments, **result, "undo": undo, "caller": "alice", "client": client})
    assert len(data) <= MAX_LINE_BYTES
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    line = json.loads(data)
    assert dict(list(line.items())[: len(head)]) == head
    assert (line["status"], line["undo"], line["caller"]) == (result["status"], undo, "alice")
    for name in ("before", "after"):
        for key in ("id", "flow_version_id", "flow_id", "virtual_environment_id"):
            assert result[name] is None or line[name][key] == result[name][key]
    for whole, kept in ((result["message"], line["message"]), (client, line["client"])):
        assert kept == whole or (kept.endswith("…") and whole and whole.startswith(kept[:-1]))


def test_a_line_of_a_long_list_says_how_much_of_it_is_missing() -> None:
    """As much of it as fits is there."""
    names = [f"{'1' * 60}/{number:060}" for number in range(200)]
    line = json.loads(line_of({"tool": "set_deployments_enabled", "arguments": {"deployments": names}}))
    *kept, missing = line["arguments"]["deployments"]
    assert kept == names[: len(kept)]
    assert missing == f"… and {200 - len(kept)} more"
    assert len(kept) >= 25


def test_a_call_that_undoes_is_whole_or_not_there() -> None:
    """Without some of its deployments it would be another call."""
    for count, length in ((200, 20), (200, 60)):
        undo = {
            "tool": "set_deployments_enabled",
            "arguments": {"enabled": True, "deployments": ["1" * length] * count},
        }
        line = json.loads(line_of({"undo": undo, "message": "Disabled."}))
        assert line == {"undo": undo if length == 20 else None, "message": "Disabled."}


class Witness:
    """Hears what is told to subscribers, and notes how many lines stood in the log by then."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.seen: list[tuple[str, int]] = []
        self._news = anyio.Event()

    async def __call__(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.seen.append((str(message.params.uri), len(audit_lines(self.log)) if self.log.exists() else 0))
            self._news.set()

    async def has_heard(self, number: int) -> None:
        """Wait until so many were told."""
        with anyio.fail_after(20):
            while len(self.seen) < number:
                await self._news.wait()
                self._news = anyio.Event()


@both_eras
@older_way
async def test_subscribers_are_told_of_a_change_after_its_line(era: Era, tmp_path: Path) -> None:
    """Of a single write, and of each step of many: who looks at the log on being told finds it there."""
    log = tmp_path / "log"
    witness = Witness(log)
    server = create_server(load_settings({}, sandbox=True, audit_log=log))
    addresses = [f"patchworks://flow-versions/{version}/deployments/{number}" for version, number in ((1001, 500),)]
    async with (
        Client(server, mode=era, elicitation_callback=Person(yes), message_handler=witness) as client,
        watching(client, *addresses, "patchworks://overview"),
    ):
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("set_deployments_enabled", {"enabled": True, "deployments": ["1001/500"]})
        await witness.has_heard(4)
    lines = [line["tool"] for line in audit_lines(log)]
    assert lines == ["disable_deployment", "set_deployments_enabled: enable", "set_deployments_enabled"]
    assert [stood >= 1 for _, stood in witness.seen[:2]] == [True, True]
    assert [stood >= 2 for _, stood in witness.seen[2:]] == [True, True]


@both_eras
@older_way
async def test_subscribers_are_told_also_where_the_caller_has_gone_away(era: Era, tmp_path: Path) -> None:
    """The line is written, and then they hear of the change, although nobody waits for the answer any more."""
    log, gate = tmp_path / "log", Gate()
    witness = Witness(log)
    server = create_server(load_settings({}, sandbox=True, audit_log=log), Upstream().on(write, gate))
    async with (
        Client(server, mode=era, elicitation_callback=Person(yes), message_handler=witness) as client,
        watching(client, "patchworks://overview"),
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "disable_deployment", IDS)
            await gate.arrived.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await client.call_tool("get_deployment", IDS)  # answered after the cancellation has arrived
                gate.go_on.set()
        await witness.has_heard(1)
    assert [line["outcome"] for line in audit_lines(log)] == ["done"]
    assert witness.seen == [("patchworks://overview", 1)]


@in_virtual_time
async def test_an_answer_does_not_wait_long_for_subscribers_to_be_told() -> None:
    """A bus that hangs delays it by two seconds."""
    attempt = Attempt(AuditLog(None), "disable_deployment", {}, Who("local", None))
    attempt.then(anyio.sleep_forever)
    began = anyio.current_time()
    await attempt.end({"status": "done"})
    assert TELL_SECONDS <= anyio.current_time() - began < TELL_SECONDS + 1


async def test_a_deployment_of_which_nobody_tells_the_flow_version_is_recorded_without(tmp_path: Path) -> None:
    """It is not asked for by an empty id, and the line has none instead of an empty one."""

    def without_version(answer: httpx2.Response) -> httpx2.Response:
        body = answer.json()
        for row in body["data"]:
            row.pop("flow_version_id", None)
            row.pop("flowVersion", None)
            row.pop("flow_version", None)
        return httpx2.Response(200, json=body)

    sandbox, log = Sandbox(), tmp_path / "log"
    transport = Upstream(sandbox).always(listing, Answered(without_version))
    async with connected(transport=transport, person=Person(yes), audit_log=log) as client:
        result = await client.call_tool("set_deployments_enabled", {"enabled": False, "deployments": ["500"]})
    step, _ = audit_lines(log)
    assert "does not tell its flow version" in text(result)
    assert (step["arguments"].get("flow_version_id"), step["target"], step["outcome"]) == (None, "500", "refused")
    assert sandbox.writes == []
