"""The faults of the matrix: what each is called, and how it strikes at the k-th request of a case."""

import gzip
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
import httpx2

from patchworks_deployments.sandbox import API_KEY
from patchworks_deployments.sandbox.account import Deployment
from patchworks_deployments.settings import Settings
from support.faults import Acted, Answered, Late, Step, reply
from support.matrix.stage import MEDDLINGS, Stage
from support.matrix.writes import PRIORITY

TIMEOUT: float = Settings.model_fields["timeout"].default
"""Seconds after which the server gives up on an answer."""


@dataclass(frozen=True)
class MatrixFault:
    """One column of the matrix.

    `acts` is one that makes a difference only at a write. After one that `passes`, an honest answer can be had within
    some five seconds. `is_login` needs a server that logs in, `is_of_update` an update.
    """

    name: str
    strike: Callable[[Stage, int], object]
    acts: bool = False
    passes: bool = True
    is_login: bool = False
    throttles: bool = False
    is_of_update: bool = False


def _once(name: str, step: Step, **more: bool) -> MatrixFault:
    return _staged(name, lambda _: step, **more)


def _staged(name: str, step: Callable[[Stage], Step], **more: bool) -> MatrixFault:
    """One whose step depends on what is played."""

    def strike(stage: Stage, k: int) -> None:
        stage.upstream.on(stage.is_nth(k), step(stage))

    return MatrixFault(name, strike, **more)


def _for_ever(name: str, step: Step, **more: bool) -> MatrixFault:
    def strike(stage: Stage, k: int) -> None:
        stage.upstream.always(stage.is_from_nth(k), step)

    return MatrixFault(f"{name} for ever", strike, passes=False, **more)


# Answers ------------------------------------------------------------------------------------------

HTML = reply(200, b"<!doctype html><title>Back soon</title>", content_type="text/html")
NULL = reply(200, b"null", content_type="application/json")
EMPTY = reply(200)
ACCEPTED = reply(200, {"message": "Accepted."})
NO_ROUTE = reply(404, {"message": "no Route matched with those values"})
NO_PAGE = reply(404, b"<!doctype html><title>Not found</title>", content_type="text/html")
REFUSALS = {
    401: {"message": "Unauthenticated."},
    403: {"message": "This action is unauthorized."},
    409: {"message": "Conflict."},
    422: {"message": "The given data was invalid.", "errors": {"flow_version_id": ["is not deployable"]}},
}
BOMB = gzip.compress(b" " * (9 * 2**20))


def throttled(retry_after: int | None = None) -> Step:
    headers = {} if retry_after is None else {"retry_after": retry_after}
    return reply(429, {"message": "Too Many Attempts."}, **headers)


def _cut(answer: httpx2.Response) -> httpx2.Response:
    """Syntactically cut."""
    return httpx2.Response(answer.status_code, content=answer.content[: len(answer.content) // 2])


def broken_off(answer: httpx2.Response) -> httpx2.Response:
    """Shorter than it says."""
    length = {"content-length": str(len(answer.content))}
    return httpx2.Response(answer.status_code, content=answer.content[: len(answer.content) // 2], headers=length)


class _Drip(httpx2.AsyncByteStream):
    """A body that takes so many seconds."""

    def __init__(self, content: bytes, seconds: float) -> None:
        self._content, self._seconds = content, seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        passed = 0.0
        while passed < self._seconds:
            yield b" "
            passed += 1
            await anyio.sleep(1)
        yield self._content


def dripping(seconds: float) -> Step:
    chunked = {"transfer-encoding": "chunked", "content-type": "application/json"}
    return Answered(
        lambda answer: httpx2.Response(answer.status_code, headers=chunked, stream=_Drip(answer.content, seconds))
    )


def bomb(answer: httpx2.Response) -> httpx2.Response:
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    return httpx2.Response(answer.status_code, headers=headers, stream=httpx2.ByteStream(BOMB))


def _record_of(row: Callable[[Stage], Deployment]) -> Callable[[Stage], Step]:
    """The answer that a look at another deployment, or at its flow version's list, would get."""

    def staged(stage: Stage) -> Step:
        async def answer(request: httpx2.Request) -> httpx2.Response:
            other = row(stage)
            path = f"/api/v1/flow-versions/{other.flow_version_id}/deployments"
            is_list = request.method == "GET" and request.url.path.endswith("deployments")
            url = request.url.copy_with(path=path if is_list else f"{path}/{other.id}", query=None)
            inner = httpx2.ASGITransport(app=stage.sandbox.app)
            return await inner.handle_async_request(httpx2.Request("GET", url, headers={"Authorization": API_KEY}))

        return answer

    return staged


def _acted(staged: Callable[[Stage], Step]) -> Callable[[Stage], Step]:
    return lambda stage: Acted(staged(stage))  # type: ignore[arg-type]


def _stranger(stage: Stage) -> Deployment:
    """Of another flow."""
    scene = stage.scene
    version = int(scene.arguments.get("flow_version_id") or str(scene.arguments["deployments"][0]).split("/")[0])
    flow = scene.account.flow_versions[version].flow_id
    return next(
        row
        for row in stage.sandbox.account.deployments.values()
        if scene.flow_of(row) != flow and row.id not in scene.targets
    )


def _neighbour(stage: Stage) -> Deployment:
    """Of the same flow, and of the same version if there is one, but not the one in question."""
    scene = stage.scene
    version = int(scene.arguments.get("flow_version_id") or str(scene.arguments["deployments"][0]).split("/")[0])
    flow = scene.account.flow_versions[version].flow_id
    rows = [
        row
        for row in stage.sandbox.account.deployments.values()
        if scene.flow_of(row) == flow and row.id not in scene.targets and row.priority != PRIORITY
    ]
    same = [row for row in rows if row.flow_version_id == version]
    return (same or rows or [_stranger(stage)])[0]


FOREIGN, NEIGHBOUR = _record_of(_stranger), _record_of(_neighbour)


# Somebody else ------------------------------------------------------------------------------------


def _meddled(name: str, do: Callable[[Stage], None]) -> tuple[MatrixFault, MatrixFault]:
    def meddling(stage: Stage) -> Callable[[httpx2.Request], None]:
        return lambda _: stage.meddle(do)

    return (
        _staged(f"somebody {name} before", meddling),
        _staged(f"somebody {name} after", lambda stage: Acted(meddling(stage))),
    )


# The network --------------------------------------------------------------------------------------


def _refused(seconds: float, name: str) -> MatrixFault:
    def strike(stage: Stage, k: int) -> None:
        if k == 1:
            stage.front.refuse(seconds)
        stage.upstream.before(stage.is_nth(k - 1), lambda _: stage.front.refuse(seconds))

    return MatrixFault(name, strike, passes=seconds < math.inf)


def _stale(name: str, reads: float = math.inf, seconds: float = math.inf, *, passes: bool = True) -> MatrixFault:
    def strike(stage: Stage, k: int) -> None:
        stage.upstream.lag(stage.is_nth(k), reads=reads, seconds=seconds)

    return MatrixFault(name, strike, acts=True, passes=passes)


def _half(stage: Stage) -> Step:
    """Of an update only the queue priority takes."""

    def halve(request: httpx2.Request) -> None:
        fields = httpx2.Response(200, content=request.content).json()
        fields.pop("virtual_environment_id", None)
        halved = httpx2.Request(request.method, request.url, json=fields)
        request.stream = halved.stream

    del stage
    return halve


ONCE: tuple[MatrixFault, ...] = (
    _refused(1, "refused"),
    _once("reset", httpx2.ReadError),
    _once("swallowed", httpx2.ReadTimeout),
    _once("429", throttled(), throttles=True),
    _once("429 after 1", throttled(1), throttles=True),
    _once("429 after 60", throttled(60), passes=False, throttles=True),
    *(_once(str(status), reply(status)) for status in (500, 502, 503, 504)),
    _once("HTML", HTML),
    _once("null", NULL),
    _once("empty", EMPTY),
    _once("accepted", ACCEPTED),
    _staged("another", FOREIGN),
    _staged("neighbour", NEIGHBOUR),
    *(_once(str(status), reply(status, REFUSALS[status]), passes=False) for status in (401, 403)),
    _once("gateway 404", NO_ROUTE),
    _once("HTML 404", NO_PAGE),
    _once("cut", Answered(_cut)),
    _once("broken off", Answered(broken_off)),
    _once("drips 3 s", dripping(3)),
    _once("never ends", dripping(math.inf)),
    _once("bomb", Answered(bomb)),
    _staged("token revoked", lambda s: lambda _: s.sandbox.revoke_tokens(), is_login=True),
    *(fault for name, do in MEDDLINGS.items() for fault in _meddled(name, do)),
)

AT_WRITES: tuple[MatrixFault, ...] = (
    _once("reset after acting", Acted(httpx2.ReadError), acts=True),
    _once("lost", Acted(httpx2.ReadTimeout), acts=True),
    *(_once(f"{seconds} s late", Late(TIMEOUT + seconds, httpx2.ReadTimeout), acts=True) for seconds in (1, 3, 20)),
    _once("reset, 2 s late", Late(2, httpx2.ReadError), acts=True),
    _once("reset, 20 s late", Late(20, httpx2.ReadError), acts=True),
    _once("504, 2 s late", Late(2, reply(504)), acts=True),
    _once("504, 20 s late", Late(20, reply(504)), acts=True),
    *(_once(f"{status} after acting", Acted(reply(status)), acts=True) for status in (500, 502, 503, 504)),
    _once("HTML after acting", Acted(HTML), acts=True),
    _once("null after acting", Acted(NULL), acts=True),
    _once("empty after acting", Acted(EMPTY), acts=True),
    _staged("another after acting", _acted(FOREIGN), acts=True),
    _staged("neighbour after acting", _acted(NEIGHBOUR), acts=True),
    _once("gateway 404 after acting", Acted(NO_ROUTE), acts=True),
    _once("HTML 404 after acting", Acted(NO_PAGE), acts=True),
    *(_once(str(status), reply(status, REFUSALS[status]), acts=True) for status in (409, 422)),
    *(_stale(f"stale {reads} reads", reads=reads) for reads in (1, 2, 3)),
    _stale("stale 4 s", seconds=4),
    _stale("stale 30 s", seconds=30, passes=False),
    _staged("half", _half, acts=True, is_of_update=True),
)

FOR_EVER: tuple[MatrixFault, ...] = (
    _refused(math.inf, "refused for ever"),
    _for_ever("reset", httpx2.ReadError),
    _for_ever("swallowed", httpx2.ReadTimeout),
    _for_ever("429", throttled(), throttles=True),
    _for_ever("429 after 30", throttled(30), throttles=True),
    *(_for_ever(str(status), reply(status)) for status in (500, 503)),
    _for_ever("HTML", HTML),
    _for_ever("null", NULL),
    _for_ever("empty", EMPTY),
    _for_ever("accepted", ACCEPTED),
    *(_for_ever(str(status), reply(status, REFUSALS[status])) for status in (401, 403)),
    _for_ever("gateway 404", NO_ROUTE),
    _for_ever("HTML 404", NO_PAGE),
    _for_ever("lost", Acted(httpx2.ReadTimeout)),
    _for_ever("never ends", dripping(math.inf)),
)

FAULTS = {fault.name: fault for fault in (*ONCE, *AT_WRITES, *FOR_EVER)}
assert len(FAULTS) == len(ONCE) + len(AT_WRITES) + len(FOR_EVER), "each fault has a name of its own"
