"""What the sandbox's own tests do with its API, and its clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import httpx2

from patchworks_deployments.sandbox.account import Account, Deployment, FlowVersion

LISTING = "/api/v1/flow-version-deployments"

Connect: TypeAlias = Callable[..., httpx2.AsyncClient]
"""Opens a client of a sandbox's own API, with any credentials."""


class FakeClock:
    """The sandbox's time of day."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Let time pass: `advance(minutes=5)`."""
        self.now += timedelta(**duration)


def path_of(deployment: Deployment) -> str:
    return f"/api/v1/flow-versions/{deployment.flow_version_id}/deployments/{deployment.id}"


def deployments_path(version: FlowVersion) -> str:
    return f"/api/v1/flow-versions/{version.id}/deployments"


def free_environment(account: Account, flow_id: int) -> int:
    """An environment that no version of the flow is deployed to."""
    taken = {row.virtual_environment_id for row in account.deployments.values() if account.flow_of(row).id == flow_id}
    return next(id_ for id_ in account.virtual_environments if id_ not in taken)
