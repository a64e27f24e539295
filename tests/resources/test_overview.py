"""What runs where, in one call."""

from typing import Any

import httpx2
import pytest
from support.clients import Era, both_eras, connected, data, text
from support.faults import Upstream, reply, scripted
from support.overviews import assert_both_tell_all, packed, tokens

from patchworks_deployments.sandbox import Sandbox


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
    """Totals agree with the data, from an empty account to ten thousand deployments, in 1,200 tokens of either kind."""
    sandbox = Sandbox(size)
    async with connected(sandbox, era=era) as client:
        result = await client.call_tool("deployment_overview", {})
    seen, rows = data(result), _rows(sandbox)
    assert seen["deployments"] == len(rows)
    assert seen["enabled"] == sum(enabled for *_, enabled in rows)
    assert seen["disabled"] == sum(not enabled for *_, enabled in rows)
    assert tokens(text(result)) <= 1_200
    assert tokens(seen) <= 1_200
    assert_both_tell_all(result)
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
    """Each of its deployments is a row with environment, iteration, state and every id."""
    sandbox = Sandbox()
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {"flow": "100"})
    rows = data(result)["rows"]
    mine = [d for d in sandbox.account.deployments.values() if sandbox.account.flow_of(d).id == 100]
    assert {(r["id"], r["flow_version_id"], r["flow_id"], r["iteration"], r["enabled"]) for r in rows} == {
        (str(d.id), str(d.flow_version_id), "100", sandbox.account.version_of(d).iteration, d.enabled_at is not None)
        for d in mine
    }
    assert {r.get("environment_id") for r in rows} == {
        str(d.virtual_environment_id) if d.virtual_environment_id else None for d in mine
    }
    assert_both_tell_all(result)
    assert sandbox.requests[0].query["filter[flowVersion.flow]"] == "100"


async def test_flows_with_several_enabled_versions_in_one_environment_are_named() -> None:
    """Two versions of a flow that run in Production are a finding, and two that run in different places are none."""
    sandbox = Sandbox()
    account = sandbox.account
    rows = [d for d in account.deployments.values() if account.flow_of(d).id == 100][:3]
    versions = [v.id for v in account.flow_versions.values() if v.flow_id == 100]
    for row, version, environment in zip(rows, [*versions[:2], versions[0]], (11, 11, 12), strict=True):
        row.flow_version_id, row.virtual_environment_id, row.enabled_at = version, environment, row.created_at
    async with connected(sandbox) as client:
        here = await client.call_tool("deployment_overview", {"environment": "Production", "enabled": True})
        rows[1].virtual_environment_id = 13
        apart = await client.call_tool("deployment_overview", {"flow": "100"})
    several = next(a for a in data(here)["attention"] if "several enabled" in a["what"])
    assert any(
        f"(100) in EU Production (11): {rows[0].id} of iteration 1, {rows[1].id} of iteration 2" in example
        for example in several["examples"]
    )
    assert_both_tell_all(here)
    assert not [a for a in data(apart)["attention"] if "versions" in a["what"] or "iterations" in a["what"]]


@pytest.mark.slow
async def test_a_deployment_is_found_by_its_id_alone() -> None:
    """Nobody has to know the flow version; an unknown id is an error."""
    async with connected(Sandbox(2_000)) as client:
        result = await client.call_tool("deployment_overview", {"deployment_id": 794})
        unknown = await client.call_tool("deployment_overview", {"deployment_id": 99999})
    (row,) = data(result)["rows"]
    assert row["id"] == "794"
    assert f"794 | {row['flow_version_id']} | " in text(result)
    assert_both_tell_all(result)
    assert unknown.is_error
    assert "no deployment 99999" in text(unknown)


async def test_what_deserves_attention_is_pointed_out() -> None:
    """Disabled ones, missing places, no environment, and shared names are listed with counts."""
    sandbox = Sandbox(200)
    async with connected(sandbox) as client:
        result = await client.call_tool("deployment_overview", {})
    attention = {a["what"]: a for a in data(result)["attention"]}
    without = sum(d.virtual_environment_id is None for d in sandbox.account.deployments.values())
    assert attention["without environment"]["count"] == without
    assert attention["disabled"]["count"] == data(result)["disabled"]
    assert "Shopify orders to NetSuite: 100, 103" in attention["names of several flows"]["examples"]


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
    assert missing["examples"] == [f"{account.flows[flows[3]].name} ({flows[3]}) not in EU Production (11)"]


@pytest.mark.parametrize("filters", [{"enabled": True}, {"flow": "100,101,104"}])
async def test_what_a_filter_hides_is_not_called_missing(filters: dict[str, Any]) -> None:
    """Neither is a flow missing that is only disabled, nor one that is not alone but whose like was not asked for."""
    sandbox = Sandbox()
    rows = packed(sandbox, flows=5, environments=2)
    rows[0].enabled_at = None
    for row in (rows[7], rows[9]):
        del sandbox.account.deployments[row.id]
    async with connected(sandbox) as client:
        everything = await client.call_tool("deployment_overview", {})
        filtered = await client.call_tool("deployment_overview", filters)
    assert data(filtered)["deployments"] > 0
    for result in (everything, filtered):
        assert not [a for a in data(result)["attention"] if "missing" in a["what"]]


async def test_what_is_in_other_environments_counts_for_what_is_missing() -> None:
    """A flow that is only where nobody asked is one of all others: where it is not, they are not all."""
    sandbox = Sandbox()
    rows = packed(sandbox, flows=5, environments=3)
    for row in (rows[3 * 3 + 1], rows[4 * 3], rows[4 * 3 + 1]):
        del sandbox.account.deployments[row.id]
    async with connected(sandbox) as client:
        everything = await client.call_tool("deployment_overview", {})
        filtered = await client.call_tool("deployment_overview", {"environment": "10,11"})
    (missing,) = [a for a in data(everything)["attention"] if "missing" in a["what"]]
    assert [example.rpartition(" ")[2] for example in missing["examples"]] == ["(10)"]
    assert not [a for a in data(filtered)["attention"] if "missing" in a["what"]]


async def test_disabled_ones_are_no_finding_among_enabled_ones() -> None:
    """A filter by state says it already."""
    async with connected(Sandbox(300)) as client:
        for enabled in (True, False):
            attention = data(await client.call_tool("deployment_overview", {"enabled": enabled}))["attention"]
            assert ("disabled" in {a["what"] for a in attention}) is not enabled


# What is not known --------------------------------------------------------------------------------


async def test_only_the_sandbox_is_said_to_be_made_up() -> None:
    """A host that was set up without an account shows believable deployments: nobody shall take them for their own."""
    said = "This is the sandbox: all of it is made up."
    async with connected() as client:
        made_up = await client.call_tool("deployment_overview", {})
    assert said in text(made_up)
    assert data(made_up)["remarks"][0] == said
    empty = reply(200, {"data": [], "meta": {"current_page": 1, "last_page": 1, "total": 0}})
    async with connected(transport=scripted(empty), api_key="a-key-of-an-account") as client:
        own = await client.call_tool("deployment_overview", {})
    assert not own.is_error
    assert "sandbox" not in text(own)


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
        "environments: environment ?: 1 | no environment: 1, 1 off | environment 10: 1, 1 off",
        "disabled (2)",
        "without environment (1)",
        "This is the sandbox: all of it is made up.",
        "id | flow version | flow (id) | iteration | environment (id) | package | state",
        "2 | 8 | (100) | ? | no environment | - | off",
        "1 | 7 | ? | ? | environment ? | - | ?",
        "3 | 9 | Orders (?) | ? | environment 10 | - | off",
    ]
    assert_both_tell_all(result)
    assert [e.get("id") for e in data(result)["environments"]] == ["?", None, "10"]


async def test_a_flow_that_may_be_there_is_not_called_missing() -> None:
    """Where Patchworks does not say a deployment's environment, it may be the one in question."""
    sandbox = Sandbox()
    rows = packed(sandbox, flows=4, environments=2)

    def forget_one(_: httpx2.Request, answer: Any) -> Any:
        for record in answer["data"]:
            if record["id"] == rows[-1].id:
                del record["virtual_environment_id"], record["virtual_environment"]
        return answer

    async with connected(transport=Upstream(sandbox).alter(forget_one)) as client:
        result = await client.call_tool("deployment_overview", {})
    assert not [a for a in data(result)["attention"] if "missing" in a["what"]]
    assert "environment ?: 1" in text(result)
