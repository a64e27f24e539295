"""What deserves attention among deployments, in a few words each, and the labels that these words are made of.

What Patchworks did not say is shown as `?`, never as "no environment" or "off".
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Literal, NamedTuple, TypeAlias

from patchworks_deployments.api.selection import Selected
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.text import MAX_LABEL_CHARACTERS, inert, label

MIN_SIBLINGS = 2
"""How many other flows of a package must be in an environment for the one that is not there to count as missing."""

MAX_IN_EXAMPLE = 3
"""Ids that one example names."""

UNKNOWN = "?"
NO_ENVIRONMENT = "no environment"

Show: TypeAlias = Literal["deployments", "environments", "versions", "missing", "unplaced", "names"]
"""What an overview can show a page of: deployments, environments, or the examples of one kind of finding."""

Flows = Mapping[str, list[Deployment]]
"""The deployments of each flow, by its `flow_key`, sorted by name."""


class Finding(NamedTuple):
    """Something that a person may want to look at, with all its examples, and the arguments that show them."""

    what: str
    examples: list[str]
    arguments: dict[str, Any]

    @property
    def shows_deployments(self) -> bool:
        """Whether its arguments lead to deployments with all their ids."""
        return self.arguments["show"] in {"deployments", "unplaced"}


def find(selected: Selected, flows: Flows) -> list[Finding]:
    """Find all examples of each kind. Kinds that the filters would make false are not looked for, and left out.

    A flow is not missing because its deployments were not selected or did not show; and one that is missing in the only
    environment that was asked for is not among them. Several iterations of a flow are normal in several environments: a
    promotion goes from one to the next.
    """
    deployments, selection = selected.deployments, selected.selection
    narrowed = selection.flow or selection.environment or selection.deployment_id or selection.enabled is not None
    has_all_flows = not (narrowed or selected.doubt)
    off = (f"{d.id} {short_name(d.flow_name)} in {_place(d)}" for d in deployments if d.enabled is False)
    unplaced = (f"{d.id} {short_name(d.flow_name)}" for d in deployments if environment_id(d) is None)
    what_is_missing = "flows missing where all others of their package are"
    return [
        Finding("disabled", list(off), {"enabled": False, "show": "deployments"}),
        Finding(
            "flows with several enabled versions in one environment", list(_several_versions(flows)), _show("versions")
        ),
        *([Finding(what_is_missing, list(_missing(flows)), _show("missing"))] if has_all_flows else []),
        Finding("without environment", list(unplaced), _show("unplaced")),
        Finding("names of several flows", list(_shared_names(flows)), _show("names")),
    ]


def _show(kind: Show) -> dict[str, Any]:
    return {"show": kind}


def _several_versions(flows: Flows) -> Iterator[str]:
    for flow, rows in flows.items():
        places: defaultdict[str | None, list[Deployment]] = defaultdict(list)
        for d in rows:
            if d.enabled and d.flow_version_id and environment_id(d) != UNKNOWN:
                places[environment_id(d)].append(d)
        for there in places.values():
            if len({d.flow_version_id for d in there}) > 1:
                told = [f"{d.id} of iteration {iteration_label(d.iteration)}" for d in there]
                yield f"{short_name(rows[0].flow_name)} ({flow}) in {_place(there[0])}: {_first(told)}"


def _first(texts: Sequence[str]) -> str:
    return ", ".join([*texts[:MAX_IN_EXAMPLE], *(["…"] if len(texts) > MAX_IN_EXAMPLE else [])])


def _missing(flows: Flows) -> Iterator[str]:
    packages: defaultdict[str, dict[str, dict[str | None, str]]] = defaultdict(dict)
    for flow, rows in flows.items():
        if package := next((d.package_id for d in rows if d.package_id), None):
            packages[package][flow] = {environment_id(d): _place(d) for d in rows}
    for members in packages.values():
        names = dict(chain.from_iterable(places.items() for places in members.values()))
        for environment, count in Counter(chain.from_iterable(members.values())).items():
            if environment not in {None, UNKNOWN} and count == len(members) - 1 >= MIN_SIBLINGS:
                absent = next(flow for flow, places in members.items() if environment not in places)
                # A flow that is where Patchworks did not say may be here.
                if UNKNOWN not in members[absent]:
                    yield f"{short_name(flows[absent][0].flow_name)} ({absent}) not in {names[environment]}"


def _shared_names(flows: Flows) -> Iterator[str]:
    for name, same in groupby(flows.values(), key=lambda rows: rows[0].flow_name):
        ids = [rows[0].flow_id for rows in same if rows[0].flow_id]
        if name and len(ids) > 1:
            yield f"{short_name(name)}: {_first(ids)}"


def short_name(name: str | None) -> str:
    """Show a name as data, `?` where Patchworks did not say it."""
    return inert(name or "", MAX_LABEL_CHARACTERS) or UNKNOWN


def iteration_label(iteration: int | None) -> str:
    """Show a flow version's iteration, `?` where Patchworks did not say it."""
    return UNKNOWN if iteration is None else str(iteration)


def flow_key(flow_id: str | None, flow_version_id: str | None) -> str:
    """Tell a flow by its id; where Patchworks did not say it, the version stands for the flow."""
    return flow_id or (f"version {flow_version_id}" if flow_version_id else UNKNOWN)


def environment_id(deployment: Deployment) -> str | None:
    """Read the id of a deployment's environment: None if it is in none, `?` where Patchworks did not say it."""
    if deployment.virtual_environment_id:
        return deployment.virtual_environment_id
    unsaid = deployment.virtual_environment_name or deployment.hides_environment
    return UNKNOWN if unsaid else None


def environment_label(environment: str | None, name: str | None) -> str:
    """Name the environment with this `environment_id`, and its id."""
    if environment is None:
        return NO_ENVIRONMENT
    known = None if environment == UNKNOWN else environment
    return label(name, known) if name else f"environment {environment}"


def _place(deployment: Deployment) -> str:
    return environment_label(environment_id(deployment), deployment.virtual_environment_name)
