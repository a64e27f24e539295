"""Deployments as compact text for models and people.

Names come from Patchworks and are data: each passes through `text.inert`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchworks_deployments.model.deployment import Deployment, DeploymentPage, ToolCall
from patchworks_deployments.model.text import inert

MAX_QUESTION_CHARACTERS = 4_000
"""Characters of a question: a yes covers what a person has seen, and nobody reads more."""

MAX_FRAME_CHARACTERS = 1_000
"""Characters of what stands around it, above all the names of protected environments."""

MAX_NAMED = 12
"""Deployments that a sentence names."""

NONE = "none"
"""Stands for what has neither a name nor an id."""


def counted(count: int, noun: str) -> str:
    """`1 deployment`, `2 deployments`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def are_left_out(count: int, noun: str, why: str) -> str:
    """`1 record could not be read and is left out`."""
    return f"{counted(count, noun)} {why} and {'is' if count == 1 else 'are'} left out"


def named(name: str | None, identifier: str | None) -> str:
    """`"UK Live" (10)`, or the one of the two that is known."""
    if name:
        return f'"{inert(name)}" ({identifier})' if identifier else f'"{inert(name)}"'
    return identifier or NONE


def state(deployment: Deployment) -> str:
    """Whether the deployment works, and since when."""
    if deployment.enabled is None:
        return "enabled or not: unknown"
    if not deployment.enabled:
        return "disabled"
    return f"enabled since {moment(deployment.enabled_at)}" if deployment.enabled_at else "enabled"


def moment(iso_time: str) -> str:
    """`2026-03-02 09:00 UTC` for an ISO 8601 time, with seconds where there are any."""
    return f"{iso_time[:10]} {iso_time[11:19].removesuffix(':00')} UTC"


def place(deployment: Deployment) -> str:
    """Which version of which flow the deployment runs, and in which environment."""
    return f"{flow_and_iteration(deployment)}, {environment(deployment)}"


def flow_and_iteration(deployment: Deployment) -> str:
    """`flow "Orders" (104) iteration 3`, or the flow version's id where the API did not name the flow."""
    if not deployment.flow_name and not deployment.flow_id:
        return flow_version(deployment)
    iteration = f" iteration {deployment.iteration}" if deployment.iteration is not None else ""
    return f"flow {named(deployment.flow_name, deployment.flow_id)}{iteration}"


def flow_version(deployment: Deployment) -> str:
    """`flow version 1001`, as far as it is told."""
    return f"flow version {deployment.flow_version_id}" if deployment.flow_version_id else "an unknown flow version"


def environment(deployment: Deployment) -> str:
    """`environment "UK Live" (10)`."""
    if not deployment.virtual_environment_id and not deployment.virtual_environment_name:
        return "environment unknown" if deployment.hides_environment else "no environment"
    return f"environment {named(deployment.virtual_environment_name, deployment.virtual_environment_id)}"


def priority(deployment: Deployment) -> str:
    """The queue priority; without one the flow's own applies."""
    if _is_unknown(deployment, "priority"):
        return "unknown"
    return "inherited" if deployment.priority is None else str(deployment.priority)


def _is_unknown(deployment: Deployment, field: str) -> bool:
    return field in (deployment.unreadable or ())


def describe(deployment: Deployment) -> str:
    """One deployment in a few lines."""
    package = f"; package {named(deployment.package_name, deployment.package_id)}" if deployment.package_id else ""
    lines = [
        f"Deployment {deployment.id} of {flow_version(deployment)}: {place(deployment)}",
        f"{state(deployment)}; queue priority {priority(deployment)}{package}",
    ]
    if deployment.updated_at:
        lines.append(f"last changed {moment(deployment.updated_at)}")
    if deployment.unreadable:
        lines.append(f"not known: {', '.join(deployment.unreadable)}")
    return "\n".join(lines)


def there_now(deployments: Sequence[Deployment]) -> str:
    """What a place holds of a flow, in a sentence."""
    told = [
        f"deployment {d.id} of {flow_version(d)}, {environment(d)}, {state(d)}, queue priority {priority(d)}"
        for d in deployments
    ]
    return f"There now: {'; '.join(told) or 'nothing of the flow'}"


def named_parts(what: str, parts: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each part of a selection, with `what` its name was found to mean."""
    return [f"{what} {part}: {', '.join(labels) or 'nothing'}" for part, labels in parts.items()]


def where_deployed(flow_version_id: str, page: DeploymentPage, *, missed: str) -> str:
    """What a page of a flow version's deployments says, in a sentence, to one who does not find `missed` there."""
    ids = [deployment.id for deployment in page.deployments]
    if missed in ids:
        return f"The list of flow version {flow_version_id} has it all the same: what Patchworks shows may lag behind."
    if not ids:
        return "" if page.unreadable or page.total else f"Flow version {flow_version_id} is deployed nowhere."
    shown = ids[:MAX_NAMED]
    more = max(page.total or 0, len(ids)) - len(shown)
    *first, last = [*shown, *([f"{more} more"] if more else [])]
    return f"Flow version {flow_version_id} is deployed as {', '.join(first)}{' and ' if first else ''}{last}."


def call(tool_call: ToolCall) -> str:
    """The call as a model copies it: `get_deployment {"deployment_id": "500"}`."""
    return f"{tool_call.tool} {json.dumps(tool_call.arguments, ensure_ascii=False)}"


def inert_json(value: Any) -> str:  # noqa: ANN401 - whatever JSON came in goes out
    """JSON of data from Patchworks, in which no text, not even a key, is markup."""
    return json.dumps(_inert(value), ensure_ascii=False)


def _inert(value: Any) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
    if isinstance(value, dict):
        return {_inert(key): _inert(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_inert(entry) for entry in value]
    return inert(value, len(value)) if isinstance(value, str) else value


def by_environment(deployments: Sequence[Deployment]) -> list[str]:
    """A line for each environment, with the ids of all its deployments: unknown ones first, then where fewest are."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    unknown = [environment(d) for d in deployments if d.hides_environment]
    for deployment in deployments:
        places[environment(deployment)].append(deployment.id)
    ordered = sorted(places.items(), key=lambda held: (held[0] not in unknown, len(held[1]), held[0]))
    return [f"In {where}: {len(ids)} ({', '.join(ids)})" for where, ids in ordered]


def by_flow(deployments: Sequence[Deployment], room: int) -> str:
    """A line of at most `room` characters with the flows, of which fewest are first; what does not fit is counted."""
    counts = Counter(
        f"flow {named(d.flow_name, d.flow_id)}" if d.flow_name or d.flow_id else "an unknown flow" for d in deployments
    )
    told = [f"{flow}: {count}" for flow, count in sorted(counts.items(), key=lambda flow: (flow[1], flow[0]))]

    def line(shown: int) -> str:
        more = [f"and {counted(len(told) - shown, 'more flow')}"] if shown < len(told) else []
        return f"Of: {'; '.join([*told[:shown], *more])}"

    return next((line(shown) for shown in range(len(told), 0, -1) if len(line(shown)) <= room), line(0))


_COLUMNS = "id | flow version | flow (id) | iteration | environment (id) | package (id) | priority | state"


def table(page: DeploymentPage, next_call: str | None, extra: Sequence[str] = ()) -> str:
    """A page as one table, with what it leaves out and how to go on.

    `next_call` is the exact call for the next page; `extra` names fields that get a column of their own.
    """
    lines = [_heading(page)]
    if page.deployments:
        lines.append(" | ".join([_COLUMNS, *(field.replace("_", " ") for field in extra)]))
    lines.extend(" | ".join(_cells(deployment, extra)) for deployment in page.deployments)
    return "\n".join([*lines, *_remarks(page, next_call)])


def _heading(page: DeploymentPage) -> str:
    total = "" if page.total is None else f" of {page.total}"
    if not page.deployments:
        return f"No deployments on page {page.page}{total}."
    pages = f" of {page.pages}" if page.pages else ""
    shown = f"{len(page.deployments)} of " if total else ""
    return f"{shown}{counted(page.total or len(page.deployments), 'deployment')}, page {page.page}{pages}"


def _cells(deployment: Deployment, extra: Sequence[str]) -> Iterable[str]:
    return (
        deployment.id,
        deployment.flow_version_id or "?",
        _name_and_id(deployment.flow_name, deployment.flow_id),
        "?" if deployment.iteration is None else str(deployment.iteration),
        _name_and_id(deployment.virtual_environment_name, deployment.virtual_environment_id),
        _name_and_id(deployment.package_name, deployment.package_id),
        "-" if deployment.priority is None else str(deployment.priority),
        _state_and_day(deployment),
        *(inert(str(getattr(deployment, field) or "-")) for field in extra),
    )


def _name_and_id(name: str | None, identifier: str | None) -> str:
    known = [inert(name)] if name else []
    known += [f"({identifier})"] if identifier else []
    return " ".join(known) or "-"


def _state_and_day(deployment: Deployment) -> str:
    if deployment.enabled is None:
        return "?"
    if deployment.enabled and deployment.enabled_at:
        return f"enabled {deployment.enabled_at[:10]}"
    return "enabled" if deployment.enabled else "disabled"


def _remarks(page: DeploymentPage, next_call: str | None) -> Iterable[str]:
    flows: defaultdict[str, set[str]] = defaultdict(set)
    for deployment in page.deployments:
        if deployment.flow_name and deployment.flow_id:
            flows[deployment.flow_name].add(deployment.flow_id)
    for name, ids in flows.items():
        if len(ids) > 1:
            yield f'"{inert(name)}" is the name of {len(ids)} different flows: {", ".join(sorted(ids))}'
    if page.unreadable:
        yield are_left_out(page.unreadable, "record", "could not be read")
    if next_call:
        yield f"next page: {next_call}"
