"""What is sent is on record before: an intent without which nothing leaves, and an outcome whatever ends the write."""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, data, text, yes
from support.faults import Acted, Upstream, single, write
from support.pipes import PipeLog
from support.replacing import methods

from patchworks_deployments.sandbox import Sandbox

CALLS: dict[str, dict[str, Any]] = {
    "disable_deployment": IDS,
    "set_deployments_enabled": {"enabled": False, "environment": "UK Live"},
    "replace_deployment": {**IDS, "new_flow_version_id": "1000"},
}
"""A write, one for each of many, and one for each of several steps."""

each_kind = pytest.mark.parametrize("tool", CALLS)

FULL = "The audit log cannot be written (No space left on device)."


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[PipeLog]:
    """An audit log that a test can fill and empty."""
    log = PipeLog(tmp_path / "log")
    yield log
    log.close()


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _intents(log: Path) -> list[dict[str, Any]]:
    return [line for line in _lines(log) if line["event"] == "intent"] if log.exists() else []


@both_eras
@each_kind
async def test_a_write_is_on_record_before_it_is_sent(tool: str, era: Era, tmp_path: Path) -> None:
    """When the request arrives, the log says what is asked, of which deployment in which state, and who agreed."""
    log, seen = tmp_path / "log", list[bool]()

    def look(request: httpx2.Request) -> None:
        for line in _intents(log):
            of = line["before"] or line["arguments"]
            if f"/{of['flow_version_id']}/" in request.url.path and line["confirmed_by"] == "human":
                seen.append(True)
                return
        seen.append(False)

    transport = Upstream().before(write, look)
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool(tool, {**CALLS[tool], "reason": "stocktake"})
    assert data(result)["status"] == "done", text(result)
    assert seen == [True] * len(transport.writes)
    assert {line["reason"] for line in _intents(log)} == {"stocktake"}


@both_eras
@each_kind
async def test_an_outcome_has_the_id_of_its_intent(tool: str, era: Era, tmp_path: Path) -> None:
    """Both name the account; steps are numbered within their call, which has a line of its own."""
    log = tmp_path / "log"
    async with connected(person=Person(yes), era=era, audit_log=log) as client:
        undo = data(await client.call_tool(tool, CALLS[tool]))["undo"]
    lines, intents = _lines(log), _intents(log)
    ended = {line["id"]: line for line in lines if line["event"] == "outcome"}
    assert sorted(ended) == sorted(line["id"] for line in intents)
    assert all(ended[line["id"]]["before"] == line["before"] for line in intents)
    assert len({line["account"] for line in lines} | {lines[-1]["account"]}) == 1
    assert lines[-1]["undo"] == undo
    if tool == "disable_deployment":
        assert [line["event"] for line in lines] == ["intent", "outcome"]
    else:
        call = lines[-1]
        assert (call["event"], call["tool"]) == ("call", tool)
        assert {line["id"] for line in intents} == {f"{call['id']}/{n}" for n in range(1, len(intents) + 1)}


@both_eras
@each_kind
async def test_without_an_intent_nothing_is_sent(tool: str, era: Era, pipe: PipeLog) -> None:
    """The disk has become full since room was kept: the caller reads that nothing was changed."""
    sandbox = Sandbox()
    pipe.fill(but=1)
    async with connected(sandbox, person=Person(yes), era=era, audit_log=pipe.path) as client:
        result = await client.call_tool(tool, CALLS[tool])
    assert result.is_error
    assert FULL in text(result)
    assert text(result).count("Nothing was changed") == 1
    assert sandbox.writes == []


@both_eras
async def test_of_many_writes_those_without_an_intent_are_not_tried(era: Era, pipe: PipeLog) -> None:
    """What was on record is sent, and the rest is named with the reason."""
    transport = Upstream(Sandbox(300)).before(write, lambda _: pipe.fill())
    arguments = {"enabled": False, "environment": "UK Live"}
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=pipe.path) as client:
        result = await client.call_tool("set_deployments_enabled", arguments)
    intents = [line for line in pipe.lines if line["event"] == "intent"]
    told = data(result)
    assert told["status"] == "partial"
    assert len(transport.writes) == len(intents) == len(told["done"])
    assert all(FULL[:30] in missed["why"] for missed in told["not_tried"])
    assert "the audit log has the intent and not the outcome" in text(result)


@both_eras
async def test_an_outcome_that_is_missing_is_said(era: Era, pipe: PipeLog) -> None:
    """The disk has become full since the write was sent: it is done all the same."""
    transport = Upstream().before(write, lambda _: pipe.fill())
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=pipe.path) as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert data(result)["status"] == "done"
    remark = f"Of this call the audit log has the intent and not the outcome: {FULL}"
    assert data(result)["message"].endswith(remark)
    assert remark in text(result)
    assert [line["event"] for line in pipe.lines] == ["intent"]


@both_eras
async def test_a_place_that_is_empty_is_filled_without_an_intent(era: Era, pipe: PipeLog) -> None:
    """The disk has become full since the old deployment was deleted: the new one comes all the same, and it is said."""
    transport = Upstream().before("DELETE", lambda _: pipe.fill())
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=pipe.path) as client:
        result = await client.call_tool("replace_deployment", CALLS["replace_deployment"])
    assert (data(result)["status"], methods(transport)) == ("done", ["DELETE", "POST"])
    for remark in (
        f"Of a step the audit log has the intent and not the outcome: {FULL}",
        f"Nothing of a step is in the audit log: {FULL}",
        f"The result of this call is missing in the audit log: {FULL}",
    ):
        assert remark in data(result)["message"]
        assert remark in text(result)


@both_eras
async def test_an_intent_that_came_too_late_is_said(era: Era, pipe: PipeLog) -> None:
    """Where the outcome of the step that fills the place could be recorded, only the intent is missing."""
    transport = Upstream().before("DELETE", lambda _: pipe.fill()).before("POST", lambda _: pipe.empty())
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=pipe.path) as client:
        result = await client.call_tool("replace_deployment", CALLS["replace_deployment"])
    assert f"Of a step the audit log has the outcome and not the intent: {FULL}" in data(result)["message"]
    assert [(line["event"], line["outcome"]) for line in pipe.lines[1:]] == [("outcome", "done"), ("call", "done")]


# Errors of our own --------------------------------------------------------------------------------


def _crash(_: httpx2.Request) -> None:
    raise RuntimeError("boom")


@both_eras
async def test_an_error_of_our_own_after_a_write_leaves_it_unknown(era: Era, tmp_path: Path) -> None:
    """The caller does not read that nothing was changed, and the line has the intent's id."""
    log, transport = tmp_path / "log", Upstream().on(write, Acted(_crash))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert result.is_error
    assert text(result).startswith(
        "An error inside this server ended it (RuntimeError). Whether anything was changed is not known: "
        "read the deployment before you repeat this."
    )
    intent, outcome = _lines(log)
    assert (outcome["id"], outcome["event"], outcome["outcome"]) == (intent["id"], "outcome", "unknown")
    assert outcome["message"] == text(result)


@both_eras
async def test_an_error_of_our_own_in_one_of_many_writes_costs_no_other(era: Era, tmp_path: Path) -> None:
    """It is unknown, those under way are finished, each has its outcome, and no further one is begun."""
    log, transport = tmp_path / "log", Upstream(Sandbox(300)).on(write, None, None, Acted(_crash))
    arguments = {"enabled": False, "environment": "UK Live"}
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool("set_deployments_enabled", arguments)
    told = data(result)
    ((why, (unknown,)),) = [(missed["why"], missed["deployments"]) for missed in told["unknown"]]
    assert why == (
        "An error inside this server ended it (RuntimeError). It was sent, and whether it was done is not known."
    )
    assert told["status"] == "partial"
    assert len(told["done"]) == len(transport.writes) - 1
    assert told["not_tried"]
    outcomes = {line["id"]: line["outcome"] for line in _lines(log) if line["event"] == "outcome"}
    assert sorted(outcomes) == sorted(line["id"] for line in _intents(log))
    assert sorted(outcomes.values()) == ["done"] * len(told["done"]) + ["unknown"]
    assert unknown not in told["done"]


@both_eras
@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_an_error_of_our_own_in_a_replacement_is_an_unknown_step(method: str, era: Era, tmp_path: Path) -> None:
    """Nothing more is done where it is not known whether the old one is gone or the new one comes; it is looked at."""
    log, transport = tmp_path / "log", Upstream().on(method, Acted(_crash))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool("replace_deployment", CALLS["replace_deployment"])
    told = data(result)
    assert told["status"] == "unknown"
    assert "An error inside this server ended it (RuntimeError)." in told["message"]
    assert "repair" in told
    assert "Nothing was changed" not in text(result)
    assert methods(transport) == ["DELETE", "POST"][: 1 + (method == "POST")]
    *steps, call = audit_lines(log)
    assert [line["outcome"] for line in steps] == ["done", "unknown"][-len(steps) :]
    assert (call["event"], call["outcome"]) == ("call", "unknown")
    assert [line["id"] for line in steps] == [line["id"] for line in _intents(log)]


@both_eras
async def test_an_error_of_our_own_before_a_write_of_many_stops_the_rest(era: Era, tmp_path: Path) -> None:
    """Nothing is sent that could meet it again, and it is not said of it that its fate is unknown."""
    log, transport = tmp_path / "log", Upstream().always(single, _crash)
    arguments = {"enabled": False, "environment": "UK Live"}
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool("set_deployments_enabled", arguments)
    assert data(result)["status"] == "failed"
    assert "It was not sent." in text(result)
    assert (transport.writes, _intents(log)) == ([], [])


# Flushing -----------------------------------------------------------------------------------------


@pytest.fixture
def flush(monkeypatch: pytest.MonkeyPatch) -> "_Flush":
    """Stands before the system's own: no disk of a test fails, or loses its power, when told to."""
    flush = _Flush(os.fsync)
    monkeypatch.setattr(os, "fsync", flush)
    return flush


class _Flush:
    def __init__(self, fsync: Callable[[int], None]) -> None:
        self._fsync = fsync
        self.folders = self.files = 0
        self.fails: int | None = None

    def __call__(self, descriptor: int) -> None:
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        self._fsync(descriptor)
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        self.folders, self.files = self.folders + is_folder, self.files + (not is_folder)


@both_eras
async def test_an_intent_is_on_the_disk_before_its_write_is_sent(era: Era, tmp_path: Path, flush: _Flush) -> None:
    """Should the power fail, also the name of a log that has just been begun is there."""
    flushed: list[tuple[int, int]] = []
    transport = Upstream().before(write, lambda _: flushed.append((flush.files, flush.folders)))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=tmp_path / "log") as client:
        await client.call_tool("replace_deployment", CALLS["replace_deployment"])
    assert flushed == [(1, 1), (2, 1)]


@both_eras
@each_kind
async def test_a_disk_that_cannot_keep_an_intent_stops_the_write(
    tool: str, era: Era, tmp_path: Path, flush: _Flush
) -> None:
    """The line may stand in the file all the same, so its outcome says that nothing was sent."""
    sandbox, flush.fails, log = Sandbox(), errno.EIO, tmp_path / "log"
    async with connected(sandbox, person=Person(yes), era=era, audit_log=log) as client:
        result = await client.call_tool(tool, CALLS[tool])
    assert "The audit log cannot be written (Input/output error)." in text(result)
    assert "Nothing was changed." in text(result)
    assert sandbox.writes == []
    outcomes = {line["id"]: line["outcome"] for line in _lines(log) if line["event"] == "outcome"}
    assert outcomes == {line["id"]: "refused" for line in _intents(log)}


async def test_a_disk_that_knows_no_flushing_is_no_reason_to_refuse(tmp_path: Path, flush: _Flush) -> None:
    """A file system that is somewhere else may answer so."""
    flush.fails = errno.EINVAL
    async with connected(person=Person(yes), audit_log=tmp_path / "log") as client:
        result = await client.call_tool("disable_deployment", IDS)
    assert data(result)["status"] == "done"
