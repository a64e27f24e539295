"""Comparing states of deployments: whether they are the same, as wanted, and what differs."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from patchworks_deployments.errors import InvalidArgument, StateMoved
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.text import inert

COMPARED = ("flow_version_id", "virtual_environment_id", "package_id", "priority", "enabled", "enabled_at")
"""The fields that a write can touch; names, people and the version's status follow from others."""

_GOES = ("id", "enabled_at", "created_at", "deployed_at", "deployed_by")
"""The fields that a deployment does not get back when it is created again; of its package that shows only then."""

_NOT_DIGESTED = {"flow_version_status", "enabled_by", "deployed_at", "deployed_by", "other", "unreadable"}
"""What a listing tells less of than a single record, and what speaks of the version or of people."""

_NAMED = ("flow_id", "flow_name", "iteration", "virtual_environment_name", "updated_at")
"""What a deployment always has where it tells it."""

EMPTY = "empty"
"""What the state of a place without a deployment begins with."""


def in_order(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """By id, so that the same deployments have the same fingerprint and read alike."""
    return tuple(sorted(deployments, key=lambda d: (len(d.id), d.id)))


def fingerprint(deployments: Sequence[Deployment], *said: str) -> str:
    """A short digest of the deployments' states and of what is `said`, the same whenever and wherever it is read."""
    digested = [*(deployment.model_dump(exclude=_NOT_DIGESTED) for deployment in deployments), *said]
    return hashlib.sha256(json.dumps(digested, sort_keys=True).encode()).hexdigest()[:12]


def empty_place(flow_id: str | None, beside: Iterable[str] = ()) -> str:
    """The state of a place where nothing of the flow is deployed but the deployments with the ids `beside`.

    For None it speaks of the flow version in question alone.
    """
    return ".".join([EMPTY, flow_id, *beside]) if flow_id else EMPTY


def read_empty_place(state: str) -> tuple[str | None, list[str]]:
    """The flow and the ids that `empty_place` was made of. Raises `InvalidArgument` for any other text."""
    empty, *ids = state.strip().split(".")
    if empty != EMPTY or not all(map(is_identifier, ids)):
        raise InvalidArgument(
            "This is not the state of an empty place.", next_step="Give if_state as the undo or the repair has it."
        )
    return (ids[0], ids[1:]) if ids else (None, [])


def require(state: str | None, deployments: Sequence[Deployment]) -> None:
    """Raise `StateMoved` unless `state` is None or still the deployments' fingerprint."""
    if state and state.strip() != fingerprint(deployments):
        raise StateMoved("This is no longer in the state that if_state names.")


def matches(deployment: Deployment, wanted: Mapping[str, Any]) -> bool:
    """Whether each wanted field of the deployment is known to have its wanted value."""
    return not untold(deployment, wanted) and all(_has(deployment, name, value) for name, value in wanted.items())


def contradicts(deployment: Deployment, wanted: Mapping[str, Any]) -> bool:
    """Whether a wanted field of the deployment is known to have another value."""
    unknown = untold(deployment, wanted)
    return any(not _has(deployment, name, value) for name, value in wanted.items() if name not in unknown)


def _has(deployment: Deployment, field: str, value: object) -> bool:
    had = getattr(deployment, field)
    if field == "enabled_at" and isinstance(had, str) and isinstance(value, str):
        return is_same_moment(had, value)
    return bool(had == value)


def is_same_moment(one: str, other: str) -> bool:
    """Whether two ISO 8601 times are the same, as exactly as both are told.

    Patchworks may keep whole seconds of a time that was given with fractions, cut or rounded.
    """
    if one == other or ("." in one and "." in other):
        return one == other
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) < timedelta(seconds=1)


def untold(deployment: Deployment, names: Iterable[str]) -> list[str]:
    """Those of the named fields that are missing or unreadable."""
    unreadable = deployment.unreadable or ()
    return [name for name in names if name in unreadable or (name == "enabled" and deployment.enabled is None)]


def tell_less(now: Sequence[Deployment], before: Sequence[Deployment]) -> bool:
    """Whether the same deployments leave out what they told before, so that nobody can say what has changed."""
    pairs = list(zip(now, before, strict=False))
    return len(now) == len(before) and any(
        set(untold(later, COMPARED)) - set(untold(sooner, COMPARED))
        or any(getattr(later, name) is None and getattr(sooner, name) is not None for name in _NAMED)
        for later, sooner in pairs
    )


def is_same(seen: Deployment, now: Deployment) -> bool:
    """Whether nobody has changed the deployment in between; compares only what listings and single records share."""
    is_later = seen.updated_at and now.updated_at and not is_same_moment(seen.updated_at, now.updated_at)
    shared = ("flow_version_id", "virtual_environment_id", "enabled")
    return not is_later and all(getattr(seen, name) == getattr(now, name) for name in shared)


def lost(before: Deployment, after: Deployment | None = None) -> list[str]:
    """What of a deployment is gone where `after` came in its place; without that, what certainly goes with it."""
    names: tuple[str, ...] = _GOES
    if after:
        names = (*_GOES, *({"package_id"} - set(untold(after, ["package_id"]))))
        names = tuple(name for name in names if getattr(before, name) != getattr(after, name))
    unknown = before.unreadable or ()
    inherits = "priority" not in unknown and before.priority is None
    return [
        *(f"{name} {inert(value)}" for name in names if (value := getattr(before, name)) is not None),
        *(f"{name} (not known)" for name in unknown),
        *(["inherited queue priority"] if after and inherits and after.priority is not None else []),
    ]


def differences(before: Deployment, after: Deployment) -> list[str]:
    """A line such as `queue priority: 5 → inherited` for each field that a write can touch and that differs.

    What `after` does not tell is no difference.
    """
    lines = []
    silent = untold(after, COMPARED)
    after = after.model_copy(update={name: getattr(before, name) for name in silent})
    if before.enabled != after.enabled or not _has(after, "enabled_at", before.enabled_at):
        lines.append(f"state: {rendering.state(before)} → {rendering.state(after)}")
    if before.priority != after.priority:
        lines.append(f"queue priority: {rendering.priority(before)} → {rendering.priority(after)}")
    if before.virtual_environment_id != after.virtual_environment_id:
        places = (rendering.environment(d).removeprefix("environment ") for d in (before, after))
        lines.append(f"environment: {' → '.join(places)}")
    if before.flow_version_id != after.flow_version_id:
        lines.append(f"flow version: {before.flow_version_id} → {after.flow_version_id}")
    if before.package_id != after.package_id:
        was, now = ((d.package_name, d.package_id) for d in (before, after))
        lines.append(f"package: {rendering.named(*was)} → {rendering.named(*now)}")
    return lines
