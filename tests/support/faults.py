"""What can go wrong between the server and Patchworks: one transport, told line by line."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Self, TypeAlias

import anyio
import httpx2

from patchworks_deployments.sandbox import Sandbox

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


def reading(deployment_id: int) -> Which:
    """A look at this one deployment."""
    return lambda request: request.method == "GET" and request.url.path.endswith(f"/{deployment_id}")


@dataclass(frozen=True)
class Acted:
    """A fault that strikes after the request was carried out."""

    fault: "Fault"


Fault: TypeAlias = type[httpx2.RequestError] | Callable[[httpx2.Request], Answer | Awaitable[Answer]]
Step: TypeAlias = Fault | Acted | None
"""What a request meets: an exception, a function that does or answers something, or None, which lets it pass."""

lost = Acted(httpx2.ReadTimeout)
"""The request is carried out, and its answer never arrives."""


def reply(status: int = 200, content: object = b"", **headers: object) -> Callable[[httpx2.Request], httpx2.Response]:
    """An answer of somebody who does nothing: bytes as they are, anything else as JSON."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    body: dict[str, Any] = {"content": content} if isinstance(content, bytes) else {"json": content}
    return lambda _: httpx2.Response(status, headers=named, **body)


def delay(seconds: float) -> Callable[[httpx2.Request], Awaitable[None]]:
    """A slow network; `delay(math.inf)` is one that swallows the request."""
    return lambda _: anyio.sleep(seconds)


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
    requests: list[httpx2.Request] = field(default_factory=list)
    _rules: list[tuple[Which, Iterator[Step]]] = field(default_factory=list)
    _afters: list[tuple[Which, Callable[[httpx2.Request, httpx2.Response], Answer]]] = field(default_factory=list)

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

    def after(self, which: Which, do: Callable[[httpx2.Request, httpx2.Response], Answer]) -> Self:
        """Something happens once such a request was carried out; what it returns, if anything, is the answer."""
        self._afters.append((which, do))
        return self

    def alter(self, change: Callable[[httpx2.Request, Any], Any]) -> Self:
        """The JSON of each answer is what `change` makes of it."""

        def altered(request: httpx2.Request, answer: httpx2.Response) -> httpx2.Response:
            return httpx2.Response(answer.status_code, json=change(request, answer.json() if answer.content else None))

        return self.after(every, altered)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self._rules.clear()
        self._afters.clear()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step, answer = self._next_step(request), None
        if isinstance(step, Acted):
            answer, step = await self._carry_out(request), step.fault
        return await _met(step, request) or answer or await self._carry_out(request)

    def _next_step(self, request: httpx2.Request) -> Step:
        """That of the first rule for such requests that has one left."""
        steps = (step for which, left in self._rules if _applies(which, request) for step in left)
        return next(steps, None)

    async def _carry_out(self, request: httpx2.Request) -> httpx2.Response:
        inner = httpx2.ASGITransport(app=self.behind.app) if isinstance(self.behind, Sandbox) else self.behind
        answer = await inner.handle_async_request(request)
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
