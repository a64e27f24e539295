"""The sandbox serves what the contract describes: every path, method, parameter and field."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from support.sandboxes import LISTING, Connect

from patchworks_deployments.sandbox import PASSWORD, READ_ONLY_KEY, USERNAME, Sandbox

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = CONTRACT["components"]["schemas"]


class Operation(NamedTuple):
    """One operation of the contract."""

    method: str
    path: str
    facts: dict[str, Any]

    @property
    def is_write(self) -> bool:
        return self.method != "get"


OPERATIONS = [
    pytest.param(Operation(method, path, facts), id=facts["operationId"])
    for path, methods in CONTRACT["paths"].items()
    for method, facts in methods.items()
]


def concrete(path: str, sandbox: Sandbox) -> str:
    """The path for the first deployment."""
    deployment = next(iter(sandbox.account.deployments.values()))
    return path.format(flow_version=deployment.flow_version_id, deployment=deployment.id)


def valid_body(operation: Operation, sandbox: Sandbox) -> dict[str, object] | None:
    """The smallest body that the operation takes, or None where it takes none."""
    if "requestBody" not in operation.facts:
        return None
    deployment = next(iter(sandbox.account.deployments.values()))
    schema = resolve(operation.facts["requestBody"]["content"]["application/json"]["schema"])
    values = {"flow_version_id": str(deployment.flow_version_id)}
    return {name: values[name] for name in schema.get("required", [])}


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return SCHEMAS[name] if name else schema


def conforms(value: object, schema: dict[str, Any]) -> bool:
    """Whether the value is of the schema's type, down to its leaves; every property is taken as required."""
    schema = resolve(schema)
    if schema == resolve({"$ref": "/FlowVersions"}):
        # Generated types of a merge of resources, which the real API does not keep either.
        return isinstance(value, dict) and isinstance(value.get("id"), int)
    if value is None:
        return bool(schema.get("nullable"))
    match schema["type"]:
        case "object":
            properties = schema.get("properties", {})
            return isinstance(value, dict) and all(conforms(value.get(name), part) for name, part in properties.items())
        case "array":
            return isinstance(value, list) and all(conforms(item, schema["items"]) for item in value)
        case "integer":
            return isinstance(value, int)
        case kind:
            return kind == "string" and isinstance(value, str)


async def send(client: httpx2.AsyncClient, operation: Operation, sandbox: Sandbox) -> httpx2.Response:
    return await client.request(
        operation.method, concrete(operation.path, sandbox), json=valid_body(operation, sandbox)
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_is_served(api: httpx2.AsyncClient, sandbox: Sandbox, operation: Operation) -> None:
    """Each operation answers a valid request in the shape that the contract gives it."""
    response = await send(api, operation, sandbox)

    assert response.status_code == (201 if operation.facts["operationId"] == "createDeployment" else 200)
    assert response.headers["content-type"] == "application/json"
    assert conforms(response.json(), operation.facts["responses"]["200"]["content"]["application/json"]["schema"])


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_needs_credentials(connect: Connect, sandbox: Sandbox, operation: Operation) -> None:
    """Each operation answers 401 and a message to a client without credentials."""
    response = await send(connect(sandbox, None), operation, sandbox)

    assert response.status_code == 401
    assert response.json() == {"message": "Unauthenticated."}
    assert "401" in operation.facts["responses"]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_needs_rights(connect: Connect, sandbox: Sandbox, operation: Operation) -> None:
    """Each write answers 403 and a message to a read-only key, and each read serves it."""
    response = await send(connect(sandbox, READ_ONLY_KEY), operation, sandbox)

    assert response.status_code == (403 if operation.is_write else 200)
    assert conforms(response.json(), {"type": "object", "properties": {"message": {"type": "string"}}}) == (
        operation.is_write
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_operation_takes_a_bearer_token(connect: Connect, sandbox: Sandbox, operation: Operation) -> None:
    """Each operation serves a client that logged in, which is the contract's second security scheme."""
    login = await connect(sandbox, None).post("/fabric/api/login", json={"username": USERNAME, "password": PASSWORD})

    response = await send(connect(sandbox, f"Bearer {login.json()['token']}"), operation, sandbox)

    assert response.is_success


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_invalid_fields(api: httpx2.AsyncClient, sandbox: Sandbox, operation: Operation) -> None:
    """An operation that takes a body answers fields of a wrong type with a 422 in the contract's error shape."""
    content = operation.facts.get("requestBody", {}).get("content", {}).get("application/json")
    fields = resolve(content["schema"])["properties"] if content else {}
    for name in fields:
        response = await api.request(operation.method, concrete(operation.path, sandbox), json={name: ["wrong"]})

        assert response.status_code == 422
        assert conforms(response.json(), operation.facts["responses"]["422"]["content"]["application/json"]["schema"])
        assert name in response.json()["errors"]


def _all(records: list[dict[str, Any]], name: str) -> set[object]:
    return {record[name] for record in records}


LISTING_PARAMETERS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], bool]]] = {
    "filter[package_id]": ("60", lambda records: _all(records, "package_id") == {60}),
    "filter[virtual_environment_id]": ("10", lambda records: _all(records, "virtual_environment_id") == {10}),
    "filter[global]": ("uk live", lambda records: _all(records, "virtual_environment_id") == {10}),
    "filter[flowVersion.flow]": ("102", lambda records: _all(records, "flow_id") == {102}),
    "filter[name]": ("akeneo", lambda records: _all(records, "flow_name") == {"Akeneo products to Shopify"}),
    "filter[LIKE]": ("akeneo", lambda records: _all(records, "flow_name") == {"Akeneo products to Shopify"}),
    "include": ("package", lambda records: all("package" in record for record in records)),
    "sort": ("-created_at", lambda records: records[0]["created_at"] > records[-1]["created_at"]),
    "page": ("2", lambda records: records[0]["id"] == 515),
    "per_page": ("3", lambda records: len(records) == 3),
}
"""A value for each parameter of the listing, and what shows that it worked."""


def test_listing_parameters_are_complete() -> None:
    """The table above covers exactly the contract's parameters."""
    assert {fact["name"] for fact in CONTRACT["paths"][LISTING]["get"]["parameters"]} == set(LISTING_PARAMETERS)


@pytest.mark.parametrize("name", LISTING_PARAMETERS)
async def test_listing_parameter(api: httpx2.AsyncClient, name: str) -> None:
    """Each query parameter of the listing does what it says."""
    value, works = LISTING_PARAMETERS[name]

    records = (await api.get(LISTING, params={name: value})).json()["data"]

    assert records
    assert works(records)
    assert not works((await api.get(LISTING)).json()["data"])


@pytest.mark.parametrize("schema", ["PaginationMeta", "PaginationLinks"])
@pytest.mark.parametrize("path", [LISTING, "/api/v1/flow-versions/{flow_version}/deployments"])
async def test_pagination(api: httpx2.AsyncClient, sandbox: Sandbox, path: str, schema: str) -> None:
    """Both listings carry exactly the contract's `meta` and `links`."""
    response = await api.get(concrete(path, sandbox), params={"per_page": 1})

    frame = response.json()["meta" if schema == "PaginationMeta" else "links"]
    assert set(frame) == set(SCHEMAS[schema]["properties"])
    assert conforms(frame, SCHEMAS[schema])


async def test_record_fields(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    """A nested record is made of fields that the contract names, besides the package's id."""
    record = (await api.get(concrete("/api/v1/flow-versions/{flow_version}/deployments/{deployment}", sandbox))).json()

    assert set(record["data"]) - set(SCHEMAS["FlowVersions"]["properties"]) == {"package_id"}


CREATE_FIELDS: dict[str, tuple[object, str, object]] = {
    "flow_version_id": ("1000", "flow_version_id", "1000"),
    "virtual_environment_id": ("15", "virtual_environment_id", "15"),
    "priority": (7, "priority", 7),
    "deploy_disabled": (True, "enabled_at", None),
}
UPDATE_FIELDS: dict[str, tuple[object, str, object]] = {
    "virtual_environment_id": (None, "virtual_environment_id", None),
    "priority": (99, "priority", 99),
    "enabled_at": ("2026-04-01T10:00:00Z", "enabled_at", "2026-04-01T10:00:00.000000Z"),
    "deploy_disabled": (True, "enabled_at", None),
}
"""For each field of a body: a value, and the field of the answer that shows its effect."""


def test_body_fields_are_complete() -> None:
    """The tables above cover exactly the contract's fields."""
    assert set(SCHEMAS["FlowVersionsStoreDeploymentsRequest"]["properties"]) == set(CREATE_FIELDS)
    assert set(SCHEMAS["FlowVersionsUpdateDeploymentsRequest"]["properties"]) == set(UPDATE_FIELDS)


@pytest.mark.parametrize("name", CREATE_FIELDS)
async def test_create_field(api: httpx2.AsyncClient, sandbox: Sandbox, name: str) -> None:
    """Each field of a create shows in the new deployment."""
    sandbox.account.deployments.clear()
    value, shown_as, shown = CREATE_FIELDS[name]

    response = await api.post("/api/v1/flow-versions/1000/deployments", json={"flow_version_id": "1000", name: value})

    assert response.status_code == 201
    assert response.json()["data"][shown_as] == shown


@pytest.mark.parametrize("name", UPDATE_FIELDS)
async def test_update_field(api: httpx2.AsyncClient, sandbox: Sandbox, name: str) -> None:
    """Each field of an update shows in the deployment, and nothing but it and `updated_at` changes."""
    value, shown_as, shown = UPDATE_FIELDS[name]
    path = concrete("/api/v1/flow-versions/{flow_version}/deployments/{deployment}", sandbox)
    before = (await api.get(path)).json()["data"]

    after = (await api.put(path, json={name: value})).json()["data"]

    assert after[shown_as] == shown
    assert {key for key in after if after[key] != before[key]} == {shown_as, "updated_at"}
