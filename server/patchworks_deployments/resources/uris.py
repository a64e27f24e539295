"""The resource URIs: building them, reading them strictly, and which ones a change concerns."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from mcp_types import ResourceLink
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from patchworks_deployments.api.client import DeploymentQuery
from patchworks_deployments.api.selection import are_ids
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.values import OptionalIdentifiers, OptionalIncludes, OptionalText, Sort, faults

DEPLOYMENTS = "patchworks://deployments"
OVERVIEW = "patchworks://overview"
FLOW_VERSION_DEPLOYMENTS = "patchworks://flow-versions/{flow_version_id}/deployments"
DEPLOYMENT = "patchworks://flow-versions/{flow_version_id}/deployments/{deployment_id}"

PER_PAGE = 25


def leading_id(value: object) -> object:
    """`10` of `10 UK Live`: what a completion offers carries the name beside the id. `3PL orders` is a name."""
    first = value.split(" ", 1)[0] if isinstance(value, str) else None
    return first if are_ids(first) else value


def _as_list(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Ids = Annotated[OptionalIdentifiers, BeforeValidator(leading_id)]


class ListingParameters(BaseModel):
    """The query of `patchworks://deployments`, the same names as the arguments of `list_deployments`."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = PER_PAGE
    sort: Sort | None = None
    flow_id: Ids = None
    virtual_environment_id: Ids = None
    package_id: Ids = None
    name: OptionalText = None
    search: OptionalText = None
    like: OptionalText = None
    include: Annotated[OptionalIncludes, BeforeValidator(_as_list)] = None

    def query(self) -> DeploymentQuery:
        """For the client."""
        return DeploymentQuery(**{**self.model_dump(), "include": self.include or ()})

    def uri(self, page: int) -> str:
        """The URI of another page of the same listing."""
        given = self.model_dump(exclude_defaults=True, exclude={"page", "include"})
        if self.include:
            given["include"] = ",".join(self.include)
        if page > 1:
            given["page"] = page
        return f"{DEPLOYMENTS}?{urlencode(given, quote_via=quote)}" if given else DEPLOYMENTS


LISTING_TEMPLATE = f"{DEPLOYMENTS}{{?{','.join(ListingParameters.model_fields)}}}"


class VersionListingParameters(BaseModel):
    """The query of a flow version's listing; the API chooses the page's size."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[int, Field(ge=1)] = 1


VERSION_LISTING_TEMPLATE = f"{FLOW_VERSION_DEPLOYMENTS}{{?{','.join(VersionListingParameters.model_fields)}}}"


class OverviewParameters(BaseModel):
    """The query of `patchworks://overview`, the same names as the arguments of `deployment_overview`."""

    model_config = ConfigDict(extra="forbid")

    flow: Annotated[OptionalText, BeforeValidator(leading_id)] = None
    environment: Annotated[OptionalText, BeforeValidator(leading_id)] = None
    package: Annotated[OptionalText, BeforeValidator(leading_id)] = None
    enabled: bool | None = None


OVERVIEW_TEMPLATE = f"{OVERVIEW}{{?{','.join(OverviewParameters.model_fields)}}}"


def query_of(uri: str) -> dict[str, str]:
    """The query's parameters. Raises `InvalidArgument` where one is repeated."""
    pairs = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidArgument("The resource's URI repeats a parameter.", next_step="Give each once.")
    return parameters


def refuse_fragment(uri: str) -> None:
    """Raises `InvalidArgument` for a URI with a fragment: it would be ignored."""
    if "#" in uri:
        raise InvalidArgument("The resource's URI has a fragment (#).", next_step="Write # in a value as %23.")


Parameters = TypeVar("Parameters", bound=BaseModel)


def parameters_of(uri: str, kind: type[Parameters]) -> Parameters:
    """What a URI's query asks for. Raises `InvalidArgument` for an unknown or malformed parameter."""
    try:
        return kind.model_validate(query_of(uri))
    except ValidationError as error:
        raise _malformed(error, kind) from None


def _malformed(error: ValidationError, parameters: type[BaseModel]) -> InvalidArgument:
    known = ", ".join(parameters.model_fields)
    return InvalidArgument(f"The resource's URI is not right: {faults(error)}.", next_step=f"Parameters are: {known}.")


def version_listing_uri(flow_version_id: str, page: int = 1) -> str:
    """The URI of a page of a flow version's deployments."""
    first = FLOW_VERSION_DEPLOYMENTS.format(flow_version_id=flow_version_id)
    return f"{first}?page={page}" if page > 1 else first


def deployment_uri(flow_version_id: str, deployment_id: str) -> str:
    """The URI of one deployment."""
    return DEPLOYMENT.format(flow_version_id=flow_version_id, deployment_id=deployment_id)


def concerned_by(flow_version_id: str, *states: Deployment | None) -> list[str]:
    """The URIs whose content a write has changed: the deployment, its version's listing, the listing, the overview.

    The listing is named once more with what was touched, so that filtered listings can tell whether they hold it.
    """
    known = [state for state in states if state]
    touched = {name: ",".join({getattr(state, name) or "" for state in known}) for name in _FILTERED_BY_ID}
    return [
        *dict.fromkeys(deployment_uri(flow_version_id, state.id) for state in known),
        version_listing_uri(flow_version_id),
        DEPLOYMENTS,
        OVERVIEW,
        f"{_TOUCHED}?{urlencode(touched)}",
    ]


_TOUCHED = "patchworks://touched"
_FILTERED_BY_ID = ("flow_id", "virtual_environment_id", "package_id")


def may_hold(watched: str, told: str) -> bool:
    """Whether the `watched` URI, which is not the `told` one, may show what that says was touched."""
    if not told.startswith(_TOUCHED):
        return watched != told and watched.startswith(_OF_A_VERSION) and _plain(watched) == told
    if watched.startswith(OVERVIEW + "?"):
        return True
    return watched.startswith(DEPLOYMENTS + "?") and _overlaps(query_of(watched), dict(parse_qsl(urlsplit(told).query)))


_OF_A_VERSION = "patchworks://flow-versions/"


def _plain(uri: str) -> str:
    """The URI without its page, and without the names that completions put beside ids."""
    segments = uri.partition("?")[0].removeprefix(_OF_A_VERSION).split("/")
    return _OF_A_VERSION + "/".join(str(leading_id(unquote(segment))) for segment in segments)


def _overlaps(wanted: Mapping[str, Any], touched: Mapping[str, str]) -> bool:
    """Filters by id decide; those by text cannot be decided here, so they count as a match."""
    for name in _FILTERED_BY_ID:
        ids = {str(leading_id(part)) for part in wanted.get(name, "").split(",") if part}
        if ids and not ids & set(touched.get(name, "").split(",")):
            return False
    return True


def deployment_link(flow_version_id: str, deployment_id: str) -> ResourceLink:
    """The link to one deployment's resource, by the ids that it was reached by: a record may lack its version's."""
    return ResourceLink(
        type="resource_link",
        uri=deployment_uri(flow_version_id, deployment_id),
        name=f"deployment {deployment_id}",
        mime_type="application/json",
    )
