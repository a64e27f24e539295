"""What a deployment is: the model that the tools and resources show, and a page of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
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


class Output(BaseModel):
    """Data that leaves in a result. It is immutable."""

    model_config = ConfigDict(frozen=True)

    def to_json(self) -> dict[str, Any]:
        """The JSON object without nulls."""
        return self.model_dump(mode="json", exclude_none=True)


class ToolCall(Output):
    """A tool and the exact arguments to call it with."""

    tool: str
    arguments: dict[str, Any]

    def only_if(self, state: str) -> "ToolCall":
        """This call, refused unless its target is still in the state with this fingerprint."""
        return ToolCall(tool=self.tool, arguments={**self.arguments, "if_state": state})


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
    unreadable: Maybe[list[str]] = None
    """Fields that were not sent, or not readable."""
    other: Maybe[dict[str, Any]] = None
    """Further fields as Patchworks sent them, secrets masked."""

    @property
    def hides_environment(self) -> bool:
        """Whether nobody can know in which environment it is, if in any."""
        return "virtual_environment_id" in (self.unreadable or ())

    def listed(self) -> dict[str, Any]:
        """The JSON object with the fields that a listing shows."""
        return self.model_dump(mode="json", exclude_none=True, exclude={*UNLISTED, "other"})


UNLISTED = ("flow_version_status", "enabled_by", "deployed_at", "deployed_by", "created_at", "updated_at")
"""The fields of a deployment that a listing leaves out unless they are asked for."""


class DeploymentPage(Output):
    """One page as Patchworks sent it, with the number of its records that could not be read.

    `total` and `pages` are missing where Patchworks did not say; `pages` is a lower bound where it only named a next
    page.
    """

    deployments: list[Deployment]
    page: int
    per_page: Maybe[int] = None
    pages: Maybe[int] = None
    total: Maybe[int] = None
    unreadable: Maybe[int] = None
    """Records that could not be read."""

    def is_full(self, asked: int) -> bool:
        """Whether there may be another page: it holds as many as were `asked` for, or as many as it says to hold."""
        return len(self.deployments) + (self.unreadable or 0) >= min(asked, self.per_page or asked)


class Listing(Output):
    """One page of deployments as it is shown, and the call for the next one.

    The names of environments and packages stand beside the rows, by id. A row has a name of its own only where its id
    is not known, or has another name in another row.
    """

    page: int
    pages: Maybe[int] = None
    total: Maybe[int] = None
    remarks: Maybe[list[str]] = None
    environments: Maybe[dict[str, str]] = None
    packages: Maybe[dict[str, str]] = None
    deployments: list[Deployment]
    next: Maybe[ToolCall] = None


@dataclass
class Gathered:
    """What the readings of a listing have shown so far, counted against the total that Patchworks tells.

    A database may order deployments that sort alike differently for each page. One of them shows twice then, and
    another one not at all. A listing that changes between two pages does the same.
    """

    by_id: dict[str, Deployment] = field(default_factory=dict)
    total: int = 0
    unreadable: int = 0
    has_moved: bool = True
    """Whether the listing changed during the last reading, or nothing was read yet."""

    def add(self, pages: Sequence[DeploymentPage]) -> None:
        """Add the pages of one reading, in their order. The freshest state of a deployment counts."""
        found = {d.id: d for page in pages for d in page.deployments}
        unreadable = sum(page.unreadable or 0 for page in pages)
        total, is_steady = pages[-1].total, len({page.total for page in pages}) == 1
        if total is None:
            # Without a total the records are counted, and a second reading has to show the same deployments.
            total = sum(len(page.deployments) for page in pages) + unreadable
            is_steady = is_steady and (len(pages) == 1 or found.keys() == self.by_id.keys())
        if self.has_moved or total != self.total:
            # What showed before may be gone, and must not stand for what has not shown.
            self.by_id, self.unreadable = {}, 0
        self.by_id |= found
        self.total, self.unreadable = total, max(self.unreadable, unreadable)
        self.has_moved = not is_steady or len(self.by_id) > total

    @property
    def missing(self) -> int:
        """How many have not shown, less those that are unreadable."""
        return max(0, self.total - len(self.by_id) - self.unreadable)

    @property
    def gap(self) -> str | None:
        """Why these may not be all, in a sentence; None if they are."""
        if self.has_moved:
            return "The list of deployments changed while it was read, so some may be missing, and others gone."
        if self.missing:
            return f"Patchworks counts {self.total} deployments, and {self.missing} of them did not show on any page."
        return None
