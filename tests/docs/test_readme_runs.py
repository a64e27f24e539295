"""Every command of the README does what it says, in a home folder of its own."""

import json
import shlex
from asyncio import to_thread
from pathlib import Path
from typing import Any

import pytest
from docs.pages import PAGES, blocks, spans
from mcp import Client, StdioServerParameters
from support.clients import TOOLS
from support.processes import clean_environment, run_here

pytestmark = pytest.mark.slow

FROM_A_CLONE = "python3 server "
PAGE = next(page for page in PAGES if page.name == "README.md")
WRITTEN = [line for block in blocks("console") if block.page == PAGE for line in block.lines]
WRITTEN += [span for span in spans(PAGE) if span.startswith(FROM_A_CLONE)]

KEY = "a-key-that-nobody-has"

ELSEWHERE = {"python3 server demo", "python3 server tests"}
"""Run as they stand by .ci/run, and the demo by `tests/commands/test_clone.py`, too."""


def _home(path: Path) -> dict[str, str]:
    """A home folder with nothing in it, on every system, and a key for who asks for one."""
    names = ("HOME", "USERPROFILE", "APPDATA", "XDG_CONFIG_HOME")
    return {name: str(path) for name in names} | {"PATCHWORKS_API_KEY": KEY}


async def _tools(command: str, arguments: list[str]) -> set[str]:
    server = StdioServerParameters(command=command, args=arguments, env=clean_environment(PATCHWORKS_API_KEY=KEY))
    async with Client(server) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


def _entries(home: Path, shown: str) -> list[dict[str, Any]]:
    """What stands in the hosts' files now, and what Claude Code's own command would write."""
    entries: list[dict[str, Any]] = [
        entry
        for file in home.rglob("*.json")
        for entry in json.loads(file.read_text(encoding="utf-8"))["mcpServers"].values()
    ]
    for line in shown.splitlines():
        if line.strip().startswith("claude mcp add"):
            command, *arguments = shlex.split(line.partition(" -- ")[2])
            entries.append({"command": command, "args": arguments})
    return entries


@pytest.mark.parametrize("line", sorted(set(WRITTEN) - ELSEWHERE))
async def test_a_command_of_the_readme_runs(line: str, tmp_path: Path) -> None:
    """What it writes, or tells to run, starts a server with all tools."""
    assert line.startswith(FROM_A_CLONE), "say here how to run it"
    told = await to_thread(run_here, *shlex.split(line.removeprefix(FROM_A_CLONE)), **_home(tmp_path))
    assert (told.returncode, told.stderr) == (0, "")
    entries = _entries(tmp_path, told.stdout)
    assert bool(entries) is ("--write" in line or "claude-code" in line)
    for entry in entries:
        assert await _tools(entry["command"], entry["args"]) >= set(TOOLS)
