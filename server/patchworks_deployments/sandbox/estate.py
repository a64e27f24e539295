"""The account that the sandbox plays: its flows, versions, environments, packages, users and deployments."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, islice, product
from math import gcd
from typing import Literal

BASE_DATE = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When the newest deployment was made; fixed, so that every run sees the same data."""

FIRST_ENVIRONMENT, FIRST_PACKAGE, FIRST_USER = 10, 60, 90
FIRST_FLOW, FIRST_DEPLOYMENT, FIRST_VERSION = 100, 500, 1000

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
class Estate:
    """All data of the account by id. Plain and mutable: a test changes it to play somebody else."""

    flows: dict[int, Flow] = field(default_factory=dict)
    flow_versions: dict[int, FlowVersion] = field(default_factory=dict)
    virtual_environments: dict[int, VirtualEnvironment] = field(default_factory=dict)
    packages: dict[int, Package] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    _last_deployment: int = FIRST_DEPLOYMENT - 1

    def version_of(self, deployment: Deployment) -> FlowVersion:
        """The deployed version."""
        return self.flow_versions[deployment.flow_version_id]

    def flow_of(self, deployment: Deployment) -> Flow:
        """The flow that the deployed version belongs to."""
        return self.flows[self.version_of(deployment).flow_id]

    def next_deployment_id(self) -> int:
        """An id that no deployment has had before: a deleted one's is never given again."""
        self._last_deployment = max(self._last_deployment, *self.deployments, FIRST_DEPLOYMENT - 1) + 1
        return self._last_deployment


def build_estate(deployments: int) -> Estate:
    """An account with that many deployments, and flows and environments in proportion."""
    environments = max(2, round(6 * (deployments / 60) ** 0.37))
    flows = max(4, round(15 * (deployments / 60) ** 0.604))
    estate = Estate(
        virtual_environments={
            id_: VirtualEnvironment(id_, name)
            for id_, name in zip(count(FIRST_ENVIRONMENT), islice(_environment_names(), environments), strict=False)
        },
        packages={id_: Package(id_, name) for id_, name in enumerate(_PACKAGES, FIRST_PACKAGE)},
        users={id_: User(id_, name, email) for id_, (name, email) in enumerate(_USERS, FIRST_USER)},
    )
    for number, name in enumerate(islice(_flow_names(), flows)):
        _add_flow(estate, number, name)
    _add_deployments(estate, deployments)
    return estate


def _add_flow(estate: Estate, number: int, name: str) -> None:
    flow = Flow(FIRST_FLOW + number, name, priority=1 + number * 3 % 9)
    estate.flows[flow.id] = flow
    versions = 3 + number * 5 % 4
    for iteration in range(1, versions + 1):
        saved = BASE_DATE - timedelta(days=900 - 40 * iteration, minutes=97 * (number % 300))
        version = FlowVersion(
            id=FIRST_VERSION + len(estate.flow_versions),
            flow_id=flow.id,
            iteration=iteration,
            status="Draft" if iteration == versions else "Inactive",
            cron_string=_CRON_STRINGS[number % len(_CRON_STRINGS)],
            steps_count=4 + number % 9,
            saved_by=FIRST_USER + (number + iteration) % len(_USERS),
            created_at=saved,
            updated_at=saved + timedelta(hours=2),
        )
        estate.flow_versions[version.id] = version


def _add_deployments(estate: Estate, deployments: int) -> None:
    """Scatter the deployments over (flow, environment) pairs, never using a pair twice.

    Stepping through the pairs with a stride that shares no factor with their number visits each once.
    """
    released = _released_versions(estate)
    flows, environments = list(estate.flows), list(estate.virtual_environments)
    pairs = len(flows) * len(environments)
    stride = next(step for step in count(round(pairs * 0.618)) if gcd(step, pairs) == 1)
    for number in range(deployments):
        environment, flow = divmod(number * stride % pairs, len(flows))
        versions = released[flows[flow]]
        lags_behind = (number + number // len(flows) + 2) % 5 == 0
        in_no_package = (flow + 1) % 4 == 0
        deployment = _deployment(
            number,
            flow_version_id=versions[-2 if lags_behind else -1],
            environment_id=environments[environment],
            created_at=BASE_DATE - timedelta(minutes=37 * (deployments - 1 - number)),
            package_id=None if in_no_package else FIRST_PACKAGE + flow % len(_PACKAGES),
        )
        estate.deployments[deployment.id] = deployment
        version = estate.flow_versions[deployment.flow_version_id]
        version.status = "Deployed"
        version.deployed_at, version.deployed_by = deployment.created_at, deployment.user_id


def _released_versions(estate: Estate) -> dict[int, list[int]]:
    released: dict[int, list[int]] = {}
    for version in estate.flow_versions.values():
        if version.status != "Draft":
            released.setdefault(version.flow_id, []).append(version.id)
    return released


def _deployment(
    number: int, *, flow_version_id: int, environment_id: int, created_at: datetime, package_id: int | None
) -> Deployment:
    disabled = (number + 2) % 6 == 0
    without_environment = (number + 6) % 17 == 0
    user = FIRST_USER + number % len(_USERS)
    return Deployment(
        id=FIRST_DEPLOYMENT + number,
        flow_version_id=flow_version_id,
        virtual_environment_id=None if without_environment else environment_id,
        package_id=package_id,
        priority=None if number % 3 == 1 else 1 + number * 7 % 10,
        enabled_at=None if disabled else created_at + timedelta(minutes=number % 4 * 15),
        enabled_by=None if disabled else user,
        user_id=user,
        created_at=created_at,
        updated_at=created_at + timedelta(minutes=number % 4 * 15),
    )


# Names --------------------------------------------------------------------------------------------

_USERS = (
    ("Alex Morgan", "operator@example.com"),
    ("Priya Shah", "priya.shah@example.com"),
    ("Tom Becker", "tom.becker@example.com"),
    ("Marta Nowak", "marta.nowak@example.com"),
)

_PACKAGES = (
    "Order Management",
    "Stock and Fulfilment",
    "Product Information",
    "Finance and Refunds",
    "Customer Marketing",
)

_CRON_STRINGS = ("*/5 * * * *", "*/15 * * * *", "0 * * * *", "30 6 * * *", "0 2 * * 1-5")

_WELL_KNOWN_FLOWS = (
    "Shopify orders to NetSuite",
    "NetSuite stock levels to Shopify",
    "NetSuite fulfilments to Shopify",
    "Shopify orders to NetSuite",
    "Shopify refunds to NetSuite",
    "Amazon orders to Business Central",
    "Akeneo products to Shopify",
    "Business Central prices to Magento",
    "Mintsoft dispatches to Shopify",
    "Shopify customers to Klaviyo",
    "Magento orders to Business Central",
    "Loop returns to NetSuite",
    "eBay orders to Linnworks",
    "Xero invoices to Salesforce",
    "Peoplevox stock levels to BigCommerce",
)
"""The fourth repeats the first on purpose: the API does not keep names unique, and clients must cope."""

_SYSTEMS = (
    "Shopify", "NetSuite", "Business Central", "Magento", "Amazon", "BigCommerce", "Linnworks", "Mintsoft", "Klaviyo",
    "Salesforce", "Xero", "Akeneo", "Peoplevox", "WooCommerce", "Brightpearl", "SAP Business One", "ShipStation",
)  # fmt: skip

_ENTITIES = ("orders", "stock levels", "products", "customers", "fulfilments", "prices", "refunds", "invoices")

_WELL_KNOWN_ENVIRONMENTS = ("UK Live", "EU Production", "DE Sandbox", "US Live", "Staging", "UK Sandbox")

_COUNTRIES = (
    "FR", "NL", "IE", "ES", "IT", "AU", "CA", "PL", "SE", "DK", "NO", "JP", "SG", "AE", "ZA", "BR", "MX", "NZ",
)  # fmt: skip


def _flow_names() -> Iterator[str]:
    yield from _WELL_KNOWN_FLOWS
    seen = Counter(_WELL_KNOWN_FLOWS)
    for brand in count(1):
        for entity, source, offset in product(_ENTITIES, range(len(_SYSTEMS)), range(1, len(_SYSTEMS))):
            target = (source + offset) % len(_SYSTEMS)
            name = f"{_SYSTEMS[source]} {entity} to {_SYSTEMS[target]}"
            if brand > 1:
                name += f" (brand {brand})"
            if name not in seen:
                yield name


def _environment_names() -> Iterator[str]:
    yield from _WELL_KNOWN_ENVIRONMENTS
    for brand in count(1):
        for stage, country in product(("Live", "Sandbox", "Staging"), _COUNTRIES):
            yield f"{country} {stage}" if brand == 1 else f"{country} {stage} {brand}"
