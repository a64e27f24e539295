"""Hosts as they deal with a question: what each shows of it, what it answers, and after how long."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import anyio

from support.clients import Clock
from support.wire import NEWER, Json, Version, Wire, envelope

ROOT_KEYS = {"$schema", "type", "properties", "required"}
"""The keys at the root of a requested schema that the strictest host knows."""

FIELD_KEYS = {
    "boolean": {"type", "title", "description", "default"},
    "string": {"type", "title", "description", "default", "minLength", "maxLength", "format"},
}
"""The keys of a field that it knows, by the field's type; other types it does not show."""

SHOWN_LINES, SHOWN_CHARACTERS = 3, 110
"""What the narrowest host shows of a message: so many lines of so many characters, blank ones counted."""


@dataclass(frozen=True)
class Question:
    """What a host was sent to show."""

    message: str
    schema: Json

    @property
    def field(self) -> tuple[str, Json]:
        """The one field of the form, and its name."""
        ((name, shown),) = self.schema["properties"].items()
        return name, shown

    @property
    def three_lines(self) -> list[str]:
        """What the narrowest host shows of the message."""
        return [line[:SHOWN_CHARACTERS] for line in self.message.split("\n")[:SHOWN_LINES]]

    @property
    def is_strict(self) -> bool:
        """Whether the host that parses strictly can show it."""
        fields = self.schema["properties"].values()
        fit = (shown.keys() <= FIELD_KEYS.get(shown.get("type"), set()) for shown in fields)
        return self.schema.keys() <= ROOT_KEYS and self.schema.get("type") == "object" and all(fit)

    @property
    def to_type(self) -> str:
        """The id that the field asks for."""
        told = re.search(r"[Tt]ype (\w+) ", self.field[1]["title"])
        assert told, self.field
        return told[1]


Reply: TypeAlias = Json
"""What a host sends in answer to a question: `{"result": ...}`, or `{"error": ...}`."""

CountsAs = Literal["yes", "no", "nobody", "unclear"]
"""What an answer is to the server: a person's yes, a person's no, that nobody was asked, or a no that may be either."""


@dataclass(frozen=True)
class Host:
    """How one kind of host deals with a question, and how that counts.

    `takes` are seconds between question and answer. `says` is what the model must read of what happened, and
    `says_newer` the same where the newer era knows no such answer. With `is_new_each_time` a host starts a process for
    every call; `can` is what it declares.
    """

    name: str
    reply: Callable[[Question], Reply]
    counts_as: CountsAs
    says: str
    takes: float = 3.0
    says_newer: str | None = None
    counts_newer: CountsAs | None = None
    can: Json = field(default_factory=lambda: {"elicitation": {"form": {}}})
    is_new_each_time: bool = False

    def __str__(self) -> str:
        return self.name

    def counts(self, version: Version) -> CountsAs:
        return (self.counts_newer if version == NEWER else None) or self.counts_as

    def reading(self, version: Version) -> str:
        return self.says if version != NEWER or self.says_newer is None else self.says_newer


def agree(question: Question) -> Reply:
    """Tick the box, or type the id."""
    name, shown = question.field
    return accept({name: True if shown["type"] == "boolean" else question.to_type})


def accept(content: Any) -> Reply:
    return {"result": {"action": "accept", "content": content}}


def _always(reply: Reply) -> Callable[[Question], Reply]:
    return lambda _: reply


def _result(value: Any) -> Callable[[Question], Reply]:
    return _always({"result": value})


def _error(code: int, message: str) -> Callable[[Question], Reply]:
    return _always({"error": {"code": code, "message": message}})


def _strict(question: Question) -> Reply:
    """Show what can be parsed to somebody who agrees, and cancel all else unseen."""
    return agree(question) if question.is_strict else {"result": {"action": "cancel"}}


def _with_more(question: Question) -> Reply:
    return accept({**agree(question)["result"]["content"], "comment": "fine", "sessionId": "x"})


def _wrongly(value: Any) -> Callable[[Question], Reply]:
    return lambda question: accept({question.field[0]: value})


NO_ANSWER = "with something that is no answer to it"
"""What the model reads of an answer that has no shape of one."""

HOSTS: Sequence[Host] = (
    Host("shows all, and the person agrees", agree, "yes", "verified"),
    Host("parses strictly, and the person agrees", _strict, "yes", "verified"),
    Host("ticks the box by itself in 5 ms", agree, "yes", "verified", takes=0.005),
    Host("sends more fields than it was asked for", _with_more, "yes", "verified"),
    Host("has an empty capability, as of old", agree, "yes", "verified", can={"elicitation": {}}),
    Host("starts a process for each call", agree, "yes", "verified", is_new_each_time=True),
    Host("the person declines", _result({"action": "decline"}), "no", "The person declined."),
    Host("the person cancels", _result({"action": "cancel"}), "no", "closed the question without answering"),
    Host("the person sends the box without a tick", _wrongly(False), "no", "without agreeing"),  # noqa: FBT003 - a box
    Host(
        "starts a process for each call, and says no",
        _result({"action": "decline"}),
        "no",
        "The person declined.",
        is_new_each_time=True,
        counts_newer="unclear",
        says_newer="whether a person saw it",
    ),
    Host("declines unseen", _result({"action": "decline"}), "nobody", "answered 'decline' after 5 ms", 0.005),
    Host("cancels unseen", _result({"action": "cancel"}), "nobody", "answered 'cancel' after 5 ms", 0.005),
    Host("sends the box without a tick unseen", _wrongly(False), "nobody", "'accept' after 5 ms", 0.005),  # noqa: FBT003
    Host("has no handler", _error(-32601, "Method not found"), "nobody", "error -32601", 0.005, NO_ANSWER),
    Host("has an internal error", _error(-32603, "Internal error"), "nobody", "error -32603", 3, NO_ANSWER),
    Host("has an error of its own", _error(-1, "User rejected elicitation"), "nobody", "error -1", 3, NO_ANSWER),
    Host("accepts an empty form", _result({"action": "accept", "content": {}}), "nobody", "without a filled-in form"),
    Host("accepts without a form", _result({"action": "accept"}), "nobody", "without a filled-in form"),
    Host("accepts with null for a form", _result({"action": "accept", "content": None}), "nobody", "filled-in form"),
    Host("fills in a text for a tick", _wrongly("yes"), "nobody", "without a filled-in form"),
    Host("fills in a number", _wrongly(7), "nobody", "without a filled-in form"),
    Host("fills in an object", _wrongly({"agree": True}), "nobody", NO_ANSWER),
    Host("sends a list for a form", _result({"action": "accept", "content": [True]}), "nobody", NO_ANSWER),
    Host("knows another action", _result({"action": "approve", "content": {"agree": True}}), "nobody", NO_ANSWER),
    Host("knows no action", _result({"content": {"agree": True}}), "nobody", NO_ANSWER),
    Host("answers with nothing", _result({}), "nobody", NO_ANSWER),
)
"""Hosts that answer a question, each in its way."""

NEVER_ASKED: Sequence[Host] = (
    Host("declares nothing", agree, "nobody", "cannot show questions", can={}),
    Host("shows web pages alone", agree, "nobody", "cannot show questions", can={"elicitation": {"url": {}}}),
)
"""Hosts that are not to be asked."""


@dataclass
class Told:
    """What came of a call: what each kind of host hands to its model, or the protocol's error."""

    result: Json = field(default_factory=dict)
    error: Json | None = None

    @property
    def text(self) -> str:
        return "\n".join(block["text"] for block in self.result.get("content", ()) if block["type"] == "text")

    @property
    def data(self) -> Json:
        """What a host reads that drops the text where there is this."""
        data: Json = self.result.get("structuredContent", {})
        return data

    @property
    def status(self) -> str:
        return str(self.data.get("status"))


@dataclass
class Visit:
    """A host at work on one wire: it makes calls, and deals with the questions that come.

    `pause` are seconds that really pass before each answer, where the server has a clock of its own.
    """

    host: Host
    version: Version
    clock: Clock
    pause: float = 0.0
    asked: list[Question] = field(default_factory=list)

    async def open(self, wire: Wire) -> None:
        await wire.open(self.version, self.host.can)

    async def call(self, wire: Wire, tool: str, arguments: Json, again: Wire | None = None) -> Told:
        """Call a tool to its end. Where a question ends the call, its answer goes to `again`, if there is one."""
        message = await self._ask_live(wire, self._call(tool, arguments))
        if "inputRequests" in message.get("result", {}):
            return await self.go_on(again or wire, message)
        return Told(message.get("result", {}), message.get("error"))

    async def ask(self, wire: Wire, tool: str, arguments: Json) -> Json:
        """Call a tool up to its question, and leave that open; the message that asks, with the id of the call."""
        params = self._call(tool, arguments)
        number = await wire.request("tools/call", params)
        message = await anext(wire.until_answered(number))
        asked = message.get("params") or _questions(message)[0]
        self.asked.append(Question(asked["message"], asked["requestedSchema"]))
        return {**message, "call": number, "made": params}

    async def go_on(self, wire: Wire, message: Json) -> Told:
        """Call again with the answers to the questions that ended a call, until no more come."""
        made = message["made"]
        while "inputRequests" in message.get("result", {}):
            replies = [await self._reply(asked) for asked in _questions(message)]
            answers = [reply.get("result", reply) for reply in replies]
            told = dict(zip(message["result"]["inputRequests"], answers, strict=True))
            message = await self._ask_live(
                wire, made | {"inputResponses": told, "requestState": message["result"]["requestState"]}
            )
        return Told(message.get("result", {}), message.get("error"))

    def _call(self, tool: str, arguments: Json) -> Json:
        meta = {"_meta": envelope(self.host.can)} if self.version == NEWER else {}
        return {"name": tool, "arguments": arguments, **meta}

    async def _ask_live(self, wire: Wire, params: Json) -> Json:
        """The answer to a call, in which the questions that come meanwhile are answered."""
        number = await wire.request("tools/call", params)
        async for message in wire.until_answered(number):
            if message.get("method") == "elicitation/create":
                await wire.answer(message, await self._reply(message["params"]))
        return {**message, "made": params}

    async def _reply(self, asked: Json) -> Reply:
        question = Question(asked["message"], asked["requestedSchema"])
        self.asked.append(question)
        self.clock.now += self.host.takes
        await anyio.sleep(self.pause)
        return self.host.reply(question)


def _questions(message: Json) -> list[Json]:
    return [request["params"] for request in message["result"]["inputRequests"].values()]
