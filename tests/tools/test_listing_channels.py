"""Whatever is listed, the text and the data of a listing, and its resource, tell the same."""

from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from support.clients import connected, data, read, text
from support.estates import pages
from support.examples import examples
from support.faults import reply, scripted
from support.read_back import assert_listing_is_whole

asked = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["orders", 'Büro, "EU"', "UK | Live"]),
        "flow_id": st.sampled_from(["100", "100,101"]),
        "include": st.lists(st.sampled_from(["enabledBy", "flowVersion", "user", "package"]), max_size=3),
        "sort": st.sampled_from(["created_at", "-enabled_at"]),
        "page": st.integers(1, 12),
        "per_page": st.integers(1, 100),
    },
)


@examples(60)
@given(answer=pages(), arguments=asked)
async def test_text_and_data_of_any_listing_tell_the_same(answer: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Each id, name, state, time, remark and call of one is in the other, whatever Patchworks sends."""
    async with connected(transport=scripted(reply(200, answer))) as client:
        result = await client.call_tool("list_deployments", arguments)
    assert not result.is_error, text(result)
    assert_listing_is_whole(result)
    following = data(result).get("next")
    assert following is None or following == {
        "tool": "list_deployments",
        "arguments": {**_given(arguments), "page": data(result)["page"] + 1},
    }


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say more than what holds without them."""
    return {
        name: value
        for name, value in arguments.items()
        if value not in ([], None) and (name, value) != ("per_page", 25)
    }


@examples(60)
@given(answer=pages("1001"), page=st.integers(1, 12))
async def test_text_and_data_of_any_listing_of_a_flow_version_tell_the_same(answer: dict[str, Any], page: int) -> None:
    """So do those of the tool that lists where one flow version is deployed."""
    async with connected(transport=scripted(reply(200, answer))) as client:
        arguments = {"flow_version_id": "1001", "page": page}
        result = await client.call_tool("list_flow_version_deployments", arguments)
    assert not result.is_error, text(result)
    assert_listing_is_whole(result)


@examples(60)
@given(answer=pages(), arguments=asked)
async def test_the_resource_of_any_listing_tells_what_its_data_tell(
    answer: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """A link stands in the place of the call for the next page."""
    parameters = {name: ",".join(value) if isinstance(value, list) else value for name, value in arguments.items()}
    uri = f"patchworks://deployments?{urlencode({name: value for name, value in parameters.items() if value})}"
    async with connected(transport=scripted(reply(200, answer))) as client:
        tool = data(await client.call_tool("list_deployments", arguments))
        resource = await read(client, uri)
    links = resource.pop("links")
    assert ("next" in links) is (tool.pop("next", None) is not None)
    assert resource == tool
