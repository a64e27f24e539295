"""What deserves attention among deployments, in a few words each, and the labels that these words are made of.

What Patchworks did not say is shown as `?`, never as "no environment" or "off".
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby, zip_longest

from patchworks_deployments.api.selection import Selected
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.text import inert

MAX_SHORT_NAME_CHARACTERS = 40

MIN_SIBLINGS = 2
"""How many other flows of a package must be in an environment for the one that is not there to count as missing."""

UNKNOWN = "?"
SEPARATOR = " | "

Flows = Mapping[str, list[Deployment]]
"""The deployments of each flow, by its `flow_key`, sorted by name."""


def find(selected: Selected, flows: Flows) -> dict[str, list[str]]:
    """Find the examples of each kind. Kinds that the filters would make false are not looked for.

    A flow is not missing because its deployments were not selected or did not show, nor do those of one state show all
    its iterations.
    """
    deployments, selection = selected.deployments, selected.selection
    has_all_states = selection.enabled is None
    has_all_flows = has_all_states and not selected.doubt and not selection.flow and not selection.deployment_id
    found = {
        "disabled": (f"{d.id} {short_name(d.flow_name)} in {_place(d)}" for d in deployments if d.enabled is False),
        "flows with more than one enabled version": _several_versions(flows, enabled_only=True),
        "flows in several iterations": _several_versions(flows, enabled_only=False) if has_all_states else (),
        "flows missing where all others of their package are": _missing(flows) if has_all_flows else (),
        "without environment": (f"{d.id} {short_name(d.flow_name)}" for d in deployments if environment_id(d) is None),
        "names of several flows": _shared_names(flows),
    }
    return {what: some for what, examples in found.items() if (some := list(examples))}


def _several_versions(flows: Flows, *, enabled_only: bool) -> Iterator[str]:
    for flow, rows in flows.items():
        chosen = [d for d in rows if d.flow_version_id and (d.enabled or not enabled_only)]
        if len({d.flow_version_id for d in chosen}) > 1:
            places: defaultdict[str, list[str]] = defaultdict(list)
            for d in chosen:
                places[iteration_label(d.iteration)].append(_place(d))
            where = [f"{number} in {_first(there, 2, ', ')}" for number, there in places.items()]
            yield f"{short_name(rows[0].flow_name)} ({flow}): {_first(where, 6, '; ')}"


def _first(texts: Sequence[str], most: int, separator: str) -> str:
    return separator.join(texts[:most]) + (" …" if len(texts) > most else "")


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
            yield f"{short_name(name)}: {', '.join(ids[:6])}"


def share(found: Mapping[str, list[str]], room: int) -> dict[str, list[str]]:
    """Choose the examples that fit into `room` characters: of each kind in turn, so that none crowds out another."""
    shown: dict[str, list[str]] = {what: [] for what in found}
    for turn in zip_longest(*found.values()):
        for what, example in zip(found, turn, strict=True):
            if example is not None:
                room -= len(example) + len(SEPARATOR)
                if room < 0:
                    return shown
                shown[what].append(example)
    return shown


def short_name(name: str | None) -> str:
    """Show a name as data, `?` where Patchworks did not say it."""
    return inert(name or "", MAX_SHORT_NAME_CHARACTERS) or UNKNOWN


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
    """Name the environment with this `environment_id`."""
    if environment is None:
        return "no environment"
    return short_name(name) if name else f"environment {environment}"


def _place(deployment: Deployment) -> str:
    return environment_label(environment_id(deployment), deployment.virtual_environment_name)
