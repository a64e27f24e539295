"""What a deployment is: the model that the tools and resources show, and a page of them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

T = TypeVar("T")


class _WithoutNull:
    """Leaves null out of a field's JSON schema, because some hosts refuse `anyOf` with null."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema["schema"] if schema["type"] == "nullable" else schema)


Maybe: TypeAlias = Annotated[T | None, _WithoutNull()]
"""Optional, with the schema of the type alone."""

Clearable = Literal["virtual_environment_id", "priority", "enabled_at"]
"""Fields that an update can reset to null."""

Include = Literal["enabledBy", "flowVersion", "virtualEnvironment", "package", "user"]


def _drop_titles(schema: dict[str, Any]) -> None:
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class Output(BaseModel):
    """Data that leaves in a result. It is immutable, and its schema has no titles, which only repeat the names."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_drop_titles)

    def to_json(self) -> dict[str, Any]:
        """The JSON object without nulls."""
        return self.model_dump(mode="json", exclude_none=True)


class Deployment(Output):
    """One flow version deployment, flat and named for people. Times are ISO 8601 in UTC.

    Whether it works is `enabled` alone; `flow_version_status` speaks of the version, not of this deployment.
    """

    id: str
    flow_version_id: Maybe[str] = None
    flow_id: Maybe[str] = None
    flow_name: Maybe[str] = None
    iteration: Maybe[int] = None
    flow_version_status: Maybe[str] = None
    virtual_environment_id: Maybe[str] = None
    virtual_environment_name: Maybe[str] = None
    package_id: Maybe[str] = None
    package_name: Maybe[str] = None
    priority: Maybe[int] = None
    enabled: Maybe[bool] = None
    enabled_at: Maybe[str] = None
    enabled_by: Maybe[str] = None
    deployed_at: Maybe[str] = None
    deployed_by: Maybe[str] = None
    created_at: Maybe[str] = None
    updated_at: Maybe[str] = None
    unreadable: Annotated[Maybe[list[str]], Field(description="Fields that were not sent, or not readable.")] = None
    other: Annotated[
        Maybe[dict[str, Any]], Field(description="Further fields as Patchworks sent them, secrets masked.")
    ] = None

    @property
    def hides_environment(self) -> bool:
        """Whether nobody can know in which environment it is, if in any."""
        return "virtual_environment_id" in (self.unreadable or ())


UNLISTED = {"flow_version_status", "enabled_by", "deployed_at", "deployed_by", "created_at", "updated_at", "other"}
"""The fields of a deployment that a listing leaves out unless they are asked for."""


class DeploymentPage(Output):
    """One page of deployments. `total` and `pages` are missing when Patchworks did not say.

    `pages` is a lower bound where Patchworks only named a next page.
    """

    deployments: list[Deployment]
    page: int
    per_page: Maybe[int] = None
    pages: Maybe[int] = None
    total: Maybe[int] = None
    unreadable: Annotated[Maybe[int], Field(description="Records that could not be read.")] = None

    def to_summary(self, extra: Sequence[str] = ()) -> dict[str, Any]:
        """The JSON object with just the fields that a listing shows, and `extra` ones."""
        hidden = UNLISTED - set(extra)
        return self.model_dump(mode="json", exclude_none=True, exclude={"deployments": {"__all__": hidden}})


class ToolCall(Output):
    """A tool and the exact arguments to call it with."""

    tool: str
    arguments: dict[str, Any]

    def only_if(self, state: str) -> "ToolCall":
        """This call, refused unless its target is still in the state with this fingerprint."""
        return ToolCall(tool=self.tool, arguments={**self.arguments, "if_state": state})
