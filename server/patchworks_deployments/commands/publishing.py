"""What this server publishes of itself."""

import json
from pathlib import Path
from typing import Any

import anyio

from patchworks_deployments.commands.output import say
from patchworks_deployments.settings import load_settings


def schemas(options: dict[str, Any]) -> None:
    """Write each tool's definition to a file of its own, and say its name."""
    directory: Path = options["directory"]
    directory.mkdir(parents=True, exist_ok=True)
    for name, definition in anyio.run(tool_definitions).items():
        (directory / f"{name}.json").write_text(json.dumps(definition, indent=2) + "\n", encoding="utf-8")
        say(directory / f"{name}.json")


async def tool_definitions() -> dict[str, dict[str, Any]]:
    """The tools as a host sees them, by name: title, description, schemas and annotations."""
    from patchworks_deployments.serving.server import create_server  # noqa: PLC0415 - not for who serves

    tools = await create_server(load_settings({}, sandbox=True)).list_tools()
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}
