"""What list_changes tells of what this server has sent: rows, newest first, and one change in whole."""

import json
from pathlib import Path

import pytest
from support.cases import replaceable
from support.clients import IDS, Era, Person, both_eras, connected, data, newer_era_first, no, text, yes
from support.faults import Upstream, lost, reply, write
from support.histories import COLUMNS, assert_both_tell_all, changes, column, rows, write_log
from support.overviews import tokens

from patchworks_deployments.history.changes import THIS_PROCESS
from patchworks_deployments.sandbox import Sandbox


@both_eras
async def test_each_write_that_was_sent_is_a_row_newest_first(era: Era, tmp_path: Path) -> None:
    """What was declined, only previewed or unchanged sent nothing, and is none."""
    person = Person(yes)
    async with connected(person=person, era=era, audit_log=tmp_path / "log") as client:
        await client.call_tool("disable_deployment", {**IDS, "reason": "Stocktake"})
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("update_deployment", {**IDS, "priority": 8, "dry_run": True})
        person.answer = no
        await client.call_tool("delete_deployment", IDS)
        person.answer = yes
        await client.call_tool("update_deployment", {**IDS, "priority": 8})
        told = await changes(client)
    assert column(told, "change") == ["priority 1 → 8", "enabled → disabled"]
    assert set(rows(told)[0]) == set(COLUMNS)
    assert rows(told)[1] | {"id": "", "time (UTC)": ""} == {
        "id": "",
        "time (UTC)": "",
        "deployment": "1001/500",
        "flow": "100",
        "environment": "10",
        "change": "enabled → disabled",
        "outcome": "done",
        "caller": "local",
        "confirmed_by": "human",
        "reason": "1",
        "undo": "changed",
    }
    assert told["flows"] == {"100": "Shopify orders to NetSuite"}
    assert told["environments"] == {"10": "UK Live"}
    assert told["reasons"] == {"1": "Stocktake"}
    assert "remarks" not in told


@both_eras
async def test_without_a_file_it_covers_this_process_and_says_so(era: Era) -> None:
    """The same rows, from memory."""
    async with connected(person=Person(yes), era=era) as client:
        assert rows(await changes(client)) == []
        await client.call_tool("disable_deployment", IDS)
        told = await changes(client)
    assert column(told, "change") == ["enabled → disabled"]
    assert told["remarks"] == [THIS_PROCESS]


@newer_era_first
async def test_of_a_bulk_each_deployment_is_a_row(era: Era) -> None:
    """The call's own line is none; its steps have its id and a number, and its id finds them all."""
    async with connected(person=Person(yes), era=era) as client:
        await client.call_tool("set_deployments_enabled", {"enabled": False, "environment": "10"})
        told = await changes(client)
        call, step = column(told, "id")[0].split("/")
        assert [of.split("/")[0] for of in column(told, "id")] == [call] * 8
        in_whole = await changes(client, change=call)
        alone = await changes(client, change=f"{call}/{step}")
    assert rows(in_whole) == rows(told)
    assert (in_whole["whole"]["tool"], in_whole["whole"]["answer"]) == ("set_deployments_enabled", "accept")
    assert "8 disabled and verified" in in_whole["whole"]["message"]
    assert alone["whole"]["tool"] == "set_deployments_enabled: disable"
    assert len(rows(alone)) == 1


@both_eras
async def test_a_replacement_is_one_row_that_hides_its_steps(era: Era) -> None:
    """By its id they are told, too."""
    sandbox = Sandbox()
    old, arguments = replaceable(sandbox)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        result = await client.call_tool("replace_deployment", arguments)
        told = await changes(client)
        (row,) = rows(told)
        in_whole = await changes(client, change=row["id"])
        assert rows(await changes(client, tool_name="delete_deployment")) == []
    new = data(result)["after"]
    assert row["deployment"] == f"{new['flow_version_id']}/{new['id']}"
    assert row["change"] == f"{old.flow_version_id}/{old.id} → {row['deployment']}"
    assert column(in_whole, "change")[1:] == ["created, enabled", "deleted"]
    assert column(in_whole, "undo") == ["yes", "none", "none"]
    assert in_whole["whole"]["after"]["id"] == new["id"]


@newer_era_first
async def test_a_replacement_that_was_cut_short_shows_its_steps(era: Era, tmp_path: Path) -> None:
    """Without the line of the call, they are all that there is."""
    sandbox, log = Sandbox(), tmp_path / "log"
    old, arguments = replaceable(sandbox)
    async with connected(sandbox, person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool("replace_deployment", arguments)
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        log.write_text("".join(lines[:-1]), encoding="utf-8")
        told = await changes(client)
    assert column(told, "change") == ["created, enabled", "deleted"]
    assert column(told, "deployment")[1] == f"{old.flow_version_id}/{old.id}"


@both_eras
async def test_one_change_is_told_in_whole(era: Era) -> None:
    """Before, after, what the person answered, why, the client, and its own undo."""
    async with connected(person=Person(yes), era=era) as client:
        done = await client.call_tool("disable_deployment", {**IDS, "reason": "Stocktake"})
        told = await changes(client, change=column(await changes(client), "id")[0])
    whole = told["whole"]
    assert whole["before"]["enabled"] is True
    assert whole["after"]["enabled"] is False
    assert {name: whole[name] for name in ("answer", "answer_milliseconds", "reason", "verified", "message")} == {
        "answer": "accept",
        "answer_milliseconds": 3000,
        "reason": "Stocktake",
        "verified": True,
        "message": data(done)["message"],
    }
    assert whole["client"]
    assert told["undo"] == [data(done)["undo"]]


@both_eras
async def test_an_intent_without_outcome_is_unfinished(era: Era, tmp_path: Path) -> None:
    """What became of it is not known, and neither is whether it can be put back."""
    log = tmp_path / "log"
    async with connected(person=Person(yes), era=era, audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
        await client.call_tool("update_deployment", {**IDS, "priority": 8})
        first, *_ = lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        log.write_text("".join([*lines[2:], first]), encoding="utf-8")
        told = await changes(client)
        assert column(await changes(client, outcome="unfinished"), "id") == [column(told, "id")[0]]
    assert column(told, "outcome") == ["unfinished", "done"]
    assert column(told, "change")[0] == "asked: disable"
    assert column(told, "undo")[0] == "not known"


async def test_what_failed_and_what_nobody_knows_are_rows_too() -> None:
    """They were sent; of the failed one nothing has to be put back."""
    upstream = Upstream(Sandbox()).on(write, reply(422, {"message": "No."}))
    async with connected(transport=upstream, person=Person(yes)) as client:
        await client.call_tool("disable_deployment", IDS)
        upstream.heal()
        upstream.on(write, lost).reading_back(reply(500), writes=2)
        await client.call_tool("disable_deployment", IDS)
        upstream.heal()
        told = await changes(client)
    assert column(told, "outcome") == ["unknown", "failed"]
    assert column(told, "undo") == ["not known", "none"]
    assert column(told, "change") == ["asked: disable", "asked: disable"]


@newer_era_first
async def test_many_changes_come_a_page_at_a_time(era: Era) -> None:
    """The next page is a call; one past the last is refused with the last one's number."""
    async with connected(Sandbox(), person=Person(yes), era=era) as client:
        for _ in range(2):
            await client.call_tool("set_deployments_enabled", {"enabled": False, "flow": "Shopify"})
            await client.call_tool("set_deployments_enabled", {"enabled": True, "flow": "Shopify"})
        seen, told = [], await changes(client)
        while True:
            seen += column(told, "id")
            if "next" not in told:
                break
            assert len(rows(told)) == 25
            told = await changes(client, **told["next"]["arguments"])
        past = await client.call_tool("list_changes", {"page": 99})
    assert len(seen) == len(set(seen)) > 50
    assert text(past) == f"Page 99 is past the last one, which is {-(-len(seen) // 25)}. Ask for that one."


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_read_only_server_offers_it_as_well(read_only: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    """Looking back changes nothing."""
    log = tmp_path / "log"
    async with connected(person=Person(yes), audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
    async with connected(audit_log=log, read_only=read_only) as client:
        assert column(await changes(client), "change") == ["enabled → disabled"]


async def test_twenty_five_changes_of_a_bulk_cost_few_tokens() -> None:
    """At most 1,000 in either channel, with names as long as people give them, and with the call that undoes all."""
    sandbox = Sandbox(120)
    for flow in sandbox.account.flows.values():
        flow.name = f"{flow.name} {flow.id}"[:30]
    async with connected(sandbox, person=Person(yes)) as client:
        names = [f"{d.flow_version_id}/{d.id}" for d in sandbox.account.deployments.values() if d.enabled_at][:25]
        await client.call_tool(
            "set_deployments_enabled", {"enabled": False, "deployments": names, "reason": "Stocktake in the warehouse"}
        )
        result = await client.call_tool("list_changes", {})
    assert_both_tell_all(result)
    assert len(rows(data(result))) == 25
    assert tokens(text(result)) <= 1_000
    assert tokens(data(result)) <= 1_000


async def test_twenty_five_unlike_changes_cost_few_tokens_as_well(tmp_path: Path) -> None:
    """Of three callers, ten flows and five reasons, done and failed, with five calls that undo one each."""
    sandbox, log = Sandbox(200), tmp_path / "log"
    flows = "Shopify orders to NetSuite UK", "Peoplevox goods-in to NetSuite", "Amazon orders to Business Ctr"
    async with connected(sandbox, person=Person(yes), audit_log=log) as client:
        ten = [*sandbox.account.flows][:10]
        held = [d for d in sandbox.account.deployments.values() if sandbox.account.flow_of(d).id in ten]
        for n, row in enumerate(held[:25]):
            sandbox.account.flow_of(row).name = flows[n % 3]
            ids = {"flow_version_id": str(row.flow_version_id), "deployment_id": str(row.id)}
            reason = f"Ticket OPS-14{n % 5}: the autumn stocktake"
            if n % 2:
                await client.call_tool("update_deployment", {**ids, "priority": 70 + n, "reason": reason})
            else:
                tool = "disable_deployment" if row.enabled_at else "enable_deployment"
                await client.call_tool(tool, {**ids, "reason": reason})
        told = log.read_text(encoding="utf-8").splitlines()
        callers = "alice.morgan@example.com", "bob.becker@example.com", "ops-bot"
        lines = [json.loads(one) | {"caller": callers[n // 2 % 3]} for n, one in enumerate(told)]
        for n in (7, 15):
            lines[n] |= {"outcome": "failed"}
        write_log(log, lines)
        result = await client.call_tool("list_changes", {})
    assert_both_tell_all(result)
    assert len(rows(data(result))) == 25
    assert tokens(text(result)) <= 1_000
    assert tokens(data(result)) <= 1_000
