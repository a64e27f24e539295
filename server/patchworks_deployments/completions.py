"""Completions: real ids with the name beside them, from one page of deployments, narrowed by what is chosen.

A completion is inserted as it is, so a value reads `10 UK Live`, and resources and prompts take the leading id.
"""

from collections.abc import Callable, Mapping

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, CompleteResult, Completion

from patchworks_deployments.client import DeploymentQuery
from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.models import Deployment
from patchworks_deployments.services import Services
from patchworks_deployments.texts import inert
from patchworks_deployments.uris import leading_id

MOST_VALUES = 100
ONE_PAGE = 100

Candidate = Callable[[Deployment], tuple[str | None, str]]


def _flow(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.flow_id, deployment.flow_name or ""


def _environment(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.virtual_environment_id, deployment.virtual_environment_name or ""


def _package(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.package_id, deployment.package_name or ""


def _flow_version(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.flow_version_id, f"{deployment.flow_name or ''} iteration {deployment.iteration}"


def _deployment(deployment: Deployment) -> tuple[str | None, str]:
    return deployment.id, f"{deployment.flow_name or ''} in {deployment.virtual_environment_name or 'no environment'}"


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


async def complete(ctx: ServerRequestContext[Services], params: CompleteRequestParams) -> CompleteResult:
    """Values for one argument; none where it names nothing in Patchworks, or while Patchworks fails."""
    candidate = CANDIDATES.get(params.argument.name)
    if candidate is None:
        return CompleteResult(completion=Completion(values=[]))
    chosen = (params.context.arguments if params.context else None) or {}
    typed = params.argument.value
    try:
        page = await ctx.lifespan_context.client.list_deployments(_query(chosen, typed))
    except UpstreamError:
        return CompleteResult(completion=Completion(values=[]))
    found: dict[str, str] = {}
    for deployment in page.deployments:
        identifier, name = candidate(deployment)
        if identifier and _is_chosen(deployment, chosen) and _fits(identifier, name, typed):
            found.setdefault(identifier, f"{identifier} {inert(name)}".strip())
    values = list(found.values())[:MOST_VALUES]
    has_more = len(found) > MOST_VALUES or (page.pages or 1) > 1
    return CompleteResult(completion=Completion(values=values, total=None, has_more=has_more))


def _query(chosen: Mapping[str, str], typed: str) -> DeploymentQuery:
    """One page, as narrow as the API can make it; text that is no id is searched for."""
    return DeploymentQuery(
        flow_id=_id(chosen, "flow_id", "flow"),
        virtual_environment_id=_id(chosen, "virtual_environment_id", "environment"),
        package_id=_id(chosen, "package_id", "package"),
        search=typed.strip() if typed.strip() and not typed[:1].isdigit() and typed.isprintable() else None,
        per_page=ONE_PAGE,
    )


def _id(chosen: Mapping[str, str], *names: str) -> str | None:
    """The id that was chosen under one of the names, if it is one."""
    values = (str(leading_id(chosen[name])) for name in names if chosen.get(name))
    return next((value for value in values if value.isdigit()), None)


def _is_chosen(deployment: Deployment, chosen: Mapping[str, str]) -> bool:
    version = _id(chosen, "flow_version_id")
    return version is None or deployment.flow_version_id == version


def _fits(identifier: str, name: str, typed: str) -> bool:
    text = typed.strip().casefold()
    return (
        text in f"{identifier} {name}".casefold()
        if text and not text[0].isdigit()
        else identifier.startswith(str(leading_id(text)))
    )
