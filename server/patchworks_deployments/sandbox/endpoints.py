"""The operations of the API's "Flow Version Deployments", and the login."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import NoReturn

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from patchworks_deployments.sandbox.access import Access, Clock
from patchworks_deployments.sandbox.account import Account, Deployment
from patchworks_deployments.sandbox.answers import Answers, Record
from patchworks_deployments.sandbox.queries import paginate, read_includes, select
from patchworks_deployments.sandbox.refusals import Refusal, invalid, json_response
from patchworks_deployments.sandbox.rules import Rules

LOGIN_PATH = "/fabric/api/login"

_LISTING = "/api/v1/flow-version-deployments"
_OF_VERSION = "/api/v1/flow-versions/{flow_version}/deployments"
_ONE = f"{_OF_VERSION}/{{deployment}}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One method for each operation: read the request, apply the rules, answer."""

    account: Account
    answers: Answers
    access: Access
    clock: Clock
    ties: Random | None = None

    def routes(self) -> list[Route]:
        """Where each operation is found."""
        return [
            Route(LOGIN_PATH, self.log_in, methods=["POST"]),
            Route(_LISTING, self.list_all, methods=["GET"]),
            # One route for each path, not for each operation: a wrong method is then a 405 that names the right ones.
            Route(_OF_VERSION, self.of_version, methods=["GET", "POST"]),
            Route(_ONE, self.one, methods=["GET", "PUT", "DELETE"]),
            Route(f"{_ONE}/enable", self.enable, methods=["POST"]),
            Route(f"{_ONE}/disable", self.disable, methods=["POST"]),
        ]

    async def log_in(self, request: Request) -> Response:
        """`POST /fabric/api/login`."""
        return json_response(self.access.log_in(_fields(request)))

    async def list_all(self, request: Request) -> Response:
        """Every deployment, filtered and sorted."""
        return self._page(request, select(self.account, request.query_params, self.ties), self.answers.listed)

    async def of_version(self, request: Request) -> Response:
        """The deployments of one flow version, or a new one."""
        version = self._rules().find_version(request.path_params["flow_version"])
        if request.method == "POST":
            deployment = self._rules().create(version, _fields(request))
            return json_response({"data": self.answers.nested(deployment)}, HTTPStatus.CREATED)
        found = self._rules().deployments_of(version)
        if self.ties:
            self.ties.shuffle(found)
        return self._page(request, found, self.answers.nested)

    async def one(self, request: Request) -> Response:
        """One deployment: read, changed, or deleted."""
        deployment = self._found(request)
        if request.method == "DELETE":
            self._rules().delete(deployment)
            return json_response({"message": "Flow version deployment deleted."})
        includes = read_includes(request.query_params)
        if request.method == "PUT":
            self._rules().update(deployment, _fields(request))
        return json_response({"data": self.answers.nested(deployment, includes)})

    async def enable(self, request: Request) -> Response:
        """Let a deployment process runs."""
        self._rules().enable(self._found(request))
        return json_response({"message": "Flow version deployment enabled."})

    async def disable(self, request: Request) -> Response:
        """Stop a deployment from processing runs."""
        self._rules().disable(self._found(request))
        return json_response({"message": "Flow version deployment disabled."})

    def _rules(self) -> Rules:
        return Rules(self.account, self.clock())

    def _found(self, request: Request) -> Deployment:
        ids = request.path_params
        return self._rules().find_deployment(ids["flow_version"], ids["deployment"])

    def _page(
        self,
        request: Request,
        found: Sequence[Deployment],
        write: Callable[[Deployment, Sequence[str]], Record],
    ) -> Response:
        includes = read_includes(request.query_params)
        url = URL(scope={**request.scope, "query_string": b""})
        rows, frame = paginate(found, request.query_params, str(url))
        return json_response({"data": [write(row, includes) for row in rows], **frame})


def _fields(request: Request) -> dict[str, object]:
    """The JSON object in the body; no body is no fields."""
    body: bytes = request.state.body
    if not body.strip():
        return {}
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "The request body is not valid JSON.") from error
    if not isinstance(fields, dict):
        raise invalid({"body": ["The request body must be a JSON object."]})
    return fields


def _refuse_constant(name: str) -> NoReturn:
    """Python reads `NaN` and `Infinity`, which JSON does not have."""
    raise ValueError(name)
