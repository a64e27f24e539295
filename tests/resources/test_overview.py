"""What runs where, in one call."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from support.clients import Era, both_eras, connected, data, text
from support.faults import Upstream, reply, scripted

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, Flow, FlowVersion, VirtualEnvironment


def _rows(sandbox: Sandbox) -> list[tuple[str, str | None, bool]]:
    """(flow name, environment name, enabled) of every deployment."""
    account = sandbox.account
    return [
        (
            account.flow_of(d).name,
            account.virtual_environments[d.virtual_environment_id].name if d.virtual_environment_id else None,
            d.enabled_at is not None,
        )
        for d in account.deployments.values()
    ]


@both_eras
@pytest.mark.parametrize("size", [0, 1, 60, 2_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_the_counts_are_those_of_the_account_whatever_its_size(era: Era, size: int) -> None:
    """Totals agree with the data, from an empty account to ten thousand deployments, within 2,500 tokens of text."""
    sandbox = Sandbox(size)
    async with connected(sandbox, era=era) as client:
        result = await client.call_tool("deployment_overview", {})
    seen, rows = data(result), _rows(sandbox)
    assert seen["deployments"] == len(rows)
    assert seen["enabled"] == sum(enabled for *_, enabled in rows)
    assert seen["disabled"] == sum(not enabled for *_, enabled in rows)
    assert len(text(result)) / 4 <= 2_500
    assert len(json.dumps(seen)) / 4 <= 5_000
    assert len(sandbox.requests) == max(1, -(-size // 100))


async def test_one_call_tells_how_many_run_in_an_environment_and_how_many_are_disabled() -> None:
    """An environment is named by a part of its name, in any case."""
    sandbox = Sandbox(300)
    here = [enabled for _, place, enabled in _rows(sandbox) if place == "EU Production"]
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {"environment": "eu prod"})
    environments = data(result)["environments"]
    assert [e["name"] for e in environments] == ["EU Production"]
    assert (environments[0]["deployments"], environments[0]["disabled"]) == (len(here), here.count(False))
    assert f"{len(here)} deployments" in text(result)


async def test_one_call_tells_where_a_flow_runs_and_in_which_iteration() -> None:
    """The matrix has a cell for each environment with iteration and state."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {"flow": "100"})
    (row,) = data(result)["matrix"]
    mine = [d for d in sandbox.account.deployments.values() if sandbox.account.flow_of(d).id == 100]
    assert {(c["deployment_id"], c["iteration"], c["enabled"]) for c in row["cells"]} == {
        (str(d.id), sandbox.account.version_of(d).iteration, d.enabled_at is not None) for d in mine
    }
    assert sandbox.requests[0].query["filter[flowVersion.flow]"] == "100"


async def test_flows_with_several_enabled_versions_are_named() -> None:
    """The question "which flow has more than one enabled version in Production" is answered by one call."""
    sandbox = Sandbox()
    account = sandbox.account
    account.virtual_environments[14].name = "US Production"
    first, second = [d for d in account.deployments.values() if account.flow_of(d).id == 100][:2]
    versions = [v.id for v in account.flow_versions.values() if v.flow_id == 100]
    first.flow_version_id, second.flow_version_id = versions[0], versions[1]
    first.virtual_environment_id, second.virtual_environment_id = 11, 14
    first.enabled_at = second.enabled_at = first.created_at
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {"environment": "Production", "enabled": True})
    several = next(a for a in data(result)["attention"] if "more than one enabled" in a["what"])
    assert any("(100): 1 in EU Production; 2 in US Production" in example for example in several["examples"])


@pytest.mark.slow
async def test_a_deployment_is_found_by_its_id_alone() -> None:
    """Nobody has to know the flow version; an unknown id is an error."""
    async with connected(Sandbox(2_000)) as client:
        result = await client.call_tool("deployment_overview", {"deployment_id": 794})
        unknown = await client.call_tool("deployment_overview", {"deployment_id": 99999})
    assert text(result).startswith("Deployment 794 of flow version")
    assert unknown.is_error
    assert "no deployment 99999" in text(unknown)


async def test_what_deserves_attention_is_pointed_out() -> None:
    """Disabled ones, several iterations, missing places, no environment, and shared names are listed with counts."""
    sandbox = Sandbox(200)
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {})
    attention = {a["what"]: a for a in data(result)["attention"]}
    without = sum(d.virtual_environment_id is None for d in sandbox.account.deployments.values())
    assert attention["without environment"]["count"] == without
    assert attention["disabled"]["count"] == data(result)["disabled"]
    assert "Shopify orders to NetSuite: 100, 103" in attention["names of several flows"]["examples"]
    assert "flows in several iterations" in attention


async def test_a_flow_missing_where_all_its_siblings_are_is_pointed_out() -> None:
    """When every other flow of a package is in an environment, the one that is not is named."""
    sandbox = Sandbox()
    account = sandbox.account
    rows = list(account.deployments.values())
    flows = list(account.flows)[:4]
    account.deployments.clear()
    for number, flow in enumerate(flows):
        for environment in (10, 11):
            if (number, environment) == (3, 11):
                continue
            row = rows.pop()
            row.flow_version_id = next(v.id for v in account.flow_versions.values() if v.flow_id == flow)
            row.virtual_environment_id, row.package_id = environment, 60
            account.deployments[row.id] = row
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {})
    missing = next(a for a in data(result)["attention"] if a["what"].startswith("flows missing"))
    assert missing["examples"] == [f"{account.flows[flows[3]].name} ({flows[3]}) not in EU Production"]


@pytest.mark.parametrize("filters", [{"enabled": True}, {"flow": "100,101,104"}])
async def test_what_a_filter_hides_is_not_called_missing(filters: dict[str, Any]) -> None:
    """Neither is a flow missing that is only disabled, nor one that is not alone but whose like was not asked for."""
    sandbox = Sandbox()
    rows = _packed(sandbox, flows=5, environments=2)
    rows[0].enabled_at = None
    for row in (rows[7], rows[9]):
        del sandbox.account.deployments[row.id]
    async with connected(sandbox) as client:
        everything = await client.call_tool("deployment_overview", {})
        filtered = await client.call_tool("deployment_overview", filters)
    assert data(filtered)["deployments"] > 0
    for result in (everything, filtered):
        assert not [a for a in data(result)["attention"] if "missing" in a["what"]]


async def test_only_disabled_or_only_enabled_ones_say_nothing_about_all_iterations() -> None:
    """Half of a flow's deployments do not tell in how many iterations it runs."""
    async with connected(Sandbox(300)) as client:
        for enabled in (True, False):
            attention = data(await client.call_tool("deployment_overview", {"enabled": enabled}))["attention"]
            assert "flows in several iterations" not in {a["what"] for a in attention}
            assert ("disabled" in {a["what"] for a in attention}) is not enabled


def _packed(sandbox: Sandbox, *, flows: int, environments: int) -> list[Deployment]:
    """An account of one package whose flows are all in all environments, in their first iteration; its deployments."""
    account, now = sandbox.account, datetime(2026, 3, 1, tzinfo=UTC)
    for table in (account.deployments, account.flows, account.flow_versions, account.virtual_environments):
        table.clear()
    for number in range(environments):
        name = f"Environment with quite a long name {number}"
        account.virtual_environments[10 + number] = VirtualEnvironment(10 + number, name)
    for number in range(flows):
        account.flows[100 + number] = Flow(100 + number, f"Orders of shop {number} to NetSuite", 1)
        for iteration in (1, 2):
            id_ = 1000 + 2 * number + iteration
            account.flow_versions[id_] = FlowVersion(id_, 100 + number, iteration, "Deployed", "", 1, 90, now, now)
        for environment in account.virtual_environments:
            id_ = 500 + len(account.deployments)
            version = 1000 + 2 * number + 1
            account.deployments[id_] = Deployment(id_, version, environment, 60, None, now, None, 90, now, now)
    return list(account.deployments.values())


# Size ---------------------------------------------------------------------------------------------


async def test_a_matrix_that_is_too_wide_is_left_out_with_a_word() -> None:
    """A hundred flows in one each of forty environments: the text says that the matrix is missing and what helps."""
    sandbox = Sandbox()
    rows = _packed(sandbox, flows=100, environments=1)
    for number in range(1, 40):
        sandbox.account.virtual_environments[10 + number] = VirtualEnvironment(10 + number, f"Shop {number}")
    for number, row in enumerate(rows):
        row.virtual_environment_id = 10 + number % 40
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {})
        narrowed = await client.call_tool("deployment_overview", {"environment": "Shop 7"})
    assert "The matrix is left out: it is too wide. Narrow it with flow, environment" in text(result)
    assert len(text(result)) / 4 <= 2_500
    assert len(data(result)["matrix"]) == 100
    assert "matrix is left out" not in text(narrowed)
    assert "Orders of shop 7 to NetSuite (107) | 1" in text(narrowed)


async def test_all_flows_with_several_enabled_versions_are_named_where_there_is_room() -> None:
    """Thirty flows with two enabled versions in Production: one call names them all."""
    sandbox = Sandbox()
    for row in _packed(sandbox, flows=30, environments=6):
        row.flow_version_id += row.virtual_environment_id == 11
    for number, name in enumerate(("EU Production", "US Production")):
        sandbox.account.virtual_environments[10 + number].name = name
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {"environment": "Production", "enabled": True})
    several = next(a for a in data(result)["attention"] if "more than one enabled" in a["what"])
    assert len(several["examples"]) == several["count"] == 30
    assert all(f"({100 + n}): 1 in EU Production; 2 in US Production" in text(result) for n in range(30))
    assert "Not all" not in text(result)


@pytest.mark.slow
async def test_what_deserves_attention_shares_the_room_fairly_and_says_what_is_left_out() -> None:
    """In a large account each kind has examples, the many do not crowd out the few, and the room is used."""
    async with connected(Sandbox(10_000)) as client:
        result = await client.call_tool("deployment_overview", {})
    kinds = data(result)["attention"]
    assert len(kinds) >= 4
    for kind in kinds:
        assert len(kind["examples"]) == kind["count"] or len(kind["examples"]) >= 20
    assert "Not all of what deserves attention is named. Narrow it with flow" in text(result)
    assert any("Not all" in remark for remark in data(result)["remarks"])
    disabled = next(line for line in text(result).splitlines() if line.startswith("disabled ("))
    shown = disabled.count(" | ")
    assert disabled.endswith(f"| and {data(result)['disabled'] - shown} more")
    assert 2_200 <= len(text(result)) / 4 <= 2_500


# What is not known --------------------------------------------------------------------------------


async def test_what_patchworks_did_not_say_is_a_question_mark() -> None:
    """No state is not "off", no environment sent is not "no environment", and no flow is not "None"."""
    records = [
        {"id": 1, "flow_version_id": 7},
        {"id": 2, "flow_version_id": 8, "flow_id": 100, "enabled_at": None, "virtual_environment_id": None},
        {"id": 3, "flow_version_id": 9, "flow_name": "Orders", "enabled_at": None, "virtual_environment_id": 10},
    ]
    answer = {"data": records, "meta": {"current_page": 1, "last_page": 1, "total": 3}}
    async with connected(transport=scripted(reply(200, answer))) as client:
        result = await client.call_tool("deployment_overview", {})
    assert text(result).splitlines() == [
        "3 deployments of 3 flows: 0 enabled, 2 disabled, 1 unknown",
        "environments: environment ? 1; no environment 1, 1 off; environment 10 (10) 1, 1 off",
        "disabled (2): 2 ? in no environment | 3 Orders in environment 10",
        "without environment (1): 2 ?",
        "iteration by flow and environment, off = disabled, ? = not known:",
        "flow (id) | environment ? | no environment | environment 10",
        "? (100) | - | ? off | -",
        "? (version 7) | ? ? | - | -",
        "Orders (version 9) | - | - | ? off",
    ]
    assert [e.get("id") for e in data(result)["environments"]] == ["?", None, "10"]


async def test_a_flow_that_may_be_there_is_not_called_missing() -> None:
    """Where Patchworks does not say a deployment's environment, it may be the one in question."""
    sandbox = Sandbox()
    rows = _packed(sandbox, flows=4, environments=2)

    def forget_one(_: httpx2.Request, answer: Any) -> Any:
        for record in answer["data"]:
            if record["id"] == rows[-1].id:
                del record["virtual_environment_id"], record["virtual_environment"]
        return answer

    async with connected(transport=Upstream(sandbox).alter(forget_one)) as client:
        result = await client.call_tool("deployment_overview", {})
    assert not [a for a in data(result)["attention"] if "missing" in a["what"]]
    assert "environment ? 1" in text(result)
