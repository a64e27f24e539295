"""What a question says of a write to one deployment."""

from collections.abc import Sequence

from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.wording.lines import JOINT, Line, Stake, Words, joined, stake
from patchworks_deployments.writes.wording.phrases import (
    ITSELF,
    NOTHING_LOST,
    STOPS,
    UNDER_WAY,
    background,
    environment,
    loss,
    state,
    state_since,
    version,
    version_in_short,
    where,
)

MAX_SHOWN = 10
"""Other deployments of a flow version that a question names."""


def words_of_change(
    verb: str, before: Deployment, after: Deployment | None, lost: Sequence[str], beside: Sequence[Stake]
) -> Words:
    """What is said of a write to a deployment that is there, such as `Disable`; `after` is None for a delete."""
    deeds = (
        (f"{verb} deployment {before.id} ", *where(before), ": ", *version(before)),
        (f"{verb} {before.id} ", *where(before), f": {version_in_short(before)}"),
    )
    unknown = [name for name in comparing.untold(before, comparing.COMPARED) if f"{name} (not known)" not in lost]
    stops = before.enabled is not False and not (after and after.enabled and _place(after) == _place(before))
    return Words(
        deed=deeds,
        change=tuple(_changes(before, after)),
        stakes=(
            *beside,
            *([loss(lost)] if lost else []),
            *([stake(f"not known: {', '.join(unknown)}")] if unknown else []),
            *([UNDER_WAY] if stops else [] if lost else [NOTHING_LOST]),
        ),
        details=(
            *background(before, goes=after is None),
            *_nameless(after),
        ),
        agreed=tuple((f"{verb.lower()} ", *way) for way in _agreed(verb, before, after)),
    )


def _place(deployment: Deployment) -> tuple[str | None, bool]:
    return deployment.virtual_environment_id, deployment.hides_environment


def _agreed(verb: str, before: Deployment, after: Deployment | None) -> list[Line]:
    """The deed as it stands beside a box; an update says what comes."""
    if after is None:
        return [(f"deployment {before.id} ", *where(before)), (before.id,)]
    if verb != "Update":
        return [(f"{before.id} ", *where(before)), (before.id,)]
    whole, short = (f": {then}" if then else "" for then in _then(before, after))
    is_moved, to = _place(before) != _place(after), (" to ", *environment(after))
    place, shorter = ((" from ", *environment(before), *to), to) if is_moved else ((" ", *where(before)), ())
    return [(before.id, *way) for way in ((*place, whole), (*shorter, whole), (*shorter, short), shorter)]


def _then(before: Deployment, after: Deployment) -> list[str]:
    """What an update sets beside the environment, with the time of enabling and without."""
    is_switched = (before.enabled, before.enabled_at) != (after.enabled, after.enabled_at)
    priority = [_priority(after)] if rendering.priority(before) != rendering.priority(after) else []
    return [", ".join([*([now(after)] if is_switched else []), *priority]) for now in (state_since, state)]


def _changes(before: Deployment, after: Deployment | None) -> list[Line]:
    """From what to what, with the times of enabling and what stays as it is, and without."""
    version_id = f"flow version {before.flow_version_id or 'not known'}"
    if after is None:
        return [
            (f"From {now(before)} to deleted{JOINT}{_priority(before)}, {version_id}",) for now in (state_since, state)
        ]
    is_moved, is_set = _place(before) != _place(after), rendering.priority(before) != rendering.priority(after)
    is_switched = before.enabled != after.enabled
    is_timed = not is_switched and before.enabled_at != after.enabled_at
    move = [("from ", *environment(before), " to ", *environment(after))] if is_moved else []
    raised = [(f"queue priority from {rendering.priority(before)} to {rendering.priority(after)}",)] if is_set else []
    ways = []
    for now, effect in ((state_since, ITSELF if after.enabled else STOPS), (state_since, ""), (state, "")):
        starts = f", {effect}" if effect else ""
        switch = [(f"from {now(before)} to {now(after)}{starts}",)] if is_switched else []
        timed = [(f"from {state_since(before)} to {state_since(after)}",)] if is_timed else []
        stays = [] if is_switched or is_timed or before.enabled is None else [(f"stays {now(before)}",)]
        stays += [] if is_set else [(_priority(before),)]
        same = joined([*stays, (version_id,)], ", ")
        ways += [joined([*move, *switch, *timed, *raised, same]), joined([*move, *switch, *timed, *raised])]
    shortest = [joined([*move, *([(f"then {then}",)] if then else [])]) for then in _then(before, after)]
    return [*ways[::2], *ways[1::2], *(shortest if move else [])]


def _priority(deployment: Deployment) -> str:
    return f"queue priority {rendering.priority(deployment)}"


def words_of_create(new: Deployment, basis: Sequence[Deployment], beside: Sequence[Stake]) -> Words:
    """What is said of a deployment that would come; the basis are the other deployments of its version."""
    disabled = "" if new.enabled else ", disabled"
    changes = []
    for starts in (f": {ITSELF}", ""):
        state_then = f"enabled{starts}" if new.enabled else "disabled"
        changes.append((f"From not deployed there to {state_then}{JOINT}{_priority(new)}",))
    return Words(
        deed=(
            (f"Deploy flow version {new.flow_version_id} ", *where(new), ": ", *version(new)),
            (f"Deploy version {new.flow_version_id} ", *where(new), f": {version_in_short(new)}"),
        ),
        change=tuple(changes),
        # Without environment it may switch something off, which is then said.
        stakes=(*beside, *([NOTHING_LOST] if new.virtual_environment_id else [])),
        details=(
            f"Flow version {new.flow_version_id} is now deployed {_elsewhere(basis)}",
            *_nameless(new),
        ),
        agreed=((f"deploy version {new.flow_version_id} ", *where(new), disabled),),
    )


def _nameless(after: Deployment | None) -> list[str]:
    """That nobody can tell by its name where the deployment comes."""
    is_known = after is None or not after.virtual_environment_id or after.virtual_environment_name
    return [] if is_known or after is None else [f"Not known: the name of {rendering.environment(after)}"]


def _elsewhere(basis: Sequence[Deployment]) -> str:
    known = [f"{rendering.environment(d)} as {d.id}, {rendering.state(d)}" for d in basis[:MAX_SHOWN]]
    more = len(basis) - len(known)
    return f"in: {'; '.join([*known, *([f'and {more} more'] if more else [])])}" if known else "nowhere"
