"""What is different on Windows, played in processes that find it so: see `windows/sitecustomize.py`."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.clients import Person, audit_lines, work_through, yes
from support.processes import COMMAND, clean_environment, over_stdio
from support.team import INITIALIZE

pytestmark = pytest.mark.slow

WINDOWS = clean_environment(PYTHONPATH=str(Path(__file__).parent / "windows"))
PIPE = subprocess.PIPE
CTRL_BREAK = signal.SIGUSR1


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*COMMAND, *arguments], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=WINDOWS)  # noqa: S603 - ours


def _ask(process: "subprocess.Popen[bytes]") -> bytes:
    """The line that answers a host's first one."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **INITIALIZE}).encode() + b"\r\n")
    process.stdin.flush()
    return process.stdout.readline()


def _python(script: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=PIPE, stderr=PIPE, env=WINDOWS, text=True)  # noqa: S603 - our own command


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_main_job_is_done_and_recorded(tmp_path: Path) -> None:
    """With no `fcntl`, `resource` or uvloop, on coarse clocks; lines of the log end as everywhere."""
    log = tmp_path / "log"
    async with over_stdio("--sandbox", "--audit-log", str(log), era="auto", person=Person(yes), env=WINDOWS) as client:
        await work_through(client)
    assert {line["outcome"] for line in audit_lines(log)} == {"done"}
    assert b"\r" not in log.read_bytes()
    assert _names_in(tmp_path) == ["log"]


def test_a_message_ends_with_one_character_and_ctrl_break_stops_the_server() -> None:
    """Some hosts take the other one, which Python adds there, for a broken message; Ctrl-Break is heard as Ctrl-C."""
    with _start("--sandbox") as server:
        answer = _ask(server)
        server.send_signal(CTRL_BREAK)
        _, said = server.communicate(timeout=20)
    assert json.loads(answer)["id"] == INITIALIZE["id"]
    assert answer.endswith(b"}\n")
    assert (server.returncode, said) == (0, b"")


def test_ctrl_break_stops_the_sandbox() -> None:
    """In order, with nothing on stderr."""
    with _start("sandbox", "--port", "0") as sandbox:
        assert sandbox.stdout
        sandbox.stdout.readline()
        sandbox.send_signal(CTRL_BREAK)
        _, said = sandbox.communicate(timeout=20)
    assert (sandbox.returncode, said) == (0, b"")


def test_a_closed_pipe_ends_a_command_quietly() -> None:
    """A write into it is an invalid argument there; the demo ends, and with it the server that it has started."""
    with _start("demo") as demo:
        assert demo.stdout
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.stderr
        assert demo.stderr.read() == b""  # it ends when nobody has it open any more, the server neither
    assert demo.returncode == 141


def test_a_host_that_closes_stdout_ends_the_server_in_one_line() -> None:
    """The line says what happened, instead of "Invalid argument"."""
    with _start("--sandbox") as server:
        assert server.stdout
        server.stdout.close()
        _, said = server.communicate(json.dumps({"jsonrpc": "2.0", **INITIALIZE}).encode() + b"\n", timeout=20)
    assert server.returncode == 1
    assert said.decode().splitlines() == [
        "The server has ended: its host takes nothing from stdout any more (Broken pipe)."
    ]


APPEND = """
import pathlib, sys
from patchworks_deployments.audit.file import append_to
for _ in range(40):
    append_to(pathlib.Path(sys.argv[1]), b"%s\\n" % (sys.argv[2].encode() * 100))
"""


def test_processes_that_append_at_once_lose_no_line(tmp_path: Path) -> None:
    """The system does not append in one piece there, so one waits for the other."""
    log = tmp_path / "log"
    writers = [_python(APPEND, log, name) for name in "abc"]
    assert [writer.communicate(timeout=30)[1] for writer in writers] == ["", "", ""]
    lines = log.read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(name * 100 for name in "abc" for _ in range(40))


HOLD = """
import pathlib, sys, time
from patchworks_deployments.audit.process import Presence, claim
log = pathlib.Path(sys.argv[1])
own = log.with_name(".log.0123456789ab")
own.touch()
looking = claim(own)
assert looking
import threading
threading.Timer(0.05, looking.close).start()
with Presence(log, "0123456789ab").recording("intent", "1"):
    print("held", flush=True)
    time.sleep(30)
"""
CLAIM = """
import pathlib, sys
from patchworks_deployments.audit.process import claim
print(claim(pathlib.Path(sys.argv[1])) is not None)
"""


def test_who_was_killed_is_told_from_who_runs(tmp_path: Path) -> None:
    """A process keeps its file beside the log locked, also where another looked at it at that moment, until it dies."""
    log, own = tmp_path / "log", tmp_path / ".log.0123456789ab"
    log.touch()
    with _python(HOLD, log) as running:
        assert running.stdout
        assert running.stdout.readline() == "held\n"
        assert _python(CLAIM, own).communicate(timeout=20) == ("False\n", "")
        running.kill()
    assert _python(CLAIM, own).communicate(timeout=20) == ("True\n", "")


WORKERS = """
import sys
from patchworks_deployments.serving.asgi import serve
from patchworks_deployments.settings import load_settings
settings = load_settings({"PATCHWORKS_STATE_KEYS": "k" * 43}, sandbox=True, http="0", workers=2)
sys.platform = "win32"
serve(settings, print)
"""


def test_several_workers_are_refused() -> None:
    """There processes cannot share a port; nothing is started that would serve half of the callers."""
    out, said = _python(WORKERS).communicate(timeout=20)
    assert out == ""
    assert said.splitlines()[-1].endswith("Start several with a port each, behind a proxy.")
