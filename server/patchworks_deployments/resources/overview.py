"""What runs where: deployments by flow and environment, and what deserves attention. Pure: no requests.

What Patchworks did not say is `?`: an environment that is not known is not "no environment", a state that is not
known is not "off".
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from patchworks_deployments.api.selection import Selected, Selection
from patchworks_deployments.model.deployment import Deployment, Maybe, Output
from patchworks_deployments.model.text import inert

MAX_TEXT_CHARACTERS = 9_600
"""Characters, about 2,400 tokens: past that the matrix gives way to counts, and examples are cut."""

MIN_EXAMPLE_CHARACTERS = 400
"""Characters of examples of each kind that the matrix must leave room for."""

MAX_CELLS = 100
MAX_ENVIRONMENTS = 40
SHORT_NAME_CHARACTERS = 40
SIBLINGS = 2
"""How many other flows of a package must be in an environment before a missing one is remarkable."""

NO_ENVIRONMENT = "no environment"
UNKNOWN = "?"

ASK_FOR_LESS = "Narrow it with flow, environment, package or enabled."
NOT_ALL = f"Not all of what deserves attention is named. {ASK_FOR_LESS}"


class EnvironmentCount(Output):
    """How many deployments an environment holds.

    Those in no environment have no id here, those whose environment is not known have the id `?`.
    """

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


def summarise(estate: Selected) -> Overview:
    """Counts, matrix and remarkable things of what was read."""
    deployments = estate.deployments
    counts = _environments(deployments)
    flows = _by_flow(deployments)
    found = _attention(estate, flows)
    shown = _share(found, MAX_TEXT_CHARACTERS)
    return Overview(
        deployments=len(deployments),
        enabled=sum(d.enabled is True for d in deployments),
        disabled=sum(d.enabled is False for d in deployments),
        flows=len(flows),
        environments=counts[:MAX_ENVIRONMENTS],
        attention=[Attention(what=what, count=len(found[what]), examples=shown[what]) for what in found],
        matrix=[_row(rows) for rows in flows.values()] if len(deployments) <= MAX_CELLS else None,
        remarks=[*_remarks(estate, len(counts)), *([NOT_ALL] if shown != found else [])] or None,
    )


def _remarks(estate: Selected, environments: int) -> Iterator[str]:
    if len(estate.deployments) > MAX_CELLS:
        yield (
            f"The matrix is left out: {len(estate.deployments)} deployments are more than {MAX_CELLS}. {ASK_FOR_LESS}"
        )
    if environments > MAX_ENVIRONMENTS:
        yield f"{environments - MAX_ENVIRONMENTS} smaller environments are left out."
    if estate.unreadable:
        yield f"{estate.unreadable} records could not be read and are left out."
    if estate.moved:
        yield "The number of deployments changed while reading; ask again for exact counts."


def _share(found: Mapping[str, list[str]], room: int) -> dict[str, list[str]]:
    """As many examples as fit into `room` characters: one of each kind in turn, so that none crowds out another."""
    shown: dict[str, list[str]] = {what: [] for what in found}
    for turn in zip_longest(*found.values()):
        for what, example in zip(found, turn, strict=True):
            if example is None:
                continue
            room -= len(example) + len(_BETWEEN)
            if room < 0:
                return shown
            shown[what].append(example)
    return shown


_BETWEEN = " | "


def _environments(deployments: Sequence[Deployment]) -> list[EnvironmentCount]:
    names = {_environment_id(d): d.virtual_environment_name for d in deployments if d.virtual_environment_id}
    total = Counter(_environment_id(d) for d in deployments)
    disabled = Counter(_environment_id(d) for d in deployments if d.enabled is False)
    return [
        EnvironmentCount(id=id_, name=names.get(id_), deployments=count, disabled=disabled[id_])
        for id_, count in total.most_common()
    ]


def _environment_id(deployment: Deployment) -> str | None:
    """Its id, None for no environment, `?` where that is not known."""
    if deployment.virtual_environment_id:
        return deployment.virtual_environment_id
    unsaid = deployment.virtual_environment_name or "virtual_environment_id" in (deployment.unreadable or ())
    return UNKNOWN if unsaid else None


def _by_flow(deployments: Sequence[Deployment]) -> dict[str, list[Deployment]]:
    """By flow id, for names are not unique; the version stands for a flow that is not known."""
    flows: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        flows[deployment.flow_id or _in_place_of_flow(deployment.flow_version_id)].append(deployment)
    return dict(sorted(flows.items(), key=lambda flow: (flow[1][0].flow_name or "", flow[0])))


def _in_place_of_flow(flow_version_id: str | None) -> str:
    return f"version {flow_version_id}" if flow_version_id else UNKNOWN


def _row(deployments: Sequence[Deployment]) -> FlowRow:
    return FlowRow(
        flow_id=deployments[0].flow_id,
        flow_name=deployments[0].flow_name,
        cells=[
            Cell(
                environment_id=_environment_id(d),
                deployment_id=d.id,
                flow_version_id=d.flow_version_id,
                iteration=d.iteration,
                enabled=d.enabled,
            )
            for d in deployments
        ],
    )


# What deserves attention --------------------------------------------------------------------------


DISABLED = "disabled"
SEVERAL_ENABLED = "flows with more than one enabled version"
SEVERAL_ITERATIONS = "flows in several iterations"
MISSING = "flows missing where all others of their package are"
NOWHERE = "without environment"
SHARED_NAMES = "names of several flows"


def _attention(estate: Selected, flows: Mapping[str, list[Deployment]]) -> dict[str, list[str]]:
    """What there is of each kind that can be told from what was selected."""
    deployments = estate.deployments
    kinds: dict[str, Iterable[str]] = {
        DISABLED: (f"{d.id} {_short(d.flow_name)} in {_place(d)}" for d in deployments if d.enabled is False),
        SEVERAL_ENABLED: _several_versions(flows.values(), enabled_only=True),
        SEVERAL_ITERATIONS: _several_versions(flows.values(), enabled_only=False),
        MISSING: _missing(flows),
        NOWHERE: (f"{d.id} {_short(d.flow_name)}" for d in deployments if _environment_id(d) is None),
        SHARED_NAMES: _shared_names(flows),
    }
    hidden = _hidden_by(estate.selection)
    return {what: examples for what, kind in kinds.items() if what not in hidden and (examples := list(kind))}


def _hidden_by(selection: Selection) -> set[str]:
    """What a filter would make false: a flow is not missing because its deployments were not asked for."""
    if selection.enabled is not None:
        return {SEVERAL_ITERATIONS, MISSING}
    return {MISSING} if selection.flow or selection.deployment_id else set()


def _several_versions(flows: Iterable[Sequence[Deployment]], *, enabled_only: bool) -> Iterator[str]:
    for rows in flows:
        chosen = [d for d in rows if d.flow_version_id and (d.enabled or not enabled_only)]
        if len({d.flow_version_id for d in chosen}) > 1:
            places: defaultdict[str, list[str]] = defaultdict(list)
            for d in chosen:
                places[_iteration(d.iteration)].append(_place(d))
            where = [f"{iteration} in {_first(there, 2, ', ')}" for iteration, there in places.items()]
            yield f"{_flow(rows[0])}: {_first(where, 6, '; ')}"


def _first(items: Sequence[str], most: int, separator: str) -> str:
    return separator.join(items[:most]) + (" …" if len(items) > most else "")


def _missing(flows: Mapping[str, list[Deployment]]) -> Iterator[str]:
    """A flow that may be where nobody can tell is not called missing."""
    packages: defaultdict[str, dict[str, set[str | None]]] = defaultdict(dict)
    names = {_environment_id(d): _place(d) for rows in flows.values() for d in rows}
    for flow, rows in flows.items():
        package = next((d.package_id for d in rows if d.package_id), None)
        if package:
            packages[package][flow] = {_environment_id(d) for d in rows}
    for members in packages.values():
        present = Counter(environment for environments in members.values() for environment in environments)
        for environment, count in present.items():
            if environment not in {None, UNKNOWN} and count == len(members) - 1 >= SIBLINGS:
                absent = next(flow for flow, environments in members.items() if environment not in environments)
                if UNKNOWN not in members[absent]:
                    yield f"{_flow(flows[absent][0])} not in {names[environment]}"


def _shared_names(flows: Mapping[str, list[Deployment]]) -> Iterator[str]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for rows in flows.values():
        if rows[0].flow_name and rows[0].flow_id:
            ids[rows[0].flow_name].append(rows[0].flow_id)
    for name, owners in ids.items():
        if len(owners) > 1:
            yield f"{_short(name)}: {', '.join(owners[:6])}"


# Text ---------------------------------------------------------------------------------------------


def to_text(overview: Overview) -> str:
    """At most about 2,500 tokens, whatever the size of the estate; what is left out is said."""
    matrix, examples = _matrix(overview), {a.what: a.examples for a in overview.attention}
    frame = [*_counts(overview), *_attention_lines(overview, {}), *(overview.remarks or []), NOT_ALL]
    few = MIN_EXAMPLE_CHARACTERS * len(examples)
    if matrix and _size([*frame, *matrix]) + few > MAX_TEXT_CHARACTERS:
        matrix = [f"The matrix is left out: it is too wide. {ASK_FOR_LESS}"]
    shown = _share(examples, MAX_TEXT_CHARACTERS - _size([*frame, *matrix]))
    remarks = dict.fromkeys([*(overview.remarks or []), *([NOT_ALL] if shown != examples else [])])
    return "\n".join([*_counts(overview), *_attention_lines(overview, shown), *remarks, *matrix])


def _size(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _counts(overview: Overview) -> list[str]:
    unknown = overview.deployments - overview.enabled - overview.disabled
    states = f"{overview.enabled} enabled, {overview.disabled} disabled{f', {unknown} unknown' if unknown else ''}"
    return [
        f"{_number(overview.deployments, 'deployment')} of {_number(overview.flows, 'flow')}: {states}",
        "environments: " + "; ".join(_count(e) for e in overview.environments),
    ]


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _attention_lines(overview: Overview, shown: Mapping[str, list[str]]) -> Iterator[str]:
    for attention in overview.attention:
        examples = shown.get(attention.what, [])
        more = attention.count - len(examples)
        parts = [*examples, *([f"and {more} more"] if more else [])]
        yield f"{attention.what} ({attention.count}): {_BETWEEN.join(parts)}"


def _matrix(overview: Overview) -> list[str]:
    if not overview.matrix:
        return []
    columns = [e.id for e in overview.environments]
    lines = ["iteration by flow and environment, off = disabled, ? = not known:"]
    lines.append(_BETWEEN.join(["flow (id)", *(_environment(e.id, e.name) for e in overview.environments)]))
    for row in overview.matrix:
        cells = [_cell([c for c in row.cells if c.environment_id == id_]) for id_ in columns]
        lines.append(_BETWEEN.join([_named(row.flow_name, row.flow_id, row.cells[0].flow_version_id), *cells]))
    return lines


def _cell(cells: Sequence[Cell]) -> str:
    return ", ".join(_iteration(c.iteration) + _STATE[c.enabled] for c in cells) or "-"


_STATE = {True: "", False: " off", None: " ?"}


def _iteration(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _count(environment: EnvironmentCount) -> str:
    off = f", {environment.disabled} off" if environment.disabled else ""
    name = _environment(environment.id, environment.name)
    id_ = f" ({environment.id})" if environment.id and environment.id != UNKNOWN else ""
    return f"{name}{id_} {environment.deployments}{off}"


def _flow(deployment: Deployment) -> str:
    return _named(deployment.flow_name, deployment.flow_id, deployment.flow_version_id)


def _named(name: str | None, flow_id: str | None, flow_version_id: str | None) -> str:
    return f"{_short(name)} ({flow_id or _in_place_of_flow(flow_version_id)})"


def _place(deployment: Deployment) -> str:
    return _environment(_environment_id(deployment), deployment.virtual_environment_name)


def _environment(identifier: str | None, name: str | None) -> str:
    if identifier is None:
        return NO_ENVIRONMENT
    return _short(name) if name else f"environment {identifier}"


def _short(name: str | None) -> str:
    return inert(name or "", SHORT_NAME_CHARACTERS) or UNKNOWN
