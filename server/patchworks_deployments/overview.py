"""What runs where: deployments by flow and environment, and what deserves attention. Pure: no requests."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from patchworks_deployments.estate import Estate
from patchworks_deployments.models import Deployment, Maybe, Output
from patchworks_deployments.texts import inert

TEXT_BUDGET = 9_600
"""Characters, about 2,400 tokens: past that the matrix gives way to counts."""

MOST_CELLS = 100
MOST_ENVIRONMENTS = 40
MOST_EXAMPLES = 8
SHORT_NAME = 40
SIBLINGS = 2
"""How many other flows of a package must be in an environment before a missing one is remarkable."""

NO_ENVIRONMENT = "no environment"


class EnvironmentCount(Output):
    """How many deployments an environment holds."""

    id: Maybe[str] = None
    name: Maybe[str] = None
    deployments: int
    disabled: int


class Cell(Output):
    """One flow in one environment."""

    environment_id: Maybe[str] = None
    deployment_id: str
    flow_version_id: Maybe[str] = None
    iteration: Maybe[int] = None
    enabled: Maybe[bool] = None


class FlowRow(Output):
    """One flow and where it is deployed."""

    flow_id: Maybe[str] = None
    flow_name: Maybe[str] = None
    cells: list[Cell]


class Attention(Output):
    """Something that a person may want to look at."""

    what: str
    count: int
    examples: list[str]


class Overview(Output):
    """The estate, or the selected part of it. The matrix is left out where it would be too large."""

    deployments: int
    enabled: int
    disabled: int
    flows: int
    environments: list[EnvironmentCount]
    attention: list[Attention]
    matrix: Maybe[list[FlowRow]] = None
    remarks: Maybe[list[str]] = None


def summarise(estate: Estate) -> Overview:
    """Counts, matrix and remarkable things of what was read."""
    deployments = estate.deployments
    disabled = sum(d.enabled is False for d in deployments)
    counts = _environments(deployments)
    flows = _by_flow(deployments)
    return Overview(
        deployments=len(deployments),
        enabled=sum(d.enabled is True for d in deployments),
        disabled=disabled,
        flows=len(flows),
        environments=counts[:MOST_ENVIRONMENTS],
        attention=list(_attention(deployments, flows)),
        matrix=[_row(rows) for rows in flows.values()] if len(deployments) <= MOST_CELLS else None,
        remarks=list(_remarks(estate, len(counts))) or None,
    )


def _remarks(estate: Estate, environments: int) -> Iterator[str]:
    if len(estate.deployments) > MOST_CELLS:
        yield (
            f"The matrix is left out: {len(estate.deployments)} deployments are more than {MOST_CELLS}. "
            "Narrow it with flow, environment, package or enabled."
        )
    if environments > MOST_ENVIRONMENTS:
        yield f"{environments - MOST_ENVIRONMENTS} smaller environments are left out."
    if estate.unreadable:
        yield f"{estate.unreadable} records could not be read and are left out."
    if estate.moved:
        yield "The number of deployments changed while reading; ask again for exact counts."


def _environments(deployments: Sequence[Deployment]) -> list[EnvironmentCount]:
    names = {d.virtual_environment_id: d.virtual_environment_name for d in deployments}
    total = Counter(d.virtual_environment_id for d in deployments)
    disabled = Counter(d.virtual_environment_id for d in deployments if d.enabled is False)
    return [
        EnvironmentCount(id=id_, name=names[id_], deployments=count, disabled=disabled[id_])
        for id_, count in total.most_common()
    ]


def _by_flow(deployments: Sequence[Deployment]) -> dict[str, list[Deployment]]:
    """By flow id, for names are not unique; a deployment whose flow is not known stands for itself."""
    flows: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        flows[deployment.flow_id or f"version {deployment.flow_version_id}"].append(deployment)
    return dict(sorted(flows.items(), key=lambda flow: (flow[1][0].flow_name or "", flow[0])))


def _row(deployments: Sequence[Deployment]) -> FlowRow:
    return FlowRow(
        flow_id=deployments[0].flow_id,
        flow_name=deployments[0].flow_name,
        cells=[
            Cell(
                environment_id=d.virtual_environment_id,
                deployment_id=d.id,
                flow_version_id=d.flow_version_id,
                iteration=d.iteration,
                enabled=d.enabled,
            )
            for d in deployments
        ],
    )


# What deserves attention --------------------------------------------------------------------------


def _attention(deployments: Sequence[Deployment], flows: dict[str, list[Deployment]]) -> Iterator[Attention]:
    found = {
        "disabled": [f"{d.id} {_short(d.flow_name)} in {_place(d)}" for d in deployments if d.enabled is False],
        "flows with more than one enabled version": list(_several_versions(flows.values(), enabled_only=True)),
        "flows in several iterations": list(_several_versions(flows.values(), enabled_only=False)),
        "flows missing where all others of their package are": list(_missing(flows)),
        "without environment": [
            f"{d.id} {_short(d.flow_name)}" for d in deployments if d.virtual_environment_id is None
        ],
        "names of several flows": list(_shared_names(flows)),
    }
    for what, examples in found.items():
        if examples:
            yield Attention(what=what, count=len(examples), examples=examples[:MOST_EXAMPLES])


def _several_versions(flows: Iterable[Sequence[Deployment]], *, enabled_only: bool) -> Iterator[str]:
    for rows in flows:
        chosen = [d for d in rows if d.enabled] if enabled_only else rows
        if len({d.flow_version_id for d in chosen}) > 1:
            places: defaultdict[str, list[str]] = defaultdict(list)
            for d in chosen:
                places["?" if d.iteration is None else str(d.iteration)].append(_place(d))
            where = "; ".join(f"{i} in {', '.join(p[:2])}{' …' if len(p) > 2 else ''}" for i, p in places.items())  # noqa: PLR2004 - two of them
            yield f"{_flow(rows[0])}: {where}"


def _missing(flows: dict[str, list[Deployment]]) -> Iterator[str]:
    packages: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    names: dict[str, str] = {}
    for flow, rows in flows.items():
        package = next((d.package_id for d in rows if d.package_id), None)
        if package:
            packages[package][flow] = {d.virtual_environment_id for d in rows if d.virtual_environment_id}
        names |= {d.virtual_environment_id: _place(d) for d in rows if d.virtual_environment_id}
    for members in packages.values():
        present = Counter(environment for environments in members.values() for environment in environments)
        for environment, count in present.items():
            if count == len(members) - 1 >= SIBLINGS:
                absent = next(flow for flow, environments in members.items() if environment not in environments)
                yield f"{_flow(flows[absent][0])} not in {names[environment]}"


def _shared_names(flows: dict[str, list[Deployment]]) -> Iterator[str]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for flow, rows in flows.items():
        if rows[0].flow_name:
            ids[rows[0].flow_name].append(flow)
    for name, owners in ids.items():
        if len(owners) > 1:
            yield f"{_short(name)}: {', '.join(owners[:6])}"


# Text ---------------------------------------------------------------------------------------------


def to_text(overview: Overview) -> str:
    """At most about 2,500 tokens, whatever the size of the estate."""
    lines = [
        _totals(overview),
        "environments: " + "; ".join(_count(e) for e in overview.environments),
    ]
    for attention in overview.attention:
        more = attention.count - len(attention.examples)
        tail = f" | and {more} more" if more else ""
        lines.append(f"{attention.what} ({attention.count}): {' | '.join(attention.examples)}{tail}")
    lines += overview.remarks or []
    matrix = _matrix(overview)
    if matrix and sum(len(line) + 1 for line in [*lines, *matrix]) <= TEXT_BUDGET:
        lines += ["iteration by flow and environment, off = disabled:", *matrix]
    text = "\n".join(lines)
    return text if len(text) <= TEXT_BUDGET else text[: TEXT_BUDGET - 40] + "… (cut: narrow the selection)"


def _totals(overview: Overview) -> str:
    states = f"{overview.enabled} enabled, {overview.disabled} disabled"
    return f"{_number(overview.deployments, 'deployment')} of {_number(overview.flows, 'flow')}: {states}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _matrix(overview: Overview) -> list[str]:
    columns = [(e.id, _short(e.name) if e.id else NO_ENVIRONMENT) for e in overview.environments]
    lines = ["flow (id) | " + " | ".join(name for _, name in columns)] if overview.matrix else []
    for row in overview.matrix or []:
        cells = [_cell([c for c in row.cells if c.environment_id == id_]) for id_, _ in columns]
        lines.append(" | ".join([f"{_short(row.flow_name)} ({row.flow_id})", *cells]))
    return lines


def _cell(cells: Sequence[Cell]) -> str:
    return ", ".join(f"{c.iteration}{'' if c.enabled else ' off'}" for c in cells) or "-"


def _count(environment: EnvironmentCount) -> str:
    name = f"{_short(environment.name)} ({environment.id})" if environment.id else NO_ENVIRONMENT
    off = f", {environment.disabled} off" if environment.disabled else ""
    return f"{name} {environment.deployments}{off}"


def _flow(deployment: Deployment) -> str:
    return f"{_short(deployment.flow_name)} ({deployment.flow_id or deployment.flow_version_id})"


def _place(deployment: Deployment) -> str:
    if not deployment.virtual_environment_id:
        return NO_ENVIRONMENT
    return _short(deployment.virtual_environment_name) or deployment.virtual_environment_id


def _short(name: str | None) -> str:
    return inert(name or "", SHORT_NAME)
