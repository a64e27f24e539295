"""Tries the settings, step by step, changing nothing, and says what to do about what fails."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2

from patchworks_deployments.commands.doctor import account, audit_log, callers
from patchworks_deployments.commands.doctor.findings import Exit, Finding, status_of_all
from patchworks_deployments.commands.output import say
from patchworks_deployments.commands.serve import settings_of
from patchworks_deployments.network.routes import proxy_to, trusted_cas
from patchworks_deployments.serving.server import transport_for
from patchworks_deployments.settings import Settings

_METHODS = {
    "sandbox": "the embedded sandbox, no account",
    "api_key": "API key",
    "bearer_token": "bearer token",
    "login": "user name and password",
    "caller": "each caller's own key",
}


def run(options: dict[str, Any]) -> int:
    """Say each finding; the status is one of `Exit`. Raises `SettingsError`."""
    return anyio.run(_check, settings_of(options))


async def _check(settings: Settings) -> int:
    found: list[Exit] = []
    async for finding in findings(settings, transport_for(settings)):
        say(finding)
        found.append(finding.status)
    return status_of_all(found)


async def findings(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> AsyncIterator[Finding]:
    """What works and what does not: on this machine first, then for callers, then at Patchworks."""
    where = "" if settings.sandbox else f" at {settings.base_url}"
    yield Finding(f"settings: {_METHODS[settings.authentication]}{where}")
    if not settings.sandbox:
        yield await _network(settings)
    protected = ", ".join(settings.protected_environments) or "none"
    policy = f"confirm {settings.confirm}, by {settings.confirm_by}; protected environments: {protected}"
    yield Finding(f"policy: {'read-only, no write tools' if settings.read_only else policy}")
    if settings.audit_log:
        for finding in audit_log.look(settings.audit_log):
            yield finding
    async for finding in callers.look(settings):
        yield finding
    async for finding in account.look(settings, transport):
        yield finding


async def _network(settings: Settings) -> Finding:
    """The ways to Patchworks, its login, the issuer and its keys, and whom this server trusts on them."""
    login = settings.login_url if settings.authentication == "login" else None
    ways: dict[str, str] = {}
    for url in filter(None, (settings.base_url, login, settings.oauth_issuer, settings.oauth_jwks_url)):
        proxy = await proxy_to(url)
        ways[httpx2.URL(url).host] = f"through the proxy {proxy}" if proxy else "directly"
    return Finding(f"network: {', '.join(map(' '.join, ways.items()))}; trusted CAs: {trusted_cas()}")
