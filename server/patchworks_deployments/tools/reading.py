"""The tools that read: lists of deployments, and one deployment."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.consent.services import Services, services
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, DeploymentPage, Listing, Maybe, ToolCall
from patchworks_deployments.model.values import (
    DeploymentId,
    FlowVersionId,
    OptionalIdentifiers,
    OptionalIncludes,
    OptionalText,
    Page,
    Sort,
)
from patchworks_deployments.resources.uris import PER_PAGE
from patchworks_deployments.tools.base import DeploymentTool, answer


async def list_deployments(
    ctx: Context[Services, Any],
    flow_id: OptionalIdentifiers = None,
    virtual_environment_id: OptionalIdentifiers = None,
    package_id: OptionalIdentifiers = None,
    name: Annotated[OptionalText, Field(description="Part of the flow's name.")] = None,
    search: Annotated[OptionalText, Field(description="Text anywhere: flow, environment, package.")] = None,
    like: Annotated[OptionalText, Field(description="The API's LIKE filter.")] = None,
    include: Annotated[OptionalIncludes, Field(description="Adds people and version details.")] = None,
    sort: Annotated[Maybe[Sort], Field(description="- is descending.")] = None,
    page: Maybe[Page] = 1,
    per_page: Maybe[
        Annotated[int, Field(ge=1, le=100, description=f"At most 100; {PER_PAGE} if not given.")]
    ] = PER_PAGE,
) -> Annotated[CallToolResult, Listing]:
    """List deployments, a page at a time. Filters take several values, comma-separated, meaning OR.

    By state, or by the name of an environment or package: deployment_overview.
    """
    query = DeploymentQuery(
        flow_id=flow_id,
        virtual_environment_id=virtual_environment_id,
        package_id=package_id,
        name=name,
        search=search,
        like=like,
        include=include or (),
        sort=sort,
        page=page or 1,
        per_page=per_page or PER_PAGE,
    )
    found = await services(ctx).client.list_deployments(query)
    given = {f.name: value for f in fields(query) if (value := getattr(query, f.name)) != f.default}
    return _page_result(found, "list_deployments", given, query.extra_fields())


async def list_flow_version_deployments(
    ctx: Context[Services, Any], flow_version_id: FlowVersionId, page: Maybe[Page] = 1
) -> Annotated[CallToolResult, Listing]:
    """List where one flow version is deployed. For a whole flow or an environment use list_deployments."""
    found = await services(ctx).client.list_for_flow_version(flow_version_id, page=page or 1)
    return _page_result(found, "list_flow_version_deployments", {"flow_version_id": flow_version_id})


async def get_deployment(
    ctx: Context[Services, Any],
    flow_version_id: FlowVersionId,
    deployment_id: DeploymentId,
    detail: Annotated[
        Maybe[Literal["summary", "full"]],
        Field(description="full adds all other fields the API sent, secrets masked."),
    ] = "summary",
) -> Annotated[CallToolResult, Deployment]:
    """Show one deployment. It is found only under its own flow version: both ids are in list_deployments."""
    found = await services(ctx).client.get_or_explain(flow_version_id, deployment_id, with_other=detail == "full")
    return answer(rendering.describe_whole(found), found)


def _page_result(
    found: DeploymentPage, tool: str, arguments: dict[str, Any], fields: Sequence[str] = ()
) -> CallToolResult:
    is_last = found.pages is None or found.page >= found.pages
    next_call = None if is_last else ToolCall(tool=tool, arguments={**arguments, "page": found.page + 1})
    shown = rendering.listing(found, fields, next_call)
    return answer(rendering.table(shown), shown)


# Cached, here and where the other tools are made: the SDK takes a third of a server's making to read their signatures.
@cache
def read_tools() -> tuple[DeploymentTool, ...]:
    """The tools that every server offers."""
    return (
        DeploymentTool.reading(list_deployments, "List deployments"),
        DeploymentTool.reading(list_flow_version_deployments, "List a flow version's deployments"),
        DeploymentTool.reading(get_deployment, "Show a deployment"),
    )
