"""Overviews: what two of them count alike, whether text and data say the same, and accounts to look over."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mcp_types import CallToolResult

from patchworks_deployments.model.text import inert
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, Flow, FlowVersion, VirtualEnvironment
from support.clients import data, text

FRAME = frozenset(
    re.findall(
        r"\w+",
        "deployment deployments of flow flows enabled disabled unknown missing environments off on and more "
        "all of them next page id flow version iteration environment package state several fit none has such a name "
        "left out because that is a whole name",
    )
)
"""The words of an overview's text that say what the numbers and names are."""


def counted(overview: dict[str, Any]) -> dict[str, Any]:
    """What an overview says of the deployments, whatever words they were asked for with."""
    attention = [{**kind, "call": None} for kind in overview["attention"]]
    return {k: v for k, v in overview.items() if k not in {"matched", "left_out", "call"}} | {"attention": attention}


def tokens(value: object) -> float:
    """Characters / 4 of a text, or of data as JSON."""
    written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(written) / 4


def assert_both_tell_all(result: CallToolResult) -> None:
    """Each id, name, number, example, remark and call of the data stands in the text, and the other way round."""
    seen, said = data(result), text(result)
    for leaf in _leaves(seen):
        assert leaf in said, f"only the data has {leaf!r}:\n{said}"
    for row in seen.get("rows", []):
        state = {True: "on", False: "off", None: "?"}[row.get("enabled")]
        assert any(line.startswith(f"{row['id']} | ") and line.endswith(f" | {state}") for line in said.splitlines())
    derived = {str(kind["count"] - len(kind["examples"])) for kind in seen.get("attention", [])}
    derived.add(str(seen["deployments"] - seen["enabled"] - seen["disabled"]))
    known = FRAME | derived | set(_words(" ".join(_leaves(seen, with_keys=True))))
    assert not (only := set(_words(said)) - known), f"only the text has {only}:\n{said}"


def _words(told: str) -> list[str]:
    return re.findall(r"\w+", told)


def _leaves(value: Any, *, with_keys: bool = False) -> Iterator[str]:
    if isinstance(value, dict) and value.keys() == {"tool", "arguments"}:
        yield f"{value['tool']} {json.dumps(value['arguments'], ensure_ascii=False)}"
    elif isinstance(value, dict):
        for key, entry in value.items():
            # A state is "on" or "off" in the text, and no environment has no disabled ones to speak of.
            if key == "disabled" and entry == 0 and "name" in value:
                continue
            if with_keys and key in {"matched", "left_out"}:
                yield from entry
            yield from _leaves(entry, with_keys=with_keys)
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry, with_keys=with_keys)
    elif isinstance(value, str):
        yield inert(value, len(value))
    elif not isinstance(value, bool):
        yield str(value)


def packed(sandbox: Sandbox, *, flows: int, environments: int) -> list[Deployment]:
    """An account of one package whose flows are all in all environments, in their first iteration; its deployments."""
    account, now = sandbox.account, datetime(2026, 3, 1, tzinfo=UTC)
    for table in (account.deployments, account.flows, account.flow_versions, account.virtual_environments):
        table.clear()
    for number in range(environments):
        name = f"Environment with quite a long name {number}"
        account.virtual_environments[10 + number] = VirtualEnvironment(10 + number, name)
    for number in range(flows):
        account.flows[100 + number] = Flow(100 + number, f"Orders of shop {number} to NetSuite", 1)
        for iteration in (1, 2):
            id_ = 1000 + 2 * number + iteration
            account.flow_versions[id_] = FlowVersion(id_, 100 + number, iteration, "Deployed", "", 1, 90, now, now)
        for environment in account.virtual_environments:
            id_ = 500 + len(account.deployments)
            version = 1000 + 2 * number + 1
            account.deployments[id_] = Deployment(id_, version, environment, 60, None, now, None, 90, now, now)
    return list(account.deployments.values())
