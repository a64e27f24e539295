"""What the page gets with a result, beside what the model gets: a board, or a change and the code for its click.

It travels in the result's `_meta`, which a host hands to the page and keeps from the model, and goes to no client that
has not said that it shows pages. MCP Apps, specification 2026-01-26, "Data Passing".
"""

from typing import Any

from patchworks_deployments.api.selection import Selected
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.text import MAX_LABEL_CHARACTERS, clean_text
from patchworks_deployments.resources import attention
from patchworks_deployments.resources.overview import by_flow, count_environments
from patchworks_deployments.writes.outcome import NotDone
from patchworks_deployments.writes.plan import AnyPlan, environments_of

KEY = "patchworks-deployments/app"
"""The key in `_meta`."""

MAX_DEPLOYMENTS = 2_000
"""Deployments that a board holds; some 35 characters each. Whoever has more narrows it."""

DEED_LINES = 3
"""Lines of a question that tell the deed."""


def board(selected: Selected, policy: Policy, account: str, *, may_change: bool) -> dict[str, Any]:
    """All that was selected, each name once: rows point to flows, environments and packages by their place in a list.

    Flows and packages are sorted by name, environments by how much they hold. An environment has an id, a name and
    whether it is protected; its id is `?` where Patchworks did not say it, and null for what is in none.
    """
    flows = by_flow(selected.deployments)
    rows = [(flow, deployment) for flow, those in flows.items() for deployment in those][:MAX_DEPLOYMENTS]
    environments = {each.id: each.name for each in count_environments(selected.deployments)}
    named = {d.package_id: _name(d.package_name) for _, d in rows if d.package_id}
    packages = dict(sorted(named.items(), key=lambda package: (package[1] or "", package[0])))
    shown = {flow: flows[flow] for flow, _ in rows}
    places = {flow: place for place, flow in enumerate(shown)}
    columns = {environment: place for place, environment in enumerate(environments)}
    told = {(attention.environment_id(d), place) for d in selected.deployments for place in environments_of([d])}
    protected = {environment for environment, place in told if policy.protects(place)}
    return {
        "board": {
            "account": account,
            "may_change": may_change,
            "environments": [[*each, each[0] in protected] for each in environments.items()],
            "packages": [list(each) for each in packages.items()],
            "flows": [[flow, _name(those[0].flow_name), _package(those, packages)] for flow, those in shown.items()],
            "deployments": [_row(d, places[flow], columns[attention.environment_id(d)]) for flow, d in rows],
            "left_out": len(selected.deployments) - len(rows),
        }
    }


def _row(deployment: Deployment, flow: int, environment: int) -> list[Any]:
    return [deployment.id, deployment.flow_version_id, flow, environment, deployment.iteration, deployment.enabled]


def _package(deployments: list[Deployment], packages: dict[str, str | None]) -> int | None:
    """The place of the package that a flow is in, as far as one of its deployments tells it."""
    package = next((d.package_id for d in deployments if d.package_id in packages), None)
    return None if package is None else list(packages).index(package)


def _name(name: str | None) -> str | None:
    return clean_text(name, MAX_LABEL_CHARACTERS) if name else None


def change(plan: AnyPlan, not_done: NotDone | None, reason: str | None) -> dict[str, Any]:
    """The deed in three lines; and where it waits for a person's click, the call that the click makes.

    `type` is the id that a person has to type, None where a click is enough.
    """
    told: dict[str, Any] = {"tool": plan.write.name, "deed": []}
    if plan.is_needed:
        question = not_done.question if not_done and not_done.question else plan.question()
        told["deed"] = question.splitlines()[:DEED_LINES]
    if not_done and not_done.page_code:
        arguments = {**plan.write.arguments, **({"reason": reason} if reason else {})}
        told["confirm"] = {"tool_name": plan.write.name, "arguments": arguments, "code": not_done.page_code}
        told["type"] = plan.must_be_typed
    return {"change": told}
