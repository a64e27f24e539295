"""The eight operations of the Patchworks Core API, over one shared HTTP client.

Every failure leaves as one of `errors.UpstreamError`.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import stamina
from opentelemetry.trace import SpanKind, get_tracer

from patchworks_deployments.api.credentials import Credentials, build_credentials
from patchworks_deployments.api.failures import read_answer, reading, retry_wait, translating
from patchworks_deployments.api.transport import open_http
from patchworks_deployments.errors import Incomplete, Rejected, UnexpectedResponse
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import read_deployment, read_page
from patchworks_deployments.settings import Settings

MAX_VERSION_PAGES = 50
"""Pages of one flow version's deployments: it has one per environment, and accounts have dozens of those."""

ATTEMPTS = 3
RETRY = stamina.AsyncRetryingCaller(attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3)
"""Waits are in seconds, and longer where Patchworks asks for it."""

tracer = get_tracer("patchworks_deployments")
"""Spans for requests to Patchworks, inside the SDK's server spans; they cost nothing until a provider is set up."""

NAMES = ("flowVersion", "virtualEnvironment", "package")
"""The relations that carry the names people know things by."""

_FIELDS_OF: Mapping[str, Sequence[str]] = {
    "flowVersion": ("flow_version_status", "deployed_at"),
    "enabledBy": ("enabled_by",),
    "user": ("deployed_by",),
    "created_at": ("created_at",),
}
"""The fields of `Deployment` that an include or a sort asks to see, beyond those of every listing."""


@dataclass(frozen=True, slots=True)
class DeploymentQuery:
    """The parameters of the list: ids and texts may hold several values, comma-separated, meaning OR."""

    package_id: str | None = None
    virtual_environment_id: str | None = None
    flow_id: str | None = None
    name: str | None = None
    search: str | None = None
    like: str | None = None
    include: Sequence[str] = ()
    sort: str | None = None
    page: int = 1
    per_page: int = 25

    def parameters(self) -> dict[str, str]:
        """The query string's parameters, in the API's own words."""
        values = {
            "filter[package_id]": self.package_id,
            "filter[virtual_environment_id]": self.virtual_environment_id,
            "filter[flowVersion.flow]": self.flow_id,
            "filter[name]": self.name,
            "filter[global]": self.search,
            "filter[LIKE]": self.like,
            "include": ",".join(dict.fromkeys((*NAMES, *self.include))),
            "sort": self.sort,
            "page": str(self.page),
            "per_page": str(self.per_page),
        }
        return {name: value for name, value in values.items() if value is not None}

    def extra_fields(self) -> list[str]:
        """The fields of `Deployment` that the includes and the sort ask to see, beyond those of every listing."""
        asked = [*self.include, (self.sort or "").lstrip("-")]
        return [field for word in asked for field in _FIELDS_OF.get(word, ())]


class DeploymentsClient:
    """Patchworks' flow version deployments. Reads are retried; writes only where they cannot have arrived."""

    def __init__(self, http: httpx2.AsyncClient, auth: Credentials, timeout: float) -> None:
        self._http = http
        self._address = str(http.base_url).rstrip("/")
        self._auth = auth
        self._timeout = timeout

    async def list_deployments(self, query: DeploymentQuery) -> DeploymentPage:
        """One page of all deployments."""
        with reading():
            answer = await self._request("GET", "/api/v1/flow-version-deployments", params=query.parameters())
            return read_page(answer, page=query.page)

    async def list_for_flow_version(self, flow_version_id: str, *, page: int = 1) -> DeploymentPage:
        """One page of a flow version's deployments; the API chooses the page's size."""
        paging = {"page": str(page)} if page > 1 else {}
        with reading():
            return read_page(await self._read_with_names(_deployments(flow_version_id), paging), page=page)

    async def every_deployment_of(self, flow_version_id: str) -> list[Deployment]:
        """All deployments of a flow version. Raises `Incomplete` when some cannot be read."""
        found: list[Deployment] = []
        for number in range(1, MAX_VERSION_PAGES + 1):
            page = await self.list_for_flow_version(flow_version_id, page=number)
            found += page.deployments
            if page.unreadable:
                raise Incomplete(f"{page.unreadable} deployments of this flow version cannot be read.")
            if number >= (page.pages or 1):
                return found
        raise Incomplete(f"This flow version has more than {MAX_VERSION_PAGES} pages of deployments.")

    async def get(self, flow_version_id: str, deployment_id: str, *, with_other: bool = False) -> Deployment:
        """One deployment; `with_other` adds what the API sent beyond the model, secrets masked.

        Raises `UnexpectedResponse` when the answer is about another one: what is shown must be what is changed.
        """
        with reading():
            answer = await self._read_with_names(_deployment(flow_version_id, deployment_id), {})
            found = read_deployment(answer, with_other=with_other)
            if found.id != deployment_id or found.flow_version_id not in {None, flow_version_id}:
                raise UnexpectedResponse(
                    f"Asked for deployment {deployment_id} of flow version {flow_version_id}, Patchworks answered with "
                    f"deployment {found.id} of flow version {found.flow_version_id}."
                )
            return found

    async def create(self, flow_version_id: str, body: Mapping[str, Any]) -> Deployment:
        """Deploy a flow version; `body` may hold virtual_environment_id, priority and deploy_disabled."""
        fields = {"flow_version_id": flow_version_id, **body}
        return read_deployment(await self._request("POST", _deployments(flow_version_id), json_body=fields))

    async def update(self, flow_version_id: str, deployment_id: str, body: Mapping[str, Any]) -> None:
        """Change just the fields in `body`; a null resets one."""
        await self._request("PUT", _deployment(flow_version_id, deployment_id), json_body=body)

    async def delete(self, flow_version_id: str, deployment_id: str) -> None:
        """Remove a deployment for good."""
        await self._request("DELETE", _deployment(flow_version_id, deployment_id))

    async def enable(self, flow_version_id: str, deployment_id: str) -> None:
        """Let a deployment process runs."""
        await self._request("POST", _deployment(flow_version_id, deployment_id) + "/enable")

    async def disable(self, flow_version_id: str, deployment_id: str) -> None:
        """Keep a deployment from processing runs."""
        await self._request("POST", _deployment(flow_version_id, deployment_id) + "/disable")

    async def _read_with_names(self, path: str, params: Mapping[str, str]) -> object:
        """Read with the relations that carry names.

        The contract lists no `include` for these paths, the product's documentation has it everywhere; an API
        that refuses it is asked again without.
        """
        try:
            return await self._request("GET", path, params={**params, "include": ",".join(NAMES)})
        except Rejected:
            return await self._request("GET", path, params=params)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
    ) -> object:
        # A whole address: merging two costs the HTTP client more than anything else about a request.
        url = self._address + (f"{path}?{urlencode(params)}" if params else path)
        request = self._http.build_request(method, url, json=json_body)
        # Sends the request, and again where `retry_wait` says so.
        return await RETRY(functools.partial(retry_wait, is_read=method == "GET"), self._send, request)

    async def _send(self, request: httpx2.Request) -> object:
        with (
            translating(request),
            tracer.start_as_current_span(f"{request.method} Patchworks", kind=SpanKind.CLIENT) as span,
        ):
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, auth=self._auth)
            span.set_attribute("http.response.status_code", response.status_code)
        return read_answer(response, self._auth.secrets())


@contextlib.asynccontextmanager
async def open_client(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[DeploymentsClient]:
    """The process's one client; `transport` replaces the network (the sandbox, tests)."""
    auth = build_credentials(settings)
    async with open_http(settings, transport) as http:
        yield DeploymentsClient(http, auth, settings.timeout)


def _deployments(flow_version_id: str) -> str:
    return f"/api/v1/flow-versions/{_segment(flow_version_id)}/deployments"


def _deployment(flow_version_id: str, deployment_id: str) -> str:
    return f"{_deployments(flow_version_id)}/{_segment(deployment_id)}"


def _segment(identifier: str) -> str:
    """Percent-encode every character with a meaning in a path; `quote` takes the dot and the tilde for harmless."""
    return quote(identifier, safe="").replace(".", "%2E").replace("~", "%7E")
