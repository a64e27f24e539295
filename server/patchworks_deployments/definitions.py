"""The tools' definitions as a host sees them, for review: `tool_schemas/` holds them as files."""

from typing import Any

from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings


async def tool_definitions() -> dict[str, dict[str, Any]]:
    """Name, title, description, schemas and annotations of each tool, by name."""
    tools = await create_server(load_settings({}, sandbox=True)).list_tools()
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}
