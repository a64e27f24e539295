"""What a person meets who starts the program in a terminal: what it waits for, and Ctrl-C."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.processes import COMMAND, clean_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal that Python can open"),
]

PIPE = subprocess.PIPE
END_OF_INPUT = b"\x04"


@contextmanager
def in_a_terminal() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server, and the terminal's other end."""
    keyboard, terminal = os.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--sandbox"],
        stdin=terminal,
        stdout=PIPE,
        stderr=PIPE,
        env=clean_environment(),
    )
    os.close(terminal)
    try:
        yield process, keyboard
    finally:
        os.close(keyboard)
        process.kill()
        process.communicate()


def test_a_person_in_a_terminal_is_told_what_the_server_waits_for() -> None:
    """In one line on stderr; what they type is answered as a line that is no message, and Ctrl-D ends it."""
    with in_a_terminal() as (process, keyboard):
        assert process.stderr
        assert process.stdout
        told = process.stderr.readline().decode()
        assert "waits for messages of MCP on stdin" in told
        assert "`patchworks-deployments-mcp demo`" in told
        os.write(keyboard, b"what runs in UK Live?\n")
        assert b'"code":-32700' in process.stdout.readline()
        os.write(keyboard, END_OF_INPUT)
        stdout, stderr = process.communicate(timeout=20)
        assert (process.returncode, stdout, stderr) == (0, b"", b"")


INTERRUPTED = """
import builtins, os, signal, sys
real, module, *sys.argv[1:] = builtins.__import__, *sys.argv[1:]
def importing(name, *rest, **more):
    if name == module:
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest, **more)
builtins.__import__ = importing
from patchworks_deployments.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["stamina.instrumentation", "pydantic_core", "mcp.server.stdio"])
def test_ctrl_c_amid_the_imports_is_no_traceback(module: str) -> None:
    """Whoever has changed their mind at once reads nothing."""
    command = [sys.executable, "-c", INTERRUPTED, module, "--sandbox"]
    ended = subprocess.run(command, capture_output=True, env=clean_environment(), timeout=20, check=False)  # noqa: S603 - our own command
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


STOPPED = """
import os, signal
from patchworks_deployments.startup import exit_in_order
async def serve(): pass
exit_in_order()
coroutine = serve()
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_server_that_is_stopped_before_it_has_begun_says_nothing() -> None:
    """Its address may just have been announced; Python has a warning about what nobody waited for."""
    ended = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, timeout=20, check=False)  # noqa: S603 - our own command
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_ctrl_c_ends_the_demo_and_its_server() -> None:
    """Without a word, and with the status that shells have for it."""
    with subprocess.Popen([*COMMAND, "demo"], stdout=PIPE, stderr=PIPE, env=clean_environment()) as demo:  # noqa: S603 - ours
        assert demo.stdout
        demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=20)
    assert (demo.returncode, said) == (130, b"")
