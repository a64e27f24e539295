"""Tries the settings against the API, step by step, changing nothing."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.commands.output import say
from patchworks_deployments.commands.serve import settings_of
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.errors import DeploymentsError
from patchworks_deployments.network.routes import proxy_to, trusted_cas
from patchworks_deployments.serving.server import transport_for
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes.plan import environments_of

Finding = tuple[bool, str]
"""Whether it works, and a line that says what."""

_METHODS = {
    "sandbox": "the embedded sandbox, no account",
    "api_key": "API key",
    "bearer_token": "bearer token",
    "login": "user name and password",
    "caller": "each caller's own key, which is not tried here",
}


def run(options: dict[str, Any]) -> int:
    """Say each finding; 0 if all are fine."""
    return anyio.run(_check, settings_of(options))


async def _check(settings: Settings) -> int:
    failures = 0
    async for is_fine, line in findings(settings, transport_for(settings)):
        say(f"{'ok  ' if is_fine else 'FAIL'} {line}")
        failures += not is_fine
    return min(failures, 1)


async def findings(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> AsyncIterator[Finding]:
    """One line for each thing that works or does not; what needs an answer stops at the first failure."""
    where = "" if settings.sandbox else f" at {settings.base_url}"
    yield True, f"settings: {_METHODS[settings.authentication]}{where}"
    if not settings.sandbox:
        yield await _network(settings)
    protected = ", ".join(settings.protected_environments) or "none"
    policy = f"confirm {settings.confirm}, by {settings.confirm_by}; protected environments: {protected}"
    yield True, f"policy: {'read-only, no write tools' if settings.read_only else policy}"
    if settings.audit_log:
        yield await _audit(settings)
    if settings.credentials == "caller":
        return
    async with open_client(settings, transport) as client:
        try:
            page = await client.list_deployments(DeploymentQuery(per_page=100))
        except DeploymentsError as error:
            yield False, f"list deployments: {error.said(is_read=True)}"
            return
        yield True, f"list deployments: accepted, {page.total if page.total is not None else 'some'} deployments"
        if page.unreadable:
            yield False, f"list deployments: {page.unreadable} records on the first page could not be read"
        for deployment in page.deployments:
            if deployment.flow_version_id:
                yield await _get(client, deployment.flow_version_id, deployment.id)
                break
        async for finding in _protected(settings, client):
            yield finding
    yield True, "writing was not tried: that would change something"


async def _network(settings: Settings) -> Finding:
    """The ways to Patchworks, its login and the key server, and whom this server trusts on them."""
    login = settings.login_url if settings.authentication == "login" else None
    ways: dict[str, str] = {}
    for url in filter(None, (settings.base_url, login, settings.oauth_jwks_url)):
        proxy = await proxy_to(url)
        ways[httpx2.URL(url).host] = f"through the proxy {proxy}" if proxy else "directly"
    return True, f"network: {', '.join(map(' '.join, ways.items()))}; trusted CAs: {trusted_cas()}"


async def _audit(settings: Settings) -> Finding:
    try:
        await AuditLog(settings.audit_log).ensure_writable()
    except DeploymentsError as error:
        return False, f"audit log: {error.what}"
    return True, f"audit log: {settings.audit_log} is writable"


async def _get(client: DeploymentsClient, flow_version_id: str, deployment_id: str) -> Finding:
    try:
        read = await client.get(flow_version_id, deployment_id)
    except DeploymentsError as error:
        return False, f"get deployment {deployment_id}: {error.said(is_read=True)}"
    named = "with names" if read.flow_name and read.virtual_environment_name else "without all names"
    return True, f"get deployment {deployment_id}: accepted, {named}"


async def _protected(settings: Settings, client: DeploymentsClient) -> AsyncIterator[Finding]:
    """Whether each protected environment is found; one that does not exist would protect nothing."""
    if not settings.protected_environments:
        return
    try:
        selected = await read_selected(client, Selection())
    except DeploymentsError as error:
        yield False, f"protected environments: not compared. {error.said(is_read=True)}"
        return
    unmatched = Policy.from_settings(settings).unmatched(environments_of(selected.deployments))
    absent = "no deployment is in an environment with this id or name, so it protects nothing"
    if selected.doubt:
        absent = f"not found, but maybe not all deployments were read. {selected.doubt}"
    for entry in settings.protected_environments:
        is_found = entry not in unmatched
        yield is_found, f"protected environment {entry}: {'found' if is_found else absent}"
