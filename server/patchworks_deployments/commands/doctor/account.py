"""Asks Patchworks, by reading alone, whether the account answers and whether its answers are of the expected kind."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx2

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.api.credentials import caller_key
from patchworks_deployments.api.failures import NOT_IN_TIME
from patchworks_deployments.api.query import PAGE_SIZE, DeploymentQuery
from patchworks_deployments.api.selection import Selection, read_selected
from patchworks_deployments.commands.doctor.findings import Exit, Finding, fail, failed, note
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.errors import DeploymentsError, Unauthenticated
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.settings import MAX_TIMEOUT_SECONDS, Settings
from patchworks_deployments.writes.plan import environments_of

LISTING, GETTING = "list deployments", "get deployment"

MADE_UP_KEY = "patchworks-deployments-mcp-check"
"""A key that nobody has, to see what answers where callers bring their own."""

_ABOUT_THE_KEY = {
    "api_key": "Paste the key anew from Patchworks (general settings, API keys) into PATCHWORKS_API_KEY; one that was "
    "revoked does not come back.",
    "bearer_token": "A token lives for a day. Log in anew for another, or let the server log in by itself, with "
    "PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD.",
}


async def look(settings: Settings, transport: httpx2.AsyncBaseTransport | None) -> AsyncIterator[Finding]:
    """A finding for each thing that was asked; it ends where nothing further could be asked."""
    async with open_client(settings, transport) as opened:
        client = opened.glancing(settings.timeout)  # once: who looks wants to see what fails, and soon
        if settings.credentials == "caller":
            yield await _without_a_key(client)
            return
        try:
            page = await client.list_deployments(DeploymentQuery(per_page=PAGE_SIZE))
        except DeploymentsError as error:
            yield _refused(error, settings)
            return
        yield Finding(f"{LISTING}: accepted, {'some' if page.total is None else page.total} deployments")
        for finding in _of_page(page):
            yield finding
        async for finding in _of_filter(client, page.deployments):
            yield finding
        for deployment in page.deployments:
            if deployment.flow_version_id:
                yield await _get(client, deployment.flow_version_id, deployment.id)
                break
        async for finding in _protected(settings, opened):
            yield finding
    yield Finding("writing was not tried: that would change something")


async def _without_a_key(client: DeploymentsClient) -> Finding:
    """Whether something that refuses a made-up key is there, where only callers have good ones."""
    try:
        with caller_key(MADE_UP_KEY):
            await client.list_deployments(DeploymentQuery(per_page=1))
    except Unauthenticated:
        return Finding(f"{LISTING}: Patchworks refuses a made-up key, as it should; callers bring their own")
    except DeploymentsError as error:
        return failed(LISTING, error)
    return fail(
        f"{LISTING}: a made-up key was accepted", "Check that PATCHWORKS_BASE_URL leads to Patchworks.", Exit.STRANGE
    )


def _refused(error: DeploymentsError, settings: Settings) -> Finding:
    found = failed(LISTING, error)
    if isinstance(error, Unauthenticated) and (advice := _ABOUT_THE_KEY.get(settings.authentication)):
        return fail(found.what, advice, found.status)
    if error.what == NOT_IN_TIME:
        limit = "the most it may be" if settings.timeout == MAX_TIMEOUT_SECONDS else f"at most {MAX_TIMEOUT_SECONDS}"
        waits = f"PATCHWORKS_TIMEOUT says how long an answer may take: {settings.timeout:g} seconds now, {limit}."
        return fail(found.what, f"{found.next_step} {waits}", found.status)
    return found


def _of_page(page: DeploymentPage) -> Iterator[Finding]:
    """Whether records, names and counts are as expected."""
    rows = page.deployments
    if page.unreadable:
        yield fail(
            f"answers: {page.unreadable} records of the first page cannot be read",
            "This server cannot show or change these deployments.",
            Exit.STRANGE,
        )
    if not rows:
        yield note("answers: there is no deployment to look at", "An account that deploys nothing answers like this.")
        return
    odd = list(_oddities(page))
    yield from (note(f"answers: {what}") for what in odd)
    if not (odd or page.unreadable):
        yield Finding(f"answers: {len(rows)} deployments on the first page, each readable and with its names")
    environments = {d.virtual_environment_id for d in rows if d.virtual_environment_id}
    if environments:
        yield Finding(f"environments: {len(environments)} virtual environments on the first page")
    else:
        yield note(
            "environments: no deployment is in a virtual environment",
            "Where an account has none, deploying a version of a flow takes the place of the one that runs.",
        )


def _oddities(page: DeploymentPage) -> Iterator[str]:
    """What is missing or contradicts itself, and what that means here."""
    rows = page.deployments
    count = len(rows) + (page.unreadable or 0)
    if versionless := sum(d.flow_version_id is None for d in rows):
        yield f"{versionless} of {len(rows)} do not tell their flow version, and cannot be changed by name"
    if nameless := sum(not _is_named(d) for d in rows):
        yield f"{nameless} of {len(rows)} come without all their names, so people see ids in their place"
    if fields := Counter(field for d in rows for field in d.unreadable or ()):
        told = ", ".join(f"{field} ({number})" for field, number in sorted(fields.items()))
        yield f"some fields cannot be read: {told}"
    if page.total is None:
        yield "Patchworks does not say how many there are, so what needs all of them may be refused"
    elif page.pages in {None, 1} and count < page.total:
        yield f"Patchworks counts {page.total} and sent {count} on the only page"


def _is_named(deployment: Deployment) -> bool:
    return bool(deployment.flow_name and (deployment.virtual_environment_name or not deployment.virtual_environment_id))


async def _of_filter(client: DeploymentsClient, rows: Sequence[Deployment]) -> AsyncIterator[Finding]:
    """Whether a filter leaves out what it should, where there is something to leave out."""
    counted = Counter(d.virtual_environment_id for d in rows)
    wanted = next((found for found, _ in reversed(counted.most_common()) if found), None)
    if wanted is None or len(counted) == 1:
        return
    try:
        page = await client.list_deployments(DeploymentQuery(virtual_environment_id=wanted, per_page=PAGE_SIZE))
    except DeploymentsError as error:
        yield failed("filter", error)
        return
    others = sum(d.virtual_environment_id != wanted for d in page.deployments)
    if others or not page.deployments:
        yield fail(
            f"filter: asked for environment {wanted}, Patchworks sent {f'{others} others' if others else 'nothing'}",
            "What is chosen by a filter is not to be relied on: name deployments by their ids.",
            Exit.STRANGE,
        )
    else:
        yield Finding(f"filter: environment {wanted} alone can be asked for")


async def _get(client: DeploymentsClient, flow_version_id: str, deployment_id: str) -> Finding:
    try:
        read = await client.get(flow_version_id, deployment_id)
    except DeploymentsError as error:
        return failed(f"{GETTING} {deployment_id}", error)
    return Finding(f"{GETTING} {deployment_id}: accepted, {'with names' if _is_named(read) else 'without all names'}")


async def _protected(settings: Settings, client: DeploymentsClient) -> AsyncIterator[Finding]:
    """Whether each protected environment is found; one that does not exist would protect nothing."""
    if not settings.protected_environments:
        return
    try:
        selected = await read_selected(client, Selection())
    except DeploymentsError as error:
        yield failed("protected environments: not compared", error)
        return
    unmatched = Policy.from_settings(settings).unmatched(environments_of(selected.deployments))
    absent = "no deployment is in an environment with this id or name, so it protects nothing"
    if selected.doubt:
        absent = f"not found, but maybe not all deployments were read. {selected.doubt}"
    for entry in settings.protected_environments:
        if entry in unmatched:
            yield fail(f"protected environment {entry}: {absent}", "Compare it with the names and ids in Patchworks.")
        else:
            yield Finding(f"protected environment {entry}: found")
