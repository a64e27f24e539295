"""The sample account: as many made-up deployments as are asked for, the same ones in every run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, islice, product
from math import gcd

from patchworks_deployments.sandbox.account import (
    FIRST_DEPLOYMENT,
    FIRST_USER,
    Account,
    Deployment,
    Flow,
    FlowVersion,
    Package,
    User,
    VirtualEnvironment,
)

BASE_DATE = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When the newest deployment was made."""

FIRST_ENVIRONMENT, FIRST_PACKAGE, FIRST_FLOW, FIRST_VERSION = 10, 60, 100, 1000
"""The lowest ids."""

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


def sample_account(deployments: int, *, virtual_environments: bool = True) -> Account:
    """An account with that many deployments, and flows and environments in proportion.

    Without virtual environments each deployment has a flow of its own, and a few flows have none.
    """
    environments = max(2, round(6 * (deployments / 60) ** 0.37)) if virtual_environments else 0
    flows = max(4, round(15 * (deployments / 60) ** 0.604)) if virtual_environments else deployments + 4
    account = Account(
        has_virtual_environments=virtual_environments,
        virtual_environments={
            id_: VirtualEnvironment(id_, name)
            for id_, name in enumerate(islice(_environment_names(), environments), FIRST_ENVIRONMENT)
        },
        packages={id_: Package(id_, name) for id_, name in enumerate(_PACKAGES, FIRST_PACKAGE)},
        users={id_: User(id_, name, email) for id_, (name, email) in enumerate(_USERS, FIRST_USER)},
    )
    released = [_add_flow(account, number, name) for number, name in enumerate(islice(_flow_names(), flows))]
    _add_deployments(account, released, deployments)
    return account


def _add_flow(account: Account, number: int, name: str) -> list[int]:
    """Add a flow and its versions; the ids of the released ones, oldest first."""
    flow = Flow(FIRST_FLOW + number, name, priority=1 + number * 3 % 9)
    account.flows[flow.id] = flow
    first, versions = FIRST_VERSION + len(account.flow_versions), 3 + number * 5 % 4
    for iteration in range(1, versions + 1):
        saved = BASE_DATE - timedelta(days=900 - 40 * iteration, minutes=97 * (number % 300))
        version = FlowVersion(
            id=first + iteration - 1,
            flow_id=flow.id,
            iteration=iteration,
            status="Draft" if iteration == versions else "Inactive",
            cron_string=_CRON_STRINGS[number % len(_CRON_STRINGS)],
            steps_count=4 + number % 9,
            saved_by=FIRST_USER + (number + iteration) % len(_USERS),
            created_at=saved,
            updated_at=saved + timedelta(hours=2),
        )
        account.flow_versions[version.id] = version
    return list(range(first, first + versions - 1))


def _add_deployments(account: Account, released: Sequence[Sequence[int]], deployments: int) -> None:
    """Scatter the deployments over (flow, environment) pairs, never using a pair twice.

    `released` has the version ids of each flow. Stepping through the pairs with a stride that shares no factor
    with their number visits each once.
    """
    environments: list[int | None] = [*account.virtual_environments] or [None]
    pairs = len(released) * len(environments)
    stride = next(step for step in count(round(pairs * 0.618)) if gcd(step, pairs) == 1)
    for number in range(deployments):
        environment, flow = divmod(number * stride % pairs, len(released))
        lags_behind = (number + number // len(released) + 2) % 5 == 0
        in_no_environment = (number + 6) % 17 == 0
        in_no_package = (flow + 1) % 4 == 0
        is_disabled = (number + 2) % 6 == 0
        user = FIRST_USER + number % len(_USERS)
        created_at = BASE_DATE - timedelta(minutes=37 * (deployments - 1 - number))
        updated_at = created_at + timedelta(minutes=number % 4 * 15)
        deployment = Deployment(
            id=FIRST_DEPLOYMENT + number,
            flow_version_id=released[flow][-2 if lags_behind else -1],
            virtual_environment_id=None if in_no_environment else environments[environment],
            package_id=None if in_no_package else FIRST_PACKAGE + flow % len(_PACKAGES),
            priority=None if number % 3 == 1 else 1 + number * 7 % 10,
            enabled_at=None if is_disabled else updated_at,
            enabled_by=None if is_disabled else user,
            user_id=user,
            created_at=created_at,
            updated_at=updated_at,
        )
        account.deployments[deployment.id] = deployment
        version = account.version_of(deployment)
        version.status, version.deployed_at, version.deployed_by = "Deployed", created_at, user


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
