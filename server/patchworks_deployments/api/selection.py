"""Reading all deployments that a person means, by ids or by names: page by page, several pages at once."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import anyio

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.pacing import Progress, each, patiently
from patchworks_deployments.api.query import CUTS, Cut, DeploymentQuery, gather, number_of_pages
from patchworks_deployments.errors import Incomplete, InvalidArgument
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, DeploymentPage, Gathered, ToolCall
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.rendering import counted
from patchworks_deployments.model.text import CACHE_ENTRIES, SHOWN_OTHERWISE, folded, inert, label

MAX_LIST_PAGES = 500

READING_SECONDS = 15.0
"""Seconds after which what is missing is not read again, so that the call ends before its client loses patience."""


def ids_in(text: str | None) -> str | None:
    """The ids of a text that is one id or more, comma-separated, without blanks; None where it is anything else."""
    ids = [part.strip() for part in (text or "").split(",")]
    return ",".join(ids) if all(map(is_identifier, ids)) else None


_SHOWN_OTHERWISE = re.compile(f"[{re.escape(SHOWN_OTHERWISE)},∕‘’]")
"""A comma, which stands between two names to the API, and what `inert` puts in another's place, or is put there."""


def longest_part(name: str) -> str | None:
    """The longest part of a name that the API finds, however the name is written there; None where there is none.

    A name looks the same in each of Unicode's normal forms, but the API may tell these apart.
    """
    composed = unicodedata.normalize("NFC", name)
    steady = "".join(char if unicodedata.normalize("NFD", char) == char else "," for char in composed)
    return max((part.strip() for part in _SHOWN_OTHERWISE.split(steady)), key=len) or None


NOT_SEVERAL = "A comma is taken for a part of the name: give one name, or ids."


class Thing(NamedTuple):
    """A flow, an environment or a package, as far as a deployment tells which one it has."""

    id: str | None
    name: str | None
    may_be_hidden: bool
    """Whether it may have one that it does not tell."""


_THING_OF: Mapping[str, Callable[[Deployment], Thing]] = {
    "flow": lambda d: Thing(d.flow_id, d.flow_name, d.flow_id is None),
    "environment": lambda d: Thing(d.virtual_environment_id, d.virtual_environment_name, d.hides_environment),
    "package": lambda d: Thing(d.package_id, d.package_name, "package_id" in (d.unreadable or ())),
}
"""What reads the thing of each part of a selection out of a deployment."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which deployments: `flow`, `environment` and `package` are ids (digits, comma-separated) or one name.

    A name means what bears it; where nothing does, all whose names contain it.
    """

    flow: str | None = None
    environment: str | None = None
    package: str | None = None
    enabled: bool | None = None
    deployment_id: str | None = None

    @property
    def parts(self) -> dict[str, str]:
        """What is given of flow, environment and package."""
        given = {"flow": self.flow, "environment": self.environment, "package": self.package}
        return {part: wanted for part, wanted in given.items() if wanted is not None}

    @property
    def names(self) -> dict[str, str]:
        """Those of the parts that are a name."""
        return {part: wanted for part, wanted in self.parts.items() if not ids_in(wanted)}

    @property
    def has_comma(self) -> bool:
        """Whether a name that is looked for holds a comma."""
        return any("," in name for name in self.names.values())

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

    def whole(self, deployments: Iterable[Deployment]) -> frozenset[str]:
        """The parts whose name is the whole name of what one of the deployments has."""
        names = {part: folded(name) for part, name in self.names.items()}
        borne = {part: {_THING_OF[part](d).name for d in deployments} for part in names}
        return frozenset(part for part, name in names.items() if name in {folded(one) for one in borne[part] if one})

    def holds(self, deployment: Deployment, whole: frozenset[str] = frozenset()) -> bool | None:
        """Whether the deployment is one of those meant, whatever the API has filtered; None where it does not tell.

        The names of the parts in `whole` are whole names.
        """
        d = deployment
        answers = (
            *(_means(wanted, _THING_OF[part](d), part in whole) for part, wanted in self.parts.items()),
            None if self.enabled is not None and d.enabled is None else self.enabled in {None, d.enabled},
            self.deployment_id in {None, d.id},
        )
        return False if False in answers else None if None in answers else True


@lru_cache(CACHE_ENTRIES)
def _means(wanted: str, thing: Thing, is_whole: bool) -> bool | None:  # noqa: FBT001 - the cache is slow with keywords
    """Whether the thing is wanted; None where the deployment does not tell what of it is asked for."""
    ids = ids_in(wanted)
    told = thing.id if ids else thing.name
    if told is None:
        return None if thing.may_be_hidden or thing.id or thing.name else False
    if ids:
        return told in ids.split(",")
    name = folded(wanted)
    return folded(told) == name if is_whole else bool(name) and name in folded(told)


AGAIN = (
    "Call again. If that does not help, narrow it with ids of flows, environments or packages until at most 100 match, "
    "which one page shows, or name the deployments as flow_version_id/deployment_id."
)
"""What to do about a reading that is not whole."""


MAX_MATCHED = 8
"""Things that are named of all that a name matches."""


@dataclass(frozen=True)
class Selected:
    """What a selection holds, less what was `unreadable` and the `untold`, which do not tell whether they are meant.

    Of all that was looked through, so many are `missing`; the `gap` is a sentence about why these may not be all, None
    if they are. What each name was found to mean is `matched`; what only contains a name that something else bears is
    `left_out`. Both hold labels by part: `{"environment": ["UK Live (10)"]}`.
    """

    selection: Selection
    deployments: list[Deployment]
    unreadable: int
    untold: int
    missing: int
    gap: str | None
    matched: Mapping[str, list[str]]
    left_out: Mapping[str, list[str]]

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

    def require_some(self) -> None:
        """Raise `InvalidArgument` where the selection holds nothing, with what each of its names was found to mean."""
        if self.deployments:
            return
        what, next_step = "No deployment matches.", "Look with deployment_overview, which shows names and ids."
        if wanted := self.selection.deployment_id:
            alone = Selection(deployment_id=wanted)
            what = f"Deployment {wanted} is not among those selected."
            call = rendering.call(ToolCall(tool="deployment_overview", arguments={"deployment_id": wanted}))
            next_step = f"Find it by its id alone with {call}."
            if self.selection == alone:
                what, next_step = f"There is no deployment {wanted}.", "Check the id, or whether it was deleted."
        hint = f"{NOT_SEVERAL} " if self.selection.has_comma else ""
        raise InvalidArgument(" ".join([what, *map(self._meaning, self.matched)]), next_step=f"{hint}{next_step}")

    def _meaning(self, part: str) -> str:
        """What the name given for this part was found to mean, in a sentence."""
        name, labels, out = inert(self.selection.names[part]), self.matched[part], self.left_out.get(part)
        if not labels:
            return f'No deployment has {"an" if part == "environment" else "a"} {part} with "{name}" in its name.'
        fits = "is the whole name of" if out else "fits"
        less = f", which leaves out {', '.join(out)}" if out else ""
        return f'"{name}" {fits} the {part}{"s" if len(labels) > 1 else ""} {", ".join(labels)}{less}.'


async def read_selected(client: DeploymentsClient, selection: Selection, progress: Progress | None = None) -> Selected:
    """Read every deployment that the selection holds, each id once; an API that throttles is waited for.

    What Patchworks counts and does not show is read again, for `READING_SECONDS` in all, and said to be missing then.
    Raises `InvalidArgument` for more than `MAX_LIST_PAGES` pages, `Incomplete` when Patchworks does not say how many.
    """
    ends, reading = anyio.current_time() + READING_SECONDS, _Reading(client, progress)
    gathered = await reading.all_of(selection, ends)
    seen, gap = list(gathered.by_id.values()), gathered.gap
    # What bears the whole name may be among what the other parts kept from being read.
    partial = selection.names.keys() - selection.whole(seen)
    wide = Selection(flow=selection.flow) if partial == {"flow"} else Selection()
    if partial and wide.query(1) != selection.query(1):
        around = await reading.all_of(wide, ends)
        seen, gap = [*seen, *around.by_id.values()], gap or around.gap
    whole = selection.whole(seen)
    judged = [(d, selection.holds(d, whole)) for d in gathered.by_id.values()]
    held = [d for d, is_held in judged if is_held]
    in_part = [d for d in gathered.by_id.values() if selection.holds(d)]
    return Selected(
        selection,
        held,
        unreadable=gathered.unreadable,
        untold=sum(is_held is None for _, is_held in judged),
        missing=gathered.missing,
        gap=gap,
        matched={part: _labels(selection, part, held or seen, whole) for part in selection.names},
        left_out={p: out for p in sorted(whole) if (out := _labels(selection, p, in_part, whole, meant=False))},
    )


def _labels(
    selection: Selection, part: str, deployments: Iterable[Deployment], whole: frozenset[str], *, meant: bool = True
) -> list[str]:
    """The things of the deployments that are meant by this part, or are not; `MAX_MATCHED` of them, sorted by name."""
    things, wanted = {_THING_OF[part](d) for d in deployments}, selection.names[part]
    chosen = [thing for thing in things if _means(wanted, thing, part in whole) is meant]
    labels = sorted({label(thing.name, thing.id) for thing in chosen})
    more = len(labels) - MAX_MATCHED
    return [*labels[:MAX_MATCHED], *([f"and {more} more"] if more > 0 else [])]


@dataclass
class _Reading:
    """Reads listings whole, and tells of the progress of all of them together."""

    client: DeploymentsClient
    progress: Progress | None
    done: int = 0

    async def all_of(self, selection: Selection, ends: float) -> Gathered:
        """Read what the API finds for the selection; again until `ends`, seconds of the event loop's clock."""

        async def read_pages(cut: Cut) -> list[DeploymentPage]:
            pages: dict[int, DeploymentPage] = {}
            before = self.done

            async def read(number: int) -> int:
                page = await patiently(lambda: self.client.list_deployments(selection.query(number, cut)))
                pages[number] = page
                self.done += 1
                if self.progress:
                    await self.progress(self.done, before + max(page.pages or 1, len(pages)))
                return _extent(page, cut)

            expected = await read(1)
            while len(pages) < expected:
                expected = max(await each(read, range(len(pages) + 1, expected + 1)))
            return [pages[number] for number in sorted(pages)]

        return await gather(read_pages, ends - anyio.current_time())


def _extent(page: DeploymentPage, cut: Cut) -> int:
    """`number_of_pages`, where these can be read. Raises `InvalidArgument` otherwise."""
    number = number_of_pages(page, cut)
    if number > MAX_LIST_PAGES:
        raise InvalidArgument(
            f"That is {page.total or 'more than 50,000'} deployments, more than can be read at once.",
            next_step="Narrow it with ids of flows, environments or packages.",
        )
    return number
