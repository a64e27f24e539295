"""The eight operations of the Patchworks Core API, over one shared HTTP client.

Every failure leaves as one of `errors.UpstreamError`.
"""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import httpx2
from opentelemetry.trace import SpanKind, get_tracer

from patchworks_deployments.api import paths
from patchworks_deployments.api.credentials import SANDBOX, Account, Credentials, build_credentials
from patchworks_deployments.api.failures import read_answer, reading, translating
from patchworks_deployments.api.pacing import GLANCE_SECONDS, deadline, retried
from patchworks_deployments.api.query import CUTS, NAMES, PAGE_SIZE, Cut, DeploymentQuery, every
from patchworks_deployments.errors import Incomplete, NotFound, OutOfTime, Rejected, UnexpectedResponse, UpstreamError
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.reading import read_deployment, read_id, read_page
from patchworks_deployments.model.rendering import where_deployed
from patchworks_deployments.network.routes import proxy_passwords
from patchworks_deployments.network.transport import open_http
from patchworks_deployments.settings import Settings
from patchworks_deployments.settings.keys import SANDBOX_KEY

LOOK_SECONDS = 7.5
"""Seconds for an answer to a look that a call can do without: it has to end in time where that hangs."""

MIXED_UP = "Try again later; if it stays like this, a cache or a proxy on the way mixes up answers."
"""What to do about the answer to another question."""

T = TypeVar("T")

tracer = get_tracer("patchworks_deployments")
"""Spans for requests to Patchworks, inside the SDK's server spans; they cost nothing until a provider is set up."""


class DeploymentsClient:
    """Patchworks' flow version deployments. Reads are retried; writes only where they cannot have arrived."""

    def __init__(
        self, http: httpx2.AsyncClient, auth: Credentials, timeout: float, *, is_glancing: bool = False
    ) -> None:
        self._http = http
        self._address = str(http.base_url).rstrip("/")
        self._auth = auth
        self._timeout = timeout
        self.requests_left: int | None = None
        """Requests that Patchworks allows until its minute is over, as the last answer said; None if it did not."""
        self._is_glancing = is_glancing

    def glancing(self, seconds: float = GLANCE_SECONDS) -> "DeploymentsClient":
        """This client for one who looks again, or can do without: each look is one attempt of so many seconds."""
        return DeploymentsClient(self._http, self._auth, min(self._timeout, seconds), is_glancing=True)

    def account(self) -> Account:
        """Whose deployments these are. Raises `Unauthenticated` where that is the caller, who sent no key."""
        identity = self._auth.identity()
        name = SANDBOX if identity == SANDBOX_KEY else self._address.partition("://")[2]
        return Account(name, hashlib.sha256(f"{self._address}\n{identity}".encode()).hexdigest())

    async def list_deployments(self, query: DeploymentQuery) -> DeploymentPage:
        """One page of all deployments."""
        return await self._read(paths.LISTING, query.parameters(), functools.partial(read_page, page=query.page))

    async def list_for_flow_version(
        self, flow_version_id: str, *, page: int = 1, per_page: int | None = None
    ) -> DeploymentPage:
        """One page of a flow version's deployments, by default sized by the API, whose description knows nothing else.

        Raises `UnexpectedResponse` like `get`.
        """

        def read(answer: object) -> DeploymentPage:
            found = read_page(answer, page=page)
            if others := {d.flow_version_id for d in found.deployments} - {None, flow_version_id}:
                what = (
                    f"Asked for flow version {flow_version_id}, Patchworks answered with flow version {others.pop()}."
                )
                raise UnexpectedResponse(what, next_step=MIXED_UP)
            return found

        paging = {"page": str(page)} if page > 1 else {}
        paging |= {"per_page": str(per_page)} if per_page else {}
        return await self._read_with_names(paths.deployments(flow_version_id), paging, read)

    async def every_deployment_of(self, flow_version_id: str) -> list[Deployment]:
        """All deployments of a flow version. Raises `Incomplete` when some cannot be read."""

        def read(page: int, cut: Cut) -> Awaitable[DeploymentPage]:
            per_page = None if cut == CUTS[0] else cut.per_page
            return self.list_for_flow_version(flow_version_id, page=page, per_page=per_page)

        return await every(read)

    async def every_deployment_at(
        self, flow_ids: Collection[str], environment_ids: Collection[str | None]
    ) -> list[Deployment]:
        """All deployments of these flows in these environments, None for in none; also those that do not tell where.

        Raises `Incomplete` when some cannot be read, or do not tell their flow.
        """
        # The API can filter by environments, but not by having none.
        places = None if None in environment_ids else ",".join(sorted(filter(None, environment_ids)))
        query = DeploymentQuery(flow_id=",".join(sorted(flow_ids)), virtual_environment_id=places)
        found = await every(lambda page, cut: self.list_deployments(replace(query, page=page, **cut._asdict())))
        there = [d for d in found if d.virtual_environment_id in environment_ids or d.hides_environment]
        if any(d.flow_id is None for d in there):
            raise Incomplete("Some of these deployments do not tell their flow.")
        return [d for d in there if d.flow_id in flow_ids]

    async def look_into(self, environment_id: str, flow_id: str | None) -> tuple[str | None, list[Deployment]]:
        """The environment's name, if a deployment there tells it, and what `every_deployment_at` has of the flow.

        One page tells both, unless the environment holds more. Raises `Incomplete` like it.
        """
        query = DeploymentQuery(virtual_environment_id=environment_id, per_page=PAGE_SIZE if flow_id else 1)
        page = await self.list_deployments(query)
        names = (d.virtual_environment_name for d in page.deployments if d.virtual_environment_id == environment_id)
        name = next(filter(None, names), None)
        if flow_id is None:
            return name, []
        is_whole = page.pages == 1 and not page.unreadable and all(d.flow_id for d in page.deployments)
        is_whole = is_whole and page.total in {None, len({d.id for d in page.deployments})}
        found = page.deployments if is_whole else await self.every_deployment_at({flow_id}, {environment_id})
        there = (d for d in found if d.virtual_environment_id == environment_id or d.hides_environment)
        return name, [d for d in there if d.flow_id == flow_id]

    async def get(self, flow_version_id: str, deployment_id: str, *, with_other: bool = False) -> Deployment:
        """One deployment; `with_other` adds what the API sent beyond the model, secrets masked.

        Raises `UnexpectedResponse` when the answer is about another one: what is shown must be what is changed.
        """

        def read(answer: object) -> Deployment:
            found = read_deployment(answer, with_other=with_other)
            if found.id != deployment_id or found.flow_version_id not in {None, flow_version_id}:
                asked = f"deployment {deployment_id} of flow version {flow_version_id}"
                what = f"Asked for {asked}, Patchworks answered with {_named(found)}."
                raise UnexpectedResponse(what, next_step=MIXED_UP)
            return found

        return await self._read_with_names(paths.deployment(flow_version_id, deployment_id), {}, read)

    async def get_or_explain(self, flow_version_id: str, deployment_id: str, *, with_other: bool = False) -> Deployment:
        """`get` for one who was given both ids: its `NotFound` says what is known of the flow version, too.

        That costs one short look at the flow version's list. Where that fails, the 404 is all there is to say.
        """
        try:
            return await self.get(flow_version_id, deployment_id, with_other=with_other)
        except NotFound as error:
            if self.requests_left != 0:
                await self._explain(error, flow_version_id, deployment_id)
            raise

    async def _explain(self, error: NotFound, flow_version_id: str, deployment_id: str) -> None:
        with anyio.move_on_after(GLANCE_SECONDS):
            try:
                page = await self.glancing().list_for_flow_version(flow_version_id)
                error.what = f"{error.what} {where_deployed(flow_version_id, page, missed=deployment_id)}".rstrip()
            except NotFound as neither:
                error.what = neither.what
            except UpstreamError:
                return

    async def find(self, flow_version_id: str, deployment_id: str) -> Deployment | None:
        """One deployment, or None where two answers say that it is gone.

        A 404 alone does not say so: a gateway has them too. The flow version's list, read after it, has to lack it.
        """
        try:
            return await self.get(flow_version_id, deployment_id)
        except NotFound:
            present = await self.every_deployment_of(flow_version_id)
        return next((d for d in present if d.id == deployment_id), None)

    async def create(self, flow_version_id: str, body: Mapping[str, Any]) -> Deployment | None:
        """Deploy a flow version; `body` may hold virtual_environment_id, priority and deploy_disabled.

        None where Patchworks answers with the version instead of the deployment, as the contract has it. Raises
        `UnexpectedResponse` when the answer is about another version or environment.
        """
        fields = {"flow_version_id": flow_version_id, **body}
        made = read_deployment(await self._write("POST", paths.deployments(flow_version_id), fields))
        if made.id == flow_version_id and made.flow_version_id is None:
            return None
        is_elsewhere = not made.hides_environment and made.virtual_environment_id != body.get("virtual_environment_id")
        if made.flow_version_id not in {None, flow_version_id} or is_elsewhere:
            place = f"environment {made.virtual_environment_id}" if made.virtual_environment_id else "no environment"
            told = f"{_named(made)}{f' in {place}' if is_elsewhere else ''}"
            raise UnexpectedResponse(f"Patchworks answered with {told}, which is not what was to be created.")
        return made

    async def update(self, flow_version_id: str, deployment_id: str, body: Mapping[str, Any]) -> None:
        """Change just the fields in `body`; a null resets one."""
        await self._change("PUT", flow_version_id, deployment_id, body=body)

    async def delete(self, flow_version_id: str, deployment_id: str) -> None:
        """Remove a deployment for good."""
        await self._change("DELETE", flow_version_id, deployment_id)

    async def enable(self, flow_version_id: str, deployment_id: str) -> None:
        """Let a deployment process runs."""
        await self._change("POST", flow_version_id, deployment_id, "/enable")

    async def disable(self, flow_version_id: str, deployment_id: str) -> None:
        """Keep a deployment from processing runs."""
        await self._change("POST", flow_version_id, deployment_id, "/disable")

    async def _change(
        self,
        method: str,
        flow_version_id: str,
        deployment_id: str,
        action: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """Change one deployment. Raises `UnexpectedResponse` unless the answer is an object, or a 204.

        The object may be a message, the deployment, or its version, as the contract has it; nothing else.
        """
        answer = await self._write(method, paths.deployment(flow_version_id, deployment_id) + action, body)
        if answer is not None and not isinstance(answer, dict):
            raise UnexpectedResponse("Patchworks answered with something that is no object.")
        if (about := read_id(answer)) not in {None, deployment_id, flow_version_id}:
            raise UnexpectedResponse(f"Patchworks answered about {about} instead of deployment {deployment_id}.")

    async def _read_with_names(self, path: str, params: Mapping[str, str], into: Callable[[object], T]) -> T:
        """Read with the relations that carry names.

        The contract lists no `include` for these paths, the product's documentation has it everywhere; an API
        that refuses it is asked again without.
        """
        try:
            return await self._read(path, {**params, "include": ",".join(NAMES)}, into)
        except Rejected:
            return await self._read(path, params, into)

    async def _read(self, path: str, params: Mapping[str, str], into: Callable[[object], T]) -> T:
        """What `into` makes of the answer. What it cannot read is no answer, and asked for again."""
        # A whole address: merging two costs the HTTP client more than anything else about a request.
        request = self._http.build_request("GET", self._address + paths.url_of(path, params))

        async def attempt() -> T:
            return into(await self._send(request))

        with reading():
            return await retried(attempt, is_glancing=self._is_glancing)

    async def _write(self, method: str, path: str, body: Mapping[str, Any] | None) -> object:
        request = self._http.build_request(method, f"{self._address}{path}", json=body)
        return await retried(lambda: self._send(request), seconds_to_send=self._timeout)

    async def _send(self, request: httpx2.Request) -> object:
        seconds, ends = self._timeout, deadline()
        if request.method == "GET" and ends.left < seconds:
            seconds = ends.left
            if seconds <= 0:
                raise OutOfTime(f"Patchworks was not asked any more, because {ends.waited:.0f} seconds had passed.")
        with (
            tracer.start_as_current_span(f"{request.method} Patchworks", kind=SpanKind.CLIENT) as span,
            translating(request),
        ):
            async with asyncio.timeout(seconds):
                response = await self._http.send(request, auth=self._auth)
            span.set_attribute("http.response.status_code", response.status_code)
        left = response.headers.get("X-RateLimit-Remaining", "")
        self.requests_left = int(left) if left.isascii() and left.isdigit() and len(left) < 8 else None  # noqa: PLR2004 - enough for a minute
        return read_answer(response, (*self._auth.secrets(), *proxy_passwords(request)))


def _named(deployment: Deployment) -> str:
    version = deployment.flow_version_id
    return f"deployment {deployment.id}{f' of flow version {version}' if version else ''}"


@contextlib.asynccontextmanager
async def open_client(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[DeploymentsClient]:
    """The process's one client; `transport` replaces the network (the sandbox, tests)."""
    auth = build_credentials(settings)
    async with open_http(settings, transport) as http:
        yield DeploymentsClient(http, auth, settings.timeout)
