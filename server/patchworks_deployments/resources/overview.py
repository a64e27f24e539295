"""What runs where: deployments counted, what is odd about them, and up to 25 of them as rows. Makes no requests."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, chain
from typing import Any

from patchworks_deployments.api.credentials import Account
from patchworks_deployments.api.selection import NOT_SEVERAL, Selected, Selection
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import Deployment, Maybe, Output, ToolCall
from patchworks_deployments.model.rendering import SEPARATOR, are_left_out, counted, name_and_id
from patchworks_deployments.model.text import MAX_LABEL_CHARACTERS, clean_text
from patchworks_deployments.resources import attention
from patchworks_deployments.resources.attention import Finding, Show

PAGE_ROWS = 25
"""Deployments, environments or examples on a page; so many deployments are shown without being asked for."""

MAX_EXAMPLES = 3
"""Examples of each kind that an overview shows."""

MAX_ENVIRONMENT_CHARACTERS = 1_200
"""Characters, as data, of the largest environments of a larger account: 20 with usual names and ids, 10 at least."""

NOT_LOOKED_FOR = "A flow that the filters hide, or that cannot be read, is not missing: ask for everything."
STATES = {True: "on", False: "off", None: "?"}

ASK_AGAIN = "Ask again, or narrow it by ids until at most 100 match, which one page shows."


class EnvironmentCount(Output):
    """How many deployments an environment holds. No environment has no id here, one that is not known the id `?`."""

    id: Maybe[str] = None
    name: Maybe[str] = None
    deployments: int
    disabled: int


class Attention(Output):
    """Something that a person may want to look at, and the call that shows all of it."""

    what: str
    count: int
    examples: list[str]
    call: Maybe[ToolCall] = None


class Row(Output):
    """One deployment with every id that the next call needs; the environments of all rows are named beside."""

    id: str
    flow_version_id: Maybe[str] = None
    flow_id: Maybe[str] = None
    flow_name: Maybe[str] = None
    iteration: Maybe[int] = None
    environment_id: Maybe[str] = None
    package_id: Maybe[str] = None
    enabled: Maybe[bool] = None


class Overview(Output):
    """What runs where, as far as it is shown; `call` shows the deployments, or the next page."""

    matched: Maybe[dict[str, list[str]]] = None
    left_out: Maybe[dict[str, list[str]]] = None
    deployments: int
    enabled: int
    disabled: int
    missing: Maybe[int] = None
    flows: int
    environments: Maybe[list[EnvironmentCount]] = None
    attention: Maybe[list[Attention]] = None
    remarks: Maybe[list[str]] = None
    page: Maybe[int] = None
    pages: Maybe[int] = None
    rows: Maybe[list[Row]] = None
    call: Maybe[ToolCall] = None


MADE_UP = "This is the sandbox: all of it is made up."


def summarise(selected: Selected, account: Account, show: Show | None = None, page: int = 1) -> Overview:
    """Count the deployments of the account, and find what deserves attention or show one page of what is asked for.

    Raises `InvalidArgument` for a page past the last one.
    """
    deployments, flows = selected.deployments, by_flow(selected.deployments)
    estate = _Estate(
        selected.selection,
        ordered=list(chain.from_iterable(flows.values())),
        environments=count_environments(deployments),
        found=attention.find(selected, flows),
    )
    shown = estate.listing(show, page) if show else estate.digest()
    return Overview(
        matched=dict(selected.matched) or None,
        left_out=dict(selected.left_out) or None,
        deployments=len(deployments),
        enabled=sum(d.enabled is True for d in deployments),
        disabled=sum(d.enabled is False for d in deployments),
        missing=selected.missing or None,
        flows=len(flows),
        remarks=[*[MADE_UP] * account.is_sandbox, *_remarks(selected), *shown.pop("remarks", ())] or None,
        **shown,
    )


def _remarks(selected: Selected) -> list[str]:
    tell = "does not tell whether it matches" if selected.untold == 1 else "do not tell whether they match"
    remarks = {
        f"{selected.gap} {ASK_AGAIN}": selected.gap,
        NOT_SEVERAL: not selected.deployments and selected.selection.has_comma,
        f"{are_left_out(selected.unreadable, 'record', 'could not be read')}.": selected.unreadable,
        f"{are_left_out(selected.untold, 'deployment', tell)}.": selected.untold,
    }
    return [remark for remark, is_true in remarks.items() if is_true]


@dataclass(frozen=True)
class _Estate:
    """What was selected: the deployments, sorted by flow, the environments, largest first, and what was found."""

    selection: Selection
    ordered: Sequence[Deployment]
    environments: Sequence[EnvironmentCount]
    found: Sequence[Finding]

    def digest(self) -> dict[str, Any]:
        """The largest environments, examples of what was found, and the deployments if they are few."""
        is_small = len(self.ordered) <= PAGE_ROWS
        kinds = []
        for finding in filter(lambda finding: finding.examples, self.found):
            examples = finding.examples[:MAX_EXAMPLES]
            is_in_rows = is_small and finding.shows_deployments
            is_whole = len(examples) == len(finding.examples) and not finding.shows_deployments
            kinds.append(
                Attention(
                    what=finding.what,
                    count=len(finding.examples),
                    examples=[] if is_in_rows else examples,
                    call=None if is_in_rows or is_whole else self._call(**finding.arguments),
                )
            )
        largest = self.environments if is_small else _as_many_as_fit(self.environments)
        if more := len(self.environments) - len(largest):
            call = self._call(show="environments")
            kinds.append(Attention(what="smaller environments", count=more, examples=[], call=call))
        return {
            "environments": largest,
            "attention": kinds,
            "rows": [_row(d) for d in self.ordered] if is_small else None,
            "call": None if is_small else self._call(show="deployments"),
        }

    def listing(self, show: Show, page: int) -> dict[str, Any]:
        """One page of what is asked for."""
        finding = next((f for f in self.found if f.arguments == {"show": show}), None)
        shown = self._all(show, finding)
        pages = max(1, -(-len(shown) // PAGE_ROWS))
        if page > pages:
            raise InvalidArgument(f"Page {page} is past the last one, which is {pages}.", next_step="Ask for that one.")
        part = shown[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        listing: dict[str, Any] = {"page": page, "pages": pages}
        if page < pages:
            listing["call"] = self._call(show=show, page=page + 1)
        if show == "environments":
            listing["environments"] = part
        elif show in {"deployments", "unplaced"}:
            here = {attention.environment_id(d) for d in part}
            listing["rows"] = [_row(d) for d in part]
            listing["environments"] = [e for e in self.environments if e.id in here]
        elif finding:
            listing["attention"] = [Attention(what=finding.what, count=len(shown), examples=list(part))]
        else:
            listing["remarks"] = [NOT_LOOKED_FOR]
        return listing

    def _all(self, show: Show, finding: Finding | None) -> Sequence[Any]:
        if show == "environments":
            return self.environments
        if show == "deployments":
            return self.ordered
        if show == "unplaced":
            return [d for d in self.ordered if attention.environment_id(d) is None]
        return finding.examples if finding else ()

    def _call(self, **more: Any) -> ToolCall:  # noqa: ANN401 - arguments of a tool
        given = {name: value for name, value in asdict(self.selection).items() if value is not None}
        return ToolCall(tool="deployment_overview", arguments={**given, **more})


def _as_many_as_fit(environments: Sequence[EnvironmentCount]) -> list[EnvironmentCount]:
    ends = accumulate(len(environment.model_dump_json()) for environment in environments)
    return [e for e, end in zip(environments, ends, strict=True) if end <= MAX_ENVIRONMENT_CHARACTERS]


def count_environments(deployments: Sequence[Deployment]) -> list[EnvironmentCount]:
    """What each environment holds, the largest first."""
    names = {attention.environment_id(d): d.virtual_environment_name for d in deployments if d.virtual_environment_id}
    total = Counter(attention.environment_id(d) for d in deployments)
    disabled = Counter(attention.environment_id(d) for d in deployments if d.enabled is False)
    return [
        EnvironmentCount(
            id=id_,
            name=cut_name(names.get(id_)) if id_ else attention.NO_ENVIRONMENT,
            deployments=count,
            disabled=disabled[id_],
        )
        for id_, count in total.most_common()
    ]


def cut_name(name: str | None) -> str | None:
    """Read a name as data, cut to what a row has room for; None where Patchworks did not say it."""
    return clean_text(name, MAX_LABEL_CHARACTERS) if name else None


def by_flow(deployments: Sequence[Deployment]) -> dict[str, list[Deployment]]:
    """Group deployments by their flow's id, because names are not unique, and sort the flows by name."""
    flows: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        flows[attention.flow_key(deployment.flow_id, deployment.flow_version_id)].append(deployment)
    return dict(sorted(flows.items(), key=lambda flow: (flow[1][0].flow_name or "", flow[0])))


def _row(deployment: Deployment) -> Row:
    told = deployment.model_dump(include=set(Row.model_fields))
    return Row(
        **told | {"flow_name": cut_name(deployment.flow_name), "environment_id": attention.environment_id(deployment)}
    )


# Text ---------------------------------------------------------------------------------------------


def to_text(overview: Overview) -> str:
    """Write the overview for people and for hosts that show nothing else: all that the data holds."""
    lines = [*rendering.meanings(overview.matched or {}, overview.left_out or {}), _counts(overview)]
    lines += [*_attention(overview), *(overview.remarks or []), *_rows(overview)]
    if overview.call:
        lines.append(f"{'next page' if overview.page else 'all deployments'}: {rendering.call(overview.call)}")
    return "\n".join(lines)


def _counts(overview: Overview) -> str:
    unknown = overview.deployments - overview.enabled - overview.disabled
    states = f"{overview.enabled} enabled, {overview.disabled} disabled" + (f", {unknown} unknown" if unknown else "")
    of = f"{counted(overview.deployments, 'deployment')} of {counted(overview.flows, 'flow')}"
    lines = [f"{of}: {states}" + (f"; {overview.missing} missing" if overview.missing else "")]
    if overview.environments:
        off = {e.id: f", {e.disabled} off" if e.disabled else "" for e in overview.environments}
        told = (f"{_place(e)}: {e.deployments}{off[e.id]}" for e in overview.environments)
        lines.append(f"environments: {SEPARATOR.join(told)}")
    return "\n".join(lines)


def _place(environment: EnvironmentCount) -> str:
    return attention.environment_label(environment.id, environment.name)


def _attention(overview: Overview) -> Iterator[str]:
    for kind in overview.attention or []:
        more = kind.count - len(kind.examples)
        parts = [*kind.examples, *([f"and {more} more"] if more and kind.examples else [])]
        parts += [f"all: {rendering.call(kind.call)}"] if kind.call else []
        yield f"{kind.what} ({kind.count})" + (f": {SEPARATOR.join(parts)}" if parts else "")


def _rows(overview: Overview) -> Iterator[str]:
    if overview.page:
        yield f"page {overview.page} of {overview.pages}"
    if overview.rows:
        yield "id | flow version | flow (id) | iteration | environment (id) | package | state"
    places = {e.id: _place(e) for e in overview.environments or []}
    for row in overview.rows or []:
        yield SEPARATOR.join(
            (
                row.id,
                row.flow_version_id or attention.UNKNOWN,
                name_and_id(row.flow_name, row.flow_id) or attention.UNKNOWN,
                attention.iteration_label(row.iteration),
                places[row.environment_id],
                row.package_id or "-",
                STATES[row.enabled],
            )
        )
