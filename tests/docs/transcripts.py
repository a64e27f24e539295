"""Playing the transcripts of the pages against a fresh server on a sandbox whose clock stands still.

    > disable_deployment {"flow_version_id": "1001", "deployment_id": "500"}     a call of a tool
      | Disable this deployment: ...                                             what the server asks the person
      The person ticks the box.                                                  what they do
    Disabled, and verified by reading back.                                      the text of the result

`> /stop_environment DE Sandbox` is a prompt with its first argument, `$ patchworks-deployments-mcp check` a command,
`# The host watches URI.` a subscription, and `! URI has changed.` what comes of it. `# The next day, in another
conversation.` ends the server, moves all clocks and starts another one on the same account and audit log. In a
conversation with `# The person clicks "Yes, do this" in the page.` the host shows pages; what follows is the text of
that click's result. A line `...` stands for lines that are left out, and `...` within a line for words.
"""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitResult, TextContent
from support.clicks import click
from support.clients import Clock, Person, connected, text

from patchworks_deployments.sandbox import Sandbox

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
"""What the sandbox takes for the time, an hour and a half after its newest deployment."""

PROGRAM = "patchworks-deployments-mcp"
CLONE = ["python3", "server"]
"""The same from a clone; `tests/commands/test_clone.py` runs that."""
ASKED = "  | "
NEXT_DAY = "# The next day, in another conversation."
CLICKS = '# The person clicks "Yes, do this" in the page.'
WATCHES = re.compile(r"# The host watches (\S+)\.")
DOES = re.compile(r"  The person (ticks the box|types (\S+)|declines)\.")


@dataclass
class Turn:
    """One thing that is said to the server, and what the page says a person does when they are asked."""

    said: str
    answer: str = ""


def is_transcript(lines: Sequence[str]) -> bool:
    return lines[0].startswith(("> ", "$ ", "# The host watches"))


def turns(lines: Iterable[str]) -> list[Turn]:
    """The turns of a transcript; a remark such as `# The host watches ...` is one too."""
    found: list[Turn] = []
    for line in lines:
        if line.startswith(("> ", "$ ", "# ", "! ")):
            found.append(Turn(line))
        elif DOES.fullmatch(line):
            found[-1].answer = line
    return found


async def play(lines: Sequence[str], log: Path) -> list[str]:
    """The transcript as the server writes it today; `log` is its audit log."""
    if lines[0].startswith("$ "):
        return list(itertools.chain.from_iterable([turn.said, *_run(turn.said)] for turn in turns(lines)))
    can_ask = any(line.startswith(ASKED.rstrip()) for line in lines)
    player = _Player(shows_pages=CLICKS in lines)
    person = Person(player.answer) if can_ask else None
    said = iter(turns(lines))
    while await _conversation(player, person, said, log):
        player.now += timedelta(days=1)
    return player.written


async def _conversation(player: "_Player", person: Person | None, said: Iterator[Turn], log: Path) -> bool:
    """Play one, with a server of its own; whether another one follows."""
    clock = Clock(player.now.timestamp())
    async with AsyncExitStack() as stack:
        pages = player.shows_pages
        server = connected(player.sandbox, person=person, pages=pages, clock=clock, audit_log=log)
        player.client = await stack.enter_async_context(server)
        for turn in said:
            player.turn = turn
            if turn.said == NEXT_DAY:
                player.written.append(turn.said)
                return True
            if watched := WATCHES.fullmatch(turn.said):
                player.updates = await stack.enter_async_context(_updates(player.client, watched[1]))
            player.written += [turn.said, *await player.take()]
    return False


def _run(said: str) -> list[str]:
    """What a command of ours prints, with nothing of Patchworks in the environment but what the line sets."""
    words = shlex.split(said.removeprefix("$ "))
    given = dict(itertools.takewhile(lambda pair: pair[0].isupper(), (word.partition("=")[::2] for word in words)))
    words = words[len(given) :]
    assert words[:1] == [PROGRAM] or words[:2] == CLONE
    arguments = words[1:] if words[0] == PROGRAM else words[2:]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWORKS_")}
    outcome = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "patchworks_deployments", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env={**clean, **given},
        check=False,
    )
    return [*outcome.stdout.splitlines(), *outcome.stderr.splitlines()]


@asynccontextmanager
async def _updates(client: Client, uri: str) -> AsyncIterator[AsyncIterator[Any]]:
    async with client.listen(resource_subscriptions=[uri]) as updates:
        yield updates


class _Player:
    """Takes one turn after the other; codes and states of earlier results replace those of the page."""

    client: Client
    turn: Turn
    updates: AsyncIterator[Any]
    result: CallToolResult

    def __init__(self, *, shows_pages: bool) -> None:
        self.shows_pages = shows_pages
        self.written: list[str] = []
        self.asked: list[str] = []
        self.code = ""
        self.states: dict[str, str] = {}
        """The state that each undo asks for that was told of, by what else it asks."""
        self.now = NOW
        self.sandbox = Sandbox(clock=lambda: self.now)

    def answer(self, question: ElicitRequestFormParams) -> ElicitResult:
        """Do what the page says the person does."""
        self.asked.append(question.message)
        does = DOES.fullmatch(self.turn.answer)
        assert does, f"the page does not say what the person does after {self.turn.said}"
        if does[1] == "declines":
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"typed_id": does[2]} if does[2] else {"agree": True})

    async def take(self) -> list[str]:
        """The lines that follow the turn's first."""
        said = self.turn.said
        if said == CLICKS:
            return text(await click(self.client, self.result)).splitlines()
        if said.startswith("# "):
            return []
        if said.startswith("! "):
            return await self._hear()
        if said.startswith("> /"):
            return await self._prompt(*said.removeprefix("> /").split(" ", 1))
        return await self._call(*said.removeprefix("> ").split(" ", 1))

    async def _hear(self) -> list[str]:
        with anyio.fail_after(10):
            update = await anext(self.updates)
        assert isinstance(update, ResourceUpdated)
        assert self.turn.said == f"! {update.uri} has changed."
        return []

    async def _prompt(self, name: str, value: str = "") -> list[str]:
        prompts = {prompt.name: prompt for prompt in (await self.client.list_prompts()).prompts}
        arguments = {argument.name: value for argument in (prompts[name].arguments or [])[:1] if value}
        messages = (await self.client.get_prompt(name, arguments)).messages
        return [message.content.text for message in messages if isinstance(message.content, TextContent)]

    async def _call(self, tool: str, arguments: str = "{}") -> list[str]:
        given = json.loads(arguments)
        if "confirmation_code" in given:
            given["confirmation_code"] = self.code
        if "if_state" in given:
            given["if_state"] = self.states.get(_asked(given), "")
        self.result = result = await self.client.call_tool(tool, given)
        content = result.structured_content or {}
        self.code = content.get("confirmation_code", self.code)
        undo = content.get("undo") or []
        for call in undo if isinstance(undo, list) else [undo]:
            self.states[_asked(call["arguments"])] = call["arguments"].get("if_state", "")
        asked = [f"{ASKED}{line}".rstrip() for question in self.asked for line in question.splitlines()]
        if asked:
            asked.append(self.turn.answer)
        self.asked.clear()
        return [*asked, *text(result).splitlines()]


def _asked(arguments: dict[str, Any]) -> str:
    """What is the same in every run of the arguments of an undo."""
    asked = {name: value for name, value in arguments.items() if name not in {"if_state", "reason"}}
    return json.dumps(asked, sort_keys=True)


# Comparing ----------------------------------------------------------------------------------------

_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[a-z2-7]{20}\b"), "(code)"),
    (re.compile(r"\b(?:[0-9a-f]{10}|[0-9a-f]{12})\b"), "(state)"),
    (re.compile(r"\b\d+ ms\b|(?<=gap_milliseconds: )\d+"), "(some) ms"),
)


def _masked(lines: Iterable[str]) -> str:
    """One text in which digests and durations are the same in every run."""
    whole = "\n".join(lines) + "\n"
    for varying, mask in _VARYING:
        whole = varying.sub(mask, whole)
    return whole


def agrees(written: Sequence[str], played: Sequence[str]) -> bool:
    """Whether the page's lines are those that were played, however broken, but for what the page leaves out."""
    pattern = "".join(map(_pattern, _masked(written).splitlines()))
    return re.fullmatch(pattern, _masked(played)) is not None


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"[\s\S]*"
    return r"\s*" + r"\s+".join(re.escape(word).replace(r"\.\.\.", ".*") for word in line.split()) + r"\s+"
