"""What list_changes says of putting changes back, and that its calls do so when they are made as they are given."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from support.cases import replaceable
from support.clients import IDS, Era, Person, both_eras, connected, data, newer_era_first, yes
from support.faults import Upstream, listing, reply
from support.histories import changes, column, rows, undone

from patchworks_deployments.sandbox import Sandbox

SWITCH = "set_deployments_enabled"


def states(sandbox: Sandbox) -> dict[tuple[int, int | None], tuple[bool, int | None]]:
    """What runs where, whatever the ids of the deployments are."""
    held = sandbox.account.deployments.values()
    return {(d.flow_version_id, d.virtual_environment_id): (d.enabled_at is not None, d.priority) for d in held}


def running(sandbox: Sandbox) -> set[int]:
    return {d.id for d in sandbox.account.deployments.values() if d.enabled_at}


def names(sandbox: Sandbox, count: int) -> list[str]:
    """So many deployments that run."""
    held = [d for d in sandbox.account.deployments.values() if d.enabled_at]
    assert len(held) >= count
    return [f"{d.flow_version_id}/{d.id}" for d in held[:count]]


@newer_era_first
async def test_a_bulk_of_fifty_is_put_back_with_one_call(era: Era) -> None:
    """Also where the page shows only 25 of them, and whichever page is asked for."""
    sandbox = Sandbox(120)
    before = running(sandbox)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        await client.call_tool(SWITCH, {"enabled": False, "deployments": names(sandbox, 50), "reason": "Stocktake"})
        told = await changes(client)
        assert (await changes(client, page=2))["undo"] == told["undo"]
        assert (await changes(client, since="1h"))["undo"] == told["undo"]
        (back,) = told["undo"]
        assert back["tool"] == SWITCH
        assert len(back["arguments"]["deployments"]) == 50
        (result,) = await undone(client, told)
        assert result["status"] == "done"
        assert running(sandbox) == before
        again = await changes(client, tool_name="disable_deployment")
    assert set(column(again, "undo")) == {"put back"}
    assert "undo" not in again


@newer_era_first
async def test_an_unlike_mix_is_put_back_by_the_calls_as_they_are_given(era: Era) -> None:
    """Both directions of switches, an update, a delete, a create and a replacement, each of another deployment."""
    sandbox = Sandbox()
    account = sandbox.account
    _, replacing = replaceable(sandbox)
    on = [d for d in account.deployments.values() if d.enabled_at and str(d.id) != replacing["deployment_id"]]
    off = next(d for d in account.deployments.values() if not d.enabled_at and str(d.id) != replacing["deployment_id"])
    flows = {account.flow_of(d).id for d in (off, *on[:4])} | {
        account.flow_of(account.deployments[int(replacing["deployment_id"])]).id
    }
    new = next(v for v in account.flow_versions.values() if v.flow_id not in flows and not v.deployed_at)
    before = states(sandbox)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for tool, arguments in (
            ("disable_deployment", _ids(on[0])),
            (SWITCH, {"enabled": False, "deployments": [f"{d.flow_version_id}/{d.id}" for d in on[1:3]]}),
            ("enable_deployment", _ids(off)),
            ("update_deployment", {**_ids(on[3]), "priority": 9}),
            ("delete_deployment", _ids(on[4])),
            (
                "create_deployment",
                {"flow_version_id": str(new.id), "virtual_environment_id": _free(sandbox, new.flow_id)},
            ),
            ("replace_deployment", replacing),
        ):
            assert data(await client.call_tool(tool, arguments))["status"] == "done", tool
        told = await changes(client, since="1h")
        assert set(column(told, "undo")) == {"yes"}
        results = await undone(client, told)
        assert [result["status"] for result in results] == ["done"] * 6
        assert states(sandbox) == before
        again = await changes(client, since="1h", until=told["now"])
    assert all(state in {"put back", "changed", "yes"} for state in column(again, "undo"))


def _ids(deployment: Any) -> dict[str, str]:
    return {"flow_version_id": str(deployment.flow_version_id), "deployment_id": str(deployment.id)}


def _free(sandbox: Sandbox, flow_id: int) -> str:
    held = sandbox.account.deployments.values()
    taken = {d.virtual_environment_id for d in held if sandbox.account.flow_of(d).id == flow_id}
    return str(next(of for of in sandbox.account.virtual_environments if of not in taken))


@both_eras
async def test_what_changed_since_is_left_out_and_said(era: Era) -> None:
    """Somebody else has enabled one, moved one in the queue, and deleted one: the others are put back."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes), era=era) as client:
        await client.call_tool(SWITCH, {"enabled": False, "environment": "10"})
        first, second, third, *others = column(await changes(client), "deployment")
        held = sandbox.account.deployments
        held[int(first.split("/")[1])].enabled_at = datetime.now(UTC)
        held[int(second.split("/")[1])].priority = 77
        sandbox.account.remove(held[int(third.split("/")[1])])
        told = await changes(client)
        (back,) = told["undo"]
        assert sorted(back["arguments"]["deployments"]) == sorted(others)
        (result,) = await undone(client, told)
    standing = dict(zip(column(told, "deployment"), column(told, "undo"), strict=True))
    assert (standing[first], standing[second], standing[third]) == ("put back", "changed", "changed")
    assert {standing[name] for name in others} == {"yes"}
    assert sorted(result["done"]) == sorted(others)


@both_eras
async def test_what_was_disabled_and_enabled_again_needs_nothing(era: Era) -> None:
    """And what was switched three times goes back to what it was before the first."""
    sandbox = Sandbox()
    a, b = names(sandbox, 2)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        for enabled, those in ((False, [a, b]), (True, [a, b]), (False, [b])):
            await client.call_tool(SWITCH, {"enabled": enabled, "deployments": those})
        told = await changes(client, since="1h")
        assert told["remarks"][-1].startswith(
            "1 deployment is again as before the first of these changes, so undo leaves it alone;"
        )
        assert len(told["undo"]) == 1
        assert b.split("/")[1] in str(told["undo"][0])
        assert a.split("/")[1] not in str(told["undo"][0]["arguments"])
        assert [result["status"] for result in await undone(client, told)] == ["done"]
        assert "undo" not in await changes(client, since="1h")


async def test_a_deployment_that_was_changed_in_two_ways_is_put_back_step_by_step() -> None:
    """The newest change comes first; once it is put back, the one before it stands no longer as it was left."""
    async with connected(person=Person(yes)) as client:
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("update_deployment", {**IDS, "priority": 9})
        told = await changes(client)
        assert column(told, "undo") == ["yes", "changed"]
        assert [call["tool"] for call in told["undo"]] == ["update_deployment"]
        assert [result["status"] for result in await undone(client, told)] == ["done"]


async def test_of_two_that_were_deleted_in_one_place_the_last_comes_back() -> None:
    """Two versions of a flow cannot be in one environment."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(sandbox, person=Person(yes)) as client:
        new = data(await client.call_tool("replace_deployment", arguments))["after"]
        ids = {"flow_version_id": new["flow_version_id"], "deployment_id": new["id"]}
        await client.call_tool("delete_deployment", ids)
        told = await changes(client)
        assert column(told, "undo") == ["yes", "changed"]
        (result,) = await undone(client, told)
        assert result["after"]["flow_version_id"] == new["flow_version_id"]
        assert column(await changes(client), "undo") == ["yes", "put back", "changed"]
    assert old.id not in sandbox.account.deployments


async def test_a_deployment_that_was_created_and_deleted_is_put_back_already() -> None:
    """By whoever deleted it, if the log has it."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        await client.call_tool("delete_deployment", IDS)
        (created,) = await undone(client, await changes(client))
        back = {"flow_version_id": "1001", "deployment_id": created["after"]["id"]}
        assert column(await changes(client), "undo") == ["yes", "put back"]
        await client.call_tool("delete_deployment", back)
        assert column(await changes(client), "undo") == ["yes", "put back", "changed"]


async def test_a_change_that_a_filter_hides_counts_as_well() -> None:
    """What is asked of Patchworks is how the deployment is now, not which changes were asked for."""
    async with connected(person=Person(yes)) as client:
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("update_deployment", {**IDS, "priority": 9})
        told = await changes(client, tool_name="disable_deployment")
        assert column(told, "undo") == ["changed"]
        assert "undo" not in told


async def test_at_most_five_single_calls_are_given_and_the_others_by_id() -> None:
    """Each by itself has its own call."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes)) as client:
        for name in names(sandbox, 7):
            version, of = name.split("/")
            ids = {"flow_version_id": version, "deployment_id": of}
            await client.call_tool("update_deployment", {**ids, "priority": 90})
        told = await changes(client)
        assert [call["tool"] for call in told["undo"]] == ["update_deployment"] * 5
        assert "2 more can be put back" in " ".join(told["remarks"])
        (last,) = (await changes(client, change=column(told, "id")[-1]))["undo"]
        assert last["arguments"]["deployment_id"] == names(sandbox, 1)[0].split("/")[1]


@pytest.mark.parametrize("trouble", [reply(500), reply(403), reply(429)])
async def test_where_patchworks_cannot_be_read_nothing_is_said_to_stand(trouble: Any) -> None:
    """The rows are told all the same, and a remark says why."""
    upstream = Upstream(Sandbox())
    async with connected(transport=upstream, person=Person(yes)) as client:
        await client.call_tool("disable_deployment", IDS)
        upstream.always(listing, trouble)
        told = await changes(client)
    assert column(told, "undo") == ["not known"]
    assert "undo" not in told
    assert any(remark.startswith("Whether it can be put back is not known: ") for remark in told["remarks"])


async def test_what_is_there_now_is_read_with_one_request() -> None:
    """Not one for each row: Patchworks throttles."""
    upstream = Upstream(Sandbox())
    async with connected(transport=upstream, person=Person(yes)) as client:
        await client.call_tool(SWITCH, {"enabled": False, "environment": "10"})
        made: list[httpx2.Request] = list(upstream.requests)
        told = await changes(client)
        assert len(rows(told)) == 8
        assert len(upstream.requests) == len(made) + 1
        await changes(client, caller="nobody")
        assert len(upstream.requests) == len(made) + 1
