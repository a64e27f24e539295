"""One audit log under load: two servers share it, one is killed, and it is rotated while both write to it."""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from support import load
from support.processes import ROOT, clean_environment

from patchworks_deployments.audit.attempt import Attempt, Intent
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who

pytestmark = pytest.mark.slow

OLDER_FORMAT = '{"time": "2026-03-02T09:00:00.000+00:00", "tool": "disable_deployment", "outcome": "done"}\n'
"""A line as earlier versions wrote them."""


@contextmanager
def _loading(log: Path, name: str, calls: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in a process of its own, which has so many calls to serve."""
    command = [sys.executable, load.__file__, str(log), str(log.with_name(name)), str(calls)]
    process = subprocess.Popen(command, env=clean_environment(PYTHONPATH=str(ROOT / "tests")))  # noqa: S603 - our own command
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _sent(log: Path, name: str) -> list[str]:
    """The deployments that were written to, once for each write."""
    file = log.with_name(name)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _lines(*files: Path) -> list[dict[str, Any]]:
    """The lines of these files, each whole JSON."""
    whole = b"".join(file.read_bytes() for file in files if file.exists())
    assert whole.rstrip(b"\t").endswith(b"\n")
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _ids(lines: list[dict[str, Any]], event: str) -> Counter[str]:
    return Counter(line["id"] for line in lines if line["event"] == event)


def test_hundreds_of_writes_of_two_servers_are_on_record_though_one_is_killed(tmp_path: Path) -> None:
    """Each line is whole; of the one that goes on each write has its outcome, of the other one at least its intent."""
    (log := tmp_path / "log").write_text(OLDER_FORMAT, encoding="utf-8")
    with _loading(log, "survivor", 5) as survivor, _loading(log, "doomed", 4) as doomed:
        while len(_sent(log, "doomed")) < 2.5 * load.AT_ONCE:
            assert doomed.poll() is None
            time.sleep(0.005)
        doomed.kill()
        assert survivor.wait(60) == 0
    first, *lines = _lines(log)
    assert first == json.loads(OLDER_FORMAT)
    intents, outcomes = ([line for line in lines if line["event"] == event] for event in ("intent", "outcome"))
    assert set(_ids(lines, "intent").values()) == set(_ids(lines, "outcome").values()) == {1}
    ((process, _),) = Counter(line["process"] for line in intents).most_common(1)  # who was killed had fewer to do
    ended = {line["id"] for line in outcomes}
    assert ended <= {line["id"] for line in intents}
    for name, own in (
        ("survivor", [line for line in intents if line["process"] == process]),
        ("doomed", [line for line in intents if line["process"] != process]),
    ):
        assert Counter(_sent(log, name)) - Counter(line["target"] for line in own) == Counter()
        if name == "survivor":
            assert {line["id"] for line in own} <= ended
            assert len(own) == len(_sent(log, name))
    assert len(intents) >= 300


WRITES = 100
"""Writes of each of those who share the log while it is rotated."""


def _rename(log: Path, number: int) -> Path:
    return log.rename(log.with_suffix(f".{number}"))


def _copy_and_truncate(log: Path, number: int) -> Path:
    shutil.copyfile(log, copy := log.with_suffix(f".{number}"))
    with log.open("r+b") as file, copy.open("ab") as more:
        file.seek(copy.stat().st_size)
        while data := file.read():
            more.write(data)
            more.flush()
        file.truncate(0)
    # Who reads while a line is being appended may see half of it, and the other half goes with the truncation.
    if not (whole := copy.read_bytes()).rstrip(b"\t").endswith(b"\n"):
        copy.write_bytes(whole[: whole.rfind(b"\n") + 1])
    return copy


@pytest.mark.parametrize("rotate", [_rename, _copy_and_truncate])
async def test_a_log_that_is_rotated_under_load_loses_no_line(
    rotate: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    """Every write has its intent and its outcome, in one file or another, and no line is torn.

    What is appended between the copy and the truncation is lost to every log: at most a line or two, now and then.
    """
    path, rotated = tmp_path / "log", list[Path]()

    async def write(log: AuditLog) -> None:
        for number in range(WRITES):
            attempt = Attempt(log, "disable_deployment", {"reason": "x" * 400, "priority": number}, Who("local", None))
            await attempt.keep_room(2)
            await attempt.intend(Intent(arguments={}, before=None, beside=None, confirmed_by="human", account="1"))
            await attempt.end({"status": "done"})

    async def rotate_again_and_again() -> None:
        while True:
            await anyio.sleep(0.02)
            if path.exists() and path.stat().st_size:
                rotated.append(await anyio.to_thread.run_sync(rotate, path, len(rotated)))

    async with anyio.create_task_group() as group:
        group.start_soon(rotate_again_and_again)
        async with anyio.create_task_group() as writing:
            for _ in range(4):
                writing.start_soon(write, AuditLog(path))
        group.cancel_scope.cancel()
    assert len(rotated) > 10
    lines = _lines(*rotated, path)
    most_lost = 0 if rotate is _rename else len(rotated)
    for event in ("intent", "outcome"):
        ids = _ids(lines, event)
        assert set(ids.values()) == {1}
        assert 4 * WRITES - most_lost <= len(ids) <= 4 * WRITES
