"""The eight operations of the Patchworks Core API, over one shared HTTP client.

With `auth.py` the only place that knows HTTP. Every failure leaves as one of `errors.UpstreamError`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import httpx2
import stamina
from opentelemetry.trace import SpanKind, get_tracer

from patchworks_deployments.api.credentials import Credentials, build_credentials
from patchworks_deployments.api.failures import _a_read, _retry_wait, _upstream_errors, read_answer
from patchworks_deployments.api.transport import BoundedTransport
from patchworks_deployments.errors import Incomplete, Rejected, UnexpectedResponse
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import read_deployment, read_page
from patchworks_deployments.settings import Settings

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes; Patchworks itself takes no more than 8 MB either way, and a page of 100 is far below 1 MB."""

MAX_RETRY_AFTER_SECONDS = 20.0
"""Seconds; a longer `Retry-After` is handed to the caller instead of waited for."""

MAX_VERSION_PAGES = 50
"""Of one flow version's deployments: one per environment, and accounts have dozens of those."""

tracer = get_tracer("patchworks_deployments")
"""Spans for requests to Patchworks, inside the SDK's server spans; they cost nothing until a provider is set up."""

ATTEMPTS = 3
MAX_CONNECTIONS = 20

NAMES = ("flowVersion", "virtualEnvironment", "package")
"""The relations that carry the names people know things by."""


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
        """The fields of `Deployment` that an include or a sort asks to see, beyond those of every listing."""
        asked = [*self.include, (self.sort or "").lstrip("-")]
        return [field for word in asked for field in _ADDED_BY.get(word, ())]


_ADDED_BY: dict[str, tuple[str, ...]] = {
    "flowVersion": ("flow_version_status", "deployed_at"),
    "enabledBy": ("enabled_by",),
    "user": ("deployed_by",),
    "created_at": ("created_at",),
}


class DeploymentsClient:
    """Patchworks' flow version deployments. Reads are retried; writes only where they cannot have arrived."""

    def __init__(self, http: httpx2.AsyncClient, auth: Credentials, timeout: float) -> None:
        self._http = http
        self._address = str(http.base_url).rstrip("/")
        self._auth = auth
        self._timeout = timeout

    async def list_deployments(self, query: DeploymentQuery) -> DeploymentPage:
        """One page of all deployments."""
        with _a_read():
            answer = await self._request("GET", _path("flow-version-deployments"), params=query.parameters())
            return read_page(answer, page=query.page)

    async def list_for_flow_version(self, flow_version_id: str, *, page: int = 1) -> DeploymentPage:
        """One page of a flow version's deployments; the API chooses the page's size."""
        paging = {"page": str(page)} if page > 1 else {}
        with _a_read():
            return read_page(await self._read_named(_deployments(flow_version_id), paging), page=page)

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
        with _a_read():
            answer = await self._read_named(_deployment(flow_version_id, deployment_id))
            found = read_deployment(answer, with_other=with_other)
            if found.id != deployment_id or found.flow_version_id not in {None, flow_version_id}:
                raise UnexpectedResponse(
                    f"Asked for deployment {deployment_id} of flow version {flow_version_id}, Patchworks answered with "
                    f"deployment {found.id} of flow version {found.flow_version_id}."
                )
            return found

    async def create(self, flow_version_id: str, body: Mapping[str, Any]) -> Deployment:
        """Deploy a flow version; `body` may hold virtual_environment_id, priority and deploy_disabled."""
        answer = await self._request(
            "POST", _deployments(flow_version_id), json_body={"flow_version_id": flow_version_id, **body}
        )
        return read_deployment(answer)

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

    async def _read_named(self, path: str, params: Mapping[str, str] | None = None) -> object:
        """Read with the relations that carry names.

        The contract lists no `include` for these paths, the product's documentation has it everywhere; an API
        that refuses it is asked again without.
        """
        try:
            return await self._request("GET", path, params={**(params or {}), "include": ",".join(NAMES)})
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

        def backoff(error: Exception) -> bool | float:
            return _retry_wait(error, is_read=method == "GET")

        async for attempt in stamina.retry_context(
            on=backoff, attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3
        ):
            with attempt:
                return await self._send(request)
        raise AssertionError

    async def _send(self, request: httpx2.Request) -> object:
        with (
            _upstream_errors(request),
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
    """The process's one client; `transport` replaces the network (the sandbox, tests).

    It keeps no cookies: a session that Patchworks opens for one caller must not go out with another's request.
    """
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    auth = build_credentials(settings)
    async with httpx2.AsyncClient(
        base_url=settings.base_url,
        transport=BoundedTransport(transport or httpx2.AsyncHTTPTransport(limits=limits)),
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=httpx2.Timeout(settings.timeout, connect=min(5.0, settings.timeout)),
        follow_redirects=False,
        trust_env=False,
    ) as http:
        yield DeploymentsClient(http, auth, settings.timeout)


# Paths --------------------------------------------------------------------------------------------


def _path(*segments: str) -> str:
    return "/api/v1/" + "/".join(segments)


def _deployments(flow_version_id: str) -> str:
    return _path("flow-versions", _segment(flow_version_id), "deployments")


def _deployment(flow_version_id: str, deployment_id: str) -> str:
    return f"{_deployments(flow_version_id)}/{_segment(deployment_id)}"


def _segment(identifier: str) -> str:
    """Percent-encode every character with a meaning in a path, the dot included."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else _encode(c) for c in identifier)


def _encode(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
