"""What may be done to deployments, and what changes with it."""

from typing import Any

import httpx2
import pytest
from support.sandboxes import FakeClock, deployments_path, free_environment, path_of

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment, FlowVersion


async def create(api: httpx2.AsyncClient, version: FlowVersion, **fields: object) -> httpx2.Response:
    return await api.post(deployments_path(version), json={"flow_version_id": version.id, **fields})


# Create -------------------------------------------------------------------------------------------


async def test_create_enables(
    api: httpx2.AsyncClient, sandbox: Sandbox, inactive: FlowVersion, clock: FakeClock
) -> None:
    """A new deployment is enabled from now on, and its version is deployed from now on."""
    environment = free_environment(sandbox.account, inactive.flow_id)

    response = await create(api, inactive, virtual_environment_id=environment, priority=4)

    created = sandbox.account.deployments[response.json()["data"]["id"]]
    assert (created.virtual_environment_id, created.priority) == (environment, 4)
    assert created.enabled_at == created.created_at == created.updated_at == clock.now
    assert (inactive.status, inactive.deployed_at) == ("Deployed", clock.now)


async def test_create_disabled(api: httpx2.AsyncClient, sandbox: Sandbox, inactive: FlowVersion) -> None:
    """`deploy_disabled` deploys without enabling; null means no."""
    off = await create(api, inactive, deploy_disabled=True)
    on = await create(api, inactive, deploy_disabled=None)

    assert sandbox.account.deployments[off.json()["data"]["id"]].enabled_at is None
    assert sandbox.account.deployments[on.json()["data"]["id"]].enabled_at is not None


async def test_create_takes_ids_as_text_or_number(
    api: httpx2.AsyncClient, sandbox: Sandbox, inactive: FlowVersion
) -> None:
    """Ids in a body may be strings."""
    environment = free_environment(sandbox.account, inactive.flow_id)

    response = await create(api, inactive, flow_version_id=str(inactive.id), virtual_environment_id=str(environment))

    assert response.status_code == 201
    assert response.json()["data"]["virtual_environment_id"] == str(environment)


async def test_draft_makes_the_next_draft(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """Deploying a flow's draft leaves the flow with one new draft, one iteration further."""
    draft = next(version for version in sandbox.account.flow_versions.values() if version.status == "Draft")

    await create(api, draft)

    versions = [version for version in sandbox.account.flow_versions.values() if version.flow_id == draft.flow_id]
    assert draft.status == "Deployed"
    assert [row.iteration for row in versions if row.status == "Draft"] == [draft.iteration + 1]


async def test_ids_are_never_reused(api: httpx2.AsyncClient, sandbox: Sandbox, inactive: FlowVersion) -> None:
    """A new deployment never gets the id of a deleted one, be that one of the first or made since."""
    newest = max(sandbox.account.deployments)
    await api.delete(path_of(sandbox.account.deployments[newest]))
    made = (await create(api, inactive)).json()["data"]["id"]
    await api.delete(path_of(sandbox.account.deployments[made]))

    assert (await create(api, inactive)).json()["data"]["id"] == made + 1 == newest + 2


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"flow_version_id": None}, "flow_version_id"),
        ({"flow_version_id": ""}, "flow_version_id"),
        ({"flow_version_id": "1"}, "flow_version_id"),
        ({"flow_version_id": True}, "flow_version_id"),
        ({"virtual_environment_id": "9"}, "virtual_environment_id"),
        ({"virtual_environment_id": "UK Live"}, "virtual_environment_id"),
        ({"virtual_environment_id": 10.5}, "virtual_environment_id"),
        ({"virtual_environment_id": True}, "virtual_environment_id"),
        ({"virtual_environment_id": ["10"]}, "virtual_environment_id"),
        ({"priority": "5"}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"deploy_disabled": "yes"}, "deploy_disabled"),
        ({"deploy_disabled": 1}, "deploy_disabled"),
    ],
)
async def test_create_refuses(
    api: httpx2.AsyncClient, sandbox: Sandbox, inactive: FlowVersion, fields: dict[str, object], wrong: str
) -> None:
    """A missing, unknown or mistyped value is a 422 for its field, and nothing is deployed."""
    before = set(sandbox.account.deployments)

    response = await create(api, inactive, **fields)

    assert response.status_code == 422
    assert list(response.json()["errors"]) == [wrong]
    assert response.json()["message"] == response.json()["errors"][wrong][0]
    assert set(sandbox.account.deployments) == before
    assert inactive.status == "Inactive"


async def test_errors_are_counted(api: httpx2.AsyncClient, inactive: FlowVersion) -> None:
    """With several wrong fields, the message is the first error and a count of the others."""
    response = await create(api, inactive, virtual_environment_id="9", priority="x", deploy_disabled=3)

    assert set(response.json()["errors"]) == {"virtual_environment_id", "priority", "deploy_disabled"}
    assert response.json()["message"] == "The selected virtual environment id is invalid. (and 2 more errors)"


# One version for each flow and environment ---------------------------------------------------------


async def test_second_version_is_refused(api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment) -> None:
    """No version of a flow, be it the same or another, can be deployed where one of them is."""
    flow = sandbox.account.flow_of(enabled)
    versions = [version for version in sandbox.account.flow_versions.values() if version.flow_id == flow.id]
    for version in versions:
        response = await create(api, version, virtual_environment_id=enabled.virtual_environment_id)

        assert response.status_code == 422
        assert list(response.json()["errors"]) == ["virtual_environment_id"]


async def test_environment_is_free_again_after_delete(
    api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment
) -> None:
    """Once the old deployment is deleted, a newer version takes its place."""
    version = sandbox.account.flow_versions[enabled.flow_version_id + 1]
    assert version.flow_id == sandbox.account.flow_of(enabled).id

    await api.delete(path_of(enabled))

    assert (await create(api, version, virtual_environment_id=enabled.virtual_environment_id)).status_code == 201


async def test_other_flow_may_use_the_environment(
    api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment
) -> None:
    """Different flows share an environment, even under the same name."""
    flow = sandbox.account.flow_of(enabled)
    twin = next(other for other in sandbox.account.flows.values() if other.name == flow.name and other is not flow)
    version = next(version for version in sandbox.account.flow_versions.values() if version.flow_id == twin.id)
    for row in [row for row in sandbox.account.deployments.values() if sandbox.account.flow_of(row) is twin]:
        del sandbox.account.deployments[row.id]

    assert (await create(api, version, virtual_environment_id=enabled.virtual_environment_id)).status_code == 201


async def test_nothing_collides_without_environment(api: httpx2.AsyncClient, inactive: FlowVersion) -> None:
    """A version can be deployed without an environment more than once."""
    responses = [await create(api, inactive, virtual_environment_id=None) for _ in range(2)]

    assert [response.status_code for response in responses] == [201, 201]


async def test_update_cannot_move_onto_another_version(
    api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment
) -> None:
    """A deployment can be moved, or told to stay, but not to where another of its flow's is."""
    flow = sandbox.account.flow_of(enabled)
    sibling = next(
        row
        for row in sandbox.account.deployments.values()
        if row is not enabled and sandbox.account.flow_of(row) is flow and row.virtual_environment_id
    )
    home = enabled.virtual_environment_id

    refused = await api.put(path_of(enabled), json={"virtual_environment_id": sibling.virtual_environment_id})
    assert refused.status_code == 422
    assert enabled.virtual_environment_id == home
    assert (await api.put(path_of(enabled), json={"virtual_environment_id": home})).status_code == 200

    free = free_environment(sandbox.account, flow.id)
    assert (await api.put(path_of(enabled), json={"virtual_environment_id": str(free)})).status_code == 200
    assert enabled.virtual_environment_id == free


# Not found ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "x", "01001", "-1001", "9" * 5000, "1001.0", "%20"])
async def test_unknown_version(api: httpx2.AsyncClient, version: str) -> None:
    """A flow version that does not exist is a 404, whatever its id looks like."""
    for path in (f"/api/v1/flow-versions/{version}/deployments", f"/api/v1/flow-versions/{version}/deployments/500"):
        response = await api.get(path)

        assert response.status_code == 404
        assert list(response.json()) == ["message"]


async def test_deployment_of_another_version(
    api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment, inactive: FlowVersion
) -> None:
    """A deployment is not found, let alone changed, under a flow version that is not its own."""
    before = repr(enabled)
    path = f"{deployments_path(inactive)}/{enabled.id}"

    for method, url in [("GET", path), ("PUT", path), ("DELETE", path), ("POST", f"{path}/disable")]:
        assert (await api.request(method, url, json={"priority": 1})).status_code == 404
    assert repr(sandbox.account.deployments[enabled.id]) == before


async def test_somebody_else_changes_it(api: httpx2.AsyncClient, sandbox: Sandbox, enabled: Deployment) -> None:
    """What a test changes in the account is what the API serves from then on."""
    enabled.priority = 42
    assert enabled.virtual_environment_id
    del sandbox.account.virtual_environments[enabled.virtual_environment_id]

    record: dict[str, Any] = (await api.get(path_of(enabled), params={"include": "virtualEnvironment"})).json()["data"]

    assert record["priority"] == 42
    assert record["virtual_environment"] is None
