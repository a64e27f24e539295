"""Tries the settings against the API, step by step, changing nothing."""

from collections.abc import AsyncIterator

import httpx2

from patchworks_deployments.api.client import DeploymentQuery, DeploymentsClient, open_client
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.model.deployment import DeploymentPage
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes.audit import AuditLog

Finding = tuple[bool, str]

_METHODS = {
    "sandbox": "the embedded sandbox, no account",
    "api_key": "API key",
    "bearer_token": "bearer token",
    "login": "user name and password",
    "caller": "each caller's own key, which is not tried here",
}


async def findings(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> AsyncIterator[Finding]:
    """One line for each thing that works or does not; what needs an answer stops at the first failure."""
    where = "" if settings.sandbox else f" at {settings.base_url}"
    yield True, f"settings: {_METHODS[settings.authentication]}{where}"
    yield True, f"policy: {_policy(settings)}"
    if settings.audit_log:
        yield _audit(settings)
    if settings.credentials == "caller":
        return
    async with open_client(settings, transport) as client:
        try:
            page = await client.list_deployments(DeploymentQuery(per_page=100))
        except DeploymentsError as error:
            yield False, f"list deployments: {error}"
            return
        yield True, f"list deployments: accepted, {page.total if page.total is not None else 'some'} deployments"
        if page.unreadable:
            yield False, f"list deployments: {page.unreadable} records on the first page could not be read"
        async for finding in _details(settings, client, page):
            yield finding
    yield True, "writing was not tried: that would change something"


async def _details(settings: Settings, client: DeploymentsClient, page: DeploymentPage) -> AsyncIterator[Finding]:
    first = next((deployment for deployment in page.deployments if deployment.flow_version_id), None)
    if first and first.flow_version_id:
        try:
            read = await client.get(first.flow_version_id, first.id)
            named = "with names" if read.flow_name and read.virtual_environment_name else "without all names"
            yield True, f"get deployment {first.id}: accepted, {named}"
        except DeploymentsError as error:
            yield False, f"get deployment {first.id}: {error}"
    seen = {
        word.casefold()
        for deployment in page.deployments
        for word in (deployment.virtual_environment_id, deployment.virtual_environment_name)
        if word
    }
    for entry in settings.protected_environments:
        known = entry.casefold() in seen
        yield (
            known or page.total != len(page.deployments),
            (f"protected environment {entry}: {'found' if known else 'not among the first 100 deployments, check it'}"),
        )


def _policy(settings: Settings) -> str:
    if settings.read_only:
        return "read-only, no write tools"
    protected = ", ".join(settings.protected_environments) or "none"
    return f"confirm {settings.confirm}, by {settings.confirm_by}; protected environments: {protected}"


def _audit(settings: Settings) -> Finding:
    try:
        AuditLog(settings.audit_log).ensure_writable()
    except DeploymentsError as error:
        return False, f"audit log: {error.what}"
    return True, f"audit log: {settings.audit_log} is writable"
