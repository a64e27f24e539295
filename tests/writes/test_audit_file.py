"""The file of the audit log: no lock, no full disk and no file too many costs the line of a write that was done."""

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, data, text, yes
from support.faults import Acted, Upstream, write
from support.processes import ROOT, clean_environment

from patchworks_deployments.audit.line import MAX_LINE_BYTES
from patchworks_deployments.audit.log import DISK_SECONDS, AuditLog
from patchworks_deployments.errors import AuditLogUnwritable
from patchworks_deployments.sandbox import Sandbox

CALLS: dict[str, dict[str, Any]] = {
    "disable_deployment": IDS,
    "set_deployments_enabled": {"enabled": False, "environment": "UK Live"},
    "replace_deployment": {**IDS, "new_flow_version_id": "1000"},
}
"""Writes that leave one line, one for each of many, and one for each of several steps."""


def _lines_for(writes: int, tool: str) -> int:
    """A call of several writes has a line beside theirs."""
    return writes + (tool != "disable_deployment")


@both_eras
async def test_a_lock_that_somebody_else_holds_on_the_log_holds_up_nothing(era: Era, tmp_path: Path) -> None:
    """The write is done, and its line is written, whoever reads the file under a lock."""
    log = tmp_path / "log"
    with log.open("a", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with anyio.fail_after(DISK_SECONDS):
            async with connected(person=Person(yes), era=era, audit_log=log) as client:
                assert data(await client.call_tool("disable_deployment", IDS))["status"] == "done"
    assert [line["outcome"] for line in audit_lines(log)] == ["done"]


@pytest.fixture
def limit() -> Iterator[Callable[[int, int], None]]:
    """Lowers a limit of this process until the test ends."""
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)}
    yield lambda kind, to: resource.setrlimit(kind, (to, before[kind][1]))
    for kind, limits in before.items():
        resource.setrlimit(kind, limits)


@both_eras
@pytest.mark.parametrize("tool", CALLS)
async def test_after_the_write_no_file_has_to_be_opened(
    tool: str, era: Era, tmp_path: Path, limit: Callable[[int, int], None]
) -> None:
    """Every line of a call goes to what was opened before the first write, should `ulimit -n` be reached by then."""

    def use_up_all(_: httpx2.Request) -> None:
        limit(resource.RLIMIT_NOFILE, 3)

    transport = Upstream().always(write, Acted(use_up_all))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=tmp_path / "log") as client:
        result = await client.call_tool(tool, CALLS[tool])
    limit(resource.RLIMIT_NOFILE, 1_000)
    assert data(result)["status"] == "done", text(result)
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["done"] * _lines_for(
        len(transport.writes), tool
    )


@both_eras
@pytest.mark.parametrize(
    ("kind", "why"), [("RLIMIT_NOFILE", "Too many open files"), ("RLIMIT_FSIZE", "File too large")]
)
async def test_where_a_limit_leaves_no_room_for_a_line_nothing_is_sent(
    kind: str, why: str, era: Era, tmp_path: Path, limit: Callable[[int, int], None]
) -> None:
    """The caller is told what is wrong with the log, and that nothing was changed."""
    sandbox, log = Sandbox(), tmp_path / "log"
    log.write_text("{}\n" * 2_000, encoding="utf-8")
    to = 3 if kind == "RLIMIT_NOFILE" else log.stat().st_size + MAX_LINE_BYTES // 2
    async with connected(sandbox, person=Person(yes), era=era, audit_log=log) as client:
        limit(getattr(resource, kind), to)
        result = await client.call_tool("disable_deployment", IDS)
    limit(resource.RLIMIT_NOFILE, 1_000)
    assert f"The audit log cannot be written ({why}). Nothing was changed." in text(result)
    assert sandbox.writes == []


SMALL_DISK = """
import json, os, sys
import anyio
from support.clients import Person, connected, text, yes
from support.faults import Acted, Upstream, write

def fill(request):
    with open("other", "ab", buffering=0) as other:
        try:
            while other.write(bytes(512)):
                pass
        except OSError:
            pass

async def main(tool, arguments, is_full):
    with open("log", "w") as log:
        log.write(" " * (4096 - 2) + "\\n")  # up to the end of a block, so that a line needs another
    transport = Upstream().always(write, Acted(fill))
    async with connected(transport=transport, person=Person(yes), audit_log="log") as client:
        if is_full:
            fill(None)
        result = await client.call_tool(tool, arguments)
    print(json.dumps([len(transport.writes), text(result), open("log").read()]))

anyio.run(main, *json.loads(sys.argv[1]))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> list[str]:
    """A command that runs another in a folder on a disk of two megabytes; not every system lets one mount that."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f'mount -t tmpfs -o size=2m none "{tmp_path}" && cd "{tmp_path}"'
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], check=False, capture_output=True).returncode:  # noqa: S603 - our own command
        pytest.skip("no disk can be mounted here")
    return [*unshare, f'{mount} && exec "$@"', "sh"]


def _call_on(disk: list[str], tool: str, *, is_full: bool) -> tuple[int, str, list[dict[str, Any]]]:
    """The writes that were sent, what was said, and the lines; the disk is full before, or once a write was sent."""
    given = json.dumps([tool, CALLS[tool], is_full])
    environment = clean_environment(PYTHONPATH=str(ROOT / "tests"))
    command = [*disk, sys.executable, "-c", SMALL_DISK, given]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)  # noqa: S603 - our own command
    assert ran.stdout, ran.stderr
    sent, said, log = json.loads(ran.stdout)
    return sent, said, [json.loads(line) for line in log.splitlines() if line.strip()]


def _ended(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] != "intent"]


@pytest.mark.slow
@pytest.mark.parametrize("tool", CALLS)
def test_a_disk_that_is_full_after_the_write_has_room_for_its_lines(tool: str, small_disk: list[str]) -> None:
    """The room was kept before: every write that was sent has its line, and none is missing."""
    sent, said, lines = _call_on(small_disk, tool, is_full=False)
    assert sent >= 1
    assert "the audit log" not in said
    assert [line["outcome"] for line in _ended(lines)] == ["done"] * _lines_for(sent, tool)
    assert len(lines) == sent + _lines_for(sent, tool)


@pytest.mark.slow
@pytest.mark.parametrize("tool", CALLS)
def test_on_a_full_disk_nothing_is_sent(tool: str, small_disk: list[str]) -> None:
    """The caller is told so before anything leaves."""
    sent, said, lines = _call_on(small_disk, tool, is_full=True)
    assert (sent, lines) == (0, [])
    assert said.startswith("The audit log cannot be written (No space left on device). Nothing was changed.")


@both_eras
@pytest.mark.parametrize("tool", CALLS)
async def test_a_log_that_is_renamed_during_a_write_is_begun_anew(tool: str, era: Era, tmp_path: Path) -> None:
    """As rotating logs does: the intent stands in the old file, and all that comes after in a new one."""
    log, rotated = tmp_path / "log", tmp_path / "log.1"

    def rotate(_: httpx2.Request) -> None:
        if not rotated.exists():
            log.rename(rotated)

    transport = Upstream().always(write, Acted(rotate))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool(tool, CALLS[tool])
    before, after = audit_lines(rotated), audit_lines(log)
    assert before == []
    assert [line["outcome"] for line in after] == ["done"] * _lines_for(len(transport.writes), tool)


@both_eras
async def test_a_renamed_log_gets_the_lines_where_no_new_one_can_be_opened(
    era: Era, tmp_path: Path, limit: Callable[[int, int], None]
) -> None:
    """By then `ulimit -n` is reached, or the folder is gone: a line in the old file is better than none."""
    folder, rotated = tmp_path / "folder", tmp_path / "rotated"

    def rotate(_: httpx2.Request) -> None:
        (folder / "log").rename(rotated)
        limit(resource.RLIMIT_NOFILE, 3)

    def take_the_folder(_: httpx2.Request) -> None:
        (folder / "log").rename(rotated)
        shutil.rmtree(folder)

    for strike in (rotate, take_the_folder):
        folder.mkdir(exist_ok=True)
        transport = Upstream().on(write, Acted(strike))
        async with connected(transport=transport, person=Person(yes), era=era, audit_log=folder / "log") as client:
            await client.call_tool("get_deployment", IDS)  # its result makes the client load what it checks it with
            result = await client.call_tool("disable_deployment", IDS)
        limit(resource.RLIMIT_NOFILE, 1_000)
        assert "audit log" not in text(result)
        assert [line["outcome"] for line in audit_lines(rotated)] == ["done"]


@both_eras
async def test_a_log_that_is_truncated_during_a_write_goes_on(era: Era, tmp_path: Path) -> None:
    """Its next line stands at its beginning."""
    log = tmp_path / "log"
    transport = Upstream().always(write, Acted(lambda _: os.truncate(log, 0)))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
    assert [line["outcome"] for line in audit_lines(log)] == ["done"]
    assert log.read_bytes().startswith(b'{"event": "outcome"')


@both_eras
async def test_a_log_that_is_deleted_during_a_write_is_begun_anew(era: Era, tmp_path: Path) -> None:
    """Its line is not written to what nobody can read any more."""
    log = tmp_path / "log"
    transport = Upstream().always(write, Acted(lambda _: log.unlink()))
    async with connected(transport=transport, person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
    assert [line["outcome"] for line in audit_lines(log)] == ["done"]


async def test_a_pipe_that_nobody_reads_stops_the_write_and_nothing_else(tmp_path: Path) -> None:
    """Opening it is not waited for."""
    sandbox, pipe = Sandbox(), tmp_path / "pipe"
    os.mkfifo(pipe)
    with anyio.fail_after(DISK_SECONDS):
        async with connected(sandbox, person=Person(yes), audit_log=pipe) as client:
            result = await client.call_tool("disable_deployment", IDS)
    assert "The audit log cannot be written" in text(result)
    assert sandbox.writes == []


class SlowDisk(type(Path())):  # type: ignore[misc]  # the class differs with the system
    """A path whose disk takes long to answer."""

    seconds = 0.0

    def is_fifo(self) -> bool:
        time.sleep(self.seconds)
        return bool(super().is_fifo())


@pytest.mark.slow
async def test_a_disk_that_does_not_answer_holds_up_its_own_calls_alone(tmp_path: Path) -> None:
    """Nothing is sent after five seconds, the loop goes on meanwhile, and others are not kept waiting for so long."""
    disk = SlowDisk(tmp_path / "log")
    disk.seconds = DISK_SECONDS + 2
    log, ticks = AuditLog(disk), list[float]()

    async def tick() -> None:
        while True:
            ticks.append(anyio.current_time())
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        for at_most in (DISK_SECONDS, 0.1):
            began = anyio.current_time()
            with pytest.raises(AuditLogUnwritable, match="its disk does not answer"):
                await log.ensure_writable()
            assert anyio.current_time() - began < at_most + 1
        await anyio.sleep(2.5)
        disk.seconds = 0.0
        await log.ensure_writable()
        group.cancel_scope.cancel()
    assert max(after - before for before, after in pairwise(ticks)) < 1


@pytest.mark.slow
async def test_a_stump_of_another_process_is_told_from_what_it_is_just_writing(tmp_path: Path) -> None:
    """A line of its own is begun after a stump, and no empty line between those of two who write at once."""
    log = tmp_path / "log"
    log.write_bytes(b'{"time": "2026-03')
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(AuditLog(log).ensure_writable)
    assert log.read_bytes().replace(b"\t", b"") == b'{"time": "2026-03\n'
