"""A server over stdio that a person has started in a terminal."""

import os
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

END_OF_INPUT = b"\x04"


@contextmanager
def in_a_terminal() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server, and the terminal's other end."""
    keyboard, terminal = os.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--sandbox"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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


def test_a_host_is_told_nothing() -> None:
    """Its stdin is no terminal."""
    command, given = [*COMMAND, "--sandbox"], clean_environment()
    ended = subprocess.run(command, input=b"", capture_output=True, env=given, check=False)  # noqa: S603 - ours
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
