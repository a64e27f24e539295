"""The rules of the MCP registry for a `server.json` with a package, as its schema of 2025-12-11 has them.

The schema is on no package index, and tests ask nothing else. These rules are stricter: they know only what is used
here, so a word with a slip is found.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Short = Annotated[str, Field(min_length=1, max_length=100)]


class _Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Transport(_Rules):
    """How a host talks to the server."""

    type: Literal["stdio"]


class Variable(_Rules):
    """A variable of the environment."""

    name: str
    description: str
    format: Literal["string", "number", "boolean", "filepath"]
    default: str = ""
    choices: list[str] = []
    is_required: bool
    is_secret: bool


class Package(_Rules):
    """What a host downloads and starts."""

    registry_type: Literal["npm", "pypi", "cargo", "oci", "nuget", "mcpb"]
    identifier: str
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    runtime_hint: Literal["npx", "uvx", "docker", "dnx"]
    transport: Transport
    environment_variables: list[Variable]


class ServerJson(_Rules):
    """The whole file."""

    schema_: Annotated[
        Literal["https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"], Field(alias="$schema")
    ]
    name: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$")]
    title: Short
    description: Short
    version: Annotated[str, Field(max_length=255)]
    packages: list[Package]
