"""Listings: filters, includes, sorts, pages, and the two shapes of a record."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from support.sandboxes import LISTING, Connect

from patchworks_deployments.sandbox import API_KEY, Sandbox
from patchworks_deployments.sandbox.account import Account, Deployment


async def found(api: httpx2.AsyncClient, **params: str) -> list[int]:
    """The ids of everything that the listing has under these parameters."""
    response = await api.get(LISTING, params={"per_page": 100, **params})
    assert response.status_code == 200, response.text
    return [record["id"] for record in response.json()["data"]]


def names_of(account: Account, row: Deployment) -> list[str]:
    """Every name that the filter `global` looks at, in lower case."""
    environment = account.virtual_environments.get(row.virtual_environment_id or 0)
    package = account.packages.get(row.package_id or 0)
    named = [account.flow_of(row), *(place for place in (environment, package) if place)]
    return [thing.name.lower() for thing in named]


# Filters ------------------------------------------------------------------------------------------

FILTERS: list[tuple[str, str, Callable[[Account, Deployment], bool]]] = [
    ("package_id", "60", lambda _, row: row.package_id == 60),
    ("package_id", "60,62", lambda _, row: row.package_id in {60, 62}),
    ("package_id", "6", lambda _, __: False),
    ("package_id", "None", lambda _, __: False),
    ("virtual_environment_id", "10,11", lambda _, row: row.virtual_environment_id in {10, 11}),
    ("virtual_environment_id", "null", lambda _, __: False),
    ("virtual_environment_id", "None", lambda _, __: False),
    ("virtual_environment_id", "", lambda _, __: True),
    ("flowVersion.flow", "100", lambda account, row: account.flow_of(row).id == 100),
    ("flowVersion.flow", "100, 103", lambda account, row: account.flow_of(row).id in {100, 103}),
    ("name", "SHOPIFY ORD", lambda account, row: "shopify ord" in account.flow_of(row).name.lower()),
    ("name", "ebay,xero", lambda account, row: account.flow_of(row).name.lower().startswith(("ebay", "xero"))),
    ("name", "UK Live", lambda _, __: False),
    ("LIKE", "netsuite", lambda account, row: "netsuite" in account.flow_of(row).name.lower()),
    ("LIKE", "UK Live", lambda _, __: False),
    ("global", "live", lambda account, row: any("live" in name for name in names_of(account, row))),
    ("global", "finance", lambda account, row: any("finance" in name for name in names_of(account, row))),
    ("global", "magento", lambda account, row: any("magento" in name for name in names_of(account, row))),
    ("global", "%", lambda _, __: False),
]


@pytest.mark.parametrize(("name", "value", "matches"), FILTERS)
async def test_filter(
    api: httpx2.AsyncClient, sandbox: Sandbox, name: str, value: str, matches: Callable[[Account, Deployment], bool]
) -> None:
    """A filter finds exactly what it says; a comma means either, an empty one nothing."""
    expected = [row.id for row in sandbox.account.deployments.values() if matches(sandbox.account, row)]

    assert await found(api, **{f"filter[{name}]": value}) == expected


async def test_filters_add_up(api: httpx2.AsyncClient) -> None:
    """Several filters must all match."""
    both = await found(api, **{"filter[name]": "orders", "filter[virtual_environment_id]": "10"})

    orders = await found(api, **{"filter[name]": "orders"})
    in_uk_live = await found(api, **{"filter[virtual_environment_id]": "10"})
    assert both == [id_ for id_ in orders if id_ in in_uk_live]
    assert 0 < len(both) < min(len(orders), len(in_uk_live))


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"filter[status]": "1"}, "package_id, virtual_environment_id, global, flowVersion.flow, name, LIKE"),
        ({"include": "package,flow_version"}, "enabledBy, flowVersion, virtualEnvironment, package, user"),
        ({"sort": "-id"}, "created_at, enabled_at, flow_name, flow_version_iteration"),
        ({"sort": "flow_versions.id"}, "created_at, enabled_at, flow_name, flow_version_iteration"),
    ],
)
async def test_unknown_names(api: httpx2.AsyncClient, params: dict[str, str], allowed: str) -> None:
    """An unknown filter, include or sort is a 400 that names the known ones."""
    response = await api.get(LISTING, params=params)

    assert response.status_code == 400
    assert list(response.json()) == ["message"]
    assert f"`{allowed}`" in response.json()["message"]


# Sorts --------------------------------------------------------------------------------------------

SORTS: dict[str, Callable[[Account, Deployment], Any]] = {
    "created_at": lambda _, row: row.created_at,
    "enabled_at": lambda _, row: row.enabled_at,
    "flow_name": lambda account, row: account.flow_of(row).name.lower(),
    "flow_version_iteration": lambda account, row: account.version_of(row).iteration,
}


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("name", SORTS)
async def test_sort(api: httpx2.AsyncClient, sandbox: Sandbox, name: str, sign: str) -> None:
    """A sort orders by its field, either way; nulls are last, ties by id."""
    rows = sorted(sandbox.account.deployments.values(), key=lambda row: row.id)
    valued = [row for row in rows if SORTS[name](sandbox.account, row) is not None]
    valued.sort(key=lambda row: SORTS[name](sandbox.account, row), reverse=bool(sign))
    nulls = [row for row in rows if SORTS[name](sandbox.account, row) is None]

    assert await found(api, sort=sign + name) == [row.id for row in valued + nulls]


async def test_sort_by_several(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """With several sorts the first goes first, and the others break its ties."""
    account = sandbox.account
    rows = sorted(account.deployments.values(), key=lambda row: row.id, reverse=True)
    rows.sort(key=lambda row: account.flow_of(row).name.lower())

    assert await found(api, sort="flow_name,-created_at") == [row.id for row in rows]


# Includes -----------------------------------------------------------------------------------------


async def test_includes(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """Relations are in the record only if asked for, under their snake_case names."""
    include = "enabledBy,flowVersion,virtualEnvironment,package,user"
    relations = {"enabled_by", "flow_version", "virtual_environment", "package", "user"}
    path = "/api/v1/flow-versions/1001/deployments"
    for url in (LISTING, path, f"{path}/500"):
        bare = (await api.get(url)).json()["data"]
        rich = (await api.get(url, params={"include": include})).json()["data"]
        if isinstance(rich, list):
            bare, rich = bare[0], rich[0]
        assert set(rich) - set(bare) == relations
        assert rich["flow_version"]["id"] == 1001
        assert rich["virtual_environment"]["name"] == "UK Live"
        assert rich["package"]["name"] == "Order Management"
        assert rich["enabled_by"] == rich["user"]
        assert rich["user"]["email"] == sandbox.account.users[90].email


async def test_missing_relations_are_null(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """A relation that a deployment does not have is null."""
    row = sandbox.account.deployments[500]
    row.virtual_environment_id = row.package_id = row.enabled_by = None

    include = {"include": "enabledBy,virtualEnvironment,package"}
    record = (await api.get(LISTING, params=include)).json()["data"][0]

    assert (record["enabled_by"], record["virtual_environment"], record["package"]) == (None, None, None)


# Pages --------------------------------------------------------------------------------------------


async def test_pages_cover_everything_once(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """Following `next` from the first page meets every deployment once and then ends."""
    url: str | None = f"https://sandbox.example{LISTING}?per_page=7&filter%5Bglobal%5D=o&sort=-flow_name"
    seen: list[int] = []
    while url:
        page = (await api.get(url)).json()
        seen += [record["id"] for record in page["data"]]
        url = page["links"]["next"]

    expected = [
        row.id for row in sandbox.account.deployments.values() if "o" in "".join(names_of(sandbox.account, row))
    ]
    assert len(seen) == page["meta"]["total"]
    assert sorted(seen) == expected


async def test_frame_of_a_page(api: httpx2.AsyncClient) -> None:
    """`meta` counts and `links` point as Laravel's do, and the links keep the other parameters."""
    page = (await api.get(LISTING, params={"page": 2, "per_page": 25, "sort": "flow_name"})).json()

    url = f"https://sandbox.example{LISTING}"
    assert page["meta"] == {
        "current_page": 2, "from": 26, "last_page": 3, "path": url, "per_page": 25, "to": 50, "total": 60,
    }  # fmt: skip
    pages = {name: parse_qs(urlsplit(link).query) for name, link in page["links"].items()}
    assert {name: query["page"] for name, query in pages.items()} == {
        "first": ["1"], "last": ["3"], "prev": ["1"], "next": ["3"],
    }  # fmt: skip
    assert all(query["sort"] == ["flow_name"] and query["per_page"] == ["25"] for query in pages.values())
    assert all(link.startswith(f"{url}?") for link in page["links"].values())


async def test_first_and_last_page(api: httpx2.AsyncClient) -> None:
    """There is nothing before the first page and nothing after the last; fifteen make a page by default."""
    first = (await api.get(LISTING)).json()
    last = (await api.get(LISTING, params={"page": 4})).json()

    assert (first["meta"]["per_page"], len(first["data"]), first["links"]["prev"]) == (15, 15, None)
    assert (last["meta"]["to"], len(last["data"]), last["links"]["next"]) == (60, 15, None)


@pytest.mark.parametrize("page", ["5", "999999999999999999"])
async def test_page_beyond_the_end(api: httpx2.AsyncClient, page: str) -> None:
    """A page beyond the end is empty, from and to null."""
    body = (await api.get(LISTING, params={"page": page})).json()

    assert body["data"] == []
    assert (body["meta"]["from"], body["meta"]["to"], body["meta"]["total"]) == (None, None, 60)
    assert body["links"]["next"] is None


@pytest.mark.parametrize("path", [LISTING, "/api/v1/flow-versions/1001/deployments"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "0"),
        ("page", "-1"),
        ("page", "x"),
        ("page", "9" * 5000),
        ("per_page", "0"),
        ("per_page", "101"),
        ("per_page", "1.5"),
        ("per_page", "\u0663"),
    ],
)
async def test_bad_page(api: httpx2.AsyncClient, path: str, name: str, value: str) -> None:
    """A page or page size out of range is a 422 for it, on both listings."""
    response = await api.get(path, params={name: value})

    assert response.status_code == 422
    assert list(response.json()["errors"]) == [name]


async def test_largest_page(api: httpx2.AsyncClient) -> None:
    """A page may have a hundred."""
    assert (await api.get(LISTING, params={"per_page": 100})).status_code == 200


async def test_nested_listing(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """The listing of a flow version has its deployments and no others, in pages."""
    expected = [row.id for row in sandbox.account.deployments.values() if row.flow_version_id == 1001]
    page = (await api.get("/api/v1/flow-versions/1001/deployments", params={"per_page": 2})).json()

    assert [record["id"] for record in page["data"]] == expected[:2]
    assert page["meta"]["total"] == len(expected) > 2


async def test_strange_query_bytes(sandbox: Sandbox) -> None:
    """A query string that is no UTF-8 is still answered."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sandbox.app({**scope, "query_string": b"filter[name]=%FF&x=\xff"}, receive, send)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        response = await client.get(f"https://sandbox.example{LISTING}", headers={"Authorization": API_KEY})

    assert response.status_code == 200
    assert response.json()["data"] == []


# Ties ---------------------------------------------------------------------------------------------


async def test_what_sorts_alike_comes_in_another_order_each_time(connect: Connect) -> None:
    """With a seed, as from a database: the sort holds, and what it leaves open is drawn for each answer."""
    seen: list[list[list[int]]] = []
    for _ in range(2):
        sandbox = Sandbox(ties_seed=3)
        api = connect(sandbox)
        seen.append([await found(api, sort="flow_version_iteration") for _ in range(3)] + [await found(api)])
    first, second, third, unsorted = seen[0]
    account = sandbox.account
    for order in (first, second, third):
        iterations = [account.version_of(account.deployments[id_]).iteration for id_ in order]
        assert iterations == sorted(iterations)
    assert len({tuple(order) for order in seen[0]}) == 4
    assert unsorted != sorted(unsorted) == sorted(first)
    assert seen[0] == seen[1]


async def test_a_version_s_own_list_is_drawn_anew_too(connect: Connect) -> None:
    """Nothing orders it, so all of it sorts alike."""
    sandbox = Sandbox(ties_seed=3)
    for row in sandbox.account.deployments.values():
        row.flow_version_id = 1001
    api = connect(sandbox)
    pages = [(await api.get("/api/v1/flow-versions/1001/deployments")).json()["data"] for _ in range(2)]
    assert pages[0] != pages[1]
