"""What may be done to a deployment that is there: update, enable, disable, delete."""

from datetime import UTC, datetime

import httpx2
import pytest
from support.sandboxes import FakeClock, path_of

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment

# Update -------------------------------------------------------------------------------------------


async def test_update_changes_only_what_is_present(
    api: httpx2.AsyncClient, enabled: Deployment, clock: FakeClock
) -> None:
    """A field that is not in the body stays as it is; `updated_at` is now."""
    before = (enabled.virtual_environment_id, enabled.enabled_at, enabled.enabled_by, enabled.created_at)

    await api.put(path_of(enabled), json={"priority": -3})

    assert enabled.priority == -3
    assert (enabled.virtual_environment_id, enabled.enabled_at, enabled.enabled_by, enabled.created_at) == before
    assert enabled.updated_at == clock.now


async def test_update_resets_with_null(api: httpx2.AsyncClient, enabled: Deployment) -> None:
    """Null clears the environment, the priority and the time of enabling."""
    await api.put(path_of(enabled), json={"virtual_environment_id": None, "priority": None, "enabled_at": None})

    assert (enabled.virtual_environment_id, enabled.priority, enabled.enabled_at) == (None, None, None)
    assert enabled.enabled_by is None


async def test_empty_string_is_null(api: httpx2.AsyncClient, enabled: Deployment) -> None:
    """An empty string in a body is null, as Laravel has it."""
    assert (await api.put(path_of(enabled), json={"virtual_environment_id": "", "priority": ""})).status_code == 200

    assert (enabled.virtual_environment_id, enabled.priority) == (None, None)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-04-01T12:00:00+02:00", datetime(2026, 4, 1, 10, tzinfo=UTC)),
        ("2026-04-01t10:00:00z", datetime(2026, 4, 1, 10, tzinfo=UTC)),
        ("2026-04-01 10:00:00", datetime(2026, 4, 1, 10, tzinfo=UTC)),
    ],
)
async def test_update_enables_at_a_time(
    api: httpx2.AsyncClient, disabled: Deployment, text: str, time: datetime
) -> None:
    """`enabled_at` is any ISO date-time, in UTC unless it says otherwise."""
    assert (await api.put(path_of(disabled), json={"enabled_at": text})).status_code == 200

    assert disabled.enabled_at == time
    assert disabled.enabled_by is not None


async def test_deploy_disabled_wins(api: httpx2.AsyncClient, enabled: Deployment) -> None:
    """`deploy_disabled` true disables, whatever `enabled_at` says; false does nothing."""
    await api.put(path_of(enabled), json={"deploy_disabled": False})
    assert enabled.enabled_at

    await api.put(path_of(enabled), json={"deploy_disabled": True, "enabled_at": "2026-04-01T10:00:00Z"})
    assert enabled.enabled_at is None


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled_at": "tomorrow"},
        {"enabled_at": "2026-04-01"},
        {"enabled_at": 1_700_000_000},
        {"enabled_at": "0001-01-01T00:00:00+14:00"},
        {"priority": "high"},
        {"virtual_environment_id": "9"},
        {"deploy_disabled": "true"},
    ],
)
async def test_update_refuses(api: httpx2.AsyncClient, enabled: Deployment, fields: dict[str, object]) -> None:
    """A bad value is a 422 for its field, and the good ones beside it are not applied either."""
    before = repr(enabled)

    response = await api.put(path_of(enabled), json={"priority": 77, "virtual_environment_id": None} | fields)

    assert response.status_code == 422
    assert list(response.json()["errors"]) == list(fields)
    assert repr(enabled) == before


async def test_update_with_unknown_include_changes_nothing(api: httpx2.AsyncClient, enabled: Deployment) -> None:
    """A request that is refused for its query has not been carried out."""
    before = repr(enabled)

    response = await api.put(path_of(enabled), params={"include": "secrets"}, json={"priority": 77})

    assert response.status_code == 400
    assert repr(enabled) == before


# Enable, disable, delete --------------------------------------------------------------------------


async def test_enable_is_idempotent(api: httpx2.AsyncClient, disabled: Deployment, clock: FakeClock) -> None:
    """Enabling sets the time once; enabling again changes nothing."""
    assert (await api.post(f"{path_of(disabled)}/enable")).status_code == 200
    assert disabled.enabled_at == disabled.updated_at == clock.now
    assert disabled.enabled_by is not None
    before = repr(disabled)

    clock.advance(minutes=5)

    assert (await api.post(f"{path_of(disabled)}/enable")).status_code == 200
    assert repr(disabled) == before


async def test_disable_is_idempotent(api: httpx2.AsyncClient, enabled: Deployment, clock: FakeClock) -> None:
    """Disabling clears the time; disabling again changes nothing."""
    assert (await api.post(f"{path_of(enabled)}/disable")).status_code == 200
    assert (enabled.enabled_at, enabled.enabled_by, enabled.updated_at) == (None, None, clock.now)
    before = repr(enabled)

    clock.advance(minutes=5)

    assert (await api.post(f"{path_of(enabled)}/disable")).status_code == 200
    assert repr(enabled) == before


async def test_version_is_inactive_without_deployments(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """Deleting a version's deployments leaves it deployed until the last one goes."""
    version = sandbox.account.flow_versions[1001]
    rows = [row for row in sandbox.account.deployments.values() if row.flow_version_id == version.id]
    assert len(rows) > 1
    statuses = []
    for row in rows:
        assert (await api.delete(path_of(row))).status_code == 200
        statuses.append(version.status)

    assert statuses == ["Deployed"] * (len(rows) - 1) + ["Inactive"]
    assert version.deployed_at is None


async def test_deleted_deployment_is_gone(api: httpx2.AsyncClient, enabled: Deployment) -> None:
    """After a delete every operation on the deployment is a 404, a second delete too."""
    path = path_of(enabled)
    await api.delete(path)

    for method, url in [("GET", path), ("PUT", path), ("DELETE", path), ("POST", f"{path}/enable")]:
        assert (await api.request(method, url)).status_code == 404
