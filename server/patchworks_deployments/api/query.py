"""What a listing asks the API for: filters, relations, order and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAMES = ("flowVersion", "virtualEnvironment", "package")
"""The relations that carry the names people know things by."""

_FIELDS_OF: Mapping[str, Sequence[str]] = {
    "flowVersion": ("flow_version_status", "deployed_at"),
    "enabledBy": ("enabled_by",),
    "user": ("deployed_by",),
    "created_at": ("created_at",),
}
"""The fields of `Deployment` that an include or a sort asks to see, beyond those of every listing."""


@dataclass(frozen=True, slots=True)
class DeploymentQuery:
    """The parameters of the list: ids and texts may hold several values, comma-separated, meaning OR."""

    package_id: str | None = None
    virtual_environment_id: str | None = None
    flow_id: str | None = None
    name: str | None = None
    search: str | None = None
    like: str | None = None
    include: Sequence[str] = ()
    sort: str | None = None
    page: int = 1
    per_page: int = 25

    def parameters(self) -> dict[str, str]:
        """The query string's parameters, in the API's own words."""
        values = {
            "filter[package_id]": self.package_id,
            "filter[virtual_environment_id]": self.virtual_environment_id,
            "filter[flowVersion.flow]": self.flow_id,
            "filter[name]": self.name,
            "filter[global]": self.search,
            "filter[LIKE]": self.like,
            "include": ",".join(dict.fromkeys((*NAMES, *self.include))),
            "sort": self.sort,
            "page": str(self.page),
            "per_page": str(self.per_page),
        }
        return {name: value for name, value in values.items() if value is not None}

    def extra_fields(self) -> list[str]:
        """The fields of `Deployment` that the includes and the sort ask to see, beyond those of every listing."""
        asked = [*self.include, (self.sort or "").lstrip("-")]
        return [field for word in asked for field in _FIELDS_OF.get(word, ())]
