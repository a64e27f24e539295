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
    environment,
    in_short,
    loss,
    state,
    state_since,
    version,
    version_in_short,
    where,
    where_in_short,
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
    unknown = comparing.untold(before, comparing.COMPARED)
    stops = before.enabled is not False and not (after and after.enabled and _place(after) == _place(before))
    return Words(
        deed=deeds,
        change=tuple(_changes(before, after)),
        stakes=(
            *beside,
            *([loss(lost)] if lost else []),
            *([stake(f"not known: {', '.join(unknown)}")] if unknown else []),
            *([] if lost else [NOTHING_LOST]),
            *([UNDER_WAY] if stops else []),
        ),
        details=(
            *([f"Last changed: {rendering.moment(before.updated_at)}"] if before.updated_at else []),
            *_nameless(after),
        ),
        agreed=((f"{verb.lower()} ", *_agreed(verb, before, after)), (f"{verb.lower()} ", before.id)),
    )


def _place(deployment: Deployment) -> tuple[str | None, bool]:
    return deployment.virtual_environment_id, deployment.hides_environment


def _agreed(verb: str, before: Deployment, after: Deployment | None) -> Line:
    """The deed as it stands beside a box; an update says what comes."""
    if after is None:
        return (f"deployment {before.id} ", *where_in_short(before))
    if verb != "Update":
        return (f"{before.id} ", *where_in_short(before))
    is_moved = _place(before) != _place(after)
    move = (" from ", *in_short(before), " to ", *in_short(after)) if is_moved else (" ", *where_in_short(before))
    is_timed = before.enabled == after.enabled and before.enabled_at != after.enabled_at
    then = [state_since(after)] if is_timed or before.enabled != after.enabled else []
    then += [_priority(after)] if rendering.priority(before) != rendering.priority(after) else []
    return (before.id, *move, *([f": {', '.join(then)}"] if then else []))


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
        stays = [] if is_switched or is_timed else [(f"stays {now(before)}",)]
        stays += [] if is_set else [(_priority(before),)]
        same = joined([*stays, (version_id,)], ", ")
        ways += [joined([*move, *switch, *timed, *raised, same]), joined([*move, *switch, *timed, *raised])]
    then = [state(after)] if is_switched or is_timed else []
    then += [_priority(after)] if is_set else []
    shortest = joined([*move, *([(f"then {', '.join(then)}",)] if then else [])])
    return [*ways[::2], *ways[1::2], *([shortest] if move else [])]


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
            f"Flow version {new.flow_version_id} is now deployed in: {_elsewhere(basis)}",
            *_nameless(new),
        ),
        agreed=((f"deploy version {new.flow_version_id} ", *where_in_short(new), disabled),),
    )


def _nameless(after: Deployment | None) -> list[str]:
    """That nobody can tell by its name where the deployment comes."""
    is_known = after is None or not after.virtual_environment_id or after.virtual_environment_name
    return [] if is_known or after is None else [f"Not known: the name of {rendering.environment(after)}"]


def _elsewhere(basis: Sequence[Deployment]) -> str:
    known = [f"{rendering.environment(d)} as {d.id}, {rendering.state(d)}" for d in basis[:MAX_SHOWN]]
    more = len(basis) - len(known)
    return "; ".join([*known, *([f"and {more} more"] if more else [])]) or "no environment"
