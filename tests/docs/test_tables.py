"""The tables on the pages agree with the settings, the server and the sandbox."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from docs.pages import ROOT, code, rows
from support.clients import IDS, Person, connected, text

from patchworks_deployments.sandbox import access
from patchworks_deployments.settings import PREFIX, Settings
from patchworks_deployments.writes.outcome import Status

DOCS = ROOT / "docs"
SETTINGS = list(rows(DOCS / "settings.md", "variable"))


def _shown(default: object) -> str:
    """A default as the table shows it: nothing for what is not set."""
    if default is None or default == ():
        return ""
    return (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


def test_every_setting_is_listed_once() -> None:
    """And no other."""
    listed = [code(row[0]) for row in SETTINGS]
    assert sorted(listed) == sorted(PREFIX + name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: code(row[0]))
def test_a_setting_has_the_flag_and_the_default_that_the_table_says(row: list[str]) -> None:
    """A setting with a secret has no flag."""
    name = code(row[0]).removeprefix(PREFIX).lower()
    field = Settings.model_fields[name]
    assert code(row[1]) == (f"--{name.replace('_', '-')}" if field.description else "")
    assert code(row[2]) == _shown(field.default)
    assert row[3]


async def test_the_tools_are_those_of_the_readme() -> None:
    """And ask as it says: those that only look have no say, and `yes` begins what is destructive."""
    asks = {code(tool): cell for tool, _, cell in rows(ROOT / "README.md", "tool")}
    async with connected() as client:
        tools = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    assert asks.keys() == tools.keys()
    for name, hints in tools.items():
        assert hints
        assert (asks[name] == "") is hints.read_only_hint, name
        assert asks[name].startswith("yes") is hints.destructive_hint, name


async def test_the_resources_and_prompts_are_those_of_the_page() -> None:
    """Each URI with its parameters, each prompt with its name."""
    async with connected() as client:
        templates = {
            str(template.uri_template) for template in (await client.list_resource_templates()).resource_templates
        }
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
    assert {code(row[0]) for row in rows(DOCS / "reading.md", "URI")} == templates
    assert {code(row[0]) for row in rows(DOCS / "reading.md", "prompt")} == prompts


def _definition(tool: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads((ROOT / "tool_schemas" / f"{tool}.json").read_text(encoding="utf-8"))
    return definition


def test_the_statuses_are_those_of_a_result() -> None:
    """All of them."""
    assert {code(row[0]) for row in rows(DOCS / "consent.md", "status")} == set(get_args(Status))


def test_what_every_changing_tool_takes() -> None:
    """Every one takes what the page lists."""
    listed = {code(row[0]) for row in rows(DOCS / "consent.md", "argument")}
    for row in rows(ROOT / "README.md", "tool"):
        if row[2]:
            assert listed <= _definition(code(row[0]))["inputSchema"]["properties"].keys()


async def test_the_audit_log_has_the_fields_of_the_page(tmp_path: Path) -> None:
    """In every line, by its event, in the page's order."""
    log, listed = tmp_path / "audit.jsonl", defaultdict[str, list[str]](list)
    async with connected(person=Person(), audit_log=log) as client:
        await client.call_tool("set_deployments_enabled", {"enabled": False, "deployments": ["1001/500"]})
        await client.call_tool("disable_deployment", {**IDS, "dry_run": True})
    events = [code(row[0]) for row in rows(DOCS / "consent.md", "event")]
    for row in rows(DOCS / "consent.md", "field"):
        for event in events if row[1] == "all" else row[1].split(", "):
            listed[event] += row[0].replace("`", "").split(", ")
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    assert {line["event"]: list(line) for line in lines} == listed
    assert list(listed) == events


@pytest.mark.parametrize("row", list(rows(DOCS / "errors.md", "status")), ids=lambda row: row[0])
async def test_an_error_of_the_api_reads_as_the_page_says(row: list[str]) -> None:
    """The first sentence is the page's."""
    answer = httpx2.Response(int(row[0]), json={"message": "", "errors": {}})
    async with connected(transport=httpx2.MockTransport(lambda _: answer)) as client:
        result = await client.call_tool("get_deployment", IDS)
    assert result.is_error
    assert text(result).startswith(row[1])


def test_the_sandbox_s_credentials_are_those_of_the_page() -> None:
    """Keys, user name and password."""
    listed = [code(row[1]) for row in rows(DOCS / "sandbox.md", "credential")]
    assert listed == [access.API_KEY, access.READ_ONLY_KEY, access.USERNAME, access.PASSWORD]


def test_the_rooms_are_those_of_the_map() -> None:
    """Each folder is one, and stands below all that it imports."""
    package = ROOT / "server" / "patchworks_deployments"
    cells = [row[0].replace("`", "").split(", ") for row in rows(DOCS / "architecture.md", "room")]
    position = {room: number for number, names in enumerate(cells) for room in names}
    for path in package.glob("*/*.py"):
        imported = re.findall(r"^ *from patchworks_deployments\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert all(position[other] <= position[path.parent.name] for other in imported), path
