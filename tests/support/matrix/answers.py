"""The answers of the matrix that are not those of the sandbox, or not quite."""

import gzip
from collections.abc import AsyncIterator, Callable

import anyio
import httpx2

from patchworks_deployments.sandbox import API_KEY
from patchworks_deployments.sandbox.account import Deployment
from support.faults import Acted, Answered, Step, reply
from support.matrix.stage import Stage
from support.matrix.writes import PRIORITY

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


def cut(answer: httpx2.Response) -> httpx2.Response:
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


def acted(staged: Callable[[Stage], Step]) -> Callable[[Stage], Step]:
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
        if scene.flow_of(row) == flow and row.priority != PRIORITY
        if row.id not in scene.targets and row is not stage.target
    ]
    same = [row for row in rows if row.flow_version_id == version]
    return (same or rows or [_stranger(stage)])[0]


FOREIGN, NEIGHBOUR = _record_of(_stranger), _record_of(_neighbour)


UNTOLD = {
    "priority": ("priority",),
    "environment": ("virtual_environment_id", "virtual_environment"),
    "state": ("enabled_at",),
    "flow": ("flow_id", "flow_name", "flow_version"),
}
"""What an API may leave out of its records, and the fields that tell it."""


def without(*fields: str) -> Answered:
    """The real answer, whose records lack these fields; it is true for all that."""

    def change(answer: httpx2.Response) -> httpx2.Response:
        content = answer.json() if answer.content else None
        data = content.get("data", []) if isinstance(content, dict) else []
        for record in data if isinstance(data, list) else [data]:
            for name in fields:
                record.pop(name, None)
        return httpx2.Response(answer.status_code, json=content, extensions={"untold": fields})

    return Answered(change)
