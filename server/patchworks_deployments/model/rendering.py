"""Deployments as they are shown: listings of them, and compact text for models and people.

Names come from Patchworks and are data: each passes through `text.inert`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from patchworks_deployments.model.deployment import UNLISTED, Deployment, DeploymentPage, Listing, ToolCall
from patchworks_deployments.model.text import inert

SEPARATOR = " | "
"""What stands between two cells of a table."""

MAX_QUESTION_CHARACTERS = 4_000
"""Characters of a question: a yes covers what a person has seen, and nobody reads more."""

MAX_FRAME_CHARACTERS = 1_000
"""Characters of what stands around it, above all the names of protected environments."""

MAX_NAMED = 5
"""Deployments of a flow version that a sentence names."""

NONE = "none"
"""Stands for what has neither a name nor an id."""


def counted(count: int, noun: str) -> str:
    """`1 deployment`, `2 deployments`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def several(names: Sequence[str], most: int, total: int | None = None) -> str:
    """`500, 515 and 530`: at most so many of them, and how many there are beside these."""
    shown = names[:most]
    more = max(total or 0, len(names)) - len(shown)
    *first, last = [*shown, *([f"{more} more"] if more else [])]
    return f"{', '.join(first)} and {last}" if first else last


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
    """`2026-03-02 09:00 UTC` for an ISO 8601 time in UTC, with seconds where there are any."""
    return f"{_minute(iso_time)} UTC"


def _minute(iso_time: str) -> str:
    return f"{iso_time[:10]} {iso_time[11:19].removesuffix(':00')}"


def place(deployment: Deployment) -> str:
    """Which version of which flow the deployment runs, and in which environment."""
    return f"{flow_and_iteration(deployment)}, {environment(deployment)}"


def flow_and_iteration(deployment: Deployment) -> str:
    """`flow "Orders" (104) iteration 3`, or the flow version's id where the API did not name the flow."""
    is_known = deployment.flow_name or deployment.flow_id
    flow = f"flow {named(deployment.flow_name, deployment.flow_id)}" if is_known else flow_version(deployment)
    return flow if deployment.iteration is None else f"{flow} iteration {deployment.iteration}"


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
    """All of a deployment that a listing shows, in two lines."""
    d = deployment
    parts = [state(d), f"queue priority {priority(d)}"]
    if d.package_id or d.package_name:
        parts.append(f"package {named(d.package_name, d.package_id)}")
    if d.unreadable:
        parts.append(f"unreadable: {', '.join(d.unreadable)}")
    return f"Deployment {d.id} of {flow_version(d)}: {place(d)}\n{'; '.join(parts)}"


def describe_whole(deployment: Deployment) -> str:
    """All that is known of a deployment: what a listing shows, and a line for each further field."""
    lines = [describe(deployment)]
    lines += [f"{_in_words(field)}: {value}" for field in UNLISTED if (value := _value(deployment, field))]
    if deployment.other is not None:
        lines.append(f"other fields, data from Patchworks: {inert_json(deployment.other)}")
    return "\n".join(lines)


def there_now(deployments: Sequence[Deployment]) -> str:
    """What a place holds of a flow, in a sentence."""
    told = [
        f"deployment {d.id} of {flow_version(d)}, {environment(d)}, {state(d)}, queue priority {priority(d)}"
        for d in deployments
    ]
    return f"There now: {'; '.join(told) or 'nothing of the flow'}"


def meanings(matched: Mapping[str, Sequence[str]], left_out: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A line for each name that was asked for: what it was found to mean, and what only contains it."""
    for part, labels in matched.items():
        many = "several fit: " if len(labels) > 1 else ""
        out = f"; left out, because that is a whole name: {', '.join(left_out[part])}" if part in left_out else ""
        yield f"{part}: {many}{', '.join(labels) or 'none has such a name'}{out}"


def where_deployed(flow_version_id: str, page: DeploymentPage, *, missed: str) -> str:
    """What a page of a flow version's deployments says, in a sentence, to one who does not find `missed` there."""
    ids = [deployment.id for deployment in page.deployments]
    if missed in ids:
        return f"The list of flow version {flow_version_id} has it all the same: what Patchworks shows may lag behind."
    if not ids:
        return "" if page.unreadable or page.total else f"Flow version {flow_version_id} is deployed nowhere."
    return f"Flow version {flow_version_id} is deployed as {several(ids, MAX_NAMED, page.total)}."


def call(tool_call: ToolCall) -> str:
    """The call as a model copies it: `get_deployment {"deployment_id": "500"}`."""
    return f"{tool_call.tool} {json.dumps(tool_call.arguments, ensure_ascii=False)}"


def inert_json(value: Any) -> str:  # noqa: ANN401 - whatever JSON came in goes out
    """JSON of data from Patchworks, in which no text, not even a key, is markup."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{inert_json(key)}: {inert_json(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(inert_json, value))}]"
    return json.dumps(inert(value, len(value)) if isinstance(value, str) else value, ensure_ascii=False)


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


# Listings -----------------------------------------------------------------------------------------


def listing(page: DeploymentPage, fields: Sequence[str] = (), next_call: ToolCall | None = None) -> Listing:
    """The page as it is shown, with `fields` beyond those of every listing."""
    environments = _names((d.virtual_environment_id, d.virtual_environment_name) for d in page.deployments)
    packages = _names((d.package_id, d.package_name) for d in page.deployments)
    hidden = dict.fromkeys(set(UNLISTED).difference(fields))

    def row(d: Deployment) -> Deployment:
        names = {
            "virtual_environment_name": environments.get(d.virtual_environment_id or ""),
            "package_name": packages.get(d.package_id or ""),
        }
        beside = {field: None for field, name in names.items() if getattr(d, field) == name}
        return d.model_copy(update={**hidden, **beside})

    return Listing(
        page=page.page,
        pages=page.pages,
        total=page.total,
        remarks=list(_remarks(page)) or None,
        environments=environments or None,
        packages=packages or None,
        deployments=list(map(row, page.deployments)),
        next=next_call,
    )


def _names(things: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """The first name of each id."""
    names: dict[str, str] = {}
    for identifier, name in things:
        if identifier and name:
            names.setdefault(identifier, name)
    return names


def _remarks(page: DeploymentPage) -> Iterator[str]:
    flows: defaultdict[str, set[str]] = defaultdict(set)
    for deployment in page.deployments:
        if deployment.flow_name and deployment.flow_id:
            flows[deployment.flow_name].add(deployment.flow_id)
    for name, ids in flows.items():
        if len(ids) > 1:
            yield f'"{inert(name)}" is the name of {len(ids)} different flows: {", ".join(sorted(ids))}.'
    if page.unreadable:
        yield f"{are_left_out(page.unreadable, 'record', 'could not be read')}."


_COLUMNS = "id", "flow version", "flow (id)", "iteration", "environment (id)", "package (id)", "priority", "state (UTC)"


def table(page: Listing) -> str:
    """All that the listing holds, as one table."""
    fields = [field for field in (*UNLISTED, "unreadable") if any(getattr(d, field) for d in page.deployments)]
    shown = len(page.deployments)
    of_all = f"{shown} of {counted(page.total, 'deployment')}" if page.total is not None else ""
    of_pages = f" of {page.pages}" if page.pages else ""
    lines = [f"{of_all or counted(shown, 'deployment')}, page {page.page}{of_pages}"]
    if page.deployments:
        lines.append(SEPARATOR.join([*_COLUMNS, *(_in_words(field) for field in fields)]))
    lines += [SEPARATOR.join(_cells(deployment, page, fields)) for deployment in page.deployments]
    lines += page.remarks or []
    if page.next:
        lines.append(f"next page: {call(page.next)}")
    return "\n".join(lines)


def _cells(deployment: Deployment, page: Listing, fields: Sequence[str]) -> Iterator[str]:
    d = deployment
    environment = d.virtual_environment_name or (page.environments or {}).get(d.virtual_environment_id or "")
    package = d.package_name or (page.packages or {}).get(d.package_id or "")
    yield d.id
    yield d.flow_version_id or "?"
    yield name_and_id(d.flow_name, d.flow_id) or "?"
    yield "?" if d.iteration is None else str(d.iteration)
    yield name_and_id(environment, d.virtual_environment_id) or _nothing(d, "virtual_environment_id")
    yield name_and_id(package, d.package_id) or _nothing(d, "package_id")
    yield _nothing(d, "priority") if d.priority is None else str(d.priority)
    yield f"enabled {_minute(d.enabled_at)}" if d.enabled and d.enabled_at else state(d)
    for field in fields:
        yield _value(d, field) or _nothing(d, field)


def name_and_id(name: str | None, identifier: str | None) -> str:
    """`UK Live (10)`, with `?` for an id that is not told, or `(10)`; empty where nothing is told."""
    if name:
        return f"{inert(name)} ({identifier or '?'})"
    return f"({identifier})" if identifier else ""


def _nothing(deployment: Deployment, field: str) -> str:
    return "?" if _is_unknown(deployment, field) else "-"


def _in_words(field: str) -> str:
    return field.replace("_", " ")


def _value(deployment: Deployment, field: str) -> str:
    """A field that few listings show; empty where it is not told."""
    value = getattr(deployment, field) or ""
    if isinstance(value, list):
        return ", ".join(value)
    return moment(value) if value and field.endswith("_at") else inert(value)
