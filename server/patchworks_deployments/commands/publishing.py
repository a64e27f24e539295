"""What this server publishes of itself."""

import json
from pathlib import Path
from typing import Any

import anyio

from patchworks_deployments.commands.output import say
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import load_settings


def schemas(options: dict[str, Any]) -> None:
    """Write each tool's definition to a file of its own, and say its name. Raises `SettingsError`."""
    for name, definition in anyio.run(tool_definitions).items():
        _write(options["directory"] / f"{name}.json", _as_json(definition))


def bundle(options: dict[str, Any]) -> None:
    """Write the bundle for hosts, and say its name. Raises `SettingsError`, also outside of a clone."""
    from patchworks_deployments.hosts.bundle import bundle, clone  # noqa: PLC0415 - not for who serves

    root = clone()
    known = anyio.run(tool_definitions)
    titles = {name: each["title"] for name, each in known.items() if "model" in _seen_by(each)}
    _write(options["output"], bundle(root, titles))


def _seen_by(definition: dict[str, Any]) -> list[str]:
    """Who may call the tool: the model, the page beside a result, or both."""
    seen: list[str] = definition.get("_meta", {}).get("ui", {}).get("visibility", ["model"])
    return seen


def server_json(options: dict[str, Any]) -> None:
    """Write what the MCP registry wants to know, and say the file's name. Raises `SettingsError`."""
    from patchworks_deployments.hosts.registry import server_json  # noqa: PLC0415 - not for who serves

    _write(options["output"], _as_json(server_json()))


def _as_json(data: object) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Write the file, in a folder that is made where there is none, and say its name. Raises `SettingsError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise SettingsError(
            f"{path} could not be written ({error.filename}: {error.strerror}). Name another place for it."
        ) from None
    say(path)


async def tool_definitions() -> dict[str, dict[str, Any]]:
    """The tools as a host sees them, by name: title, description, schemas and annotations."""
    from patchworks_deployments.serving.server import create_server  # noqa: PLC0415 - not for who serves

    tools = await create_server(load_settings({}, sandbox=True)).list_tools()
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}
