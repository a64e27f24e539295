"""Reading all deployments that a person means, by ids or by parts of names: page by page, several pages at once."""

from dataclasses import dataclass

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import Progress, each, patiently
from patchworks_deployments.api.query import CUTS, Cut, DeploymentQuery, gather, number_of_pages
from patchworks_deployments.errors import Incomplete, InvalidArgument
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.rendering import counted

MAX_LIST_PAGES = 500

READING_SECONDS = 15.0
"""Seconds after which what is missing is not read again, so that the call ends before its client loses patience."""


def ids_in(text: str | None) -> str | None:
    """The ids of a text that is one id or more, comma-separated, without blanks; None where it is anything else."""
    ids = [part.strip() for part in (text or "").split(",")]
    return ",".join(ids) if all(map(is_identifier, ids)) else None


def longest_part(name: str) -> str | None:
    """The part of a name that the API can look for: to it a comma stands between two names."""
    return max((part.strip() for part in name.split(",")), key=len) or None


NOT_SEVERAL = "A comma is taken for a part of the name: give one name, or ids."


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which deployments: `flow`, `environment` and `package` are ids (digits, comma-separated) or part of one name."""

    flow: str | None = None
    environment: str | None = None
    package: str | None = None
    enabled: bool | None = None
    deployment_id: str | None = None

    @property
    def has_comma(self) -> bool:
        """Whether a name that is looked for holds a comma."""
        return any("," in (part or "") and not ids_in(part) for part in (self.flow, self.environment, self.package))

    def query(self, page: int, cut: Cut = CUTS[0]) -> DeploymentQuery:
        """Ask for what the API can filter by itself; it knows neither environment names nor enabled."""
        flow_id = ids_in(self.flow)
        return DeploymentQuery(
            flow_id=flow_id,
            name=longest_part(self.flow) if self.flow and not flow_id else None,
            virtual_environment_id=ids_in(self.environment),
            package_id=ids_in(self.package),
            sort=cut.sort,
            page=page,
            per_page=cut.per_page,
        )

    def holds(self, deployment: Deployment) -> bool | None:
        """Whether the deployment is one of those meant, whatever the API has filtered; None where it does not tell."""
        d, unread = deployment, deployment.unreadable or ()
        answers = (
            _means(self.flow, d.flow_id, d.flow_name, hides=d.flow_id is None),
            _means(
                self.environment,
                d.virtual_environment_id,
                d.virtual_environment_name,
                hides=d.hides_environment,
            ),
            _means(self.package, d.package_id, d.package_name, hides="package_id" in unread),
            None if self.enabled is not None and d.enabled is None else self.enabled in {None, d.enabled},
            self.deployment_id in {None, d.id},
        )
        return False if False in answers else None if None in answers else True


def _means(wanted: str | None, identifier: str | None, name: str | None, *, hides: bool) -> bool | None:
    """Whether what has this id and name is wanted; None where the one that is asked for is not told."""
    if wanted is None:
        return True
    ids = ids_in(wanted)
    told = identifier if ids else name
    if told is None:
        return None if hides or identifier or name else False
    return told in ids.split(",") if ids else wanted.casefold() in told.casefold()


AGAIN = (
    "Call again. If that does not help, narrow it with ids of flows, environments or packages until at most 100 match, "
    "which one page shows, or name the deployments as flow_version_id/deployment_id."
)
"""What to do about a reading that is not whole."""


@dataclass(frozen=True)
class Selected:
    """What a selection holds, less what was `unreadable` and the `untold`, which do not tell whether they are meant.

    Of all that was looked through, so many are `missing`; the `gap` is a sentence about why these may not be all, None
    if they are.
    """

    selection: Selection
    deployments: list[Deployment]
    unreadable: int
    untold: int
    missing: int
    gap: str | None

    @property
    def doubt(self) -> str | None:
        """Why something that is meant may have been left out, in a sentence; None if nothing can."""
        unreadable = f"{counted(self.unreadable, 'deployment')} cannot be read." if self.unreadable else None
        tell = "does not tell whether it is" if self.untold == 1 else "do not tell whether they are"
        untold = f"{counted(self.untold, 'deployment')} {tell} meant." if self.untold else None
        return self.gap or unreadable or untold

    def require_whole(self, what: str = "") -> None:
        """Raise `Incomplete`, about `what`, where something that is meant may have been left out."""
        if self.doubt:
            next_step = AGAIN if self.gap else "Give ids for names, or name each deployment with its flow version's id."
            raise Incomplete(f"{what} {self.doubt}".lstrip(), next_step=next_step)


async def read_selected(client: DeploymentsClient, selection: Selection, progress: Progress | None = None) -> Selected:
    """Read every deployment that the selection holds, each id once; an API that throttles is waited for.

    What Patchworks counts and does not show is read again, for `READING_SECONDS` in all, and said to be missing then.
    Raises `InvalidArgument` for more than `MAX_LIST_PAGES` pages, `Incomplete` when Patchworks does not say how many.
    """
    done = 0

    async def read_pages(cut: Cut) -> list[DeploymentPage]:
        pages: dict[int, DeploymentPage] = {}
        before = done

        async def read(number: int) -> int:
            nonlocal done
            page = pages[number] = await patiently(lambda: client.list_deployments(selection.query(number, cut)))
            done += 1
            if progress:
                await progress(done, before + max(page.pages or 1, len(pages)))
            return _extent(page, cut)

        expected = await read(1)
        while len(pages) < expected:
            expected = max(await each(read, range(len(pages) + 1, expected + 1)))
        return [pages[number] for number in sorted(pages)]

    gathered = await gather(read_pages, READING_SECONDS)
    judged = [(d, selection.holds(d)) for d in gathered.by_id.values()]
    return Selected(
        selection,
        [d for d, is_held in judged if is_held],
        unreadable=gathered.unreadable,
        untold=sum(is_held is None for _, is_held in judged),
        missing=gathered.missing,
        gap=gathered.gap,
    )


def _extent(page: DeploymentPage, cut: Cut) -> int:
    """`number_of_pages`, where these can be read. Raises `InvalidArgument` otherwise."""
    number = number_of_pages(page, cut)
    if number > MAX_LIST_PAGES:
        raise InvalidArgument(
            f"That is {page.total or 'more than 50,000'} deployments, more than can be read at once.",
            next_step="Narrow it with flow, environment or package.",
        )
    return number
