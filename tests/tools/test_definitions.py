"""What a host and a model see of the tools, held still by files under review."""

import json
import re

from support.clients import Era, both_eras, connected
from support.processes import ROOT

from patchworks_deployments.cli import tool_definitions

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
    "set_deployments_enabled": (False, True, True),
    "replace_deployment": (False, True, False),
}


async def test_the_definitions_are_those_under_review() -> None:
    """Each file in tool_schemas is what the server offers; the command `schemas` writes them anew."""
    on_file = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}
    assert await tool_definitions() == on_file


@both_eras
async def test_the_instructions_are_short_and_name_tools_that_exist(era: Era) -> None:
    """At most ten lines, which lead to the tools for many deployments at once as well."""
    async with connected(era=era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        said = client.instructions or ""
    named = set(re.findall(r"[a-z]+(?:_[a-z]+)+", said)) - {"confirmation_code"}
    assert len(said.splitlines()) <= 10
    assert named <= tools
    assert {"list_deployments", "deployment_overview", "set_deployments_enabled", "replace_deployment"} <= named


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
    """Names, descriptions and input schemas of the eleven tools cost at most 3,000 tokens of four characters."""
    seen = [
        {key: tool[key] for key in ("name", "description", "inputSchema")}
        for tool in (await tool_definitions()).values()
    ]
    assert len(json.dumps(seen, separators=(",", ":"), ensure_ascii=False)) / 4 <= 3_000


async def test_schemas_are_plain_enough_for_every_host() -> None:
    """No schema has a keyword that some host cannot read, and no argument a name that hosts refuse."""
    for name, tool in (await tool_definitions()).items():
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            said = json.dumps(schema)
            for keyword in ("anyOf", "null", "$ref", "$defs", "$schema", "additionalProperties"):
                assert keyword not in re.findall(r'"([^"]+)"', said), name
            assert ": null" not in said, name
        assert all(argument.replace("_", "").isalnum() for argument in tool["inputSchema"]["properties"])
