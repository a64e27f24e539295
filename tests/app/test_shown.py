"""What a page gets beside an overview: the board, which says all that the deployments do, each name once."""

import json
from typing import Any

import pytest
from support.cases import FLOW, HOSTILE, without
from support.clicks import for_page, for_the_model
from support.clients import IDS, Era, both_eras, connected, data, newer_era_first
from support.faults import Upstream
from support.overviews import packed

from patchworks_deployments.app.shown import MAX_DEPLOYMENTS
from patchworks_deployments.sandbox import Sandbox

Board = dict[str, Any]

ENVIRONMENT = ("virtual_environment_id", "virtual_environment_name", "virtual_environment")


async def board_of(sandbox: Sandbox | Upstream | None = None, *, era: Era = "auto", **settings: Any) -> Board:
    """The board of everything; what else is given says of the server or of what is asked for."""
    asked: dict[str, Any] = {
        name: settings.pop(name) for name in ("flow", "environment", "enabled") if name in settings
    }
    upstream = sandbox if isinstance(sandbox, Upstream) else Upstream(sandbox or Sandbox())
    async with connected(transport=upstream, pages=True, era=era, **settings) as client:
        board: Board = for_page(await client.call_tool("deployment_overview", asked))["board"]
    return board


def spelt_out(board: Board) -> dict[str, tuple[Any, ...]]:
    """Each deployment by its id, with what its places in the lists point to."""
    told = {}
    for id_, version, flow, environment, iteration, enabled in board["deployments"]:
        flow_id, name, package = board["flows"][flow]
        within = None if package is None else board["packages"][package][1]
        told[id_] = (version, flow_id, name, within, board["environments"][environment][0], iteration, enabled)
    assert len(told) == len(board["deployments"])
    return told


@both_eras
async def test_each_deployment_stands_on_the_board_as_it_is(era: Era) -> None:
    """By the sandbox's own records, with each flow, environment and package named once."""
    sandbox = Sandbox()
    account = sandbox.account
    board = await board_of(sandbox, era=era)
    expected = {}
    for row in account.deployments.values():
        flow, version = account.flow_of(row), account.flow_versions[row.flow_version_id]
        packages = {d.package_id for d in account.deployments.values() if account.flow_of(d).id == flow.id} - {None}
        (package,) = packages or {None}
        expected[str(row.id)] = (
            str(version.id),
            str(flow.id),
            flow.name,
            account.packages[package].name if package else None,
            str(row.virtual_environment_id) if row.virtual_environment_id else None,
            version.iteration,
            row.enabled_at is not None,
        )
    assert spelt_out(board) == expected
    for things in ("flows", "environments", "packages"):
        ids = [thing[0] for thing in board[things]]
        assert len(ids) == len(set(ids)), things
    assert (board["account"], board["may_change"], board["left_out"]) == ("the sandbox", True, 0)
    assert ["10", "UK Live", False] in board["environments"]
    assert [None, "no environment", False] in board["environments"]


async def test_flows_stand_by_name_and_environments_by_how_much_they_hold() -> None:
    """As the overview has them; of the same name by id."""
    board = await board_of()
    assert board["flows"] == sorted(board["flows"], key=lambda flow: (flow[1], flow[0]))
    held = [sum(row[3] == place for row in board["deployments"]) for place in range(len(board["environments"]))]
    assert held == sorted(held, reverse=True)


LONG = "The environment in which the United Kingdom's live shops run"


@pytest.mark.parametrize(
    ("setting", "protected"),
    [("10", {"10"}), ("uk live", {"10"}), ("10,EU Production", {"10", "11"}), ("nowhere", set()), (LONG, {"12"})],
)
async def test_protected_environments_are_marked(setting: str, protected: set[str]) -> None:
    """By id or name, as the policy takes them, also where the board cuts the name."""
    sandbox = Sandbox()
    names = {id_: each.name for id_, each in sandbox.account.virtual_environments.items()}
    assert (names[10], names[11]) == ("UK Live", "EU Production")
    sandbox.account.virtual_environments[12].name = LONG
    board = await board_of(sandbox, protected_environments=setting)
    assert {environment[0] for environment in board["environments"] if environment[2]} == protected


@pytest.mark.parametrize("setting", ["", "10"])
async def test_an_environment_that_patchworks_does_not_tell_is_protected_where_any_is(setting: str) -> None:
    """It may be that one; what is in none is never."""
    upstream = Upstream().alter(lambda _, answer: without(answer, *ENVIRONMENT))
    board = await board_of(upstream, protected_environments=setting)
    assert board["environments"] == [["?", None, bool(setting)]]


async def test_what_is_not_told_is_null_and_never_made_up() -> None:
    """A deployment without flow, iteration and state is a row of its own, named by its version."""

    def untold(_: object, answer: Any) -> Any:
        return without(answer, *FLOW, "package", "package_id", "iteration", "flow_version", "enabled_at", "is_enabled")

    board = await board_of(Upstream().alter(untold))
    assert all(row[4] is None and row[5] is None for row in board["deployments"]), board["deployments"][:3]
    assert board["packages"] == []
    assert {tuple(flow[1:]) for flow in board["flows"]} == {(None, None)}
    assert ["version 1001", None, None] in board["flows"]


async def test_a_narrowed_board_holds_what_matches() -> None:
    """And names nothing else."""
    board = await board_of(environment="UK Live", enabled=False)
    rows = spelt_out(board).values()
    assert {(row[4], row[6]) for row in rows} == {("10", False)}
    assert [environment[0] for environment in board["environments"]] == ["10"]
    assert {row[1] for row in rows} == {flow[0] for flow in board["flows"]}


MAX_BYTES = 130_000
"""Bytes of a board of 2,000 deployments; it has 113,000."""


async def test_a_large_board_leaves_out_what_is_too_much_and_says_so() -> None:
    """2,000 deployments, of whole flows from the first on, in some 57 bytes each."""
    sandbox = Sandbox()
    count = len(packed(sandbox, flows=207, environments=10))
    board = await board_of(sandbox)
    assert (len(board["deployments"]), board["left_out"]) == (MAX_DEPLOYMENTS, count - MAX_DEPLOYMENTS)
    assert len(board["flows"]) == 200
    assert all(sum(row[2] == place for row in board["deployments"]) == 10 for place in (0, 199))
    size = len(json.dumps({"board": board}, separators=(",", ":"), ensure_ascii=False).encode())
    assert MAX_BYTES / 2 < size < MAX_BYTES, size


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_names_are_one_short_line_on_the_board_too(name: str) -> None:
    """Cleaned as in every other result, wherever they stand."""
    sandbox = Sandbox()
    account = sandbox.account
    row = account.deployments[500]
    assert row.virtual_environment_id
    assert row.package_id
    account.flow_of(row).name = name
    account.virtual_environments[row.virtual_environment_id].name = name
    account.packages[row.package_id].name = name
    board = await board_of(sandbox)
    names = [each[1] for things in ("flows", "environments", "packages") for each in board[things]]
    assert all(one is None or (one.isprintable() and len(one) <= 41) for one in names), names
    change = await _change_of(sandbox)
    assert len(change["deed"]) == 3
    assert all(line.isprintable() for line in change["deed"])


async def _change_of(sandbox: Sandbox) -> dict[str, Any]:
    async with connected(sandbox, pages=True) as client:
        change: dict[str, Any] = for_page(await client.call_tool("disable_deployment", IDS))["change"]
    return change


@newer_era_first
@pytest.mark.parametrize("arguments", [{}, {"environment": "UK Live"}, {"show": "deployments", "page": 2}])
async def test_what_the_model_gets_is_the_same_with_the_page_and_without(arguments: dict[str, Any], era: Era) -> None:
    """Byte by byte; and only who shows pages gets a board."""
    results = []
    for pages in (True, False):
        async with connected(pages=pages, era=era) as client:
            results.append(await client.call_tool("deployment_overview", arguments))
    with_page, alone = results
    assert for_the_model(with_page) == for_the_model(alone)
    assert for_page(with_page).keys() == {"board"}
    assert for_page(alone) == {}


async def test_an_error_brings_no_board() -> None:
    """There is nothing to show."""
    async with connected(pages=True) as client:
        wrong = await client.call_tool("deployment_overview", {"deployment_id": "99"})
    assert (wrong.is_error, for_page(wrong), data(wrong) if wrong.structured_content else {}) == (True, {}, {})
