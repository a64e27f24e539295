"""The sandbox's data: believable, the same every time, and of any size."""

from collections import Counter
from time import process_time

import pytest
from support.sandboxes import Connect

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.sample import sample_account

SIZES = [0, 1, 2, 3, 7, 30, 60, 61, 200, 2_000, 10_000]


@pytest.mark.parametrize("size", SIZES)
def test_size(size: int) -> None:
    """There are as many deployments as asked for, and no reference leads nowhere."""
    account = sample_account(size)

    assert len(account.deployments) == size
    for row in account.deployments.values():
        assert account.flow_of(row)
        assert row.virtual_environment_id is None or row.virtual_environment_id in account.virtual_environments
        assert row.package_id is None or row.package_id in account.packages
        assert row.user_id in account.users
        assert row.enabled_by is None or row.enabled_by in account.users
    for table in (account.flows, account.flow_versions, account.virtual_environments, account.packages, account.users):
        assert all(id_ == row.id for id_, row in table.items())


@pytest.mark.parametrize("size", SIZES)
def test_rules_hold(size: int) -> None:
    """One version for each flow and environment, one draft for each flow, and a true status for each version."""
    account = sample_account(size)

    places = Counter(
        (account.flow_of(row).id, row.virtual_environment_id)
        for row in account.deployments.values()
        if row.virtual_environment_id
    )
    assert set(places.values()) <= {1}
    drafts = Counter(version.flow_id for version in account.flow_versions.values() if version.status == "Draft")
    assert drafts == dict.fromkeys(account.flows, 1)
    deployed = {row.flow_version_id for row in account.deployments.values()}
    assert {version.id for version in account.flow_versions.values() if version.status == "Deployed"} == deployed


@pytest.mark.parametrize(("size", "environments", "flows"), [(60, 6, 15), (10_000, 40, 330)])
def test_proportions(size: int, environments: int, flows: int) -> None:
    """Flows and environments grow with the deployments, but slower."""
    account = sample_account(size)

    assert len(account.virtual_environments) == environments
    assert len(account.flows) == flows
    assert len({environment.name for environment in account.virtual_environments.values()}) == environments


@pytest.mark.parametrize("size", [60, 10_000])
def test_variety(size: int) -> None:
    """Every case that a client must cope with is there, in plausible numbers."""
    account = sample_account(size)
    rows = account.deployments.values()

    def share(count: int) -> float:
        return count / size

    assert share(sum(row.enabled_at is None for row in rows)) == pytest.approx(1 / 6, abs=0.01)
    assert 0.02 < share(sum(row.virtual_environment_id is None for row in rows)) < 0.1
    assert 0.2 < share(sum(row.priority is None for row in rows)) < 0.5
    assert 0.1 < share(sum(row.package_id is None for row in rows)) < 0.4
    versions = Counter(version.flow_id for version in account.flow_versions.values())
    assert min(versions.values()) > 2
    deployed = Counter(version.flow_id for version in account.flow_versions.values() if version.status == "Deployed")
    assert max(deployed.values()) > 1


@pytest.mark.parametrize("size", [1, 60, 10_000])
def test_one_name_is_shared(size: int) -> None:
    """Two flows share a name, and only two."""
    names = Counter(flow.name for flow in sample_account(size).flows.values())

    assert sorted(names.values())[-2:] == [1, 2]


def test_ids_do_not_meet() -> None:
    """In an account of the usual size an id belongs to one kind of thing only."""
    account = sample_account(60)
    tables = (
        account.flows,
        account.flow_versions,
        account.virtual_environments,
        account.packages,
        account.users,
        account.deployments,
    )

    assert len(set().union(*tables)) == sum(len(table) for table in tables)
    assert min(min(table) for table in tables) > 1


def test_same_every_time() -> None:
    """Two sandboxes have equal data, and none of it in common."""
    first, second = Sandbox(200), Sandbox(200)

    assert first.account == second.account
    first.account.deployments[500].priority = 12345
    assert second.account.deployments[500].priority != 12345


async def test_size_is_no_burden(connect: Connect) -> None:
    """Ten thousand deployments are built, and a page of them is found and written, in well under a second."""
    start = process_time()
    client = connect(Sandbox(10_000))
    params = {"filter[global]": "live", "sort": "-flow_name", "include": "flowVersion,package", "per_page": "25"}
    page = (await client.get("/api/v1/flow-version-deployments", params=params)).json()

    assert process_time() - start < 1
    assert len(page["data"]) == 25
    assert page["meta"]["total"] > 1000
