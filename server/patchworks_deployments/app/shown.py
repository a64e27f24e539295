"""What the page gets with a result, beside what the model gets: a board, or a change and the code for its click.

It travels in the result's `_meta`, which a host hands to the page and keeps from the model, and goes to no client that
has not said that it shows pages. MCP Apps, specification 2026-01-26, "Data Passing".
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from patchworks_deployments.api.selection import Selected
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.resources import attention
from patchworks_deployments.resources.overview import by_flow, count_environments, cut_name
from patchworks_deployments.writes.outcome import NotDone
from patchworks_deployments.writes.plan import AnyPlan, environments_of

Thing = TypeVar("Thing")

KEY = "patchworks-deployments/app"
"""The key in `_meta`."""

MAX_DEPLOYMENTS = 2_000
"""Deployments that a board holds; some 30 to 60 characters each, with the names. Whoever has more narrows it."""

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
    named = {d.package_id: cut_name(d.package_name) for _, d in rows if d.package_id}
    packages = dict(sorted(named.items(), key=lambda package: (package[1] or "", package[0])))
    shown = {flow: flows[flow] for flow, _ in rows}
    lines, columns, groups = _places(shown), _places(environments), _places(packages)
    told = {(attention.environment_id(d), whole) for d in selected.deployments for whole in environments_of([d])}
    protected = {environment for environment, whole in told if policy.protects(whole)}
    return {
        "board": {
            "account": account,
            "may_change": may_change,
            "environments": [[*each, each[0] in protected] for each in environments.items()],
            "packages": [list(each) for each in packages.items()],
            "flows": [[flow, cut_name(those[0].flow_name), _package(those, groups)] for flow, those in shown.items()],
            "deployments": [_row(d, lines[flow], columns[attention.environment_id(d)]) for flow, d in rows],
            "left_out": len(selected.deployments) - len(rows),
        }
    }


def _row(deployment: Deployment, flow: int, environment: int) -> list[Any]:
    return [deployment.id, deployment.flow_version_id, flow, environment, deployment.iteration, deployment.enabled]


def _places(things: Iterable[Thing]) -> dict[Thing, int]:
    """At which place of their list each of them stands."""
    return {thing: place for place, thing in enumerate(things)}


def _package(deployments: list[Deployment], places: Mapping[str, int]) -> int | None:
    """The place of the package that a flow is in, as far as one of its deployments tells it."""
    return next((places[d.package_id] for d in deployments if d.package_id and d.package_id in places), None)


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
