"""What several tests need: a client on a server on a sandbox, and a person who answers its questions."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestParams, ElicitResult, TextContent

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

Era = Literal["auto", "legacy"]
ERAS: Sequence[Era] = ("auto", "legacy")

Answer = Callable[[ElicitRequestFormParams], ElicitResult]


def yes(question: ElicitRequestFormParams) -> ElicitResult:
    """Agree: tick the box, or type the id that the question names."""
    if "agree" in question.requested_schema["properties"]:
        return ElicitResult(action="accept", content={"agree": True})
    typed = question.message.rpartition("type its id: ")[2]
    return ElicitResult(action="accept", content={"deployment_id": typed})


def no(_: ElicitRequestFormParams) -> ElicitResult:
    """Decline."""
    return ElicitResult(action="decline")


@dataclass
class Person:
    """Answers with `answer`; what `meanwhile` does happens while the first question is on the screen."""

    answer: Answer = yes
    meanwhile: Callable[[], object] | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        return self.answer(params)


@dataclass
class Clock:
    """Seconds since the epoch, moved by hand."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def connected(
    sandbox: Sandbox | None = None,
    *,
    person: Person | None = None,
    era: Era = "auto",
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """A client of a server on the sandbox; without a person it cannot ask anybody."""
    upstream = transport or httpx2.ASGITransport(app=(sandbox or Sandbox()).app)
    server = create_server(
        load_settings({}, **{"sandbox": "api_key" not in settings, **settings}), upstream, clock or Clock()
    )
    async with Client(server, elicitation_callback=person, mode=era) as client:
        yield client


def text(result: CallToolResult) -> str:
    """What a model reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def data(result: CallToolResult) -> dict[str, Any]:
    """What a program reads."""
    content: dict[str, Any] | None = result.structured_content
    assert content is not None, text(result)
    return content


@dataclass
class Tampering(httpx2.AsyncBaseTransport):
    """The sandbox, with something happening `before` a request (which may answer it) or to the answer `after` it."""

    sandbox: Sandbox
    before: Callable[[httpx2.Request], httpx2.Response | None] | None = None
    after: Callable[[httpx2.Request, Any], Any] | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.before and (instead := self.before(request)):
            return instead
        answer = await httpx2.ASGITransport(app=self.sandbox.app).handle_async_request(request)
        if self.after is None:
            return answer
        content = await answer.aread()
        return httpx2.Response(answer.status_code, json=self.after(request, json.loads(content) if content else None))
