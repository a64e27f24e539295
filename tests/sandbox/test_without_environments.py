"""The account that lacks virtual environments, where a flow is deployed once."""

import re
import subprocess
from collections import Counter

import httpx2
import pytest
from support.processes import COMMAND
from support.sandboxes import LISTING, FakeClock, deployments_path, path_of

from patchworks_deployments.sandbox import API_KEY, Sandbox
from patchworks_deployments.sandbox.account import Account, Deployment, FlowVersion
from patchworks_deployments.sandbox.sample import sample_account


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    return Sandbox(clock=clock, virtual_environments=False)


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.account


@pytest.fixture
def old(account: Account) -> Deployment:
    """A deployment that is enabled, of a flow with a version that was never deployed."""
    return next(row for row in account.deployments.values() if row.enabled_at)


@pytest.fixture
def newer(account: Account, old: Deployment) -> FlowVersion:
    """The draft of the same flow."""
    flow = account.flow_of(old)
    return next(row for row in account.flow_versions.values() if row.flow_id == flow.id and row.status == "Draft")


async def create(api: httpx2.AsyncClient, version: FlowVersion, **fields: object) -> httpx2.Response:
    return await api.post(deployments_path(version), json={"flow_version_id": version.id, **fields})


# The data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 60, 2_000])
def test_each_flow_is_deployed_once(size: int) -> None:
    """There are as many deployments as asked for, none is in an environment, and some flows have none."""
    account = sample_account(size, virtual_environments=False)

    flows = Counter(account.flow_of(row).id for row in account.deployments.values())
    assert len(account.deployments) == size
    assert set(flows.values()) <= {1}
    assert not account.virtual_environments
    assert not [row for row in account.deployments.values() if row.virtual_environment_id]
    assert len(account.flows) > len(flows)


def test_versions_are_true() -> None:
    """A version is deployed where it has a deployment, and each flow has one draft."""
    account = sample_account(60, virtual_environments=False)

    versions = account.flow_versions.values()
    assert {row.id for row in versions if row.status == "Deployed"} == {
        row.flow_version_id for row in account.deployments.values()
    }
    assert Counter(row.flow_id for row in versions if row.status == "Draft") == dict.fromkeys(account.flows, 1)


# Create -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [False, True])
async def test_create_replaces(
    api: httpx2.AsyncClient, account: Account, old: Deployment, newer: FlowVersion, *, off: bool
) -> None:
    """Deploying another version of a flow removes the one that was there, which becomes inactive, and no other."""
    replaced, others = account.version_of(old), account.deployments.keys() - {old.id}

    response = await create(api, newer, deploy_disabled=off)

    assert response.status_code == 201
    created = account.deployments[response.json()["data"]["id"]]
    assert account.deployments.keys() == others | {created.id}
    assert (created.flow_version_id, created.virtual_environment_id) == (newer.id, None)
    assert (created.enabled_at is None) is off
    assert (replaced.status, replaced.deployed_at, newer.status) == ("Inactive", None, "Deployed")
    assert (await api.get(path_of(old))).status_code == 404


async def test_replaced_ids_are_never_reused(api: httpx2.AsyncClient, account: Account) -> None:
    """Where the newest deployment is replaced, the new one has an id of its own."""
    newest = account.deployments[max(account.deployments)]
    flow = account.flow_of(newest)
    version = next(row for row in account.flow_versions.values() if row.flow_id == flow.id and row.status == "Inactive")

    assert (await create(api, version)).json()["data"]["id"] == newest.id + 1


async def test_create_where_nothing_is_deployed(api: httpx2.AsyncClient, account: Account) -> None:
    """The first deployment of a flow replaces nothing."""
    before, busy = set(account.deployments), {account.flow_of(row).id for row in account.deployments.values()}
    version = next(row for row in account.flow_versions.values() if row.flow_id not in busy)

    response = await create(api, version)

    assert response.status_code == 201
    assert set(account.deployments) == before | {response.json()["data"]["id"]}


async def test_the_deployed_version_is_refused(api: httpx2.AsyncClient, account: Account, old: Deployment) -> None:
    """What is deployed cannot be deployed again: a 422 for the version, and it stays."""
    before = repr(account)

    response = await create(api, account.version_of(old))

    assert response.status_code == 422
    assert list(response.json()["errors"]) == ["flow_version_id"]
    assert repr(account) == before


@pytest.mark.parametrize("environment", [10, "10"])
async def test_no_environment_can_be_named(
    api: httpx2.AsyncClient, account: Account, old: Deployment, newer: FlowVersion, environment: object
) -> None:
    """A create or an update with an environment is a 422 for that field, and changes nothing."""
    before = repr(account)

    created = await create(api, newer, virtual_environment_id=environment)
    moved = await api.put(path_of(old), json={"virtual_environment_id": environment, "priority": 77})

    for response in (created, moved):
        assert response.status_code == 422
        assert list(response.json()["errors"]) == ["virtual_environment_id"]
    assert repr(account) == before


@pytest.mark.parametrize("nothing", [None, ""])
async def test_no_environment_may_be_said(
    api: httpx2.AsyncClient, old: Deployment, newer: FlowVersion, nothing: object
) -> None:
    """Null or an empty string is what every deployment has already."""
    moved = await api.put(path_of(old), json={"virtual_environment_id": nothing, "priority": 77})
    created = await create(api, newer, virtual_environment_id=nothing)

    assert [moved.status_code, created.status_code] == [200, 201]
    assert old.priority == 77


async def test_a_listing_has_no_environment(api: httpx2.AsyncClient) -> None:
    """Neither as an id nor as an included relation."""
    params = {"include": "virtualEnvironment", "per_page": "100"}
    records = (await api.get(LISTING, params=params)).json()["data"]

    assert len(records) == 60
    assert {(record["virtual_environment_id"], record["virtual_environment"]) for record in records} == {(None, None)}


# Over HTTP ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_is_served() -> None:
    """The command has a flag for this kind of account."""
    command = [*COMMAND, "sandbox", "--port", "0", "--no-virtual-environments"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address, "the sandbox did not start"
            listing = httpx2.get(address[0] + LISTING, headers={"Authorization": API_KEY}, trust_env=False)
        finally:
            process.terminate()
    assert {record["virtual_environment_id"] for record in listing.json()["data"]} == {None}
