"""The resource URIs: building them, reading them strictly, and telling which ones a write concerns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model.deployment import Deployment, Include
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.values import OptionalIdentifiers, OptionalText, Page, Sort, faults

DEPLOYMENTS = "patchworks://deployments"
OVERVIEW = "patchworks://overview"
CHANGES = "patchworks://changes"
FLOW_VERSIONS = "patchworks://flow-versions/"
FLOW_VERSION_DEPLOYMENTS = f"{FLOW_VERSIONS}{{flow_version_id}}/deployments"
DEPLOYMENT = f"{FLOW_VERSION_DEPLOYMENTS}/{{deployment_id}}"

JSON = "application/json"
PER_PAGE = 25


_NAME_BESIDE = re.compile(r" \[[^\[\]]*(?:\]|$)")
"""The name that a completion puts beside an id. It may hold commas, but no square bracket."""

_NEXT_ID = re.compile(r",\s*[0-9]")


def leading_id(text: str) -> str:
    """Take the id where only an id can stand: `10` from `10 [UK Live]` and `10 UK Live`. Other text stays whole.

    Of several completions, comma-separated, it takes the id of each.
    """
    first, _, rest = text.partition(" ")
    return ids_in(_NAME_BESIDE.sub("", text)) or (first if ids_in(first) and not _NEXT_ID.search(rest) else text)


def id_or_name(text: str) -> str:
    """Take the id from an inserted completion: `10` from `10 [UK Live]`. `12 Sandbox` is a name, and stays whole."""
    return ids_in(_NAME_BESIDE.sub("", text)) or text


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


Ids = Annotated[OptionalIdentifiers, BeforeValidator(leading_id)]
IdsOrName = Annotated[OptionalText, BeforeValidator(id_or_name)]
Includes = Annotated[tuple[Include, ...], BeforeValidator(_split), PlainSerializer(",".join)]


class Parameters(BaseModel):
    """The parameters in the query of a resource's URI."""

    model_config = ConfigDict(extra="forbid")


class PageParameters(Parameters):
    """The query of a flow version's listing; the API chooses the page's size. Other listings add to it."""

    page: Page = 1

    def uri(self, listing: str, page: int) -> str:
        """Build the URI of another page of the `listing` with these parameters."""
        given = self.model_dump(exclude_defaults=True, exclude={"page"}) | ({"page": page} if page > 1 else {})
        return f"{listing}?{urlencode(given, quote_via=quote)}" if given else listing


class ListingParameters(PageParameters):
    """The query of `patchworks://deployments`, with the names of `list_deployments`' arguments."""

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
        """Make the client's query of these parameters."""
        return DeploymentQuery(**dict(self))


class OverviewParameters(Parameters):
    """The query of `patchworks://overview`, with the names of `deployment_overview`'s arguments."""

    flow: IdsOrName = None
    environment: IdsOrName = None
    package: IdsOrName = None
    enabled: bool | None = None


class ChangesParameters(PageParameters):
    """The query of `patchworks://changes`, with the names of `list_changes`' arguments."""

    since: OptionalText = None
    until: OptionalText = None
    tool_name: OptionalText = None
    flow: IdsOrName = None
    environment: IdsOrName = None
    caller: OptionalText = None
    outcome: OptionalText = None
    change: OptionalText = None


def _template(uri: str, parameters: type[Parameters]) -> str:
    return f"{uri}{{?{','.join(parameters.model_fields)}}}"


LISTING_TEMPLATE = _template(DEPLOYMENTS, ListingParameters)
VERSION_LISTING_TEMPLATE = _template(FLOW_VERSION_DEPLOYMENTS, PageParameters)
OVERVIEW_TEMPLATE = _template(OVERVIEW, OverviewParameters)
CHANGES_TEMPLATE = _template(CHANGES, ChangesParameters)

Kind = TypeVar("Kind", bound=Parameters)


def parameters_of(uri: str, kind: type[Kind]) -> Kind:
    """Read a URI's query. Raises `InvalidArgument` for an unknown, repeated or malformed parameter."""
    try:
        return kind.model_validate(query_of(uri))
    except ValidationError as error:
        raise InvalidArgument(
            f"The resource's URI is not right: {faults(error)}.",
            next_step=f"Parameters are: {', '.join(kind.model_fields)}.",
        ) from None


def query_of(uri: str) -> dict[str, str]:
    """Split a URI's query into parameters. Raises `InvalidArgument` where one is repeated."""
    pairs = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidArgument("The resource's URI repeats a parameter.", next_step="Give each once.")
    return parameters


MAX_URI_CHARACTERS = 8_000
"""Characters of a resource's URI; all filters with the longest texts and a few dozen ids have fewer."""


def refuse_unfit(uri: str) -> None:
    """Raise `InvalidArgument` for a URI that is too long, or with a fragment, which would be ignored."""
    if len(uri) > MAX_URI_CHARACTERS:
        raise InvalidArgument(
            f"The resource's URI has {len(uri)} characters, and may have at most {MAX_URI_CHARACTERS}.",
            next_step="Give fewer or shorter filters.",
        )
    if "#" in uri:
        raise InvalidArgument("The resource's URI has a fragment (#).", next_step="Write # in a value as %23.")


TOUCHED = "patchworks://touched"
"""This URI names no resource: its query tells which flow, environment and package the written deployment has."""

TOLD_IDS = ("flow_id", "package_id", "virtual_environment_id")
"""The ids of a deployment by which listings are filtered; fewer deployments share the first than the last."""


def concerned_by(flow_version_id: str, *states: Deployment | None) -> list[str]:
    """List the URIs whose content a write has changed: deployment, its version's listing, listing, overview, changes.

    `states` are what the deployment was before the write and is after it. The last URI, a `TOUCHED` one, finds
    the filtered listings that may have changed.
    """
    listing = FLOW_VERSION_DEPLOYMENTS.format(flow_version_id=flow_version_id)
    known = [state for state in states if state]
    touched = {name: ",".join({getattr(state, name) or "" for state in known}) for name in TOLD_IDS}
    return [
        *dict.fromkeys(f"{listing}/{state.id}" for state in known),
        listing,
        DEPLOYMENTS,
        OVERVIEW,
        CHANGES,
        f"{TOUCHED}?{urlencode(touched)}",
    ]


MAX_WATCHED_URI_LENGTH = 2_000
"""Characters; the longest text filters and a hundred ids fit in."""


@dataclass(frozen=True)
class Watch:
    """What a watched URI waits for: a write told of at one of the `places` that has, of each kind of id, one of `ids`.

    For most URIs the place is the URI itself, without the page and without the names that completions put beside ids.
    For a filtered overview it is `TOUCHED`, and for a filtered listing rather one of the ids of the written deployment.
    """

    places: tuple[str, ...]
    ids: tuple[tuple[str, frozenset[str]], ...] = ()


def watch_of(uri: str) -> Watch:
    """Read a URI that somebody wants to watch. Raises `InvalidArgument` where no resource of this server has it."""
    if len(uri) > MAX_WATCHED_URI_LENGTH:
        raise InvalidArgument(
            f"A URI to watch may have {MAX_WATCHED_URI_LENGTH:,} characters.",
            next_step="Watch a listing with fewer filters.",
        )
    refuse_unfit(uri)
    path, mark, _ = uri.partition("?")
    if path == DEPLOYMENTS:
        return _watched_listing(parameters_of(uri, ListingParameters)) if mark else Watch((DEPLOYMENTS,))
    if path == OVERVIEW:
        parameters_of(uri, OverviewParameters)
        return Watch((TOUCHED if mark else OVERVIEW,))
    if path == CHANGES:
        parameters_of(uri, ChangesParameters)
        return Watch((CHANGES,))  # whatever it shows of them
    segments = [leading_id(unquote(segment)) for segment in path.removeprefix(FLOW_VERSIONS).split("/")]
    match segments:
        case [version, "deployments"] if is_identifier(version):
            parameters_of(uri, PageParameters)
        case [version, "deployments", deployment] if is_identifier(version) and is_identifier(deployment) and not mark:
            pass
        case _:
            segments = []
    if not segments or not path.startswith(FLOW_VERSIONS):
        raise InvalidArgument(
            "No resource of this server has this URI.",
            next_step=f"Watch {DEPLOYMENTS}, {OVERVIEW}, {CHANGES} or what the resource templates describe.",
        )
    return Watch((FLOW_VERSIONS + "/".join(segments),))


MAX_PLACES = 20
"""Places for one URI; a listing of more flows is looked at in every write, which costs less than so many places."""


def _watched_listing(filters: ListingParameters) -> Watch:
    # Filters by id decide; whether one by text matches cannot be known here, so it counts as a match.
    ids = tuple((name, frozenset(_split(given))) for name in TOLD_IDS if (given := getattr(filters, name)))
    if not ids or len(ids[0][1]) > MAX_PLACES:
        return Watch((TOUCHED,), ids)
    name, wanted = ids[0]
    return Watch(tuple(f"{name}={id_}" for id_ in wanted), ids)


@dataclass(frozen=True)
class Told:
    """Where to look for those who wait for a write of which the URI `uri` tells, and the ids of its deployment."""

    places: tuple[str, ...]
    ids: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, uri: str) -> Self:
        """Read one of the URIs that `concerned_by` lists."""
        if not uri.startswith(TOUCHED):
            return cls((uri,), {})
        ids = {name: frozenset(_split(given)) for name, given in query_of(uri).items()}
        return cls((TOUCHED, *(f"{name}={id_}" for name, known in ids.items() for id_ in known)), ids)

    def concerns(self, watch: Watch) -> bool:
        """Whether the write may have changed what is watched, given that it was found at one of the places."""
        return all(wanted & self.ids.get(name, frozenset()) for name, wanted in watch.ids)
