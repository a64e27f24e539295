"""The sandbox as a Starlette application, and what stands before its endpoints."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patchworks_deployments.sandbox.access import Access, Clock, Throttle
from patchworks_deployments.sandbox.answers import Answers, Shape
from patchworks_deployments.sandbox.endpoints import LOGIN_PATH, Endpoints
from patchworks_deployments.sandbox.refusals import Refusal, refusal_response
from patchworks_deployments.sandbox.sample import sample_account

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_RECORDED_REQUESTS = 100_000

_READING_METHODS = {"GET", "HEAD", "OPTIONS"}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived and the status it got. Neither headers nor a login's body: they hold secrets.

    `query` has the last value of each parameter; `body` is the parsed JSON, None if there was none.
    """

    method: str
    path: str
    query: dict[str, str]
    body: object
    status: int

    @property
    def is_write(self) -> bool:
        """Whether the request meant to change something."""
        return self.method not in _READING_METHODS and self.path != LOGIN_PATH


class Sandbox:
    """A Patchworks account with that many deployments, served by `app` and open for inspection.

    Without `virtual_environments`, each flow is deployed once, and deploying another of its versions replaces that.
    `shape` is how records are written, flat or JSON:API. `requests_per_minute` None never throttles.
    `clock` is what the sandbox takes for the current time; its times must carry an offset.
    With `ties_seed`, deployments that sort alike come in another order in each answer, as a database may have it; the
    same seed draws the same orders.
    """

    def __init__(  # noqa: PLR0913 - each says one thing of the account, and none needs another
        self,
        deployments: int = 60,
        *,
        virtual_environments: bool = True,
        shape: Shape = "flat",
        requests_per_minute: int | None = None,
        clock: Clock = _utc_now,
        ties_seed: int | None = None,
    ) -> None:
        self.account = sample_account(deployments, virtual_environments=virtual_environments)
        self.requests: deque[RecordedRequest] = deque(maxlen=MAX_RECORDED_REQUESTS)
        self._access = Access(clock)
        throttle = None if requests_per_minute is None else Throttle(requests_per_minute, clock)
        front = Middleware(_Front, access=self._access, throttle=throttle, record=self.requests.append)
        ties = None if ties_seed is None else Random(ties_seed)  # noqa: S311 - an order, no secret
        self.app = Starlette(
            routes=Endpoints(self.account, Answers(self.account, shape), self._access, clock, ties).routes(),
            middleware=[front],
            exception_handlers={Refusal: _refuse, HTTPException: _refuse},
        )
        # Laravel answers 404 to a path it does not know, and never redirects to one that it does.
        self.app.router.redirect_slashes = False

    @property
    def writes(self) -> list[RecordedRequest]:
        """The recorded requests that meant to change something, refused ones too."""
        return [request for request in self.requests if request.is_write]

    def revoke_tokens(self) -> None:
        """Make every login token issued so far invalid."""
        self._access.revoke_tokens()


class _Front:
    """What every request passes first: the size limit, the credentials, the throttle; and it is recorded.

    The body is read here and left for the endpoints in `request.state.body`.
    """

    def __init__(
        self, app: ASGIApp, *, access: Access, throttle: Throttle | None, record: Callable[[RecordedRequest], None]
    ) -> None:
        self._app = app
        self._access = access
        self._throttle = throttle
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.body = b""
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        headers: dict[str, str] = {}

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            request.state.body = await _read_body(request)
            headers = self._admit(request)
            await self._app(scope, receive, send_and_look)
        except Refusal as refusal:
            await _refuse(request, refusal)(scope, receive, send_and_look)
        finally:
            self._record(_recorded(request, status))

    def _admit(self, request: Request) -> dict[str, str]:
        """Check credentials and throttle; the headers for the answer."""
        if request.scope["path"] == LOGIN_PATH:
            return {}
        write = request.method not in _READING_METHODS
        self._access.check(request.headers.get("Authorization"), write=write)
        return self._throttle.admit() if self._throttle else {}


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is larger than 8 MB.")
    return bytes(body)


def _recorded(request: Request, status: int) -> RecordedRequest:
    path: str = request.scope["path"]
    try:
        body = None if path == LOGIN_PATH else json.loads(request.state.body)
    except (ValueError, RecursionError):
        body = None
    return RecordedRequest(request.method, path, dict(request.query_params), body, status)


def _refuse(request: Request, error: Exception) -> Response:
    """The refusal as an answer; the router's own 404 and 405 are put in the API's words."""
    if isinstance(error, HTTPException):
        message = "The route could not be found."
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"The {request.method} method is not supported for this route."
        error = Refusal(error.status_code, message, headers=error.headers)
    assert isinstance(error, Refusal)
    return refusal_response(error, request.headers.get("Accept", ""))
