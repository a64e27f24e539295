"""The account that the sandbox plays: its flows, versions, environments, packages, users and deployments."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

FIRST_USER, FIRST_DEPLOYMENT = 90, 500
"""The lowest ids."""

VersionStatus = Literal["Draft", "Deployed", "Inactive"]


@dataclass(slots=True)
class User:
    """Somebody with a login to the account."""

    id: int
    name: str
    email: str


@dataclass(slots=True)
class VirtualEnvironment:
    """A place that flow versions are deployed to."""

    id: int
    name: str


@dataclass(slots=True)
class Package:
    """A bundle of flows that is deployed together."""

    id: int
    name: str


@dataclass(slots=True)
class Flow:
    """A process flow. Names are not unique."""

    id: int
    name: str
    priority: int


@dataclass(slots=True)
class FlowVersion:
    """One version of a flow; `iteration` is the number that people see. A flow has exactly one draft."""

    id: int
    flow_id: int
    iteration: int
    status: VersionStatus
    cron_string: str
    steps_count: int
    saved_by: int
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None = None
    deployed_by: int | None = None


@dataclass(slots=True)
class Deployment:
    """A flow version put to work. `enabled_at` None is disabled, `priority` None inherits the flow's."""

    id: int
    flow_version_id: int
    virtual_environment_id: int | None
    package_id: int | None
    priority: int | None
    enabled_at: datetime | None
    enabled_by: int | None
    user_id: int
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class Account:
    """All data of the account by id. Plain and mutable: a test changes it to play somebody else.

    Virtual environments are an optional feature of an account.
    """

    flows: dict[int, Flow] = field(default_factory=dict)
    flow_versions: dict[int, FlowVersion] = field(default_factory=dict)
    virtual_environments: dict[int, VirtualEnvironment] = field(default_factory=dict)
    packages: dict[int, Package] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    has_virtual_environments: bool = True
    _last_deployment: int = FIRST_DEPLOYMENT - 1

    def version_of(self, deployment: Deployment) -> FlowVersion:
        """The deployed version."""
        return self.flow_versions[deployment.flow_version_id]

    def flow_of(self, deployment: Deployment) -> Flow:
        """The flow that the deployed version belongs to."""
        return self.flows[self.version_of(deployment).flow_id]

    def environment_of(self, deployment: Deployment) -> VirtualEnvironment | None:
        """The environment that the deployment is in, if any."""
        return self.virtual_environments.get(deployment.virtual_environment_id or 0)

    def package_of(self, deployment: Deployment) -> Package | None:
        """The package that the deployment belongs to, if any."""
        return self.packages.get(deployment.package_id or 0)

    def remove(self, deployment: Deployment) -> None:
        """Take the deployment out of the account, and keep its id from being given again."""
        self._last_deployment = max(self._last_deployment, deployment.id)
        del self.deployments[deployment.id]

    def next_deployment_id(self) -> int:
        """An id that no deployment has had before: a deleted one's is never given again."""
        self._last_deployment = max((self._last_deployment, *self.deployments)) + 1
        return self._last_deployment
