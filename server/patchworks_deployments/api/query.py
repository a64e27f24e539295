"""What a listing asks the API for, filters, relations, order and page; and reading it until nothing is missing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from patchworks_deployments.errors import DeploymentsError, Incomplete, Rejected
from patchworks_deployments.model.deployment import Deployment, DeploymentPage, Gathered

PAGE_SIZE = 100
"""Deployments on a page, the most that the API allows."""

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


class Cut(NamedTuple):
    """How a listing is cut into pages when all of it is read."""

    sort: str
    per_page: int


CUTS = (
    Cut("created_at", PAGE_SIZE),
    Cut("flow_name", 97),
    Cut("-created_at", 50),
    Cut("enabled_at", 79),
    Cut("flow_version_iteration", 31),
    Cut("-flow_name", 67),
    Cut("-enabled_at", 23),
    Cut("-flow_version_iteration", 89),
)
"""The first is for every reading: what is created meanwhile comes last in it, and shifts nothing.

The others are tried while something is missing: in each, other deployments sort alike, and the pages end elsewhere.
"""


async def gather(read: Callable[[Cut], Awaitable[Sequence[DeploymentPage]]], seconds: float) -> Gathered:
    """Read a listing with `read`, and again in other cuts while some is missing, for so many seconds in all.

    Only a failure of the first reading is raised.
    """
    ends = anyio.current_time() + seconds
    gathered = Gathered()
    gathered.add(await read(CUTS[0]))
    with anyio.CancelScope(deadline=ends):
        for cut in CUTS[1:]:
            if not gathered.gap:
                break
            try:
                gathered.add(await read(cut))
            except Rejected:
                continue  # an API without this sort
            except DeploymentsError:
                break
    return gathered


def number_of_pages(page: DeploymentPage, cut: Cut) -> int:
    """How many pages there are, as far as this one says. Raises `Incomplete` where there may be more than it says."""
    if page.pages is None and page.is_full(cut.per_page):
        raise Incomplete("Patchworks did not say how many pages there are, so not all can be read.")
    return page.pages or 1


MAX_PAGES = 50
"""Pages of one flow version's deployments: it has one per environment, and accounts have dozens of those."""

REREAD_SECONDS = 5.0
"""Seconds after which what is missing from a listing is not read again."""


async def every(read: Callable[[int, Cut], Awaitable[DeploymentPage]]) -> list[Deployment]:
    """The deployments of all pages, which `read` reads by number, from 1. Raises `Incomplete` where some is missing."""

    async def read_pages(cut: Cut) -> list[DeploymentPage]:
        pages: list[DeploymentPage] = []
        number = 1
        while len(pages) < number:
            if len(pages) == MAX_PAGES:
                raise Incomplete(f"These are more than {MAX_PAGES} pages of deployments.")
            page = await read(len(pages) + 1, cut)
            if page.unreadable:
                raise Incomplete(f"{page.unreadable} of these deployments cannot be read.")
            number = number_of_pages(page, cut)
            pages.append(page)
        return pages

    gathered = await gather(read_pages, REREAD_SECONDS)
    if gathered.gap:
        raise Incomplete(gathered.gap)
    return list(gathered.by_id.values())
