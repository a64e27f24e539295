"""What runs where: deployments counted by environment and by flow, as data and as text. Makes no requests."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from patchworks_deployments.api.selection import NOT_SEVERAL, Selected
from patchworks_deployments.model.deployment import Deployment, Maybe, Output
from patchworks_deployments.model.rendering import are_left_out
from patchworks_deployments.resources import attention

MAX_TEXT_CHARACTERS = 9_600
"""Characters, about 2,400 tokens: beyond them the matrix is left out, then examples are."""

MIN_EXAMPLE_CHARACTERS = 400
"""Characters that the matrix must leave for the examples of each kind."""

MAX_CELLS = 100
MAX_ENVIRONMENTS = 40
STATE_MARKS = {True: "", False: " off", None: " ?"}

ASK_FOR_LESS = "Narrow it with flow, environment, package or enabled."
ASK_AGAIN = "Ask again, or narrow it by ids until at most 100 match, which one page shows."
NOT_ALL = f"Not all of what deserves attention is named. {ASK_FOR_LESS}"


# The docstrings of these models are descriptions in the output schema of deployment_overview.


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
    missing: Annotated[Maybe[int], Field(description="Deployments that Patchworks counts and did not show.")] = None
    flows: int
    environments: list[EnvironmentCount]
    attention: list[Attention]
    matrix: Maybe[list[FlowRow]] = None
    remarks: Maybe[list[str]] = None


def summarise(selected: Selected) -> Overview:
    """Count the deployments by environment and by flow, and find what deserves attention."""
    deployments = selected.deployments
    environments = _environments(deployments)
    flows = _by_flow(deployments)
    found = attention.find(selected, flows)
    shown = attention.share(found, MAX_TEXT_CHARACTERS)
    tell = "does not tell whether it matches" if selected.untold == 1 else "do not tell whether they match"
    left_out, count = len(environments) - MAX_ENVIRONMENTS, len(deployments)
    remarks = {
        f"{selected.gap} {ASK_AGAIN}": selected.gap,
        NOT_SEVERAL: not deployments and selected.selection.has_comma,
        f"The matrix is left out: {count} deployments are more than {MAX_CELLS}. {ASK_FOR_LESS}": count > MAX_CELLS,
        f"{left_out} smaller environments are left out.": left_out > 0,
        f"{are_left_out(selected.unreadable, 'record', 'could not be read')}.": selected.unreadable,
        f"{are_left_out(selected.untold, 'deployment', tell)}.": selected.untold,
        NOT_ALL: shown != found,
    }
    return Overview(
        deployments=count,
        enabled=sum(d.enabled is True for d in deployments),
        disabled=sum(d.enabled is False for d in deployments),
        missing=selected.missing or None,
        flows=len(flows),
        environments=environments[:MAX_ENVIRONMENTS],
        attention=[Attention(what=what, count=len(found[what]), examples=shown[what]) for what in found],
        matrix=[_row(rows) for rows in flows.values()] if count <= MAX_CELLS else None,
        remarks=[remark for remark, is_true in remarks.items() if is_true] or None,
    )


def _environments(deployments: Sequence[Deployment]) -> list[EnvironmentCount]:
    names = {attention.environment_id(d): d.virtual_environment_name for d in deployments if d.virtual_environment_id}
    total = Counter(attention.environment_id(d) for d in deployments)
    disabled = Counter(attention.environment_id(d) for d in deployments if d.enabled is False)
    return [
        EnvironmentCount(id=id_, name=names.get(id_), deployments=count, disabled=disabled[id_])
        for id_, count in total.most_common()
    ]


def _by_flow(deployments: Sequence[Deployment]) -> dict[str, list[Deployment]]:
    """Group deployments by their flow's id, because names are not unique, and sort the flows by name."""
    flows: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        flows[attention.flow_key(deployment.flow_id, deployment.flow_version_id)].append(deployment)
    return dict(sorted(flows.items(), key=lambda flow: (flow[1][0].flow_name or "", flow[0])))


def _row(deployments: Sequence[Deployment]) -> FlowRow:
    cells = [
        Cell(
            environment_id=attention.environment_id(d),
            deployment_id=d.id,
            flow_version_id=d.flow_version_id,
            iteration=d.iteration,
            enabled=d.enabled,
        )
        for d in deployments
    ]
    return FlowRow(flow_id=deployments[0].flow_id, flow_name=deployments[0].flow_name, cells=cells)


def to_text(overview: Overview) -> str:
    """Write the overview in at most about 2,500 tokens, however many deployments there are; say what is left out."""
    matrix, examples = _matrix(overview), {a.what: a.examples for a in overview.attention}
    frame = _size([*_counts(overview), *_attention(overview, {}), *(overview.remarks or []), NOT_ALL])
    if matrix and frame + _size(matrix) + MIN_EXAMPLE_CHARACTERS * len(examples) > MAX_TEXT_CHARACTERS:
        matrix = [f"The matrix is left out: it is too wide. {ASK_FOR_LESS}"]
    shown = attention.share(examples, MAX_TEXT_CHARACTERS - frame - _size(matrix))
    remarks = dict.fromkeys([*(overview.remarks or []), *([NOT_ALL] if shown != examples else [])])
    return "\n".join([*_counts(overview), *_attention(overview, shown), *remarks, *matrix])


def _size(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _counts(overview: Overview) -> Iterator[str]:
    deployments = f"{overview.deployments} deployment{'' if overview.deployments == 1 else 's'}"
    flows = f"{overview.flows} flow{'' if overview.flows == 1 else 's'}"
    unknown = overview.deployments - overview.enabled - overview.disabled
    states = f"{overview.enabled} enabled, {overview.disabled} disabled" + (f", {unknown} unknown" if unknown else "")
    yield f"{deployments} of {flows}: {states}" + (f"; {overview.missing} missing" if overview.missing else "")
    environments = []
    for e in overview.environments:
        id_ = f" ({e.id})" if e.id not in {None, attention.UNKNOWN} else ""
        off = f", {e.disabled} off" if e.disabled else ""
        environments.append(f"{attention.environment_label(e.id, e.name)}{id_} {e.deployments}{off}")
    yield f"environments: {'; '.join(environments)}"


def _attention(overview: Overview, shown: Mapping[str, list[str]]) -> Iterator[str]:
    for kind in overview.attention:
        examples = shown.get(kind.what, [])
        more = kind.count - len(examples)
        parts = [*examples, *([f"and {more} more"] if more else [])]
        yield f"{kind.what} ({kind.count}): {attention.SEPARATOR.join(parts)}"


def _matrix(overview: Overview) -> list[str]:
    if not overview.matrix:
        return []
    columns = [attention.environment_label(e.id, e.name) for e in overview.environments]
    lines = ["iteration by flow and environment, off = disabled, ? = not known:"]
    lines.append(attention.SEPARATOR.join(["flow (id)", *columns]))
    for row in overview.matrix:
        there: defaultdict[str | None, list[str]] = defaultdict(list)
        for cell in row.cells:
            there[cell.environment_id].append(attention.iteration_label(cell.iteration) + STATE_MARKS[cell.enabled])
        key = attention.flow_key(row.flow_id, row.cells[0].flow_version_id)
        cells = [", ".join(there[e.id]) or "-" for e in overview.environments]
        lines.append(attention.SEPARATOR.join([f"{attention.short_name(row.flow_name)} ({key})", *cells]))
    return lines
