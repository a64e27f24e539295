"""What a host and a model see of the tools, held still by files under review."""

import json
import re
from typing import Any

from support.clients import CONFIRM, TOOLS, Era, both_eras, connected
from support.overviews import tokens
from support.processes import ROOT

from patchworks_deployments.commands.publishing import tool_definitions
from patchworks_deployments.model.values import ADDED_BY_HOSTS
from patchworks_deployments.serving.server import SERVER_NAME

SCHEMAS = ROOT / "tool_schemas"

HINTS = {
    "list_deployments": (True, False, True),
    "list_flow_version_deployments": (True, False, True),
    "get_deployment": (True, False, True),
    "create_deployment": (False, False, False),
    "update_deployment": (False, True, True),
    "delete_deployment": (False, True, False),
    "enable_deployment": (False, False, True),
    "disable_deployment": (False, True, True),
    "deployment_overview": (True, False, True),
    "list_changes": (True, False, True),
    "set_deployments_enabled": (False, True, True),
    "replace_deployment": (False, True, False),
}


async def test_the_definitions_are_those_under_review() -> None:
    """Each file in tool_schemas is what the server offers; the command `schemas` writes them anew."""
    on_file = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}
    assert await tool_definitions() == on_file


@both_eras
async def test_the_instructions_are_short_and_name_tools_that_exist(era: Era) -> None:
    """At most ten lines, which lead to the tools for many deployments at once and to what was changed as well."""
    async with connected(era=era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        said = client.instructions or ""
    named = set(re.findall(r"[a-z]+(?:_[a-z]+)+", said)) - {"confirmation_code"}
    assert len(said.splitlines()) <= 10
    assert named <= tools
    assert {"list_deployments", "deployment_overview", "set_deployments_enabled", "replace_deployment"} <= named
    assert "list_changes" in named


@both_eras
async def test_every_hint_is_explicit_and_true(era: Era) -> None:
    """Read-only, destructive and idempotent are said of each tool, and all reach out to the world."""
    async with connected(era=era) as client:
        tools = (await client.list_tools()).tools
    hints = {tool.name: tool.annotations for tool in tools}
    assert all(hint is not None and hint.open_world_hint is True for hint in hints.values())
    said = {n: (h.read_only_hint, h.destructive_hint, h.idempotent_hint) for n, h in hints.items() if h}
    assert said == HINTS


async def test_the_definitions_stay_within_their_token_budget() -> None:
    """All tools cost a model 2,000 tokens, and 3,500 in a host that tells it the results' schemas as well.

    Most hosts tell a model names, descriptions and arguments. Titles and hints are not counted: hosts show them to
    people, and decide by them whether to ask, before any model sees the tool.
    """
    seen = ("name", "description", "inputSchema")
    assert await _cost(*seen) <= 2_000
    assert await _cost(*seen, "outputSchema") <= 3_500


async def _cost(*keys: str) -> float:
    """Tokens of these parts of all definitions that a model sees."""
    return tokens([{key: tool[key] for key in keys} for n, tool in (await tool_definitions()).items() if n in TOOLS])


def _keywords(schema: Any) -> set[str]:
    """The keywords of a schema at all its depths, without the names of properties."""
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return {*schema, *(keyword for one in inner for keyword in _keywords(one))}


async def test_schemas_are_plain_enough_for_every_host() -> None:
    """They have the keywords that every host and every model's strict mode takes, and each value has one type.

    Strict modes refuse `default` and `maxLength`, and some converters `additionalProperties`, `$ref` and `anyOf`.
    """
    for name, tool in (await tool_definitions()).items():
        assert _keywords(tool["inputSchema"]) <= {"type", "description", "enum", "items", "properties", "required"}
        if name != CONFIRM:  # whose result is that of one tool or another
            assert _keywords(tool["outputSchema"]) == {"type", "properties", "required"}, name
        arguments = tool["inputSchema"]["properties"]
        assert all(isinstance(argument["type"], str) for argument in arguments.values()), name
        assert all(isinstance(value, str) for argument in arguments.values() for value in argument.get("enum", ()))


@both_eras
async def test_no_name_is_too_long_or_odd_for_a_host(era: Era) -> None:
    """Hosts put the server's name before a tool's, and models refuse more than 64 characters."""
    async with connected(era=era) as client:
        for tool in (await client.list_tools()).tools:
            assert re.fullmatch(r"[a-z_-]{1,64}", f"mcp__{SERVER_NAME}__{tool.name}")
            arguments = tool.input_schema["properties"].keys()
            assert not arguments & ADDED_BY_HOSTS
            assert all(re.fullmatch(r"[a-z_]{1,64}", argument) for argument in arguments)
