"""What a question says of putting another version where one is."""

from collections.abc import Sequence

from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.writes.wording.lines import JOINT, Line, Stake, Words
from patchworks_deployments.writes.wording.phrases import (
    UNDER_WAY,
    background,
    flow,
    loss,
    state,
    state_since,
    where,
)


def words_of_replacement(
    old: Deployment, new: Deployment, known: Deployment | None, lost: Sequence[str], beside: Sequence[Stake]
) -> Words:
    """What is said of the old deployment that goes, and the new one that comes; `known` tells the new one's flow."""
    order = (
        "the old one is deleted, then the new one is created"
        if old.virtual_environment_id
        else "the new one is created, then the old one is deleted unless it went with that"
    )
    switched = "" if bool(old.enabled) == bool(new.enabled) else f", {state(new)}"
    version, comes = f"version {new.flow_version_id}", _version(new, known)
    doubt: tuple[str, ...] = ()
    if not known:
        doubt = (f"Not known: whether {version} is of the same flow; it is deployed nowhere",)
        if old.virtual_environment_id is None:
            doubt = (*doubt, "If it is of another flow, deploying it may replace what runs of that flow")
    return Words(
        deed=(
            (f"Replace deployment {old.id} ", *where(old), ": ", *flow(old)),
            (f"Replace {old.id} ", *where(old), f": flow {old.flow_id or 'not known'}"),
        ),
        change=tuple(_changes(old, new, known)),
        stakes=(*beside, loss(lost), *([UNDER_WAY] if old.enabled else [])),
        details=(
            *doubt,
            f"Goes: {_version(old, old)}, {state_since(old)}, queue priority {rendering.priority(old)}",
            f"Comes: {comes}, {state(new)}, queue priority {rendering.priority(new)}",
            f"Order: {order}",
            *background(old, goes=True),
        ),
        agreed=(
            (f"replace {old.id} ", *where(old), f" by {_in_short(new, known)}{switched}"),
            (f"replace {old.id} by {_in_short(new, known)}{switched}",),
            (f"replace {old.id}",),
        ),
    )


def _version(deployment: Deployment, known: Deployment | None) -> str:
    if known is None or known.iteration is None:
        return f"version {deployment.flow_version_id}"
    return f"iteration {known.iteration} (version {deployment.flow_version_id})"


def _in_short(new: Deployment, known: Deployment | None) -> str:
    return f"iteration {known.iteration}" if known and known.iteration is not None else f"version {new.flow_version_id}"


def _changes(old: Deployment, new: Deployment, known: Deployment | None) -> list[Line]:
    """Which version goes and comes, with its state and queue priority; and in ever fewer words."""
    is_switched, was, will = bool(old.enabled) != bool(new.enabled), rendering.priority(old), rendering.priority(new)
    switched = f"from {state(old)} to {state(new)}" if is_switched else f"stays {state(old)}"
    raised = f"queue priority from {was} to {will}" if was != will else f"queue priority {will}"
    changed = [told for told, is_so in ((switched, is_switched), (raised, was != will)) if is_so]
    then = [told for told, is_so in ((state(new), is_switched), (f"priority {will}", was != will)) if is_so]
    shortest = [f"then {', '.join(then)}"] if then else []
    versions = f"From {_version(old, old)} to {_version(new, known)}{'' if known else ', whose flow is not known'}"
    ids = f"From version {old.flow_version_id} to version {new.flow_version_id}{'' if known else ', flow not known'}"
    return [
        (JOINT.join([versions, f"{switched}, {raised}"]),),
        (JOINT.join([versions, *changed]),),
        (JOINT.join([versions, *shortest]),),
        (JOINT.join([ids, *shortest]),),
    ]
