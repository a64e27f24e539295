"""The program as people and hosts start it: commands, a server over stdio, and the sandbox over HTTP."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import MessageHandlerFnT

from patchworks_deployments.commands import cli
from support.clients import SHOWS_PAGES, Era, Person

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "patchworks_deployments"]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment with nothing of Patchworks in it but what is given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PATCHWORKS_")} | more


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command's outcome."""
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(**environment),
        check=False,
    )


def run_here(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same without a process of its own, for what starts no server."""
    out, err = StringIO(), StringIO()
    with (
        mock.patch.dict(os.environ, clean_environment(**environment), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main(arguments)
    return subprocess.CompletedProcess(arguments, int(str(ended.value.code or 0)), out.getvalue(), err.getvalue())


@asynccontextmanager
async def over_stdio(
    *arguments: str,
    era: Era,
    person: Person | None = None,
    pages: bool = False,
    env: dict[str, str] | None = None,
    message_handler: MessageHandlerFnT | None = None,
) -> AsyncIterator[Client]:
    """A client of a server in a process of its own, over its stdin and stdout."""
    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *arguments], env=env)
    async with Client(
        server, mode=era, elicitation_callback=person, extensions=[SHOWS_PAGES] * pages, message_handler=message_handler
    ) as client:
        yield client


@contextmanager
def sandbox_over_http() -> Iterator[str]:
    """The sandbox in a process of its own; yields its address."""
    process = subprocess.Popen([*COMMAND, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the sandbox did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait()
        assert process.stdout
        process.stdout.close()
