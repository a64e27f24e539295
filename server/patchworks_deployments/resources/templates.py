"""Listings as resources: JSON of the same models as the tools' structured content, with links between pages."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Resource as ListedResource

from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.consent.services import Services, services
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.history.changes import Filters, read_changes
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import DeploymentPage
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.resources import uris
from patchworks_deployments.resources.overview import summarise

LISTED = [
    ListedResource(
        uri=uris.DEPLOYMENTS,
        name="deployments",
        title="Deployments",
        description="All deployments, first page; filters and pages through the template.",
        mime_type=uris.JSON,
    ),
    ListedResource(
        uri=uris.OVERVIEW,
        name="overview",
        title="What runs where",
        description="Counts by environment, and what deserves attention.",
        mime_type=uris.JSON,
    ),
    ListedResource(
        uri=uris.CHANGES,
        name="changes",
        title="What was changed",
        description="The newest changes, and the calls that put them back.",
        mime_type=uris.JSON,
    ),
]
"""The resources that a host can list; their URIs are served by the templates below."""


# The parameters of a template function are those of its template: the SDK insists. A query is read from the URI
# itself, because the SDK ignores what a template does not know, and an unknown filter must not list everything.
# A function's docstring is the template's description.


async def listing(
    ctx: Context[Services, Any],
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
    parameters = _parameters(ctx, uris.ListingParameters)
    query = parameters.query()
    found = await services(ctx).client.list_deployments(query)
    return _page(found, partial(parameters.uri, uris.DEPLOYMENTS), query.extra_fields())


async def flow_version_listing(ctx: Context[Services, Any], flow_version_id: str, page: str = "") -> str:
    """A page of one flow version's deployments."""
    version, parameters = _identifier(flow_version_id), _parameters(ctx, uris.PageParameters)
    found = await services(ctx).client.list_for_flow_version(version, page=parameters.page)
    return _page(found, partial(parameters.uri, uris.FLOW_VERSION_DEPLOYMENTS.format(flow_version_id=version)))


async def one_deployment(ctx: Context[Services, Any], flow_version_id: str, deployment_id: str) -> str:
    """One deployment."""
    found = await services(ctx).client.get_or_explain(_identifier(flow_version_id), _identifier(deployment_id))
    return _json(found.to_json())


async def overview(
    ctx: Context[Services, Any], flow: str = "", environment: str = "", package: str = "", enabled: str = ""
) -> str:
    """What runs where, as deployment_overview shows it."""
    selection = Selection(**dict(_parameters(ctx, uris.OverviewParameters)))
    client = services(ctx).client
    return _json(summarise(await read_selected(client, selection), client.account()).to_json())


async def changes(
    ctx: Context[Services, Any],
    page: str = "",
    since: str = "",
    until: str = "",
    tool_name: str = "",
    flow: str = "",
    environment: str = "",
    caller: str = "",
    outcome: str = "",
    change: str = "",
) -> str:
    """A page of what was changed, as list_changes shows it."""
    parameters, held = _parameters(ctx, uris.ChangesParameters), services(ctx)
    filters = Filters(**dict(parameters))
    found = await read_changes(held.audit, held.client, filters, own_only=held.own_only)
    links = _links(partial(parameters.uri, uris.CHANGES), found.page, is_last=found.next is None)
    return _json({**found.model_copy(update={"next": None}).to_json(), "links": links})


def register_resources(server: MCPServer[Services]) -> None:
    """Register the five templates."""
    resource = partial(server.resource, mime_type=uris.JSON)
    resource(uris.LISTING_TEMPLATE, title="Deployments, filtered")(listing)
    resource(uris.VERSION_LISTING_TEMPLATE, title="Deployments of a flow version")(flow_version_listing)
    resource(uris.DEPLOYMENT, title="A deployment")(one_deployment)
    resource(uris.OVERVIEW_TEMPLATE, title="What runs where, filtered")(overview)
    resource(uris.CHANGES_TEMPLATE, title="What was changed, filtered")(changes)


def _parameters(ctx: Context[Services, Any], kind: type[uris.Kind]) -> uris.Kind:
    return uris.parameters_of(str((ctx.request_context.params or {}).get("uri", "")), kind)


def _identifier(segment: str) -> str:
    identifier = uris.leading_id(segment)
    if not is_identifier(identifier):
        raise InvalidArgument(
            "An id in the resource's URI is not right.", next_step="Ids are digits, the first no zero."
        )
    return identifier


def _page(found: DeploymentPage, uri_of: Callable[[int], str], fields: Sequence[str] = ()) -> str:
    links = _links(uri_of, found.page, is_last=not found.pages or found.page >= found.pages)
    return _json({**rendering.listing(found, fields).to_json(), "links": links})


def _links(uri_of: Callable[[int], str], page: int, *, is_last: bool) -> dict[str, str]:
    """The page's own URI, and those of its neighbours."""
    pages = {"self": page, "prev": page - 1, "next": page + 1}
    return {name: uri_of(n) for name, n in pages.items() if n >= 1 and not (is_last and name == "next")}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
