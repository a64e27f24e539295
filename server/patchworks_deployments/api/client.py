"""The eight operations of the Patchworks Core API, over one shared HTTP client.

With `auth.py` the only place that knows HTTP. Every failure leaves as one of `errors.UpstreamError`.
"""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import httpx2
import stamina
from opentelemetry.trace import SpanKind, get_tracer
from pydantic_core import from_json

from patchworks_deployments.api.credentials import Auth, build_auth
from patchworks_deployments.errors import (
    Conflict,
    Forbidden,
    Incomplete,
    NoAnswer,
    NotFound,
    Rejected,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedResponse,
    Unreachable,
    UpstreamError,
)
from patchworks_deployments.model.deployment import Deployment, DeploymentPage, read_deployment, read_page
from patchworks_deployments.model.text import inert
from patchworks_deployments.settings import Settings

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes; Patchworks itself takes no more than 8 MB either way, and a page of 100 is far below 1 MB."""

LONGEST_RETRY_AFTER = 20.0
"""Seconds; a longer `Retry-After` is handed to the caller instead of waited for."""

MOST_PAGES = 50
"""Of one flow version's deployments: one per environment, and accounts have dozens of those."""

tracer = get_tracer("patchworks_deployments")
"""Spans for requests to Patchworks, inside the SDK's server spans; they cost nothing until a provider is set up."""

ATTEMPTS = 3
CONNECTIONS = 20

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

    def __init__(self, http: httpx2.AsyncClient, auth: Auth, timeout: float) -> None:
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
        for number in range(1, MOST_PAGES + 1):
            page = await self.list_for_flow_version(flow_version_id, page=number)
            found += page.deployments
            if page.unreadable:
                raise Incomplete(f"{page.unreadable} deployments of this flow version cannot be read.")
            if number >= (page.pages or 1):
                return found
        raise Incomplete(f"This flow version has more than {MOST_PAGES} pages of deployments.")

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
        return self._read(response)

    def _read(self, response: httpx2.Response) -> object:
        if response.is_success:
            return _json(response)
        raise error_for(response, self._said(response))

    def _said(self, response: httpx2.Response) -> dict[str, Any]:
        """The error's JSON object, if it is one, with this client's own secrets taken out."""
        try:
            said = json.loads(response.content.decode(errors="replace"))
            return _without(self._auth.secrets(), said) if isinstance(said, dict) else {}
        except (ValueError, RecursionError):
            return {}


@contextlib.asynccontextmanager
async def open_client(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[DeploymentsClient]:
    """The process's one client; `transport` replaces the network (the sandbox, tests).

    It keeps no cookies: a session that Patchworks opens for one caller must not go out with another's request.
    """
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    auth = build_auth(settings)
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


# Answers ------------------------------------------------------------------------------------------


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Stops reading an answer at `LARGEST_ANSWER` bytes, counted when decompressed; the login's answer too."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on; the answer comes back decompressed."""
        response = await self._inner.handle_async_request(request)
        response.request = request
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_ENCODING]
        return httpx2.Response(
            response.status_code, headers=headers, stream=_BoundedStream(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


_OF_THE_ENCODING = {"content-encoding", "content-length"}


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        # The HTTP client decompresses at most a mebibyte at a time.
        async for chunk in self._response.aiter_bytes():
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise UnexpectedResponse(
                    f"Patchworks sent more than {LARGEST_ANSWER // 2**20} MiB, which is no answer to this."
                )
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


def _json(response: httpx2.Response) -> object:
    if not response.content:
        return None
    try:
        return from_json(response.content)
    except ValueError:
        kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
        raise UnexpectedResponse(
            f"Patchworks answered {response.status_code} with a body that is not JSON ({inert(kind, 40)})."
        ) from None


# Errors -------------------------------------------------------------------------------------------

_TRANSPORT_ERRORS: dict[type[Exception], tuple[type[Unreachable | NoAnswer | UnexpectedResponse], str]] = {
    httpx2.ConnectTimeout: (Unreachable, "Patchworks could not be reached in time."),
    httpx2.ConnectError: (Unreachable, "Patchworks could not be reached."),
    httpx2.PoolTimeout: (Unreachable, "All connections to Patchworks were busy for too long."),
    httpx2.ProxyError: (Unreachable, "The proxy on the way to Patchworks failed."),
    httpx2.UnsupportedProtocol: (Unreachable, "The address of Patchworks has an unknown scheme."),
    httpx2.LocalProtocolError: (Unreachable, "The request could not be written as HTTP."),
    httpx2.InvalidURL: (Unreachable, "The address of Patchworks is not a URL."),
    httpx2.TimeoutException: (NoAnswer, "Patchworks did not answer in time."),
    TimeoutError: (NoAnswer, "Patchworks did not answer in time."),
    httpx2.TransportError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
    httpx2.DecodingError: (UnexpectedResponse, "Patchworks' answer could not be decompressed."),
    httpx2.RequestError: (UnexpectedResponse, "Patchworks' answer could not be followed."),
    httpx2.StreamError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
}


def translate(error: Exception) -> UpstreamError:
    """Our error for a transport's: the entry of the nearest class in the table."""
    known = next(cls for cls in type(error).__mro__ if cls in _TRANSPORT_ERRORS)
    kind, what = _TRANSPORT_ERRORS[known]
    return kind(what)


@contextlib.contextmanager
def _a_read() -> Iterator[None]:
    """Whatever becomes of a read, it has changed nothing."""
    try:
        yield
    except UpstreamError as error:
        error.may_have_acted = False
        raise


@contextlib.contextmanager
def _upstream_errors(request: httpx2.Request) -> Iterator[None]:
    try:
        yield
    except tuple(_TRANSPORT_ERRORS) as error:
        # While logging in, the request itself has not left yet.
        asked = error.request.url if isinstance(error, httpx2.RequestError) else request.url
        raise (translate(error) if asked == request.url else Unreachable("The login at Patchworks failed.")) from error


_STATUS_ERRORS: dict[int, tuple[type[UpstreamError], str]] = {
    401: (Unauthenticated, "Patchworks does not accept the credentials (401)."),
    403: (Forbidden, "Patchworks does not allow this with these credentials (403)."),
    404: (NotFound, "Patchworks knows no such flow version or deployment (404)."),
    409: (Conflict, "Patchworks says that this conflicts with the present state (409)."),
    413: (TooLarge, "The request is too large for Patchworks (413)."),
}


def error_for(response: httpx2.Response, said: Mapping[str, Any]) -> UpstreamError:
    """Our error for an answer that is no success; `said` is its JSON, `{message, errors}` in Laravel's way."""
    status = response.status_code
    message = said.get("message")
    remark = f' Patchworks says: "{inert(message, 200)}"' if isinstance(message, str) and message else ""
    if status == httpx2.codes.NOT_FOUND and not said:
        return UnexpectedResponse("Something answered 404 that is not the Patchworks Core API.")
    if status in _STATUS_ERRORS:
        kind, what = _STATUS_ERRORS[status]
        return kind(what + remark)
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        wait = _seconds(response.headers.get("Retry-After"))
        return Throttled("Patchworks is throttling this account (429).", retry_after=wait)
    if response.is_server_error:
        return Unavailable(f"Patchworks failed (status {status}).{remark}", status=status)
    if response.is_client_error:
        fields = _field_errors(said.get("errors"))
        details = "".join(f" {field}: {'; '.join(texts)}" for field, texts in fields.items())
        return Rejected(f"Patchworks refused the request ({status}).{remark}{details}", status=status, fields=fields)
    return UnexpectedResponse(f"Patchworks answered with status {status}, which is not followed.")


def _without(secrets: Sequence[str], value: Any) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
    """A copy in which no text, not even a key, holds one of the secrets."""
    if isinstance(value, dict):
        return {_without(secrets, key): _without(secrets, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(secrets, item) for item in value]
    if not isinstance(value, str):
        return value
    return functools.reduce(lambda text, secret: text.replace(secret, "(secret)"), secrets, value)


def _field_errors(errors: object) -> dict[str, list[str]]:
    """Laravel's `{field: [text, ...]}`, bounded, whatever came."""
    if not isinstance(errors, dict):
        return {}
    return {
        inert(str(field), 60) or "?": [inert(str(t), 200) or "?" for t in _as_list(texts)[:3]]
        for field, texts in list(errors.items())[:10]
    }


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _seconds(retry_after: str | None) -> float | None:
    """`Retry-After` in seconds; a date or nonsense counts as not given."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else None  # noqa: PLR2004 - 10^7 s is months


def _retry_wait(error: Exception, *, is_read: bool) -> bool | float:
    """Whether to try again, or after how many seconds; a write only when it cannot have arrived."""
    if isinstance(error, Throttled):
        wait = error.retry_after
        return True if wait is None else wait <= LONGEST_RETRY_AFTER and max(wait, 0.1)
    if isinstance(error, Unreachable):
        return True
    retryable = isinstance(error, Unavailable) and error.status in {502, 503, 504}
    return is_read and (retryable or isinstance(error, NoAnswer))
