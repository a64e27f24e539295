"""Completions: ids with the name beside them, narrowed by what was typed and chosen, for one request at most.

A completion is inserted as it is, so a value reads `10 [UK Live]`; resources and prompts take the id. What they show
of a name has no square brackets, so no name that a person copies is taken for a completion.

One request cannot find names and ids beyond the first 100 deployments that match what was typed and chosen, longer
ids that begin with the digits typed (a whole id is looked up), or a deployment by its id alone, which the API does
not offer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from mcp.server.mcpserver import MCPServer
from mcp_types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from patchworks_deployments.api.credentials import caller_tag
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.api.selection import Selection, ids_in, longest_part
from patchworks_deployments.caller import caller
from patchworks_deployments.consent.services import Services
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.rendering import environment
from patchworks_deployments.model.text import folded, inert
from patchworks_deployments.resources.attention import iteration_label
from patchworks_deployments.resources.uris import id_or_name

MAX_VALUES = 100

MAX_TYPED_CHARACTERS, MAX_GIVEN = 500, 20
"""Characters of what was typed or chosen, and how many of these there are; for more there is no completion."""

CACHE_SECONDS = 5.0
"""Seconds for which a page answers further letters of the same caller."""

MAX_CACHED_PAGES = 32
"""Pages, of all callers together: some megabytes."""

MIN_ID_DIGITS = 3
"""Digits from which on a number is looked up as an id, and not only taken for the beginning of one."""

PARTS = {"flow_id": "flow", "virtual_environment_id": "environment", "package_id": "package"}
"""The part of a selection that each of these arguments names."""

CANDIDATES: dict[str, Callable[[Deployment], tuple[str | None, str]]] = {
    "flow": lambda d: (d.flow_id, d.flow_name or ""),
    "environment": lambda d: (d.virtual_environment_id, d.virtual_environment_name or ""),
    "package": lambda d: (d.package_id, d.package_name or ""),
    "flow_version_id": lambda d: (d.flow_version_id, f"{d.flow_name or ''} iteration {iteration_label(d.iteration)}"),
    "deployment_id": lambda d: (d.id, f"{d.flow_name or ''} in {d.virtual_environment_name or environment(d)}"),
}
"""What reads id and name of each thing that can be wanted out of a deployment."""

Reference: TypeAlias = PromptReference | ResourceTemplateReference

Source: TypeAlias = DeploymentQuery | str
"""What one request reads: a page of all deployments, or the first page of those of the flow version with this id."""


def register_completions(
    server: MCPServer[Services], services: Callable[[], Services | None], clock: Callable[[], float]
) -> None:
    """Complete arguments on this server from what the client in `services` reads; `clock` tells seconds."""
    server.completion()(Completions(services, clock).complete)  # type: ignore[no-untyped-call]  # as the SDK left it


@dataclass
class Completions:
    """Completes arguments. It keeps pages for seconds, so that typing on costs nothing, and for one caller each."""

    services: Callable[[], Services | None]
    clock: Callable[[], float]
    kept: dict[tuple[str, str | None, Source], tuple[float, DeploymentPage]] = field(default_factory=dict)

    async def complete(
        self, ref: Reference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion:
        """Offer values for an argument: none if it names nothing in Patchworks, and none when the API fails."""
        wanted = PARTS.get(argument.name, argument.name)
        given = [argument.value, *((context and context.arguments) or {}).values()]
        is_much = len(given) > MAX_GIVEN or max(map(len, given)) > MAX_TYPED_CHARACTERS
        if is_much or wanted not in CANDIDATES:
            return Completion(values=[], has_more=False)
        typed, chosen = id_or_name(argument.value.strip()), _chosen(ref, argument, context)
        selection = Selection(
            flow=chosen.get("flow"), environment=chosen.get("environment"), package=chosen.get("package")
        )
        values = partial(_values, wanted, typed, selection)
        wide, by_id = _sources(wanted, typed, selection, chosen.get("flow_version_id"))
        known = self._recall(wide)
        # Digits are looked up as an id only where the page that is kept has none that begin with them.
        source = by_id if by_id and not (known and values(known)) else wide
        try:
            page = await self._page(source)
        except DeploymentsError:
            page = DeploymentPage(deployments=[], page=1)
        offered = values(page)
        return Completion(values=offered[:MAX_VALUES], has_more=(page.pages or 1) > 1 or len(offered) > MAX_VALUES)

    async def _page(self, source: Source) -> DeploymentPage:
        if known := self._recall(source):
            return known
        services = self.services()
        assert services, "requests are served while the lifespan runs"
        if isinstance(source, str):
            page = await services.client.list_for_flow_version(source)
        else:
            page = await services.client.list_deployments(source)
        if len(self.kept) >= MAX_CACHED_PAGES:
            del self.kept[next(iter(self.kept))]
        self.kept[caller(), caller_tag(), source] = (self.clock() + CACHE_SECONDS, page)
        return page

    def _recall(self, source: Source) -> DeploymentPage | None:
        until, page = self.kept.get((caller(), caller_tag(), source), (0.0, None))
        return page if self.clock() < until else None


def _chosen(ref: Reference, argument: CompletionArgument, context: CompletionContext | None) -> dict[str, str]:
    """Read what was chosen for the other arguments, by the part of a selection that each names."""
    if isinstance(ref, PromptReference) and ref.name == "move_version":
        return {}  # the version goes to where it is not yet
    given = (context and context.arguments) or {}
    others = {name: value for name, value in given.items() if name != argument.name and value.strip()}
    return {PARTS.get(name, name): id_or_name(value) for name, value in others.items()}


def _sources(wanted: str, typed: str, selection: Selection, version: str | None) -> tuple[Source, Source | None]:
    """Choose a page as narrow as the API can make it, and what finds the typed text if that can be a whole id."""
    if version and is_identifier(version):
        return version, None
    # The API filters environments and packages by id alone: it can only search for their names.
    first, _, rest = typed.partition(" ")
    names = (rest if rest and is_identifier(first) else typed, selection.environment, selection.package)
    search = next((name for name in names if name and not ids_in(name) and name.isprintable()), "")
    wide = replace(selection.query(page=1), search=longest_part(search))
    if typed.isdecimal() and len(typed) >= MIN_ID_DIGITS:
        if wanted == "flow_version_id":
            return wide, typed
        if wanted in PARTS.values():
            part: dict[str, Any] = {wanted: typed}
            return wide, replace(selection, **part).query(page=1)
    return wide, None


def _values(wanted: str, typed: str, selection: Selection, page: DeploymentPage) -> list[str]:
    """List the values that the page offers and that fit what was typed, each id once."""
    found: dict[str, str] = {}
    whole = selection.whole(page.deployments)
    for deployment in page.deployments:
        if not selection.holds(deployment, whole):
            continue
        identifier, name = CANDIDATES[wanted](deployment)
        value = f"{identifier} {folded(name)}"
        fits = value.startswith(typed) if ids_in(typed) else folded(typed) in value
        if identifier and fits:
            found.setdefault(identifier, f"{identifier} [{shown}]" if (shown := inert(name)) else identifier)
    return list(found.values())
