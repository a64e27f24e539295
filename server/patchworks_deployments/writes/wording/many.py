"""What a question says of switching many deployments."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.wording.lines import LINE_COLUMNS, MORE, Line, Stake, Words, fit, listed, whole
from patchworks_deployments.writes.wording.one import words_of_change
from patchworks_deployments.writes.wording.phrases import (
    NOTHING_LOST,
    THEMSELVES,
    UNDER_WAY,
    called,
    environment,
    state,
    where,
)

MAX_IDS_SHOWN = 12
"""Ids that the second line names."""


def words_of_switch(pending: Sequence[Deployment], already: int, beside: Sequence[Stake], *, enabled: bool) -> Words:
    """What is said of the deployments that would be switched, while so many are `already` as wanted."""
    verb, then = ("Enable", "enabled") if enabled else ("Disable", "disabled")
    rest = (f"Already {then}: {already} more, left alone",) if already else ()
    if len(pending) == 1:
        return _words_of_one(verb, pending[0], rest, beside, enabled=enabled)
    places = _by_environment(pending)
    # Without environment, or in one that is not told, a deployment is in a place, but in no environment to be counted.
    noun = "environments" if all(d.virtual_environment_id for d in pending) else "places"
    which: Line = where(pending[0]) if len(places) == 1 else (f"in {len(places)} {noun}",)
    what: Line = (f" {len(pending)} deployments ", *which)
    counts: list[Line] = [(*place, f": {count}") for place, count in places]
    each = ((": ", *some) for some in listed(counts)) if len(places) > 1 else [()]
    return _with_details(
        Words(
            deed=tuple((verb, *what, *counted) for counted in each),
            change=tuple(_changes(pending, then)),
            stakes=(*beside, *([THEMSELVES, NOTHING_LOST] if enabled else [UNDER_WAY])),
            details=rest,
            agreed=((verb.lower(), *what),),
        ),
        pending,
    )


def names_in_doubt(chosen: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[Stake]:
    """That a name in a filter means several things, and what a whole name leaves out, though it contains it."""
    for part, labels in chosen.get("matched", {}).items():
        if len(labels) > 1:
            several, which = f"several {part}s fit the name", ", ".join(labels)
            yield Stake(((f"{several}: {which}",), (several,)), (f"Several {part}s fit the name: {which}",))
    for labels in chosen.get("left_out", {}).values():
        yield Stake(((f"left out: {', '.join(labels)}",),), is_harmless=True)


def _with_details(words: Words, pending: Sequence[Deployment]) -> Words:
    """Which deployment is where, and of which flows: as far as the three lines do not say it, and there is room."""
    told = replace(words, details=(*rendering.by_environment(pending), *words.details))
    if fit(*words.change) == whole(words.change[0]) and MORE not in whole(words.change[0]):
        return told
    flows = rendering.by_flow(pending, rendering.MAX_QUESTION_CHARACTERS)
    longest = replace(told, details=(*told.details, flows))
    excess = len("\n".join(longest.lines())) - rendering.MAX_QUESTION_CHARACTERS
    if excess <= 0:
        return longest
    return replace(told, details=(*told.details, rendering.by_flow(pending, len(flows) - excess)))


def _words_of_one(
    verb: str, only: Deployment, rest: tuple[str, ...], beside: Sequence[Stake], *, enabled: bool
) -> Words:
    after = only.model_copy(update={"enabled": enabled, "enabled_at": None})
    words = words_of_change(verb, only, after, (), beside)
    deed = (f"{verb} 1 deployment: {only.id} ", *words.deed[0][1:])
    agreed = tuple((f"{verb.lower()} 1 deployment, ", *way[1:]) for way in words.agreed)
    return replace(words, deed=(deed, *words.deed), details=(*words.details, *rest), agreed=agreed)


def _by_environment(deployments: Sequence[Deployment]) -> list[tuple[Line, int]]:
    """Each environment with the number of its deployments: unknown ones first, then where the fewest are."""
    places = Counter(environment(d) for d in deployments)
    hidden = {environment(d) for d in deployments if d.hides_environment}
    return sorted(places.items(), key=lambda held: (held[0] not in hidden, held[1], held[0]))


def _changes(pending: Sequence[Deployment], then: str) -> Iterator[Line]:
    """From what to what, their ids and flows: as many of each as there is room for."""
    states = Counter(state(d) for d in pending)
    now = " and ".join(f"{said} ({count})" if len(states) > 1 else said for said, count in sorted(states.items()))
    flows = Counter((d.flow_id, d.flow_name) for d in pending)
    ordered = sorted(flows, key=lambda flow: (flows[flow], flow[1] or "", flow[0] or ""))
    ids = list(listed([(d.id,) for d in pending], MAX_IDS_SHOWN))
    of = list(listed([called(name, identifier) for identifier, name in ordered]))
    count = f"{len(flows)} flows: " if len(flows) > 1 else "flow "
    # As many ids as leave room for half a line of flows, and all the flows that then fit.
    for which, flow in product(ids, of):
        if sum(map(len, which)) <= LINE_COLUMNS // 3 or which is ids[-1]:
            yield (f"From {now} to {then}: ", *which, f"; {count}", *flow)
