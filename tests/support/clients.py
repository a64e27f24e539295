"""A client of a server on a sandbox, a person who answers its questions, and what tests do with both."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    RequestParamsMeta,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from patchworks_deployments.resources.uris import LISTING_TEMPLATE
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

Era = Literal["auto", "legacy"]

ERAS: Sequence[Era] = ("auto", "legacy")

both_eras = pytest.mark.parametrize("era", ERAS)

newer_era_first = pytest.mark.parametrize("era", ["auto", pytest.param("legacy", marks=pytest.mark.slow)])
"""Both eras, for what hardly depends on how a person is asked: the fast lane plays the newer one alone."""

older_way = pytest.mark.filterwarnings("ignore:resources/:mcp.shared.exceptions.MCPDeprecationWarning")
"""Subscribing one by one, as clients of the older era do."""

IDS = {"flow_version_id": "1001", "deployment_id": "500"}
"""The sandbox's first deployment: enabled, in UK Live."""

CONFIRM = "confirm_change"
"""The tool for a page alone, which clients without pages are not offered."""

TOOLS = frozenset(p.stem for p in (Path(__file__).parent.parent.parent / "tool_schemas").glob("*.json")) - {CONFIRM}
"""The tools that every host is offered."""

READING = frozenset(
    {"list_deployments", "list_flow_version_deployments", "get_deployment", "deployment_overview", "list_changes"}
)
"""The tools that only look: their errors say nothing of changes."""

SHOWS_PAGES = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
"""What a client declares that shows a page beside a result."""

Answer = Callable[[ElicitRequestFormParams], ElicitResult | ErrorData]


def yes(question: ElicitRequestFormParams) -> ElicitResult:
    """Agree: tick the box, or type the id that the question names."""
    if "agree" in question.requested_schema["properties"]:
        return ElicitResult(action="accept", content={"agree": True})
    title = question.requested_schema["properties"]["typed_id"]["title"]
    return ElicitResult(action="accept", content={"typed_id": title.split(" ")[1]})


def no(_: ElicitRequestFormParams) -> ElicitResult:
    """Decline."""
    return ElicitResult(action="decline")


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first question, and so on."""
    left = iter(answers)
    return lambda question: next(left)(question)  # noqa: PLW0108 - the next one, each time


@dataclass
class Clock:
    """Seconds, moved by hand: since the epoch where codes expire, since anything where keys and limits do."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Person:
    """Answers with `answer`, after `takes` seconds of the `clock`, which is the server's where that has one.

    What `meanwhile` does happens while the first question is on the screen.
    """

    answer: Answer = yes
    meanwhile: Callable[[], object] | None = None
    asked: list[str] = field(default_factory=list)
    takes: float = 3.0
    clock: Clock = field(default_factory=Clock)
    titles: list[str] = field(default_factory=list)
    """What the forms say beside their boxes."""

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        del context
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        self.titles += [described["title"] for described in params.requested_schema["properties"].values()]
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        self.clock.now += self.takes
        return self.answer(params)


@dataclass
class Progress:
    """Hears how far a call is: (steps done, steps in all); and the words beside it, and when (in seconds)."""

    heard: list[tuple[float, float | None]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.heard.append((progress, total))
        self.words += [message] if message else []
        self.times.append(asyncio.get_running_loop().time())


LISTENS: RequestParamsMeta = {"progress_token": "mine"}
"""Says that progress is wanted where a client in the same process, in the newer era, does not say it by itself."""


@asynccontextmanager
async def connected(  # noqa: PLR0913 - each replaces one part of the world
    sandbox: Sandbox | None = None,
    *,
    person: Person | None = None,
    era: Era = "auto",
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
    pages: bool = False,
    **settings: Any,
) -> AsyncIterator[Client]:
    """A client of a server on the sandbox; without a person it cannot ask anybody, unless it shows pages."""
    upstream = transport or httpx2.ASGITransport(app=(sandbox or Sandbox()).app)
    clock = clock or Clock()
    if person:
        person.clock = clock
    embedded = not {"api_key", "bearer_token"} & settings.keys()
    server = create_server(load_settings({}, sandbox=embedded, **settings), upstream, clock, clock)
    async with Client(server, elicitation_callback=person, mode=era, extensions=[SHOWS_PAGES] * pages) as client:
        yield client


async def asked(client: Client, tool: str, arguments: dict[str, Any]) -> InputRequiredResult:
    """The question about a call, in the newer era, for whoever is to answer it."""
    question = await client.session.call_tool(tool, arguments, allow_input_required=True)
    assert isinstance(question, InputRequiredResult), question
    return question


async def answered(
    client: Client, tool: str, arguments: dict[str, Any], question: InputRequiredResult, answer: ElicitResult
) -> CallToolResult | InputRequiredResult:
    """What becomes of that answer to the question, whoever asked it."""
    return await client.session.call_tool(
        tool,
        arguments,
        input_responses=dict.fromkeys(question.input_requests or {}, answer),
        request_state=question.request_state,
        allow_input_required=True,
    )


async def agreed(
    client: Client, tool: str, arguments: dict[str, Any], question: InputRequiredResult
) -> CallToolResult | InputRequiredResult:
    """What becomes of a yes to the question, whoever asked it."""
    return await answered(client, tool, arguments, question, ElicitResult(action="accept", content={"agree": True}))


def text(result: CallToolResult) -> str:
    """What a model reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def data(result: CallToolResult) -> dict[str, Any]:
    """What a program reads."""
    content: dict[str, Any] | None = result.structured_content
    assert content is not None, text(result)
    return content


def state_after(told: Mapping[str, Any]) -> dict[str, Any]:
    """The deployment as the result of a write left it: what it was before, with what is different."""
    return {n: v for n, v in {**told.get("before", {}), **told["after"]}.items() if v is not None}


async def read(client: Client, uri: str) -> dict[str, Any]:
    """The JSON of a resource."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mime_type == "application/json"
    return dict(json.loads(contents.text))


async def complete(client: Client, argument: str, value: str = "", **chosen: str) -> list[str]:
    """What is offered for an argument of the listing's template."""
    reference = ResourceTemplateReference(uri=LISTING_TEMPLATE)
    result = await client.complete(reference, {"name": argument, "value": value}, context_arguments=chosen or None)
    return result.completion.values


def audit_lines(log: Path) -> list[dict[str, Any]]:
    """What became of each attempt; the intents are left out."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] != "intent"]


async def work_through(client: Client) -> None:
    """The main job: list, read, create, update, toggle and delete."""
    rows = data(await client.call_tool("list_deployments", {"name": "orders", "per_page": 50}))["deployments"]
    row = next(row for row in rows if row["enabled"] and "virtual_environment_id" in row)
    ids = {"flow_version_id": row["flow_version_id"], "deployment_id": row["id"]}
    assert data(await client.call_tool("get_deployment", ids))["id"] == row["id"]
    for tool, more in (
        ("update_deployment", {"priority": 8}),
        ("disable_deployment", {}),
        ("enable_deployment", {}),
        ("delete_deployment", {}),
    ):
        result = await client.call_tool(tool, {**ids, **more})
        assert (data(result)["status"], data(result)["verified"]) == ("done", True), text(result)
    undo = data(result)["undo"]
    created = data(await client.call_tool(undo["tool"], undo["arguments"]))
    assert created["after"]["virtual_environment_id"] == row["virtual_environment_id"]
    gone = await client.call_tool("get_deployment", ids)
    assert gone.is_error
