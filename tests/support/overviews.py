"""Overviews: what two of them count alike, whether text and data say the same, and accounts to look over."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mcp_types import CallToolResult

from patchworks_deployments.model.text import inert
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, Flow, FlowVersion, VirtualEnvironment
from support.clients import data, text
from support.read_back import Told, assert_inert, assert_same, call, known, match, name_and_id, number


def counted(overview: dict[str, Any]) -> dict[str, Any]:
    """What an overview says of the deployments, whatever words they were asked for with."""
    attention = [{**kind, "call": None} for kind in overview["attention"]]
    return {k: v for k, v in overview.items() if k not in {"matched", "left_out", "call"}} | {"attention": attention}


def tokens(value: object) -> float:
    """Characters / 4 of a text, or of data as JSON."""
    written = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(written) / 4


def assert_both_tell_all(result: CallToolResult) -> None:
    """Each id, name, count, state, example, remark and call of the data stands in the text, and the other way round."""
    assert_same(_in_text(text(result)), _in_data(data(result)), result)


COUNTS = r"(\d+) deployments? of (\d+) flows?: (\d+) enabled, (\d+) disabled(?:, (\d+) unknown)?(?:; (\d+) missing)?"
KINDS = (
    "disabled",
    "flows with several enabled versions in one environment",
    "flows missing where all others of their package are",
    "without environment",
    "names of several flows",
    "smaller environments",
)
FOUND = re.compile(rf"({'|'.join(KINDS)}) \((\d+)\)(?:: (.*))?")
TABLE = "id | flow version | flow (id) | iteration | environment (id) | package | state"
STATES = {"on": True, "off": False, "?": None}


def _in_text(said: str) -> Told:
    lines = said.split("\n")
    assert_inert((line.partition("deployment_overview {")[0] for line in lines), quoted=False)
    told: Told = {"names": {}, "environments": [], "attention": [], "remarks": [], "page": None, "rows": []}
    while (names := re.fullmatch(r"(flow|environment|package): (.*)", lines[0])) is not None:
        told["names"][names[1]] = names[2]
        lines.pop(0)
    counts = [count and int(count) for count in match(COUNTS, lines.pop(0)).groups()]
    told["counts"] = [*counts[:4], counts[4] or 0, counts[5] or 0]
    if lines and lines[0].startswith("environments: "):
        told["environments"] = [_environment(cell) for cell in lines.pop(0).removeprefix("environments: ").split(" | ")]
    while lines and (found := FOUND.fullmatch(lines[0])):
        told["attention"].append(_finding(found))
        lines.pop(0)
    told["call"] = None
    if lines and lines[-1].startswith(("all deployments: ", "next page: ")):
        what, _, said_call = lines.pop().partition(": ")
        told["call"] = what, call(said_call)
    if TABLE in lines:
        start = lines.index(TABLE)
        told["rows"] = [_row(line.split(" | ")) for line in lines[start + 1 :]]
        del lines[start:]
    if lines and (page := re.fullmatch(r"page (\d+) of (\d+)", lines[-1])):
        told["page"] = int(page[1]), int(page[2])
        lines.pop()
    return told | {"remarks": lines}


def _environment(cell: str) -> Told:
    place, count, disabled = match(r"(.*): (\d+)(?:, (\d+) off)?", cell).groups()
    return {**_place(place), "deployments": int(count), "disabled": int(disabled or 0)}


def _place(said: str) -> Told:
    if said == "no environment":
        return {"id": None, "name": None}
    if nameless := re.fullmatch(r"environment (\d+|\?)", said):
        return {"id": nameless[1], "name": None}
    name, identifier = name_and_id(said)
    return {"id": identifier, "name": name}


def _finding(found: re.Match[str]) -> Told:
    parts = found[3].split(" | ") if found[3] else []
    following = call(parts.pop().removeprefix("all: ")) if parts and parts[-1].startswith("all: deployment_o") else None
    more = re.fullmatch(r"and (\d+) more", parts[-1]) if parts else None
    examples = parts[:-1] if more else parts
    if more:
        assert int(more[1]) == int(found[2]) - len(examples)
    return {"what": found[1], "count": int(found[2]), "examples": examples, "call": following}


def _row(cells: list[str]) -> Told:
    id_, version, flow, iteration, place, package, state = cells
    flow_name, flow_id = name_and_id(flow)
    return {
        "id": id_,
        "flow_version_id": known(version),
        "flow_name": flow_name,
        "flow_id": flow_id,
        "iteration": number(iteration),
        "environment": _place(place),
        "package_id": known(package),
        "enabled": STATES[state],
    }


def _in_data(seen: Told) -> Told:
    places: dict[str | None, Told] = {place.get("id"): _place_in_data(place) for place in seen.get("environments", [])}
    counts = [seen[name] for name in ("deployments", "flows", "enabled", "disabled")]
    following = seen.get("call")
    lists = {"environments", "attention", "remarks", "rows"}
    known_names = {"matched", "left_out", "deployments", "flows", "enabled", "disabled", "missing", "page", "pages"}
    assert seen.keys() <= known_names | lists | {"call"}
    return {
        "names": {part: _names_in_data(seen, part) for part in seen.get("matched", {})},
        "counts": [*counts, counts[0] - counts[2] - counts[3], seen.get("missing", 0)],
        "environments": [
            {**places[place.get("id")], "deployments": place["deployments"], "disabled": place["disabled"]}
            for place in seen.get("environments", [])
        ],
        "attention": [{"call": None} | kind for kind in seen.get("attention", [])],
        "remarks": seen.get("remarks", []),
        "page": (seen["page"], seen["pages"]) if "page" in seen else None,
        "rows": [_row_in_data(row, places) for row in seen.get("rows", [])],
        "call": ("next page" if "page" in seen else "all deployments", following) if following else None,
    }


def _names_in_data(seen: Told, part: str) -> str:
    labels, out = seen["matched"][part], seen.get("left_out", {}).get(part)
    assert seen.get("left_out", {}).keys() <= seen["matched"].keys()
    told = ("several fit: " if len(labels) > 1 else "") + (", ".join(labels) or "none has such a name")
    return f"{told}; left out, because that is a whole name: {', '.join(out)}" if out else told


def _place_in_data(place: Told) -> Told:
    if "id" not in place:
        assert place["name"] == "no environment"
        return {"id": None, "name": None}
    return {"id": place["id"], "name": inert(place["name"]) if "name" in place else None}


def _row_in_data(row: Told, places: Mapping[str | None, Told]) -> Told:
    told = {name: row.get(name) for name in ("id", "flow_version_id", "flow_id", "iteration", "package_id", "enabled")}
    assert row.keys() <= told.keys() | {"flow_name", "environment_id"}
    name = inert(row["flow_name"]) if "flow_name" in row else None
    return {**told, "flow_name": name, "environment": places[row.get("environment_id")]}


def packed(sandbox: Sandbox, *, flows: int, environments: int) -> list[Deployment]:
    """An account of one package whose flows are all in all environments, in their first iteration; its deployments."""
    account, now = sandbox.account, datetime(2026, 3, 1, tzinfo=UTC)
    for table in (account.deployments, account.flows, account.flow_versions, account.virtual_environments):
        table.clear()
    for place in range(environments):
        name = f"Environment with quite a long name {place}"
        account.virtual_environments[10 + place] = VirtualEnvironment(10 + place, name)
    for shop in range(flows):
        account.flows[100 + shop] = Flow(100 + shop, f"Orders of shop {shop} to NetSuite", 1)
        for iteration in (1, 2):
            id_ = 1000 + 2 * shop + iteration
            account.flow_versions[id_] = FlowVersion(id_, 100 + shop, iteration, "Deployed", "", 1, 90, now, now)
        for environment in account.virtual_environments:
            id_ = 500 + len(account.deployments)
            version = 1000 + 2 * shop + 1
            account.deployments[id_] = Deployment(id_, version, environment, 60, None, now, None, 90, now, now)
    return list(account.deployments.values())
