"""Listings as resources: JSON of the same models as the tools' structured content, with links between pages."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, UnexpectedResourceError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, InputRequiredResult
from mcp_types import Resource as ListedResource
from mcp_types import Tool as ListedTool

from patchworks_deployments import uris
from patchworks_deployments.errors import DeploymentsError, InvalidArgument, NotFound
from patchworks_deployments.estate import Selection, read_estate
from patchworks_deployments.models import Deployment, DeploymentPage, is_identifier
from patchworks_deployments.overview import summarise
from patchworks_deployments.services import Services, may_write
from patchworks_deployments.streams import Listeners
from patchworks_deployments.tools import WriteTool

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


class DeploymentsServer(MCPServer[Services]):
    """A server whose listed resources are served by templates, and whose resource errors keep their own words."""

    services: Services | None = None
    """What the lifespan has opened, while it runs."""

    listeners: Listeners
    """The open `subscriptions/listen` streams."""

    def every_tool(self) -> list[Tool]:
        """The registered tools, whoever may see them."""
        return self._tool_manager.list_tools()

    async def list_tools(self) -> list[ListedTool]:
        """The tools that the caller may use."""
        listed = await super().list_tools()
        if may_write():
            return listed
        hidden = {tool.name for tool in self.every_tool() if isinstance(tool, WriteTool)}
        return [tool for tool in listed if tool.name not in hidden]

    async def list_resources(self) -> list[ListedResource]:
        """The two places to start from."""
        return LISTED

    async def read_resource(
        self,
        uri: Any,  # noqa: ANN401 - the SDK's signature
        context: Context[Services, Any] | None = None,
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read; what Patchworks does not know is the protocol's resource-not-found."""
        try:
            uris.refuse_fragment(str(uri))
            return await super().read_resource(uri, context)
        except InvalidArgument as error:
            raise _in_own_words(error, str(uri)) from error
        except UnexpectedResourceError as error:
            if isinstance(error.__cause__, DeploymentsError):
                raise _in_own_words(error.__cause__, str(uri)) from error.__cause__
            raise


def _in_own_words(error: DeploymentsError, uri: str) -> Exception:
    if isinstance(error, NotFound):
        return ResourceNotFoundError(str(error))
    if isinstance(error, InvalidArgument):
        return MCPError(code=INVALID_PARAMS, message=str(error), data={"uri": uri})
    return ResourceError(str(error))


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

    estate = await read_estate(_services(ctx).client, Selection(**parameters.model_dump()), no_progress)
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
