"""Listings as resources: JSON of the same models as the tools' structured content, with links between pages."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Resource as ListedResource

from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.resources import uris
from patchworks_deployments.resources.overview import summarise
from patchworks_deployments.writes.services import Services

JSON = "application/json"

LISTED = [
    ListedResource(
        uri=uris.DEPLOYMENTS,
        name="deployments",
        title="Deployments",
        description="All deployments, first page; filters and pages through the template.",
        mime_type=JSON,
    ),
    ListedResource(
        uri=uris.OVERVIEW,
        name="overview",
        title="What runs where",
        description="Flows by environments, counts, and what deserves attention.",
        mime_type=JSON,
    ),
]


# The parameters of a template function are those of its template: the SDK insists. A query is read from the URI
# itself, because the SDK ignores what a template does not know, and an unknown filter must not list everything.


async def listing(
    ctx: Context,
    page: str = "",
    per_page: str = "",
    sort: str = "",
    flow_id: str = "",
    virtual_environment_id: str = "",
    package_id: str = "",
    name: str = "",
    search: str = "",
    like: str = "",
    include: str = "",
) -> str:
    """A page of deployments; every filter, sort and include of list_deployments."""
    parameters = uris.parameters_of(_uri(ctx), uris.ListingParameters)
    found = await _services(ctx).client.list_deployments(parameters.query())
    return _page(found, parameters.uri, parameters.query().extra_fields())


async def flow_version_listing(ctx: Context, flow_version_id: str, page: str = "") -> str:
    """A page of one flow version's deployments."""
    version, parameters = _identifier(flow_version_id), uris.parameters_of(_uri(ctx), uris.VersionListingParameters)
    found = await _services(ctx).client.list_for_flow_version(version, page=parameters.page)
    return _page(found, partial(uris.version_listing_uri, version))


def _page(found: DeploymentPage, uri_of: Callable[[int], str], extra: Sequence[str] = ()) -> str:
    links = {"self": uri_of(found.page)}
    if found.page > 1:
        links["prev"] = uri_of(found.page - 1)
    if found.pages and found.page < found.pages:
        links["next"] = uri_of(found.page + 1)
    return _json({**found.to_summary(extra), "links": links})


async def one_deployment(ctx: Context, flow_version_id: str, deployment_id: str) -> str:
    """One deployment."""
    found: Deployment = await _services(ctx).client.get(_identifier(flow_version_id), _identifier(deployment_id))
    return _json(found.to_json())


async def overview(ctx: Context, flow: str = "", environment: str = "", package: str = "", enabled: str = "") -> str:
    """What runs where, as deployment_overview shows it."""
    parameters = uris.parameters_of(_uri(ctx), uris.OverviewParameters)

    async def no_progress(done: int, total: int) -> None:
        """Reading a resource reports none."""

    estate = await read_selected(_services(ctx).client, Selection(**parameters.model_dump()), no_progress)
    return _json(summarise(estate).to_json())


def register_resources(server: MCPServer[Services]) -> None:
    """The four templates."""
    for template, function, title in (
        (uris.LISTING_TEMPLATE, listing, "Deployments, filtered"),
        (uris.VERSION_LISTING_TEMPLATE, flow_version_listing, "Deployments of a flow version"),
        (uris.DEPLOYMENT, one_deployment, "A deployment"),
        (uris.OVERVIEW_TEMPLATE, overview, "What runs where, filtered"),
    ):
        server.resource(template, title=title, description=function.__doc__, mime_type=JSON)(function)


def _uri(ctx: Context) -> str:
    return str((ctx.request_context.params or {}).get("uri", ""))


def _services(ctx: Context) -> Services:
    return cast("Services", ctx.request_context.lifespan_context)


def _identifier(value: str) -> str:
    identifier = str(uris.leading_id(value))
    if not is_identifier(identifier):
        raise InvalidArgument(
            "An id in the resource's URI is not right.", next_step="Ids are 1 to 64 letters or digits."
        )
    return identifier


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
