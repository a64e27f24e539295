"""Agent frameworks as people use them, each in an environment of its own, against the sandbox over stdio."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.clients import TOOLS
from support.processes import COMMAND, ROOT, clean_environment
from support.programs import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

MAX_SECONDS = 400
"""Seconds for a script, of which the first on a machine spends most on fetching its packages."""

PREVIEW = "Disable deployment 500 in"


def definitions() -> dict[str, Any]:
    """The definitions under review of the tools that every host is offered, by name."""
    return {name: json.loads((ROOT / "tool_schemas" / f"{name}.json").read_text(encoding="utf-8")) for name in TOOLS}


async def talk(host: str) -> dict[str, Any]:
    """What the script prints of the talk in `assistant.py`: what its model was offered, and what it read."""
    # `uv run pytest` says where uv is, which may be on no path.
    uv = os.environ.get("UV") or program("uv")
    script = str(Path(__file__).parent / f"with_{host}.py")
    command = [uv, "run", "--quiet", "--script", "--python", COMMAND[0], script, *COMMAND, "--sandbox"]
    with anyio.fail_after(MAX_SECONDS):
        outcome = await anyio.run_process(command, env=clean_environment(), check=False)
    assert outcome.returncode == 0, outcome.stderr.decode()[-2_000:]
    said: dict[str, Any] = json.loads(outcome.stdout)
    return said


def langchain(saw: dict[str, Any]) -> None:
    """Anthropic's format says what OpenAI's does."""
    assert saw["anthropic"] == saw["read"]


def openai_agents(saw: dict[str, Any]) -> None:
    """Each tool was offered with a strict schema, in which every argument is required."""
    assert set(saw["strict"]) == definitions().keys()


def google_genai(saw: dict[str, Any]) -> None:
    """Each argument came through with its type, its words and its choices."""
    for name, told in saw["parameters"].items():
        ours = definitions()[name]["inputSchema"]
        assert (told["type"], told.get("required", [])) == ("OBJECT", ours.get("required", [])), name
        assert told["properties"].keys() == ours["properties"].keys(), name
        for argument, field in ours["properties"].items():
            there = told["properties"][argument]
            assert (there["type"].lower(), there.get("description"), there.get("enum")) == (
                field["type"],
                field.get("description"),
                field.get("enum"),
            ), argument


def fastmcp(saw: dict[str, Any]) -> None:
    """Each field of a result is in the object that the client makes of it."""
    assert saw["untold"] == []


def pydantic_ai(saw: dict[str, Any]) -> None:
    """What its model read of a success was JSON."""
    assert json.loads(saw["read"][0])["deployments"] == 60


@pytest.mark.parametrize("so_does", [langchain, openai_agents, google_genai, fastmcp, pydantic_ai])
async def test_a_model_gets_through_its_work_in(so_does: Callable[[dict[str, Any]], None]) -> None:
    """It fills each argument, looks, previews, disables with a code and undoes that, by what the host hands over."""
    saw = await talk(so_does.__name__)
    assert set(saw["offered"]) == definitions().keys()
    everything, listing, one, preview, asked, done, undone, unknown = saw["read"]
    assert re.search(r"deployment_overview\W.*show\W+deployments", everything)
    assert "Shopify orders to NetSuite" in listing
    assert "1001" in one
    assert "UK Live" in one
    assert PREVIEW in preview
    assert "Dry run" in preview
    assert PREVIEW in asked
    assert "Disabled, and verified by reading back." in done
    assert "Enabled, and verified by reading back." in undone
    assert "404" in unknown
    so_does(saw)
