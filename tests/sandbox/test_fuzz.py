"""Requests made up from the contract never break the sandbox.

Most of schemathesis' own checks cannot hold, because the contract was generated from code and its types are not
the API's: `sort`, `include` and environment ids are any string there, a create answers 200 only, and a record is a
merge of many resources. So no answer is held against those schemas; what must hold is that every answer is one the
API gives, in its form, and that data the contract allows is refused only for what the contract cannot express.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from starlette.types import Receive, Scope, Send
from support.examples import examples

from patchworks_deployments.sandbox import API_KEY, Sandbox

HEADERS = {"Authorization": API_KEY, "Accept": "application/json"}


async def fresh_sandbox(scope: Scope, receive: Receive, send: Send) -> None:
    """A sandbox of its own for each request, so that one example cannot change what another finds."""
    await Sandbox(30).app(scope, receive, send)


def reachable_contract() -> dict[str, Any]:
    """The contract with ids that exist in place of any string: those would hardly ever get past a 404 or 422."""
    contract: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))
    account = Sandbox(30).account
    first, *others = account.deployments.values()
    siblings = [row for row in others if row.flow_version_id == first.flow_version_id]
    ids: dict[str, list[str | None]] = {
        "flow_version": [str(first.flow_version_id)],
        "flow_version_id": [str(first.flow_version_id)],
        "deployment": [str(row.id) for row in (first, *siblings, others[0])],
        "virtual_environment_id": [None, *map(str, account.virtual_environments)],
    }
    for operation in (facts for methods in contract["paths"].values() for facts in methods.values()):
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                parameter["schema"]["enum"] = ids[parameter["name"]]
    for name in ("FlowVersionsStoreDeploymentsRequest", "FlowVersionsUpdateDeploymentsRequest"):
        fields = contract["components"]["schemas"][name]["properties"]
        for field in ids.keys() & fields.keys():
            fields[field]["enum"] = ids[field]
    return contract


schema = schemathesis.openapi.from_dict(reachable_contract())
schema.app = fresh_sandbox


@pytest.mark.slow
@schema.parametrize()
@settings(examples(60), derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_request_gets_an_answer(case: Case[Any]) -> None:
    """Whatever the request, the answer is JSON with a status that the API gives, and an error says what is wrong."""
    response = case.call(headers=HEADERS)

    case.validate_response(response, checks=[not_a_server_error])
    assert response.status_code in {200, 201, 400, 404, 405, 422}, response.text
    if response.status_code >= 400 and case.method != "HEAD":
        assert describes_error(response)
    if case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        assert is_accepted(case, response)


def describes_error(response: Response) -> bool:
    return set(response.json()) == ({"message", "errors"} if response.status_code == 422 else {"message"})


def is_accepted(case: Case[Any], response: Response) -> bool:
    """Whether data that the contract allows was taken, or refused for what the contract cannot express."""
    match response.status_code:
        case 400:
            return bool({"sort", "include"} & set(case.query))
        case 404:
            return "deployment" in case.path_parameters
        case 422:
            return set(response.json()["errors"]) == {"virtual_environment_id"}
        case status:
            return status < 400
