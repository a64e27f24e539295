"""Which changes list_changes finds, and how it refuses what means nothing."""

from pathlib import Path
from typing import Any

import pytest
from support.clients import IDS, Era, Person, both_eras, connected, data, text, yes
from support.histories import changes, column, deployment, line, rows, write_log

from patchworks_deployments.sandbox import Sandbox

ACCOUNT = "f31ef97caa11"
"""The sandbox's, as the log has it."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Changes of a day, the oldest first: in two environments, of two callers, with all kinds of outcomes."""
    orders = deployment(id="501", flow_version_id="1002", flow_id="101", flow_name="Orders")
    staging = {"virtual_environment_id": "14", "virtual_environment_name": "Live"}
    ids = {"flow_version_id": "1002", "deployment_id": "501"}
    moved = {**orders, **staging}
    mine = {"account": ACCOUNT}
    path = tmp_path / "log"
    write_log(
        path,
        [
            line("outcome", "000000000001", 0, caller="alice", reason="Stocktake", **mine),
            line("outcome", "000000000002/1", 60, tool="set_deployments_enabled: disable", before=orders, arguments=ids,
                 after={**orders, "enabled": False}, caller="bob", **mine),
            line("call", "000000000002", 61, tool="set_deployments_enabled", caller="bob", before=None, after=None,
                 **mine),
            line("outcome", "000000000003", 120, tool="update_deployment", before=orders, after=moved, caller="alice",
                 arguments={**ids, "virtual_environment_id": "14"}, **mine),
            line("outcome", "000000000004", 180, tool="delete_deployment", outcome="failed", before=moved, after=None,
                 arguments=ids, caller="auth0|bob", **mine),
            line("intent", "000000000005", 240, caller="alice", **mine),
        ],
    )  # fmt: skip
    return path


FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "54321"),
    ({"since": "2026-03-02T11:00"}, "543"),
    ({"since": "2026-03-02T12:00+01:00"}, "543"),
    ({"since": "2026-03-03"}, ""),
    ({"until": "2026-03-02"}, "54321"),
    ({"until": "2026-03-01"}, ""),
    ({"since": "0001-01-01", "until": "9999-12-31"}, "54321"),
    ({"since": "2026-03-02T09:30Z", "until": "2026-03-02T11:00Z"}, "32"),
    ({"tool_name": "disable_deployment"}, "521"),
    ({"tool_name": "set_deployments_enabled"}, "2"),
    ({"tool_name": "update_deployment"}, "3"),
    ({"flow": "101"}, "432"),
    ({"flow": "100,101"}, "54321"),
    ({"flow": "ORDERS"}, "432"),
    ({"flow": "orders to"}, "51"),
    ({"environment": "14"}, "43"),
    ({"environment": "live"}, "43"),
    ({"environment": "uk"}, "5321"),
    ({"environment": "10"}, "5321"),
    ({"caller": "alice"}, "531"),
    ({"caller": "auth0¦bob"}, "4"),
    ({"outcome": "failed"}, "4"),
    ({"outcome": "unfinished"}, "5"),
    ({"outcome": "unfinished", "caller": "bob"}, ""),
    ({"change": "000000000002"}, "2"),
    ({"change": "000000000002/1"}, "2"),
    ({"flow": "orders", "caller": "alice", "outcome": "done", "environment": "uk"}, "3"),
]


@pytest.mark.parametrize(("filters", "found"), FOUND)
async def test_a_filter_finds_what_it_says(filters: dict[str, Any], found: str, log: Path) -> None:
    """By id, by name or part of one, by time, tool, caller and outcome; a whole name leaves out what contains it."""
    async with connected(audit_log=log) as client:
        told = await changes(client, **filters)
    assert [of.split("/")[0] for of in column(told, "id")] == [f"{number:0>12}" for number in found]


async def test_what_a_name_was_found_to_mean_is_said(log: Path) -> None:
    """That it is a whole name, or that nothing on record bears it."""
    async with connected(audit_log=log) as client:
        whole, none = await changes(client, environment="live"), await changes(client, flow="<b>Zz")
        assert "remarks" not in await changes(client, environment="uk")
    assert whole["remarks"] == [
        '"live" is the whole name of an environment, so names that only contain it are left out.'
    ]
    assert none["remarks"] == ['No change on record has "‹b›Zz" in the name of its flow.']


@pytest.mark.parametrize("filters", [{"caller": "nobody"}, {"environment": "99"}, {"until": "2001-01-01"}], ids=str)
async def test_an_empty_answer_says_that_nothing_matches(filters: dict[str, str], log: Path) -> None:
    """An empty list alone would read as if nothing had been changed."""
    async with connected(audit_log=log) as client:
        told = await changes(client, **filters)
    assert (rows(told), told["remarks"]) == ([], ["No change on record matches."])


REFUSED = [
    ({"since": "yesterday"}, "since: this is no time; now it is 20"),
    ({"until": "9" * 40}, "until: this is no time; now it is"),
    ({"since": "9999w9"}, "since: this is no time; now it is"),
    ({"since": "99999999d"}, "since: this is no time; now it is"),
    ({"since": "2099-01-01"}, "since is in the future: now it is 20"),
    ({"since": "1h", "until": "2h"}, "since is later than until. Give the earlier time as since."),
    ({"tool_name": "disable"}, "tool_name: no tool of that name changes anything. Give create_deployment,"),
    (
        {"outcome": "ok"},
        "outcome: there is no such outcome. Give done, partial, unknown, failed, unfinished, found_done or",
    ),
    ({"change": "12"}, "change: this is not the id of a change. Give one from the column id."),
    ({"change": "0" * 12}, f"There is no change {'0' * 12} on record."),
    ({"page": 2}, "Page 2 is past the last one, which is 1. Ask for that one."),
    ({"page": 0}, "page: must be greater than or equal to 1."),
    ({"flows": "1"}, '"flows" is not an argument of this tool: did you mean flow?'),
]


@pytest.mark.parametrize(("filters", "said"), REFUSED)
async def test_what_means_nothing_is_refused_with_what_to_give(filters: dict[str, Any], said: str, log: Path) -> None:
    """In one or two sentences, which say nothing of changes, because only something was looked up."""
    async with connected(audit_log=log) as client:
        result = await client.call_tool("list_changes", filters)
    assert result.is_error
    assert text(result).startswith(said)
    assert "Nothing was changed" not in text(result)


@both_eras
async def test_the_answer_says_what_time_it_is(era: Era) -> None:
    """Models do not know the date; a span back from now needs none."""
    async with connected(Sandbox(), person=Person(yes), era=era) as client:
        await client.call_tool("disable_deployment", IDS)
        told = await changes(client, since="5m")
        assert len(rows(told)) == 1
        assert rows(await changes(client, until="5m")) == []
        assert data(await client.call_tool("list_changes", {"since": told["now"]}))["now"] >= told["now"]


@pytest.mark.parametrize("more", [{"outcome": "unfinished"}, {"until": "2026-03-02T09:00:10Z"}])
async def test_a_change_that_has_an_outcome_is_never_told_as_unfinished(more: dict[str, str], tmp_path: Path) -> None:
    """Nor where a filter leaves its outcome out, and not its intent."""
    kind, of = {"account": ACCOUNT}, "000000000001"
    write_log(tmp_path / "log", [line("intent", of, 0, **kind), line("outcome", of, 0.5, **kind)])
    async with connected(audit_log=tmp_path / "log") as client:
        result = await client.call_tool("list_changes", {"change": of, **more})
    assert result.is_error
    assert text(result).startswith(f"There is no change {of} on record.")


@both_eras
async def test_what_was_found_out_later_belongs_to_the_time_at_which_it_was_sent(era: Era, tmp_path: Path) -> None:
    """A change of a process that was killed yesterday is one of yesterday, also if it was read today."""
    ids = {"since": "2026-03-02", "until": "2026-03-02"}
    write_log(
        tmp_path / "log",
        [
            line("intent", "000000000001", 0, account=ACCOUNT),
            line("outcome", "000000000001", 24 * 60, outcome="found_done", sent="2026-03-02T09:00:00.000+00:00",
                 account=ACCOUNT),
            line("outcome", "000000000002", 25 * 60, account=ACCOUNT),
        ],
    )  # fmt: skip
    async with connected(era=era, audit_log=tmp_path / "log") as client:
        told = await changes(client, **ids)
        assert [(row["outcome"], row["time (UTC)"][-5:]) for row in rows(told)] == [("found_done", "09:00")]
        assert [row["id"] for row in rows(await changes(client, since="2026-03-03"))] == ["000000000002"]
