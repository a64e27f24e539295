"""Questions that nobody answers: the call ends by itself, and whoever goes away in between has changed nothing."""

from pathlib import Path

import anyio
from support.clients import IDS, audit_lines
from support.hosts import Host, Told, agree
from support.stage import Stage, in_both_eras, under_each_policy
from support.virtual_time import in_virtual_time
from support.wire import NEWER, Version, Wire

SILENT = Host("never answers", agree, "nobody", "Nobody answered the question within ten minutes")

OLDER: Version = "2025-11-25"


def _outcomes(log: Path) -> list[str]:
    return [line["outcome"] for line in audit_lines(log)] if log.exists() else []


async def _left_alone(stage: Stage, wire: Wire) -> Told:
    """What comes of a call whose question nobody answers."""
    question = await stage.visit.ask(wire, "disable_deployment", IDS)
    async for message in wire.until_answered(question["call"]):
        told = message
    return Told(told["result"])


@under_each_policy
@in_virtual_time
async def test_after_ten_minutes_the_call_ends_and_says_so(policy: str, tmp_path: Path) -> None:
    """In the older era the question is withdrawn; the newer one waits for nobody."""
    stage = Stage.of(SILENT, OLDER, policy, tmp_path / "log")
    if policy == "code":
        return
    async with stage.wire() as wire:
        began = anyio.current_time()
        told = await _left_alone(stage, wire)
        assert 600 <= anyio.current_time() - began < 605
    assert told.status == "refused"
    assert SILENT.says in told.text
    assert SILENT.says in told.data["message"]
    assert "PATCHWORKS_CONFIRM_BY=code" in told.text
    assert not stage.sandbox.writes
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["confirmed_by"], line["answer"]) == ("refused", None, "silence")


@in_virtual_time
async def test_an_answer_after_the_end_changes_nothing(tmp_path: Path) -> None:
    """A yes that comes when the question was withdrawn is nobody's, and the connection goes on."""
    stage = Stage.of(SILENT, OLDER, "auto", tmp_path / "log")
    async with stage.wire() as wire:
        question = await stage.visit.ask(wire, "disable_deployment", IDS)
        async for _ in wire.until_answered(question["call"]):
            pass
        await wire.answer(question, agree(stage.visit.asked[0]))
        assert (await stage.visit.call(wire, "get_deployment", IDS)).data["enabled"]
    assert not stage.sandbox.writes


@in_both_eras
async def test_a_call_that_its_caller_cancels_changes_nothing(version: Version, tmp_path: Path) -> None:
    """Also if a yes to its question comes afterwards. In the newer era the question has ended the call before."""
    stage = Stage.of(SILENT, version, "auto", tmp_path / "log")
    async with stage.wire() as wire:
        question = await stage.visit.ask(wire, "disable_deployment", IDS)
        await wire.notify("notifications/cancelled", requestId=question["call"])
        if version != NEWER:
            await wire.answer(question, agree(stage.visit.asked[0]))
        assert (await stage.visit.call(wire, "get_deployment", IDS)).data["enabled"]
    assert not stage.sandbox.writes
    assert _outcomes(tmp_path / "log") == ([] if version == NEWER else ["cancelled"])


@in_both_eras
async def test_a_host_that_is_gone_has_changed_nothing(version: Version, tmp_path: Path) -> None:
    """It hangs up while its question is on the screen."""
    stage = Stage.of(SILENT, version, "auto", tmp_path / "log")
    async with stage.wire() as wire:
        await stage.visit.ask(wire, "disable_deployment", IDS)
    assert not stage.sandbox.writes
    assert _outcomes(tmp_path / "log") == ([] if version == NEWER else ["cancelled"])
