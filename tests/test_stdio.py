"""The server as a host starts it: a real process, spoken to over its stdin and stdout."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import MessageHandlerFnT
from support import ERAS, Era, Person, data, text, yes

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "patchworks_deployments"]


@asynccontextmanager
async def served(
    *arguments: str,
    era: Era,
    person: Person | None = None,
    env: dict[str, str] | None = None,
    message_handler: MessageHandlerFnT | None = None,
) -> AsyncIterator[Client]:
    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *arguments], env=env)
    async with Client(server, mode=era, elicitation_callback=person, message_handler=message_handler) as client:
        yield client


@contextmanager
def sandbox_over_http() -> Iterator[str]:
    """The sandbox in a process of its own; yields its address."""
    process = subprocess.Popen([*COMMAND, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    try:
        assert process.stdout
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.terminate()
        process.wait()
        assert process.stdout
        process.stdout.close()


async def work_through(client: Client) -> None:
    """List, read, create, update, toggle and delete."""
    rows = data(await client.call_tool("list_deployments", {"name": "orders", "per_page": 50}))["deployments"]
    row = next(row for row in rows if row["enabled"] and "virtual_environment_id" in row)
    ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
    assert data(await client.call_tool("get_deployment", ids))["id"] == row["id"]
    for tool, more in (
        ("update_deployment", {"priority": 8}),
        ("disable_deployment", {}),
        ("enable_deployment", {}),
        ("delete_deployment", {}),
    ):
        result = await client.call_tool(tool, {**ids, **more})
        assert (data(result)["status"], data(result)["verified"]) == ("done", True), text(result)
    undo = data(result)["undo"]
    created = data(await client.call_tool(undo["tool"], undo["arguments"]))
    assert created["after"]["virtual_environment_id"] == row["virtual_environment_id"]
    gone = await client.call_tool("get_deployment", ids)
    assert gone.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_the_main_job_works_over_stdio_on_the_embedded_sandbox(era: Era) -> None:
    """A host can list, read, create, update, toggle and delete with nothing but --sandbox."""
    async with served("--sandbox", era=era, person=Person(yes)) as client:
        await work_through(client)


@pytest.mark.parametrize("era", ERAS)
async def test_the_main_job_works_over_stdio_on_the_sandbox_over_http(era: Era) -> None:
    """The same over a real network connection, with an API key from the environment."""
    with sandbox_over_http() as address:
        env = {**os.environ, "PATCHWORKS_API_KEY": "sandbox-key", "PATCHWORKS_BASE_URL": address}
        async with served(era=era, person=Person(yes), env=env) as client:
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
        async with served(era="auto", env=env) as client:
            assert not (await client.call_tool("list_deployments", {})).is_error


async def test_the_example_configuration_starts_a_server() -> None:
    """The command in claude_config.example.json starts the sandbox server, which lists its tools."""
    config = json.loads((ROOT / "claude_config.example.json").read_text(encoding="utf-8"))
    entry = config["mcpServers"]["patchworks-sandbox"]
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=env)
    async with Client(server) as client:
        assert len((await client.list_tools()).tools) == 11


async def test_the_example_s_real_account_form_is_complete() -> None:
    """The other entry needs nothing but a real key: with any key it starts and lists its tools."""
    config = json.loads((ROOT / "claude_config.example.json").read_text(encoding="utf-8"))
    entry = config["mcpServers"]["patchworks"]
    async with served(*entry["args"], era="auto", env={**os.environ, **entry["env"]}) as client:
        assert len((await client.list_tools()).tools) == 11
