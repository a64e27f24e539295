"""Arguments as hosts write them: filled up, added to, as floats, as text instead of lists, and what they mean."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult
from pydantic import TypeAdapter, ValidationError
from support.cases import CASES, Arguments, replaceable
from support.clients import (
    IDS,
    Era,
    Person,
    agreed,
    asked,
    audit_lines,
    both_eras,
    connected,
    data,
    newer_era_first,
    text,
    yes,
)
from support.examples import examples
from support.processes import ROOT
from support.sandboxes import FakeClock

from patchworks_deployments.model.values import Identifier
from patchworks_deployments.model.values import given as as_given
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.app import RecordedRequest


def account() -> Sandbox:
    """One in which a version can be replaced, and in which time stands still."""
    sandbox = Sandbox(30, clock=FakeClock())
    replaceable(sandbox)
    return sandbox


CALLS: dict[str, Arguments] = {
    "list_deployments": {"virtual_environment_id": "10"},
    "list_flow_version_deployments": {"flow_version_id": "1001"},
    "get_deployment": IDS,
    "deployment_overview": {"environment": "UK Live"},
    "list_changes": {"since": "24h"},
    "set_deployments_enabled": {"enabled": False, "environment": "UK Live"},
    "replace_deployment": replaceable(Sandbox(30))[1],
    **{case.tool: case.arguments(account()) for case in CASES},
}
"""A call of each tool, which changes something where the tool does."""

ASKS_BY_DEFAULT = ["update_deployment", "delete_deployment", "disable_deployment", "set_deployments_enabled"]

ADDED_BY_HOSTS = ["toolCallId", "sessionId", "action", "chatInput", "tool", "task_progress"]
"""What n8n adds to a call of any tool, and last what Cline does."""

FILLERS: list[Any] = [None, "", []]
any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
added = st.dictionaries(st.sampled_from(ADDED_BY_HOSTS), any_json)

PROPERTIES: dict[str, list[str]] = {
    path.stem: list(json.loads(path.read_text(encoding="utf-8"))["inputSchema"]["properties"])
    for path in (ROOT / "tool_schemas").glob("*.json")
}
"""The names of each tool's arguments."""


def filled(tool: str, call: Arguments) -> st.SearchStrategy[Arguments]:
    """The call with any of its other arguments filled up, and with what hosts add, in front of it or behind."""
    others = st.dictionaries(
        st.sampled_from([name for name in PROPERTIES[tool] if name not in call]), st.sampled_from(FILLERS)
    )
    return st.tuples(others, added, st.booleans()).map(
        lambda drawn: {**drawn[0], **call, **drawn[1]} if drawn[2] else {**drawn[1], **call, **drawn[0]}
    )


async def played(tool: str, arguments: Arguments, era: Era = "auto") -> tuple[CallToolResult, list[RecordedRequest]]:
    """The result of a call to which a person agrees, and all that reached Patchworks, in a fresh account."""
    sandbox = account()
    async with connected(sandbox, person=Person(yes), era=era) as client:
        result = await client.call_tool(tool, arguments)
    return result, sorted(sandbox.requests, key=str)


_plain: dict[tuple[str, Era], tuple[CallToolResult, list[RecordedRequest]]] = {}


async def plain(tool: str, era: Era) -> tuple[CallToolResult, list[RecordedRequest]]:
    """The same for the tool's call in `CALLS`; made once, because it is the same for all examples."""
    if (tool, era) not in _plain:
        _plain[tool, era] = await played(tool, CALLS[tool], era)
    return _plain[tool, era]


def told(result: CallToolResult) -> dict[str, Any]:
    """What a call came to, without the time that it took."""
    timeless: dict[str, Any] = json.loads(re.sub(r"\d+ ms", "some ms", json.dumps(data(result))))
    return {name: value for name, value in timeless.items() if name != "gap_milliseconds"}


@newer_era_first
@pytest.mark.parametrize("tool", CALLS)
@examples(15)
@given(drawn=st.data())
async def test_what_hosts_fill_in_and_add_makes_no_difference(tool: str, era: Era, drawn: st.DataObject) -> None:
    """Any other argument as null, "" or [], and any value of what they add: the same requests, and the same result."""
    arguments = drawn.draw(filled(tool, CALLS[tool]))
    expected, its_requests = await plain(tool, era)
    assert not expected.is_error
    result, requests = await played(tool, arguments, era)
    assert (told(result), requests) == (told(expected), its_requests)


@newer_era_first
@pytest.mark.parametrize("tool", CALLS)
async def test_every_argument_at_once_may_be_filled_in(tool: str, era: Era) -> None:
    """As strict hosts do it: all with null, all with empty text, or all with an empty list."""
    for filler in FILLERS:
        arguments = {**dict.fromkeys([*PROPERTIES[tool], *ADDED_BY_HOSTS], filler), **CALLS[tool]}
        assert told((await played(tool, arguments, era))[0]) == told((await plain(tool, era))[0])


@both_eras
async def test_a_required_argument_that_is_filled_in_is_required(era: Era) -> None:
    """In every tool, and nothing is sent."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for tool in (await client.list_tools()).tools:
            for name in tool.input_schema.get("required", ()):
                for filler in FILLERS:
                    result = await client.call_tool(tool.name, {**CALLS[tool.name], name: filler})
                    assert f"{name}: is required" in text(result), tool.name
    assert not sandbox.requests


async def test_false_and_zero_are_given() -> None:
    """They are values like any other."""
    assert as_given({"page": 0, "dry_run": False, "name": " ", "of": [None], "in": {}}) == {
        "page": 0,
        "dry_run": False,
        "name": " ",
        "of": [None],
        "in": {},
    }
    assert "page: must be greater than or equal to 1" in text((await played("list_deployments", {"page": 0}))[0])


@newer_era_first
@pytest.mark.parametrize("tool", ASKS_BY_DEFAULT)
@examples(10)
@given(drawn=st.data())
async def test_a_code_is_good_for_the_same_call_however_it_is_filled_in(
    tool: str, era: Era, drawn: st.DataObject
) -> None:
    """The one that the code was given for, and the one that brings it, each with fillers or without."""
    first, second = drawn.draw(filled(tool, CALLS[tool])), drawn.draw(filled(tool, CALLS[tool]))
    async with connected(era=era) as client:
        preview = data(await client.call_tool(tool, first))
        assert preview["status"] == "confirmation_required"
        done = await client.call_tool(tool, {**second, "confirmation_code": preview["confirmation_code"]})
    assert data(done)["status"] == "done", text(done)


@pytest.mark.parametrize("tool", ["update_deployment", "disable_deployment", "set_deployments_enabled"])
@examples(15)
@given(drawn=st.data())
async def test_an_answer_is_taken_for_the_same_call_however_it_is_filled_in(tool: str, drawn: st.DataObject) -> None:
    """In the newer era, where the answer comes with a second call, to which a host may add another id of its own."""
    first, second = drawn.draw(filled(tool, CALLS[tool])), drawn.draw(filled(tool, CALLS[tool]))
    person = Person(yes)
    async with connected(person=person) as client:
        question = await asked(client, tool, first)
        done = await agreed(client, tool, second, question)
    assert isinstance(done, CallToolResult)
    assert data(done)["status"] == "done"
    assert data(done)["confirmed_by"] == "human"


@both_eras
async def test_what_hosts_add_stands_in_no_line_and_has_any_length(era: Era, tmp_path: Path) -> None:
    """The audit log tells of what was given; other arguments are refused as ever, with what was meant."""
    log = tmp_path / "log"
    theirs = {**dict.fromkeys(ADDED_BY_HOSTS, "x" * 50_000), "if_state": "", "dry_run": None}
    async with connected(person=Person(yes), era=era, audit_log=log) as client:
        done = await client.call_tool("disable_deployment", {**theirs, **IDS})
        refused = await client.call_tool("enable_deployment", {**theirs, **IDS, "resaon": "x", "sessionid": "x"})
    assert data(done)["status"] == "done"
    assert '"resaon" is not an argument of this tool: did you mean reason?' in text(refused)
    assert '"sessionid" is not an argument of this tool' in text(refused)
    assert not any(f'"{name}"' in text(refused) for name in ADDED_BY_HOSTS)
    assert [(line["outcome"], line["arguments"]) for line in audit_lines(log)] == [("done", IDS), ("refused", IDS)]


# Whole floats ---------------------------------------------------------------------------------------


@newer_era_first
@pytest.mark.parametrize("tool", CALLS)
async def test_a_whole_float_is_the_id_or_number_that_it_means(tool: str, era: Era) -> None:
    """Some stacks know no other numbers."""
    as_floats = {
        name: float(value) if isinstance(value, int | str) and str(value).isdigit() else value
        for name, value in CALLS[tool].items()
    }
    expected, its_requests = await plain(tool, era)
    result, requests = await played(tool, as_floats, era)
    assert (told(result), requests) == (told(expected), its_requests)


@pytest.mark.parametrize(
    ("tool", "written", "meant"),
    [
        ("list_deployments", {"flow_id": [100.0, 101]}, {"flow_id": "100,101"}),
        ("list_deployments", {"page": 2.0, "per_page": 5.0}, {"page": 2, "per_page": 5}),
        ("deployment_overview", {"environment": 10.0}, {"environment": "10"}),
        ("deployment_overview", {"environment": [10.0, "12"]}, {"environment": "10,12"}),
        ("deployment_overview", {"deployment_id": 500.0}, {"deployment_id": "500"}),
        (
            "set_deployments_enabled",
            {"enabled": False, "deployments": [500.0, 501]},
            {"enabled": False, "deployments": ["500", "501"]},
        ),
        (
            "set_deployments_enabled",
            {"enabled": False, "deployments": 500.0},
            {"enabled": False, "deployments": ["500"]},
        ),
    ],
)
async def test_whole_floats_are_ids_within_lists_as_well(tool: str, written: Arguments, meant: Arguments) -> None:
    """Of ids, of names of deployments, and where an id may stand for a name."""
    result, requests = await played(tool, written)
    expected, its_requests = await played(tool, meant)
    assert (told(result), requests) == (told(expected), its_requests)


identifiers: TypeAdapter[str] = TypeAdapter(Identifier)


@given(number=st.integers(1, 2**53 - 1))
def test_a_float_that_tells_one_id_is_that_id(number: int) -> None:
    """As long as there is only one whole number that it can mean."""
    assert identifiers.validate_python(float(number)) == str(number)


@given(number=st.floats().filter(lambda number: not (number.is_integer() and 0 < number < 2**53)))
def test_any_other_float_is_no_id(number: float) -> None:
    """Neither a part, nor infinity or no number at all, nor what is too large to tell which."""
    with pytest.raises(ValidationError):
        identifiers.validate_python(number)


# Lists and text -------------------------------------------------------------------------------------

LISTS: list[tuple[str, Arguments, str, list[str]]] = [
    ("set_deployments_enabled", {"enabled": False}, "deployments", ["1001/500", "501", "502", "503"]),
    ("list_deployments", {}, "include", ["enabledBy", "flowVersion", "virtualEnvironment", "package", "user"]),
    ("list_deployments", {}, "flow_id", ["100", "101", "102", "103"]),
    ("list_deployments", {}, "virtual_environment_id", ["10", "11", "12"]),
    ("list_deployments", {}, "package_id", ["60", "61"]),
    ("deployment_overview", {}, "environment", ["10", "11", "12"]),
    ("update_deployment", {**IDS, "virtual_environment_id": "14"}, "clear", ["priority", "enabled_at"]),
]
"""Each argument that takes several values, with a call that it makes whole."""


@pytest.mark.parametrize(("tool", "call", "name", "values"), LISTS)
@examples(10)
@given(drawn=st.data())
async def test_a_list_may_be_written_as_text_with_commas(
    tool: str, call: Arguments, name: str, values: list[str], drawn: st.DataObject
) -> None:
    """With blanks or without, or as JSON in text: it means the same as the list."""
    chosen = drawn.draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
    blanks = st.sampled_from(["", " "])
    expected, its_requests = await played(tool, {**call, name: chosen})
    assert its_requests
    with_commas = ",".join(f"{drawn.draw(blanks)}{value}{drawn.draw(blanks)}" for value in chosen)
    for written in (with_commas, json.dumps(chosen)):
        result, requests = await played(tool, {**call, name: written})
        assert (text(result), requests) == (text(expected), its_requests), written
