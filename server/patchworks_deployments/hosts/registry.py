"""What the MCP registry wants to know: `server.json`, for whoever publishes this server there."""

from typing import Any

from patchworks_deployments import __version__
from patchworks_deployments.hosts.bundle import DESCRIPTION
from patchworks_deployments.hosts.options import Option, options
from patchworks_deployments.settings import PROGRAM

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAMESPACE = "io.github.your-name"
"""A stand-in: the registry takes a name only from who proves that the namespace is theirs."""


def server_json() -> dict[str, Any]:
    """The file. Its package is one that the publisher has put on the Python package index before."""
    return {
        "$schema": SCHEMA,
        "name": f"{NAMESPACE}/{PROGRAM}",
        "title": "Patchworks deployments",
        "description": DESCRIPTION,
        "version": __version__,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": PROGRAM,
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [_variable(option) for option in options()],
            }
        ],
    }


def _variable(option: Option) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": option.variable,
        "description": option.description,
        "format": "filepath" if option.kind == "path" else option.kind,
        "isRequired": False,  # one way to authenticate is, and this format cannot say "one of these"
        "isSecret": option.is_secret,
    }
    if option.default is not None:
        made["default"] = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
    if option.choices:
        made["choices"] = list(option.choices)
    return made
