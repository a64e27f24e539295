"""One way to write an id: what is compared with protected environments is what Patchworks gets to read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import MCPError
from support.clients import IDS, READING, Era, Person, connected, data, newer_era_first, text, yes
from support.examples import examples
from support.faults import Upstream

from patchworks_deployments.sandbox import Sandbox

DISGUISES = ["01", "+1", "-1", "1.0", "1e0", "0x1", "1abc", "1_0", "1 2", "\uff11", "\u0661", "1,", "1;", "0"]
"""What a database may read as 1, or as 0, and what is no id at all."""

PLACES: list[tuple[str, dict[str, Any], str]] = [
    ("create_deployment", {"flow_version_id": "1001"}, "virtual_environment_id"),
    ("create_deployment", {}, "flow_version_id"),
    ("update_deployment", IDS, "virtual_environment_id"),
    ("update_deployment", {**IDS, "priority": 1}, "deployment_id"),
    ("update_deployment", {**IDS, "priority": 1}, "flow_version_id"),
    ("delete_deployment", IDS, "deployment_id"),
    ("enable_deployment", IDS, "flow_version_id"),
    ("disable_deployment", IDS, "deployment_id"),
    ("replace_deployment", {**IDS, "new_flow_version_id": "1000"}, "new_flow_version_id"),
    ("replace_deployment", {**IDS, "new_flow_version_id": "1000"}, "deployment_id"),
    ("get_deployment", IDS, "deployment_id"),
    ("list_flow_version_deployments", {}, "flow_version_id"),
    ("list_deployments", {}, "virtual_environment_id"),
    ("list_deployments", {}, "flow_id"),
    ("list_deployments", {}, "package_id"),
    ("deployment_overview", {}, "deployment_id"),
]
"""Each tool that takes an id, with one place for it."""


@newer_era_first
@pytest.mark.parametrize("disguise", [*DISGUISES, 1.5, -1.0, 0.0, True, -1, 0, 10**30])
async def test_an_id_that_is_not_written_as_patchworks_writes_it_is_refused(era: Era, disguise: object) -> None:
    """In every place of every tool: nothing is sent, nobody is asked, and a write says that nothing was changed."""
    person, transport = Person(yes), Upstream()
    async with connected(transport=transport, person=person, era=era, protected_environments="1") as client:
        for tool, arguments, place in PLACES:
            result = await client.call_tool(tool, {**arguments, place: disguise})
            assert result.is_error, (tool, place, text(result))
            assert place in text(result)
            assert ("Nothing was changed" in text(result)) is (tool not in READING)
        for names in ([disguise], [f"1001/{disguise}"], [f"{disguise}/500"]):
            result = await client.call_tool("set_deployments_enabled", {"enabled": False, "deployments": names})
            assert result.is_error
    assert transport.requests == []
    assert person.asked == []


@given(written=st.text(min_size=1, max_size=20))
@examples(60)
async def test_whatever_is_sent_as_an_environment_s_id_is_what_was_compared(written: str) -> None:
    """Any text at all: it is refused, or it goes out letter for letter."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        await client.call_tool("create_deployment", {"flow_version_id": "1001", "virtual_environment_id": written})
    bodies: list[Any] = [write.body for write in sandbox.writes]
    sent = [body["virtual_environment_id"] for body in bodies]
    assert sent in ([], [written])
    assert not sent or (written.isascii() and written.isdigit() and written[0] != "0")


@newer_era_first
@pytest.mark.parametrize("disguise", ["01", "1abc", "%2B1", "1e0"])
async def test_a_resource_of_no_id_is_refused_unread(era: Era, disguise: str) -> None:
    """In the path and in the query of a URI."""
    transport = Upstream()
    uris = [
        f"patchworks://flow-versions/{disguise}/deployments",
        f"patchworks://flow-versions/1001/deployments/{disguise}",
        f"patchworks://deployments?virtual_environment_id={disguise}",
    ]
    async with connected(transport=transport, era=era) as client:
        for uri in uris:
            with pytest.raises(MCPError):
                await client.read_resource(uri)
    assert transport.requests == []


@newer_era_first
async def test_a_record_with_an_id_that_is_none_is_left_out_and_counted(era: Era) -> None:
    """Nobody can address it, so nobody is shown it as if it could be switched."""

    def disguised(_: object, answer: Any) -> Any:
        answer["data"][0]["id"] = "0500"
        answer["data"][1]["virtual_environment_id"] = "010"
        answer["data"][1].pop("virtual_environment", None)
        return answer

    async with connected(transport=Upstream().alter(disguised), era=era) as client:
        page = data(await client.call_tool("list_deployments", {"per_page": 5}))
    assert "1 record could not be read and is left out." in page["remarks"]
    assert len(page["deployments"]) == 4
    assert "virtual_environment_id" in page["deployments"][0]["unreadable"]


@newer_era_first
async def test_whole_numbers_are_taken_as_ids_as_models_write_them(era: Era) -> None:
    """As a number or as text."""
    async with connected(era=era) as client:
        as_number = await client.call_tool("get_deployment", {"flow_version_id": 1001, "deployment_id": 500})
    assert data(as_number)["id"] == "500"
