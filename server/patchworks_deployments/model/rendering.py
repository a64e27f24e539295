"""Deployments as compact text for models and people.

Names come from Patchworks and are data: each passes through `texts.inert`.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.text import inert


def named(name: str | None, identifier: str | None, *, what: str = "") -> str:
    """`"UK Live" (10)`, or what is known of it."""
    prefix = f"{what} " if what else ""
    if name and identifier:
        return f'"{inert(name)}" ({prefix}{identifier})'
    return f'"{inert(name)}"' if name else f"{prefix}{identifier}" if identifier else "none"


def state(deployment: Deployment) -> str:
    """Whether it works, and since when."""
    if deployment.enabled is None:
        return "enabled or not: unknown"
    if not deployment.enabled:
        return "disabled"
    return f"enabled since {moment(deployment.enabled_at)}" if deployment.enabled_at else "enabled"


def moment(iso_time: str) -> str:
    """`2026-03-02 09:00 UTC` for an ISO 8601 time, with seconds where there are any."""
    return f"{iso_time[:10]} {iso_time[11:19].removesuffix(':00')} UTC"


def place(deployment: Deployment) -> str:
    """Which version of which flow, and where."""
    return f"{flow_and_iteration(deployment)}, {environment(deployment)}"


def flow_and_iteration(deployment: Deployment) -> str:
    """`flow "Orders" (104) iteration 3`, or the flow version's id where the API did not name the flow."""
    if not deployment.flow_name and not deployment.flow_id:
        return f"flow version {deployment.flow_version_id}"
    iteration = f" iteration {deployment.iteration}" if deployment.iteration is not None else ""
    return f"flow {named(deployment.flow_name, deployment.flow_id)}{iteration}"


def environment(deployment: Deployment) -> str:
    """`environment "UK Live" (10)`."""
    if _is_unknown(deployment, "virtual_environment_id") and not deployment.virtual_environment_name:
        return "environment unknown"
    if not deployment.virtual_environment_id and not deployment.virtual_environment_name:
        return "no environment"
    return f"environment {named(deployment.virtual_environment_name, deployment.virtual_environment_id)}"


def priority(deployment: Deployment) -> str:
    """The queue priority; null means that the flow's own applies."""
    if _is_unknown(deployment, "priority"):
        return "unknown"
    return "inherited" if deployment.priority is None else str(deployment.priority)


def _is_unknown(deployment: Deployment, field: str) -> bool:
    return field in (deployment.unreadable or ())


def describe(deployment: Deployment) -> str:
    """One deployment in a few lines."""
    lines = [
        f"Deployment {deployment.id} of flow version {deployment.flow_version_id}: {place(deployment)}",
        f"{state(deployment)}; queue priority {priority(deployment)}"
        + (f"; package {named(deployment.package_name, deployment.package_id)}" if deployment.package_id else ""),
    ]
    if deployment.updated_at:
        lines.append(f"last changed {moment(deployment.updated_at)}")
    if deployment.unreadable:
        lines.append(f"not known: {', '.join(deployment.unreadable)}")
    return "\n".join(lines)


def as_json(arguments: Mapping[str, Any]) -> str:
    """A call's arguments, to be copied."""
    return json.dumps(arguments, ensure_ascii=False)


def table(page: DeploymentPage, next_call: str | None, extra: Sequence[str] = ()) -> str:
    """A page as one table, with what it leaves out and how to go on.

    `next_call` is the exact call for the next page; `extra` names fields that get a column of their own.
    """
    rows = [
        " | ".join(
            (
                deployment.id,
                deployment.flow_version_id or "?",
                _cell(deployment.flow_name, deployment.flow_id),
                "?" if deployment.iteration is None else str(deployment.iteration),
                _cell(deployment.virtual_environment_name, deployment.virtual_environment_id),
                _cell(deployment.package_name, deployment.package_id),
                "-" if deployment.priority is None else str(deployment.priority),
                _short_state(deployment),
                *(inert(str(getattr(deployment, field) or "-")) for field in extra),
            )
        )
        for deployment in page.deployments
    ]
    head = " | ".join([_HEAD, *(field.replace("_", " ") for field in extra)])
    return "\n".join([_extent(page), *([head, *rows] if rows else []), *_remarks(page, next_call)])


_HEAD = "id | flow version | flow (id) | iteration | environment (id) | package (id) | priority | state"


def _cell(name: str | None, identifier: str | None) -> str:
    if not name:
        return f"({identifier})" if identifier else "-"
    return f"{inert(name)} ({identifier})" if identifier else inert(name)


def _short_state(deployment: Deployment) -> str:
    if deployment.enabled is None:
        return "?"
    if not deployment.enabled:
        return "disabled"
    return f"enabled {deployment.enabled_at[:10]}" if deployment.enabled_at else "enabled"


def _extent(page: DeploymentPage) -> str:
    count = len(page.deployments)
    total = f" of {page.total}" if page.total is not None else ""
    where = f", page {page.page}" + (f" of {page.pages}" if page.pages else "")
    return f"{count}{total} deployments{where}" if count else f"No deployments on page {page.page}{total and total}."


def _remarks(page: DeploymentPage, next_call: str | None) -> Iterable[str]:
    for name, flows in _shared_names(page.deployments).items():
        yield f'"{inert(name)}" is the name of {len(flows)} different flows: {", ".join(sorted(flows))}'
    if page.unreadable:
        yield f"{page.unreadable} records could not be read and are left out"
    if next_call:
        yield f"next page: {next_call}"


def _shared_names(deployments: Sequence[Deployment]) -> dict[str, set[str]]:
    flows: defaultdict[str, set[str]] = defaultdict(set)
    for deployment in deployments:
        if deployment.flow_name and deployment.flow_id:
            flows[deployment.flow_name].add(deployment.flow_id)
    return {name: ids for name, ids in flows.items() if len(ids) > 1}
