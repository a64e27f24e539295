"""What can go wrong between the server and Patchworks: one transport, told line by line."""

import asyncio
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from typing import Any, Self, TypeAlias

import anyio
import httpx2

from patchworks_deployments.sandbox import API_KEY, Sandbox
from support.passages import Passage, frozen, rows_of

Answer: TypeAlias = httpx2.Response | None
Which: TypeAlias = str | Callable[[httpx2.Request], bool]
"""The requests that a rule is for: a method, or those for which the function is true."""


def every(_: httpx2.Request) -> bool:
    return True


def write(request: httpx2.Request) -> bool:
    return request.method != "GET"


def listing(request: httpx2.Request) -> bool:
    """A page of all deployments."""
    return request.url.path == "/api/v1/flow-version-deployments"


def list_of_version(request: httpx2.Request) -> bool:
    """A page of a flow version's deployments."""
    return request.method == "GET" and request.url.path.endswith("/deployments")


def single(request: httpx2.Request) -> bool:
    """A look at one deployment."""
    return request.method == "GET" and "/deployments/" in request.url.path


def reading(deployment_id: int) -> Which:
    """A look at this one deployment."""
    return lambda request: request.method == "GET" and request.url.path.endswith(f"/{deployment_id}")


@dataclass(frozen=True)
class Acted:
    """A fault that strikes after the request was carried out."""

    fault: "Fault"


@dataclass(frozen=True)
class Answered:
    """The request is carried out, and its answer is what `change` makes of the real one."""

    change: Callable[[httpx2.Response], httpx2.Response]


@dataclass(frozen=True)
class Late:
    """A fault that strikes at once, while the request is carried out only so many seconds after it has come."""

    seconds: float
    fault: "Fault"


Fault: TypeAlias = type[httpx2.RequestError] | Callable[[httpx2.Request], Answer | Awaitable[Answer]]
Step: TypeAlias = Fault | Acted | Answered | Late | None
"""What a request meets: an exception, a function that does or answers something, or None, which lets it pass."""

lost = Acted(httpx2.ReadTimeout)
"""The request is carried out, and its answer never arrives."""


def reply(status: int = 200, content: object = b"", **headers: object) -> Callable[[httpx2.Request], httpx2.Response]:
    """An answer of somebody who does nothing: bytes as they are, anything else as JSON."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    body: dict[str, Any] = {"content": content} if isinstance(content, bytes) else {"json": content}
    return lambda _: httpx2.Response(status, headers=named, **body)


def later(seconds: float, clock_is_fast: float = 0.0) -> dict[str, str]:
    """`Retry-After` as a date, by a clock that is so many seconds fast."""
    now = datetime.now(UTC) + timedelta(seconds=clock_is_fast)
    until = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    return {"retry_after": until, "date": format_datetime(now, usegmt=True)}


def delay(seconds: float) -> Callable[[httpx2.Request], Awaitable[None]]:
    """A slow network; `delay(math.inf)` is one that swallows the request."""
    return lambda _: anyio.sleep(seconds)


def slowly(seconds: float, answer: Callable[[httpx2.Request], httpx2.Response]) -> Fault:
    """An answer that comes after so many seconds."""

    async def late(request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep(seconds)
        return answer(request)

    return late


def drip(seconds: float) -> Callable[[httpx2.Request], httpx2.Response]:
    """An answer of which a byte comes every so many seconds, for ever."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(seconds)
            yield b" "

    return lambda _: httpx2.Response(200, content=drops())


class Gate:
    """Where requests wait: it says when the first has arrived, and lets all go on when told to."""

    def __init__(self) -> None:
        self.arrived, self.go_on = anyio.Event(), anyio.Event()

    async def __call__(self, _: httpx2.Request | None = None) -> None:
        self.arrived.set()
        await self.go_on.wait()


@dataclass
class Upstream(httpx2.AsyncBaseTransport):
    """Patchworks as the sandbox plays it, and what goes wrong on the way; of several rules the first counts."""

    behind: Sandbox | httpx2.AsyncBaseTransport = field(default_factory=Sandbox)
    passages: list[Passage] = field(default_factory=list)
    _rules: list[tuple[Which, Iterator[Step]]] = field(default_factory=list)
    _befores: list[tuple[Which, Callable[[httpx2.Request], object]]] = field(default_factory=list)
    _afters: list[tuple[Which, Callable[[httpx2.Request, httpx2.Response], Answer]]] = field(default_factory=list)
    _late: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def requests(self) -> list[httpx2.Request]:
        """All that have come."""
        return [passage.request for passage in self.passages]

    @property
    def writes(self) -> list[httpx2.Request]:
        """Those that set out, whether or not they arrived."""
        return [request for request in self.requests if write(request)]

    def on(self, which: Which, *steps: Step) -> Self:
        """These requests meet the steps in turn, one each, and then nothing."""
        self._rules.append((which, iter(steps)))
        return self

    def always(self, which: Which, step: Step) -> Self:
        """Each of these requests meets the step."""
        self._rules.append((which, repeat(step)))
        return self

    def reading_back(self, step: Step, path: str = "", writes: int = 1) -> Self:
        """Each read after so many writes meets the step, if the path is part of its own."""

        def is_reading_back(request: httpx2.Request) -> bool:
            return request.method == "GET" and path in request.url.path and len(self.writes) >= writes

        return self.always(is_reading_back, step)

    def before(self, which: Which, do: Callable[[httpx2.Request], object]) -> Self:
        """Something happens when such a request comes, before it meets its step."""
        self._befores.append((which, do))
        return self

    def after(self, which: Which, do: Callable[[httpx2.Request, httpx2.Response], Answer]) -> Self:
        """Something happens once such a request was carried out; what it returns, if anything, is the answer."""
        self._afters.append((which, do))
        return self

    def alter(self, change: Callable[[httpx2.Request, Any], Any]) -> Self:
        """The JSON of each answer is what `change` makes of it."""

        def altered(request: httpx2.Request, answer: httpx2.Response) -> httpx2.Response:
            return httpx2.Response(answer.status_code, json=change(request, answer.json() if answer.content else None))

        return self.after(every, altered)

    def lag(self, which: Which, *, of: Which = every, reads: float = math.inf, seconds: float = math.inf) -> Self:
        """After such a write so many reads of this kind, and those of so many seconds, show what was before it."""
        past: list[Sandbox] = []
        since, left = 0.0, reads

        def remember(request: httpx2.Request) -> None:
            nonlocal since
            if write(request) and not past:
                assert isinstance(self.behind, Sandbox)
                past.append(frozen(self.behind))
                since = asyncio.get_running_loop().time()

        def is_stale(request: httpx2.Request) -> bool:
            if write(request) or not past or not _applies(of, request):
                return False
            return left > 0 and asyncio.get_running_loop().time() < since + seconds

        async def from_the_past(request: httpx2.Request) -> Answer:
            nonlocal left
            left -= 1
            assert isinstance(self.behind, Sandbox)
            if rows_of(past[0]) == rows_of(self.behind):
                return None  # the past is the present
            self.passages[-1].is_stale = True
            key = {"Authorization": API_KEY}
            asked = httpx2.Request(request.method, request.url, headers={**request.headers, **key})
            return await httpx2.ASGITransport(app=past[0].app).handle_async_request(asked)

        return self.before(which, remember).always(is_stale, from_the_past)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self._rules.clear()
        self._befores.clear()
        self._afters.clear()

    async def settle(self) -> None:
        """Forget what is still under way."""
        for late in self._late:
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        loop = asyncio.get_running_loop()
        passage = Passage(request, loop.time())
        self.passages.append(passage)
        for which, do in self._befores:
            if _applies(which, request):
                do(request)
        try:
            passage.told = await self._meet(passage, self._next_step(request))
        finally:
            passage.ended = loop.time()
        return passage.told

    async def _meet(self, passage: Passage, step: Step) -> httpx2.Response:
        match step:
            case Acted(fault):
                answer = await self._carry_out(passage)
                return await _met(fault, passage.request) or answer
            case Answered(change):
                answer = await self._carry_out(passage)
                await answer.aread()
                return change(answer)
            case Late(seconds, fault):
                late = asyncio.create_task(self._carry_out_later(passage, seconds))
                self._late.add(late)
                answered = await _met(fault, passage.request)
                assert answered, "what is late is not answered by itself"
                return answered
            case fault:
                return await _met(fault, passage.request) or await self._carry_out(passage)

    async def _carry_out_later(self, passage: Passage, seconds: float) -> None:
        passage.is_under_way = True
        await anyio.sleep(seconds)
        await self._carry_out(passage)
        passage.is_under_way = False

    def _next_step(self, request: httpx2.Request) -> Step:
        """That of the first rule for such requests that has one left."""
        steps = (step for which, left in self._rules if _applies(which, request) for step in left)
        return next(steps, None)

    async def _carry_out(self, passage: Passage) -> httpx2.Response:
        request, sandbox = passage.request, self.behind if isinstance(self.behind, Sandbox) else None
        if sandbox and write(request):
            passage.before = rows_of(sandbox)
        inner = httpx2.ASGITransport(app=self.behind.app) if isinstance(self.behind, Sandbox) else self.behind
        answer = await inner.handle_async_request(request)
        passage.answer, passage.carried_out = answer, asyncio.get_running_loop().time()
        if sandbox:
            await answer.aread()
        if sandbox and write(request):
            passage.after = rows_of(sandbox)
        for which, do in self._afters:
            if _applies(which, request):
                await answer.aread()
                answer = do(request, answer) or answer
        return answer


def scripted(*steps: Step) -> Upstream:
    """Requests meet the steps in turn, the last one for ever."""
    return Upstream().on(every, *steps[:-1]).always(every, steps[-1])


def _applies(which: Which, request: httpx2.Request) -> bool:
    return request.method == which if isinstance(which, str) else which(request)


async def _met(fault: Fault | None, request: httpx2.Request) -> Answer:
    if fault is None:
        return None
    if isinstance(fault, type):
        raise fault("injected", request=request)
    answer = fault(request)
    return await answer if inspect.isawaitable(answer) else answer
