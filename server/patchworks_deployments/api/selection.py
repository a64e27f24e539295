"""Reading all deployments that a person means, by ids or by parts of names: page by page, several pages at once."""

from dataclasses import dataclass

from patchworks_deployments.api.client import PAGE_SIZE, DeploymentsClient
from patchworks_deployments.api.pacing import Progress, each, patiently
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.errors import Incomplete, InvalidArgument
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import is_identifier

MAX_LIST_PAGES = 500


def are_ids(text: str | None) -> bool:
    """Whether the text is one or more ids as Patchworks writes them, comma-separated."""
    return text is not None and all(map(is_identifier, text.split(",")))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which deployments: `flow`, `environment` and `package` are ids (digits, comma-separated) or part of a name."""

    flow: str | None = None
    environment: str | None = None
    package: str | None = None
    enabled: bool | None = None
    deployment_id: str | None = None

    def query(self, page: int) -> DeploymentQuery:
        """Ask for what the API can filter by itself; it knows neither environment names nor enabled."""
        return DeploymentQuery(
            flow_id=self.flow if are_ids(self.flow) else None,
            name=None if are_ids(self.flow) else self.flow,
            virtual_environment_id=self.environment if are_ids(self.environment) else None,
            package_id=self.package if are_ids(self.package) else None,
            sort="created_at",
            page=page,
            per_page=PAGE_SIZE,
        )

    def holds(self, deployment: Deployment) -> bool:
        """Whether the deployment is one of those meant, whatever the API has filtered."""
        return (
            _means(self.flow, deployment.flow_id, deployment.flow_name)
            and _means(self.environment, deployment.virtual_environment_id, deployment.virtual_environment_name)
            and _means(self.package, deployment.package_id, deployment.package_name)
            and (self.enabled is None or deployment.enabled is self.enabled)
            and (self.deployment_id is None or deployment.id == self.deployment_id)
        )


def _means(wanted: str | None, identifier: str | None, name: str | None) -> bool:
    if wanted is None:
        return True
    return identifier in wanted.split(",") if are_ids(wanted) else wanted.casefold() in (name or "").casefold()


@dataclass(frozen=True)
class Selected:
    """What a selection holds, less what was `unreadable`; `moved` tells that the total changed during the reading."""

    selection: Selection
    deployments: list[Deployment]
    unreadable: int
    moved: bool


async def read_selected(client: DeploymentsClient, selection: Selection, progress: Progress | None = None) -> Selected:
    """Read every deployment that the selection holds, each id once; an API that throttles is waited for.

    Raises `InvalidArgument` for more than `MAX_LIST_PAGES` pages, `Incomplete` when Patchworks does not say how many.
    """
    held: dict[int, list[Deployment]] = {}
    unreadable, totals = 0, set[int | None]()

    async def read(number: int) -> int:
        nonlocal unreadable
        page = await patiently(lambda: client.list_deployments(selection.query(number)))
        held[number] = [d for d in page.deployments if selection.holds(d)]
        unreadable += page.unreadable or 0
        totals.add(page.total)
        if progress:
            await progress(len(held), max(page.pages or 1, len(held)))
        return _extent(page)

    expected = await read(1)
    while len(held) < expected:
        expected = max(await each(read, range(len(held) + 1, expected + 1)))
    found = {d.id: d for number in sorted(held) for d in held[number]}
    return Selected(selection, list(found.values()), unreadable=unreadable, moved=len(totals) > 1)


def _extent(page: DeploymentPage) -> int:
    """Tell how many pages there are, as far as this one says."""
    if page.pages is None and len(page.deployments) + (page.unreadable or 0) >= PAGE_SIZE:
        raise Incomplete("Patchworks did not say how many pages there are, so not all can be read.")
    if page.pages and page.pages > MAX_LIST_PAGES:
        raise InvalidArgument(
            f"That is {page.total or 'more than 50,000'} deployments, more than can be read at once.",
            next_step="Narrow it with flow, environment or package.",
        )
    return page.pages or 1
