"""Each error, read aloud: whole sentences, nothing that is not known, and what was changed where that can be."""

import re
from typing import Any

import httpx2
import pytest
from support.clients import IDS, READING, Era, Person, connected, newer_era_first, text, yes
from support.faults import Answered, Fault, Step, Upstream, every, reply, write
from support.virtual_time import in_virtual_time

VERSION = {"flow_version_id": "1001"}

CALLS: dict[str, dict[str, Any]] = {
    "list_deployments": {},
    "list_flow_version_deployments": VERSION,
    "get_deployment": IDS,
    "deployment_overview": {"deployment_id": "500"},
    "list_changes": {"page": 2},  # which there is not; what else it lacks is a remark
    "create_deployment": {**VERSION, "virtual_environment_id": "12"},
    "update_deployment": {**IDS, "priority": 3},
    "delete_deployment": IDS,
    "enable_deployment": IDS,
    "disable_deployment": IDS,
    "replace_deployment": {**IDS, "new_flow_version_id": "1000"},
    "set_deployments_enabled": {"enabled": False, "deployments": ["1001/500"]},
}

FAULTS: dict[str, Fault] = {
    **{str(status): reply(status, {"message": "taken"}) for status in (400, 401, 403, 404, 408, 409, 413, 500, 502)},
    "422": reply(422, {"message": "a is bad (and 1 more)", "errors": {"a": ["a is bad", "b?"], "c": "odd", "d": []}}),
    "429": reply(429, {}, retry_after=600),
    "503": reply(503, b"<html><title>Sorry!</title>", content_type="text/html"),
    "a redirect": reply(302, location="https://x.test/"),
    "nothing": reply(),
    "a list": reply(200, b"[]"),
    "somebody else's": reply(200, {"data": {"id": 7}}),
    "silence": httpx2.ReadTimeout,
    "no way": httpx2.ConnectError,
}

SENTENCES = re.compile(r'([A-Z"](\([^()]*\)|"[^"]*"|[^"()])*?[.?!]"?( |$))+')
"""Each begins with a capital or a quotation and has an end, and what is in brackets or quotation marks stays whole."""


@newer_era_first
@pytest.mark.parametrize("fault", FAULTS)
@in_virtual_time
async def test_an_error_before_anything_was_sent_reads_as_sentences(fault: str, era: Era) -> None:
    """From every tool; only what could have changed something says that nothing was changed."""
    upstream = Upstream().always(every, FAULTS[fault])
    async with connected(transport=upstream, person=Person(yes), era=era) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == CALLS.keys()
        for tool, arguments in CALLS.items():
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            said = text(result)
            assert SENTENCES.fullmatch(said), (tool, said)
            assert "None" not in said
            assert ("Nothing was changed." in said) is (tool not in READING), said
    assert upstream.writes == []


@newer_era_first
@pytest.mark.parametrize("fault", FAULTS)
@in_virtual_time
async def test_what_is_said_of_a_write_that_failed_runs_into_nothing_else(fault: str, era: Era) -> None:
    """Patchworks' words have an end before the next sentence, and nothing is named that is not known."""
    for tool in CALLS.keys() - READING:
        upstream = Upstream().always(write, FAULTS[fault])
        async with connected(transport=upstream, person=Person(yes), era=era) as client:
            said = text(await client.call_tool(tool, CALLS[tool]))
        assert "None" not in said, (tool, said)
        assert not re.search(r'[^.!?…]" [A-Z]', said.partition("\n")[0]), (tool, said)


ELSEWHERE: list[tuple[dict[str, Any], str]] = [
    (
        {"id": 900, "virtual_environment_id": 11},
        "deployment 900 in environment 11, which is not what",
    ),
    ({"id": 900, "virtual_environment_id": None}, "deployment 900 in no environment, which is not what"),
    (
        {"id": 900, "flow_version_id": 7, "virtual_environment_id": 12},
        "deployment 900 of flow version 7, which is not what",
    ),
]


@pytest.mark.parametrize(("made", "said"), ELSEWHERE)
@in_virtual_time
async def test_a_create_that_is_answered_with_another_place_names_what_is_told(made: dict[str, Any], said: str) -> None:
    """The environment or flow version that differs, and none where Patchworks named none."""
    answer: Step = Answered(lambda _: httpx2.Response(201, json={"data": made}))
    async with connected(transport=Upstream().on(write, answer), person=Person(yes)) as client:
        result = await client.call_tool("create_deployment", CALLS["create_deployment"])
    assert f"Patchworks answered with {said} was to be created." in text(result)
