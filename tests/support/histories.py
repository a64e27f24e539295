"""What was changed, as tests ask for it: its rows, its two channels against each other, and lines of an audit log."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from patchworks_deployments.model.text import inert
from support.channels import missing_in_data, missing_in_text
from support.clients import data, text
from support.read_back import Told, assert_inert, assert_same, call, match

COLUMNS = [
    "id",
    "time (UTC)",
    "deployment",
    "flow",
    "environment",
    "change",
    "outcome",
    "caller",
    "confirmed_by",
    "reason",
    "undo",
]
"""All columns of the table, in their order; those of which all rows have the same stand before it."""


async def changes(client: Client, **filters: Any) -> dict[str, Any]:
    """What `list_changes` tells, after its text was read back."""
    result = await client.call_tool("list_changes", filters)
    assert not result.is_error, text(result)
    assert_both_tell_all(result)
    return data(result)


def rows(told: dict[str, Any]) -> list[dict[str, str]]:
    """The rows with all columns, newest first."""
    same, columns = told.get("same", {}), told.get("columns", [])
    return [{**same, **dict(zip(columns, row, strict=True))} for row in told["changes"]]


def column(told: dict[str, Any], name: str) -> list[str]:
    """One value of each row."""
    return [told.get("callers", {}).get(row[name], row[name]) if name == "caller" else row[name] for row in rows(told)]


async def undone(client: Client, told: dict[str, Any]) -> list[dict[str, Any]]:
    """What the calls that undo come to, made as they are given, in their order."""
    return [data(await client.call_tool(back["tool"], back["arguments"])) for back in told.get("undo", [])]


# The two channels ---------------------------------------------------------------------------------


def assert_both_tell_all(result: CallToolResult) -> None:
    """Each id, name, word, remark and call of the data stands in the text, and the other way round."""
    seen, said = data(result), _in_text(text(result))
    remarks = seen.get("remarks", [])
    shown, said["remarks"] = (
        said["rest"][: len(said["rest"]) - len(remarks)],
        said["rest"][-len(remarks) :] if remarks else [],
    )
    assert bool(shown) is ("whole" in seen)
    del said["rest"]
    assert_same(said, _in_data(seen), result)
    if shown:
        assert missing_in_text(result) == []
        assert missing_in_data(result) == []


def _in_text(said: str) -> Told:
    heading, *lines = said.split("\n")
    count, page, now = match(
        r"(\d+) changes?, page (\d+); now (\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?) UTC", heading
    ).groups()
    told: Told = {"page": int(page), "now": now, "undo": [], "next": None, "flows": {}, "environments": {}}
    same: dict[str, str] = {}
    if lines and lines[0].startswith("all: "):
        cells = lines.pop(0).removeprefix("all: ").split(" | ")
        same = {
            name: cell.removeprefix(f"{name} ") for cell in cells for name in COLUMNS if cell.startswith(f"{name} ")
        }
    columns = lines.pop(0).split(" | ") if int(count) else []
    assert sorted([*same, *columns]) == sorted(COLUMNS if int(count) else [])
    table = [lines.pop(0).split(" | ") for _ in range(int(count))]
    told["rows"] = [{**same, **dict(zip(columns, row, strict=True))} for row in table]
    for title in ("flows", "environments"):
        if lines and lines[0].startswith(f"{title}: "):
            named = [
                match(r"(.+) \((\d+)\)", cell).groups() for cell in lines.pop(0).removeprefix(f"{title}: ").split(" | ")
            ]
            told[title] = {identifier: name for name, identifier in named}
    for title in ("callers", "reasons"):
        is_there = bool(lines) and lines[0].startswith(f"{title}: ")
        cells = lines.pop(0).removeprefix(f"{title}: ").split(" | ") if is_there else []
        told[title] = dict(cell.split(" ", 1) for cell in cells)
    while lines and lines[-1].startswith(("undo: ", "next page: ")):
        kind, _, said_call = lines.pop().partition(": ")
        if kind == "undo":
            told["undo"].insert(0, call(said_call))
        else:
            told["next"] = call(said_call)
    told["rest"] = lines
    return told


def _in_data(seen: Told) -> Told:
    known = {
        "now",
        "page",
        "same",
        "columns",
        "changes",
        "flows",
        "environments",
        "callers",
        "reasons",
        "whole",
        "remarks",
        "undo",
    }
    assert seen.keys() <= known | {"next"}
    day, clock = seen["now"].removesuffix("Z").split("T")
    told: Told = {"page": seen["page"], "now": f"{day} {clock.removesuffix(':00')}"}
    told["rows"] = rows(seen)
    for row in told["rows"]:
        assert_inert([value for name, value in row.items() if name != "change"])
        assert_inert([row["change"]], quoted=True)
    for names in ("flows", "environments"):
        told[names] = {of: inert(name) for of, name in seen.get(names, {}).items()}
    told |= {"callers": seen.get("callers", {}), "reasons": seen.get("reasons", {})}
    told |= {"undo": seen.get("undo", []), "next": seen.get("next")}
    told["remarks"] = seen.get("remarks", [])
    return told


# Lines of an audit log ----------------------------------------------------------------------------

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def deployment(**fields: Any) -> dict[str, Any]:
    """A deployment as the log has it."""
    return {
        "id": "500",
        "flow_version_id": "1001",
        "flow_id": "100",
        "flow_name": "Shopify orders to NetSuite",
        "iteration": 2,
        "virtual_environment_id": "10",
        "virtual_environment_name": "UK Live",
        "priority": 1,
        "enabled": True,
        **fields,
    }


def line(event: str | None, of: str, minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """A line of the log, of a deployment that was disabled so many minutes after the start."""
    head = {"event": event, "id": of} if event else {}
    return {
        **head,
        "time": (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds"),
        "tool": "disable_deployment",
        **({} if event == "intent" else {"outcome": "done"}),
        "arguments": {"flow_version_id": "1001", "deployment_id": "500"},
        "target": "500",
        "before": deployment(),
        "after": None if event == "intent" else deployment(enabled=False),
        "confirmed_by": "human",
        "reason": None,
        "caller": "local",
        "client": "mcp 0.1.0",
        **({"account": "0" * 12, "undo": None} if event else {}),
        **fields,
    }


def write_log(path: Path, lines: Sequence[dict[str, Any] | bytes]) -> None:
    """Write these lines, as the server writes them where they are no bytes."""
    written = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines)
    path.write_bytes(b"".join(one + b"\n" for one in written))
