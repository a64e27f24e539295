"""The server as a host starts it: a real process, spoken to over its stdin and stdout."""

import json
import os
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from support.clients import TOOLS, Era, Person, both_eras, work_through, yes
from support.processes import ROOT, over_stdio, sandbox_over_http

pytestmark = pytest.mark.slow


@both_eras
async def test_the_main_job_works_over_stdio_on_the_embedded_sandbox(era: Era) -> None:
    """A host can list, read, create, update, toggle and delete with nothing but --sandbox."""
    async with over_stdio("--sandbox", era=era, person=Person(yes)) as client:
        await work_through(client)


@both_eras
async def test_the_main_job_works_over_stdio_on_the_sandbox_over_http(era: Era) -> None:
    """The same over a real network connection, with an API key from the environment."""
    with sandbox_over_http() as address:
        env = {**os.environ, "PATCHWORKS_API_KEY": "sandbox-key", "PATCHWORKS_BASE_URL": address}
        async with over_stdio(era=era, person=Person(yes), env=env) as client:
            await work_through(client)


async def test_a_login_works_over_http() -> None:
    """User name and password are exchanged for a token at the login address."""
    with sandbox_over_http() as address:
        env = {
            **os.environ,
            "PATCHWORKS_BASE_URL": address,
            "PATCHWORKS_LOGIN_URL": f"{address}/fabric/api/login",
            "PATCHWORKS_USERNAME": "operator@example.com",
            "PATCHWORKS_PASSWORD": "sandbox-password",
        }
        async with over_stdio(era="auto", env=env) as client:
            assert not (await client.call_tool("list_deployments", {})).is_error


async def test_the_example_configuration_starts_a_server() -> None:
    """The command in claude_config.example.json starts the sandbox server, which lists its tools."""
    config = json.loads((ROOT / "claude_config.example.json").read_text(encoding="utf-8"))
    entry = config["mcpServers"]["patchworks-sandbox"]
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=env)
    async with Client(server) as client:
        assert len((await client.list_tools()).tools) == len(TOOLS)
