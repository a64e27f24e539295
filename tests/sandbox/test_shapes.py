"""The two shapes of a record, and what is in it."""

import json
from typing import Any

import httpx2
from support.sandboxes import LISTING, Connect

from patchworks_deployments.sandbox import Sandbox


async def test_ids_are_of_two_types(api: httpx2.AsyncClient) -> None:
    """Foreign ids and the iteration are numbers in the listing and strings under a version; the id is a number."""
    listed = (await api.get(LISTING)).json()["data"][0]
    nested = (await api.get("/api/v1/flow-versions/1001/deployments/500")).json()["data"]

    names = ("id", "flow_version_id", "virtual_environment_id", "iteration")
    assert [listed[name] for name in names] == [500, 1001, 10, 2]
    assert [nested[name] for name in names] == [500, "1001", "10", "2"]


async def test_json_api_shape(connect: Connect) -> None:
    """With `json_api` a record and its relations are wrapped, and say what the flat ones say."""
    params = {"include": "flowVersion,virtualEnvironment,package,user,enabledBy", "per_page": "60"}
    for path in (LISTING, "/api/v1/flow-versions/1001/deployments"):
        wrapped = (await connect(Sandbox(shape="json_api")).get(path, params=params)).json()["data"]
        flat = (await connect(Sandbox()).get(path, params=params)).json()["data"]

        assert [unwrapped(record) for record in wrapped] == flat
        assert wrapped[0]["type"] == "flow-version-deployments"
        assert wrapped[0]["relationships"]["flow_version"]["data"]["type"] == "flow-versions"
        assert set(wrapped[0]) == {"id", "type", "attributes", "relationships"}


def unwrapped(record: dict[str, Any] | None) -> dict[str, Any] | None:
    if record is None:
        return None
    relations = {name: unwrapped(part["data"]) for name, part in record.get("relationships", {}).items()}
    assert isinstance(record["id"], str)
    return {"id": int(record["id"]), **record["attributes"], **relations}


async def test_single_json_api_record(connect: Connect) -> None:
    """One record is wrapped as well, also as the answer to a write, and has no relations unless asked for."""
    client = connect(Sandbox(shape="json_api"))
    path = "/api/v1/flow-versions/1001/deployments"

    read = (await client.get(f"{path}/500")).json()["data"]
    created = (await client.post(path, json={"flow_version_id": 1001})).json()["data"]

    assert set(read) == set(created) == {"id", "type", "attributes"}
    assert read["attributes"]["flow_version_id"] == "1001"


async def test_records_are_big_and_hold_secrets(api: httpx2.AsyncClient) -> None:
    """A record with what names need is as large as a real one, and its secrets can be recognised."""
    params = {"include": "flowVersion,virtualEnvironment,package", "per_page": "100"}
    for record in (await api.get(LISTING, params=params)).json()["data"]:
        assert 1300 <= len(json.dumps(record)) <= 1800
        assert "s3cr3t" in record["value"]
        assert record["secret"]
        assert "s3cr3t" in json.loads(record["config"])["password"]
        variables = json.loads(record["variables"]) + record["flow_version"]["variables"]
        assert all("s3cr3t" in variable["value"] for variable in variables if variable["secret"])
