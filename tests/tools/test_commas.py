"""Names that hold a comma, and lists that are written with one."""

from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from mcp_types import TextContent
from support.clients import Era, Person, complete, connected, data, newer_era_first, read, text, yes
from support.faults import Upstream
from support.overviews import counted

from patchworks_deployments.sandbox import Sandbox

NAMES = ["UK, Live", "Live,", ", UK", "UK,Live,10", "1,000 shops", "Orders, stock, prices"]


def _called(name: str) -> Sandbox:
    """A sandbox whose first environment, flow and package have this name, and in which others have its parts."""
    sandbox = Sandbox()
    account = sandbox.account
    account.virtual_environments[10].name = account.flows[100].name = account.packages[60].name = name
    part = name.split(",", maxsplit=1)[0] or "Part"
    account.virtual_environments[11].name = account.flows[101].name = account.packages[61].name = part
    return sandbox


@newer_era_first
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_with_a_comma_means_what_has_it(era: Era, name: str) -> None:
    """As environment, flow and package, in the overview, its resource and a switch: as much as by the id."""
    sandbox = _called(name)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for part, id_ in (("environment", "10"), ("flow", "100"), ("package", "60")):
            by_id = counted(data(await client.call_tool("deployment_overview", {part: id_})))
            assert by_id["deployments"] > 0
            assert counted(data(await client.call_tool("deployment_overview", {part: name}))) == by_id
            assert counted(data(await client.call_tool("deployment_overview", {part: [name]}))) == by_id
            assert counted(await read(client, f"patchworks://overview?{part}={quote(name)}")) == by_id
        result = data(await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": name}))
    there = {id_ for id_, row in sandbox.account.deployments.items() if row.virtual_environment_id == 10}
    assert {int(n.partition("/")[2]) for n in (*result["done"], *result.get("unchanged", []))} == there


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_offered_for_a_name_with_a_comma_works(name: str) -> None:
    """The completion is found by the whole name and by its beginning, and means the environment wherever it is put."""
    sandbox = _called(name)
    async with connected(sandbox) as client:
        for typed in (name, name[:4], f"10 {name}"):
            assert f"10 [{name}]" in await complete(client, "virtual_environment_id", typed), typed
        (offered,) = await complete(client, "virtual_environment_id", name)
        narrowed = await complete(client, "flow_id", environment=name)
        assert narrowed == await complete(client, "flow_id", environment=offered) != []
        by_id = await read(client, "patchworks://overview?environment=10")
        assert await read(client, f"patchworks://overview?environment={quote(offered)}") == by_id
        listing = await read(client, f"patchworks://deployments?virtual_environment_id={quote(offered)}&per_page=100")
        assert listing["total"] == by_id["deployments"]
        (told,) = (await client.get_prompt("stop_environment", {"environment": offered})).messages
        assert isinstance(told.content, TextContent)
        assert 'environment "10" (an id, chosen as ' in told.content.text


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("10 [UK, Live]", "10"),
        ("10 [UK Live],11 [DE, Sandbox]", "10,11"),
        ("10 [UK, Live], 11", "10,11"),
        ("10, 11", "10,11"),
        ("10 ,11", "10,11"),
        ("10 UK, Live", "10"),
        ("10 UK Live", "10"),
    ],
)
async def test_several_completions_are_several_ids(given: str, ids: str) -> None:
    """None of them is dropped."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        await client.read_resource(f"patchworks://deployments?virtual_environment_id={quote(given)}")
        assert sandbox.requests[-1].query["filter[virtual_environment_id]"] == ids
        if "UK Live" not in given.replace("[UK Live]", "") and "UK, Live" not in given.replace("[UK, Live]", ""):
            overview = await read(client, f"patchworks://overview?environment={quote(given)}")
            assert overview == await read(client, f"patchworks://overview?environment={ids}")


async def test_ids_without_brackets_after_a_name_are_refused() -> None:
    """Whether the second is an id or part of a name nobody can know: it is not dropped."""
    async with connected() as client:
        with pytest.raises(Exception, match="virtual_environment_id: must be an id"):
            await client.read_resource(f"patchworks://deployments?virtual_environment_id={quote('10 UK Live,11 DE')}")


@newer_era_first
@pytest.mark.parametrize("written", ["10, 12", " 10 ,12", ["10", 12], [10, "12"]])
async def test_ids_are_ids_however_they_are_separated(era: Era, written: Any) -> None:
    """With blanks, or as a list."""
    async with connected(era=era) as client:
        overview = data(await client.call_tool("deployment_overview", {"environment": written}))
        assert overview == data(await client.call_tool("deployment_overview", {"environment": "10,12"}))
    assert overview["deployments"] > 0


@newer_era_first
async def test_several_names_at_once_are_not_taken_for_nothing(era: Era) -> None:
    """A list of names is refused; a text that no name holds says what a comma means."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for tool, more in (("deployment_overview", {}), ("set_deployments_enabled", {"enabled": False})):
            listed = await client.call_tool(tool, {**more, "environment": ["UK Live", "DE Sandbox"]})
            assert "environment: must be one name, or ids" in text(listed)
            joined = await client.call_tool(tool, {**more, "environment": "UK Live,DE Sandbox"})
            assert "A comma is taken for a part of the name: give one name, or ids." in text(joined)
    assert sandbox.writes == []


@newer_era_first
async def test_a_protected_environment_with_a_comma_in_its_name_is_protected(era: Era) -> None:
    """In double quotes, as the setting says; its parts protect nothing else."""
    sandbox, person = _called("UK, Live"), Person(yes)
    sandbox.account.virtual_environments[11].name = "DE"
    async with connected(sandbox, person=person, era=era, protected_environments='"UK, Live",99') as client:
        await client.call_tool("enable_deployment", {"flow_version_id": "1001", "deployment_id": "500"})
        await client.call_tool("update_deployment", {"flow_version_id": "1001", "deployment_id": "500", "priority": 9})
    assert person.asked
    assert 'Protected environment: "UK, Live" (10)' in person.asked[-1]


# What does not tell whether it is meant ------------------------------------------------------------


@newer_era_first
@pytest.mark.parametrize(
    ("meant", "hidden"),
    [
        ({"environment": "10"}, ["virtual_environment_id", "virtual_environment"]),
        ({"environment": "UK Live"}, ["virtual_environment"]),
        ({"flow": "100"}, ["flow_id", "flow_version"]),
    ],
)
async def test_one_that_does_not_tell_whether_it_is_meant_is_not_left_out_unsaid(
    era: Era, meant: dict[str, Any], hidden: list[str]
) -> None:
    """The overview counts it apart, and nothing is switched around it."""
    sandbox, person = Sandbox(), Person(yes)

    def hide(_: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer.get("data"), list):
            answer["data"] = [{k: v for k, v in r.items() if r["id"] != 500 or k not in hidden} for r in answer["data"]]
        return answer

    async with connected(transport=Upstream(sandbox).alter(hide), person=person, era=era) as client:
        overview = await client.call_tool("deployment_overview", meant)
        result = await client.call_tool("set_deployments_enabled", {"enabled": False, **meant})
    assert "1 deployment does not tell whether it matches and is left out." in text(overview)
    assert result.is_error
    assert "1 deployment does not tell whether it is meant. Nothing was changed. Give ids for names" in text(result)
    assert (sandbox.writes, person.asked) == ([], [])
