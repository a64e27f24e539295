"""A deployment that is not found: which of the two ids is wrong, as far as a second look can tell."""

import asyncio
import math
from typing import Any

import pytest
from mcp import MCPError
from support.clients import IDS, READING, Era, Person, both_eras, connected, newer_era_first, read, text, yes
from support.faults import Step, Upstream, delay, list_of_version, reply, single, write
from support.operations import KEY
from support.virtual_time import in_virtual_time

from patchworks_deployments.api.client import open_client
from patchworks_deployments.errors import NotFound
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.settings import load_settings

UNKNOWN = "99999"

FIND = f'Find the deployment by its id alone with deployment_overview {{"deployment_id": "{UNKNOWN}"}}.'

ASKS: dict[str, dict[str, Any]] = {
    "get_deployment": {},
    "enable_deployment": {},
    "disable_deployment": {},
    "delete_deployment": {},
    "update_deployment": {"priority": 1},
    "replace_deployment": {"new_flow_version_id": "1002"},
}


def _call(tool: str, flow_version_id: str, deployment_id: str = UNKNOWN) -> dict[str, Any]:
    if tool == "set_deployments_enabled":
        return {"enabled": False, "deployments": [f"{flow_version_id}/{deployment_id}"]}
    return {"flow_version_id": flow_version_id, "deployment_id": deployment_id, **ASKS[tool]}


@both_eras
@pytest.mark.parametrize("tool", [*ASKS, "set_deployments_enabled"])
async def test_the_id_that_is_not_known_is_named(tool: str, era: Era) -> None:
    """Where the flow version is deployed, that it is not known, or nowhere deployed; and the call that finds it."""
    upstream = Upstream()
    assert isinstance(upstream.behind, Sandbox)
    for row in [row for row in upstream.behind.account.deployments.values() if row.flow_version_id == 1000]:
        upstream.behind.account.remove(row)
    said = {
        "1001": f"Patchworks knows no deployment {UNKNOWN} of flow version 1001 (404). Patchworks says: "
        '"This flow version has no deployment with this id." Flow version 1001 is deployed as 500, 515 and 530.',
        "1000": f"Patchworks knows no deployment {UNKNOWN} of flow version 1000 (404). Patchworks says: "
        '"This flow version has no deployment with this id." Flow version 1000 is deployed nowhere.',
        "9999": "Patchworks knows no flow version 9999 (404). Patchworks says: "
        '"There is no flow version with this id."',
    }
    unchanged = [] if tool in READING else ["Nothing was changed."]
    async with connected(transport=upstream, person=Person(yes), era=era) as client:
        for version, words in said.items():
            result = await client.call_tool(tool, _call(tool, version))
            assert text(result) == " ".join([words, *unchanged, FIND])
    assert len(upstream.requests) == 2 * len(said)


async def test_the_resource_of_a_deployment_says_the_same() -> None:
    """In the protocol's error for what is not found."""
    async with connected() as client:
        with pytest.raises(MCPError, match=r"is deployed as 500, 515 and 530\. Find the") as caught:
            await read(client, f"patchworks://flow-versions/1001/deployments/{UNKNOWN}")
    assert "changed" not in str(caught.value)


LOOKS: dict[str, tuple[Step, str]] = {
    "a gateway's page": (reply(404, b"<html>Not here", content_type="text/html"), ""),
    "no rights": (reply(403, {"message": "No."}), ""),
    "a crash": (reply(500, {"message": "No."}), ""),
    "a long throttle": (reply(429, {}, retry_after=600), ""),
    "silence": (delay(math.inf), ""),
    "something odd": (reply(200, {"data": [{"odd": 1}]}), ""),
    "another version's": (reply(200, {"data": [{"id": 7, "flow_version_id": 8}]}), ""),
    "it all the same": (
        reply(200, {"data": [{"id": int(UNKNOWN)}]}),
        "The list of flow version 1001 has it all the same: what Patchworks shows may lag behind. ",
    ),
    "many": (
        reply(200, {"data": [{"id": number} for number in range(1, 8)], "meta": {"total": 30}}),
        "Flow version 1001 is deployed as 1, 2, 3, 4, 5 and 25 more. ",
    ),
}


@pytest.mark.parametrize("look", LOOKS)
@newer_era_first
@in_virtual_time
async def test_what_the_look_does_not_tell_is_not_said(look: str, era: Era) -> None:
    """A second answer that fails, hangs or is somebody else's leaves the first, and costs five seconds at most."""
    step, said = LOOKS[look]
    upstream = Upstream().always(list_of_version, step)
    async with connected(transport=upstream, era=era) as client:
        began = asyncio.get_running_loop().time()
        result = await client.call_tool("get_deployment", _call("get_deployment", "1001"))
        assert asyncio.get_running_loop().time() - began < 6
    first = f"Patchworks knows no deployment {UNKNOWN} of flow version 1001 (404). Patchworks says: "
    assert text(result) == f'{first}"This flow version has no deployment with this id." {said}{FIND}'
    assert len(upstream.requests) == 2


async def test_who_may_ask_no_more_is_not_made_to() -> None:
    """Where Patchworks says that its minute is used up, the second look is left out."""
    upstream = Upstream().always(single, reply(404, {"message": "No."}, X_RateLimit_Remaining=0))
    async with connected(transport=upstream) as client:
        result = await client.call_tool("get_deployment", IDS)
    assert text(result).startswith("Patchworks knows no deployment 500 of flow version 1001 (404).")
    assert len(upstream.requests) == 1


async def test_looking_back_costs_nothing_more() -> None:
    """What a write has deleted is read back with one 404, and who looks into many is told without a look."""
    upstream = Upstream()
    async with connected(transport=upstream, person=Person(yes)) as client:
        assert not (await client.call_tool("delete_deployment", IDS)).is_error
    after = upstream.requests[upstream.requests.index(upstream.writes[0]) + 1 :]
    assert [request.url.path.rpartition("/")[2] for request in after] == ["500"]
    upstream = Upstream().on(write, reply(404, {"message": "No."}))
    async with open_client(load_settings({}, api_key=KEY), upstream) as client:
        with pytest.raises(NotFound, match="knows no deployment 2 of flow version 1"):
            await client.disable("1", "2")
        assert len(upstream.requests) == 1


async def test_a_404_to_the_list_of_all_deployments_comes_from_something_else() -> None:
    """Every account has that list: the address is wrong, or something answers in its place."""
    async with connected(transport=Upstream().always("GET", reply(404, {"message": "no Route matched"}))) as client:
        for tool, arguments in (("list_deployments", {}), ("deployment_overview", {"deployment_id": "500"})):
            result = await client.call_tool(tool, arguments)
            assert text(result).startswith(
                "Something answered 404 to the list of all deployments, which the Patchworks Core API has. "
                'Patchworks says: "no Route matched". Check that PATCHWORKS_BASE_URL points at the Patchworks Core API;'
            )
