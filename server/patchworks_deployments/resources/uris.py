"""The resource URIs: building them, reading them strictly, and telling which ones a write concerns."""

from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from mcp_types import ResourceLink
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from patchworks_deployments.api.client import DeploymentQuery
from patchworks_deployments.api.selection import are_ids
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model.deployment import Deployment, Include
from patchworks_deployments.model.values import OptionalIdentifiers, OptionalText, Sort, faults

DEPLOYMENTS = "patchworks://deployments"
OVERVIEW = "patchworks://overview"
FLOW_VERSIONS = "patchworks://flow-versions/"
FLOW_VERSION_DEPLOYMENTS = f"{FLOW_VERSIONS}{{flow_version_id}}/deployments"
DEPLOYMENT = f"{FLOW_VERSION_DEPLOYMENTS}/{{deployment_id}}"

JSON = "application/json"
"""The MIME type of every resource."""

PER_PAGE = 25
"""Deployments on a page of a listing that does not say how many it wants."""


def leading_id(text: str) -> str:
    """The id of a completion that was inserted: `10` of `10 UK Live`. Other text, such as `3PL orders`, stays whole."""
    first = text.split(" ", 1)[0]
    return first if are_ids(first) else text


class Query(BaseModel):
    """The parameters in a resource URI's query."""

    model_config = ConfigDict(extra="forbid")


Page = Annotated[int, Field(ge=1)]
Ids = Annotated[OptionalIdentifiers, BeforeValidator(leading_id)]
IdsOrName = Annotated[OptionalText, BeforeValidator(leading_id)]
Includes = Annotated[tuple[Include, ...], BeforeValidator(lambda text: [part for part in text.split(",") if part])]


class ListingParameters(Query):
    """The query of `patchworks://deployments`, with the names of `list_deployments`' arguments."""

    page: Page = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = PER_PAGE
    sort: Sort | None = None
    flow_id: Ids = None
    virtual_environment_id: Ids = None
    package_id: Ids = None
    name: OptionalText = None
    search: OptionalText = None
    like: OptionalText = None
    include: Includes = ()

    def query(self) -> DeploymentQuery:
        """The same parameters for the client."""
        return DeploymentQuery(**self.model_dump())

    def uri(self, page: int) -> str:
        """The URI of another page of the same listing."""
        given = self.model_dump(exclude_defaults=True, exclude={"page"})
        if self.include:
            given["include"] = ",".join(self.include)
        if page > 1:
            given["page"] = page
        return f"{DEPLOYMENTS}?{urlencode(given, quote_via=quote)}" if given else DEPLOYMENTS


class VersionListingParameters(Query):
    """The query of a flow version's listing; the API chooses the page's size."""

    page: Page = 1


class OverviewParameters(Query):
    """The query of `patchworks://overview`, with the names of `deployment_overview`'s arguments."""

    flow: IdsOrName = None
    environment: IdsOrName = None
    package: IdsOrName = None
    enabled: bool | None = None


LISTING_TEMPLATE = f"{DEPLOYMENTS}{{?{','.join(ListingParameters.model_fields)}}}"
VERSION_LISTING_TEMPLATE = f"{FLOW_VERSION_DEPLOYMENTS}{{?{','.join(VersionListingParameters.model_fields)}}}"
OVERVIEW_TEMPLATE = f"{OVERVIEW}{{?{','.join(OverviewParameters.model_fields)}}}"

Parameters = TypeVar("Parameters", bound=Query)


def parameters_of(uri: str, kind: type[Parameters]) -> Parameters:
    """Read a URI's query. Raises `InvalidArgument` for an unknown, repeated or malformed parameter."""
    try:
        return kind.model_validate(query_of(uri))
    except ValidationError as error:
        raise InvalidArgument(
            f"The resource's URI is not right: {faults(error)}.",
            next_step=f"Parameters are: {', '.join(kind.model_fields)}.",
        ) from None


def query_of(uri: str) -> dict[str, str]:
    """The parameters in a URI's query as they are written. Raises `InvalidArgument` where one is repeated."""
    pairs = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidArgument("The resource's URI repeats a parameter.", next_step="Give each once.")
    return parameters


def refuse_fragment(uri: str) -> None:
    """Raise `InvalidArgument` for a URI with a fragment, which would be ignored."""
    if "#" in uri:
        raise InvalidArgument("The resource's URI has a fragment (#).", next_step="Write # in a value as %23.")


def version_listing_uri(flow_version_id: str, page: int = 1) -> str:
    """The URI of a page of a flow version's deployments."""
    first = FLOW_VERSION_DEPLOYMENTS.format(flow_version_id=flow_version_id)
    return f"{first}?page={page}" if page > 1 else first


def deployment_uri(flow_version_id: str, deployment_id: str) -> str:
    """The URI of one deployment."""
    return DEPLOYMENT.format(flow_version_id=flow_version_id, deployment_id=deployment_id)


def deployment_link(flow_version_id: str, deployment_id: str) -> ResourceLink:
    """A link to one deployment, by the ids that it was asked for with: its record may lack the flow version's."""
    return ResourceLink(
        type="resource_link",
        uri=deployment_uri(flow_version_id, deployment_id),
        name=f"deployment {deployment_id}",
        mime_type=JSON,
    )


# What a write concerns ----------------------------------------------------------------------------


TOUCHED = "patchworks://touched"
"""Names no resource: its query tells the flows, environments and packages of the deployment that was written."""

TOLD_IDS = ("flow_id", "virtual_environment_id", "package_id")


def concerned_by(flow_version_id: str, *states: Deployment | None) -> list[str]:
    """The URIs whose content a write has changed: the deployment, its version's listing, the listing, the overview.

    `states` are what the deployment was before and is after the write. The last URI is a `TOUCHED` one, by which
    `may_hold` tells whether a filtered listing has changed.
    """
    known = [state for state in states if state]
    touched = {name: ",".join({getattr(state, name) or "" for state in known}) for name in TOLD_IDS}
    return [
        *dict.fromkeys(deployment_uri(flow_version_id, state.id) for state in known),
        version_listing_uri(flow_version_id),
        DEPLOYMENTS,
        OVERVIEW,
        f"{TOUCHED}?{urlencode(touched)}",
    ]


def may_hold(watched: str, told: str) -> bool:
    """Whether a write that concerns the URI `told` may also have changed the content of `watched`, another URI.

    True for a page or another spelling of the same resource, and for filtered overviews and listings by `TOUCHED`.
    """
    if not told.startswith(TOUCHED):
        return watched != told and watched.startswith(FLOW_VERSIONS) and _plain(watched) == told
    if watched.startswith(f"{OVERVIEW}?"):
        return True
    return watched.startswith(f"{DEPLOYMENTS}?") and _overlaps(query_of(watched), query_of(told))


def _plain(uri: str) -> str:
    """The URI without its page, and without the names that completions put beside ids."""
    segments = uri.partition("?")[0].removeprefix(FLOW_VERSIONS).split("/")
    return FLOW_VERSIONS + "/".join(leading_id(unquote(segment)) for segment in segments)


def _overlaps(wanted: Mapping[str, str], touched: Mapping[str, str]) -> bool:
    """Whether each filter by id names an id that was touched; a filter by text may match anything."""
    for name in TOLD_IDS:
        ids = {leading_id(part) for part in wanted.get(name, "").split(",") if part}
        if ids and not ids & set(touched.get(name, "").split(",")):
            return False
    return True
