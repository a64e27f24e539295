"""The two channels of what is read: its text, read back into what it tells, and its data, as far as it should tell.

Nothing of the server makes these, so a field, an id or a call that one channel lacks makes them differ.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from mcp_types import CallToolResult

from patchworks_deployments.model.text import inert, is_invisible
from support.clients import data, text

Told = dict[str, Any]

MARKUP = set('`<>[]*~#\\"')
TABLE = ["id", "flow version", "flow (id)", "iteration", "environment (id)", "package (id)", "priority", "state (UTC)"]
ROW = ("id", "flow_version_id", "flow_id", "flow_name", "iteration", "priority", "enabled", "enabled_at")
PLACES = ("virtual_environment", "package")
PEOPLE_AND_TIMES = ("flow_version_status", "enabled_by", "deployed_at", "deployed_by", "created_at", "updated_at")


def assert_listing_is_whole(result: CallToolResult) -> None:
    """The text and the data of a listing tell the same."""
    assert_same(_listing_in_text(text(result)), _listing_in_data(data(result)), result)


def assert_deployment_is_whole(result: CallToolResult) -> None:
    """The text and the data of one deployment tell the same."""
    assert_same(_deployment_in_text(text(result)), _deployment_in_data(data(result)), result)


def assert_same(in_text: Told, in_data: Told, result: CallToolResult) -> None:
    assert in_text == in_data, f"text: {in_text}\ndata: {in_data}\n{text(result)}"


# A listing ----------------------------------------------------------------------------------------


def _listing_in_text(said: str) -> Told:
    heading, *lines = said.split("\n")
    counts = match(r"(\d+)(?: of (\d+))? deployments?, page (\d+)(?: of (\d+))?", heading)
    shown, total, page, pages = (None if count is None else int(count) for count in counts.groups())
    rows: list[Told] = []
    if shown:
        columns, *cells = [line.split(" | ") for line in lines[: shown + 1]]
        assert columns[: len(TABLE)] == TABLE
        rows = [_row_in_text(dict(zip(columns, row, strict=True))) for row in cells]
        lines = lines[shown + 1 :]
    calls = [call(line.removeprefix("next page: ")) for line in lines[-1:] if line.startswith("next page: ")]
    remarks = lines[: len(lines) - len(calls)]
    assert_inert(remarks, quoted=True)
    return {"page": page, "pages": pages, "total": total, "rows": rows, "remarks": remarks, "next": calls}


def _row_in_text(cells: dict[str, str]) -> Told:
    assert_inert(cells.values())
    flow_name, flow_id = name_and_id(cells["flow (id)"])
    told: Told = {
        "id": cells["id"],
        "flow_version_id": known(cells["flow version"]),
        "flow_name": flow_name,
        "flow_id": flow_id,
        "iteration": number(cells["iteration"]),
        "priority": number(cells["priority"]),
        **_state(re.sub(r"^enabled (\d.*)", r"enabled since \1 UTC", cells["state (UTC)"])),
        "unreadable": [field for field in cells.get("unreadable", "-").split(", ") if field != "-"],
    }
    for place, column in zip(PLACES, ("environment (id)", "package (id)"), strict=True):
        told[f"{place}_name"], told[f"{place}_id"] = name_and_id(cells[column])
        if cells[column] in {"-", "?"}:
            assert (cells[column] == "?") is (f"{place}_id" in told["unreadable"])
    if told["priority"] is None:
        assert (cells["priority"] == "?") is ("priority" in told["unreadable"])
    columns = {field: field.replace("_", " ") for field in PEOPLE_AND_TIMES}
    assert cells.keys() <= {*TABLE, "unreadable", *columns.values()}
    return told | {field: known(cells.get(column, "-")) for field, column in columns.items()}


def _listing_in_data(seen: Told) -> Told:
    rows = [_row_in_data(row, seen) for row in seen["deployments"]]
    calls = [seen["next"]] if "next" in seen else []
    paging = {name: seen.get(name) for name in ("page", "pages", "total")}
    assert seen.keys() <= {*paging, "deployments", "remarks", "next", "environments", "packages"}
    return {**paging, "rows": rows, "remarks": seen.get("remarks", []), "next": calls}


def _row_in_data(row: Told, seen: Told) -> Told:
    told = _fields(row, ROW) | _fields(row, PEOPLE_AND_TIMES)
    # A person called "-" reads as nobody.
    told |= {field: None for field in PEOPLE_AND_TIMES if told[field] in {"-", "?"}}
    for place, beside in zip(PLACES, ("environments", "packages"), strict=True):
        names, identifier = seen.get(beside, {}), row.get(f"{place}_id")
        assert row.get(f"{place}_name", "") != names.get(identifier), "a name stands twice"
        name = row.get(f"{place}_name") or names.get(identifier)
        told |= {f"{place}_id": identifier, f"{place}_name": inert(name) if name else None}
    assert row.keys() <= told.keys() | {"unreadable"}
    return told | {"unreadable": row.get("unreadable", [])}


# One deployment -----------------------------------------------------------------------------------

NAMED = r'(?:"([^"]*)"(?: \((\d+)\))?|(\d+))'
FIRST = (
    r"Deployment (\d+) of (?:flow version (\d+)|an unknown flow version): "
    rf"(?:flow {NAMED}|flow version \d+|an unknown flow version)(?: iteration (-?\d+))?, "
    rf"(?:environment {NAMED}|(no environment)|environment unknown)"
)
SECOND = (
    r"(enabled since [^;]+|enabled|disabled|enabled or not: unknown); queue priority (inherited|unknown|-?\d+)"
    rf"(?:; package {NAMED})?(?:; unreadable: (.+))?"
)
OTHER = "other fields, data from Patchworks: "


def _deployment_in_text(said: str) -> Told:
    first, second, *lines = said.split("\n")
    assert_inert([first, second], quoted=True)
    id_, version, flow, flow_id, only_flow_id, iteration, place, place_id, only_place_id, unplaced = match(
        FIRST, first
    ).groups()
    state, priority, package, package_id, only_package_id, unreadable = match(SECOND, second).groups()
    told: Told = {
        "id": id_,
        "flow_version_id": version,
        "flow_name": flow,
        "flow_id": flow_id or only_flow_id,
        "iteration": iteration and int(iteration),
        "virtual_environment_name": place,
        "virtual_environment_id": place_id or only_place_id,
        "package_name": package,
        "package_id": package_id or only_package_id,
        "priority": None if priority in {"inherited", "unknown"} else int(priority),
        **_state(state),
        "unreadable": unreadable.split(", ") if unreadable else [],
        **dict.fromkeys(PEOPLE_AND_TIMES),
        "other": None,
    }
    assert bool(unplaced) <= ("virtual_environment_id" not in told["unreadable"])
    assert (priority == "unknown") is (told["priority"] is None and "priority" in told["unreadable"])
    for line in lines:
        if line.startswith(OTHER):
            told["other"] = json.loads(line.removeprefix(OTHER), object_pairs_hook=list)
            continue
        assert_inert([line])
        label, _, value = line.partition(": ")
        assert told[label.replace(" ", "_")] is None
        told[label.replace(" ", "_")] = value
    return told


def _deployment_in_data(seen: Told) -> Told:
    names = ("virtual_environment_id", "virtual_environment_name", "package_id", "package_name")
    told = _fields(seen, (*ROW, *names, *PEOPLE_AND_TIMES))
    assert seen.keys() <= told.keys() | {"unreadable", "other"}
    return {**told, "unreadable": seen.get("unreadable", []), "other": _inert(seen.get("other"))}


def _inert(value: Any) -> Any:
    """JSON as it is shown: objects as lists of pairs, because two keys may be shown alike."""
    if isinstance(value, dict):
        return [(_inert(key), _inert(entry)) for key, entry in value.items()]
    if isinstance(value, list):
        return [_inert(entry) for entry in value]
    return inert(value, len(value)) if isinstance(value, str) else value


# What both share ----------------------------------------------------------------------------------


def _fields(row: Told, names: Iterable[str]) -> Told:
    """Fields of the data as a text shows them."""
    return {name: _shown(name, row.get(name)) for name in names}


def _shown(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _moment(value) if name.endswith("_at") else inert(value)


def _moment(time: str) -> str:
    day, clock = time.removesuffix("Z").split("T")
    return f"{day} {clock[:8].removesuffix(':00')} UTC"


def _state(said: str) -> Told:
    enabled = {"enabled or not: unknown": None, "disabled": False}.get(said, True)
    since = said.removeprefix("enabled since ") if said.startswith("enabled since ") else None
    assert since or said in {"enabled or not: unknown", "disabled", "enabled"}
    return {"enabled": enabled, "enabled_at": since}


def name_and_id(cell: str) -> tuple[str | None, str | None]:
    if cell in {"-", "?"}:
        return None, None
    name, identifier = match(r"(?:(.+) )?\((\d+|\?)\)", cell).groups()
    return name, known(identifier)


def known(cell: str) -> str | None:
    return None if cell in {"-", "?"} else cell


def number(cell: str) -> int | None:
    return None if cell in {"-", "?"} else int(cell)


def call(said: str) -> Told:
    tool, _, arguments = said.partition(" ")
    return {"tool": tool, "arguments": json.loads(arguments)}


def match(pattern: str, said: str) -> re.Match[str]:
    found = re.fullmatch(pattern, said)
    assert found, said
    return found


def assert_inert(texts: Iterable[str], *, quoted: bool = False) -> None:
    """No markup and nothing that nobody sees; quotation marks only where names stand in them."""
    for said in texts:
        assert not set(said) & (MARKUP - {'"'} if quoted else MARKUP), said
        assert not any(map(is_invisible, said)), said
        assert "://" not in said, said
