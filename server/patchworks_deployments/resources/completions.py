"""Completions: real ids with the name beside them, narrowed by what was typed and chosen, for one request at most.

A completion is inserted as it is, so a value reads `10 UK Live`, and resources and prompts take the leading id.

What one request cannot find: names and ids beyond the first 100 deployments that match what was typed and chosen,
longer ids that begin with the digits typed (a whole id is looked up), and a deployment by its id alone, which the
API does not offer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from patchworks_deployments.api.client import DeploymentQuery, DeploymentsClient
from patchworks_deployments.api.credentials import caller_tag
from patchworks_deployments.api.selection import Selection, are_ids
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.text import inert
from patchworks_deployments.resources.uris import leading_id
from patchworks_deployments.writes.services import Services, caller

MAX_VALUES = 100

CACHE_SECONDS = 5.0
"""Seconds for which a page answers further letters of the same caller."""

MAX_CACHED_PAGES = 32
"""Pages, of all callers together: some megabytes."""

MIN_ID_DIGITS = 3
"""Digits from which on a number is looked up as an id, and not only taken for the beginning of one."""

Candidate = Callable[[Deployment], tuple[str | None, str]]


def _flow(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.flow_id, deployment.flow_name or ""


def _environment(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.virtual_environment_id, deployment.virtual_environment_name or ""


def _package(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.package_id, deployment.package_name or ""


def _flow_version(deployment: Deployment) -> tuple[str | None, str]:
    iteration = "?" if deployment.iteration is None else deployment.iteration
    return deployment.flow_version_id, f"{deployment.flow_name or ''} iteration {iteration}"


def _deployment(deployment: Deployment) -> tuple[str | None, str]:
    where = deployment.virtual_environment_name or rendering.environment(deployment)
    return deployment.id, f"{deployment.flow_name or ''} in {where}"


CANDIDATES: Mapping[str, Candidate] = {
    "flow_id": _flow,
    "flow": _flow,
    "virtual_environment_id": _environment,
    "environment": _environment,
    "package_id": _package,
    "package": _package,
    "flow_version_id": _flow_version,
    "deployment_id": _deployment,
}


_PARTS = {
    "flow_id": "flow",
    "flow": "flow",
    "virtual_environment_id": "environment",
    "environment": "environment",
    "package_id": "package",
    "package": "package",
}
"""The arguments that name a part of a selection."""

Source: TypeAlias = DeploymentQuery | str
"""What one request reads: a page of all deployments, or the first of the flow version with this id."""


@dataclass(frozen=True)
class Wanted:
    """What is to be completed: an argument, what was typed of it, and what was chosen before."""

    argument: str
    typed: str
    chosen: Selection
    flow_version_id: str | None

    @classmethod
    def read(cls, params: CompleteRequestParams) -> Self:
        """Values that were chosen may be completions; `flow` and `flow_id` mean the same, and so on."""
        given = (params.context.arguments if params.context else None) or {}
        if isinstance(params.ref, PromptReference) and params.ref.name == "move_version":
            given = {}  # a version goes to where it is not yet
        others = {name: value for name, value in given.items() if name != params.argument.name and value.strip()}
        chosen = {name: str(leading_id(value)) for name, value in others.items()}
        parts: dict[str, Any] = {_PARTS[name]: value for name, value in chosen.items() if name in _PARTS}
        version = chosen.get("flow_version_id")
        return cls(
            argument=params.argument.name,
            typed=str(leading_id(params.argument.value.strip())),
            chosen=Selection(**parts),
            flow_version_id=version if are_ids(version) else None,
        )

    def source(self) -> Source:
        """A page as narrow as the API can make it; a name that it cannot filter by is searched for."""
        if self.flow_version_id:
            return self.flow_version_id
        names = (self.typed, self.chosen.environment, self.chosen.package)
        search = next((name for name in names if name and not are_ids(name) and name.isprintable()), None)
        return replace(self.chosen.query(page=1), search=search)

    def lookup(self) -> Source | None:
        """What finds just the id that was typed, where there is such a thing."""
        if not self.typed.isdecimal() or len(self.typed) < MIN_ID_DIGITS or self.flow_version_id:
            return None
        if self.argument == "flow_version_id":
            return self.typed
        if self.argument not in _PARTS:
            return None
        part: dict[str, Any] = {_PARTS[self.argument]: self.typed}
        return replace(self.chosen, **part).query(page=1)

    def values(self, page: DeploymentPage) -> list[str]:
        """The values that the page offers, each id once."""
        found: dict[str, str] = {}
        for deployment in filter(self.chosen.holds, page.deployments):
            identifier, name = CANDIDATES[self.argument](deployment)
            if identifier and self._fits(identifier, name):
                found.setdefault(identifier, f"{identifier} {inert(name)}".strip())
        return list(found.values())

    def _fits(self, identifier: str, name: str) -> bool:
        if are_ids(self.typed):
            return identifier.startswith(self.typed)
        return self.typed.casefold() in f"{identifier} {name}".casefold()


class Completions:
    """Pages are kept for seconds, so that typing on costs nothing, and never shared between callers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str | None, Source], tuple[float, DeploymentPage]] = {}

    async def complete(self, ctx: ServerRequestContext[Services], params: CompleteRequestParams) -> CompleteResult:
        """Values for one argument; none for one that names nothing in Patchworks, and none when the API fails."""
        if params.argument.name not in CANDIDATES:
            return _offer([])
        wanted = Wanted.read(params)
        try:
            page = await self._page(ctx.lifespan_context.client, wanted)
        except DeploymentsError:
            return _offer([])
        return _offer(wanted.values(page), has_more=(page.pages or 1) > 1)

    async def _page(self, client: DeploymentsClient, wanted: Wanted) -> DeploymentPage:
        """The page to choose from: what is known if it has something to offer, else what one request finds."""
        source, lookup = wanted.source(), wanted.lookup()
        known = self._recall(source)
        if lookup and not (known and wanted.values(known)):
            source, known = lookup, self._recall(lookup)
        return known or await self._read(client, source)

    async def _read(self, client: DeploymentsClient, source: Source) -> DeploymentPage:
        if isinstance(source, DeploymentQuery):
            page = await client.list_deployments(source)
        else:
            page = await client.list_for_flow_version(source)
        while len(self._kept) >= MAX_CACHED_PAGES:
            del self._kept[next(iter(self._kept))]
        self._kept[_key(source)] = (self._clock() + CACHE_SECONDS, page)
        return page

    def _recall(self, source: Source) -> DeploymentPage | None:
        until, page = self._kept.get(_key(source), (0.0, None))
        return page if self._clock() < until else None


def _key(source: Source) -> tuple[str, str | None, Source]:
    return caller(), caller_tag(), source


def _offer(values: list[str], *, has_more: bool = False) -> CompleteResult:
    more = has_more or len(values) > MAX_VALUES
    return CompleteResult(completion=Completion(values=values[:MAX_VALUES], has_more=more))
