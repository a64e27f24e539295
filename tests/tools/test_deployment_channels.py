"""Whatever a deployment is, the text and the data of get_deployment tell the same."""

from typing import Any

from hypothesis import given
from support.clients import IDS, connected, data, read, text
from support.estates import records
from support.examples import examples
from support.faults import reply, scripted
from support.read_back import assert_deployment_is_whole


@examples(60)
@given(record=records("1001"))
async def test_text_and_data_of_any_deployment_tell_the_same(record: dict[str, Any]) -> None:
    """Each id, name, state, time and further field of one is in the other; the resource is the data."""
    async with connected(transport=scripted(reply(200, {"data": {"id": 500, **record}}))) as client:
        results = [
            await client.call_tool("get_deployment", {**IDS, "detail": detail}) for detail in ("summary", "full")
        ]
        resource = await read(client, "patchworks://flow-versions/1001/deployments/500")
    for result in results:
        assert not result.is_error, text(result)
        assert_deployment_is_whole(result)
    assert resource == data(results[0])


async def test_all_that_is_known_of_a_deployment_is_said() -> None:
    """The version's status, who deployed it and when, who enabled it, and when it was made and changed."""
    async with connected() as client:
        result = await client.call_tool("get_deployment", IDS)
    assert_deployment_is_whole(result)
    for label in ("flow version status", "deployed at", "deployed by", "created at", "updated at"):
        assert f"\n{label}: " in text(result)
