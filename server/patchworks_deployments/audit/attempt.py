"""One attempt to change something, from its call to its lines in the audit log."""

import contextlib
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

from patchworks_deployments.audit.file import Room
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who
from patchworks_deployments.errors import AuditLogUnwritable

logger = logging.getLogger(__name__)

TELL_SECONDS = 2.0
"""Seconds for which an answer waits until subscribers are told of what it is about."""

_LACKS = {
    frozenset({"outcome"}): "Of {} the audit log has the intent and not the outcome: {}",
    frozenset({"intent"}): "Of {} the audit log has the outcome and not the intent: {}",
    frozenset({"intent", "outcome"}): "Nothing of {} is in the audit log: {}",
}
"""What a result says of the lines that could not be written, by which those are."""

_NOT_ARGUMENTS = {"reason", "confirmation_code"}
"""The reason has its own place; a code is a key and is not recorded."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write that is about to be sent: its `arguments`, the deployment as it is `before`, and who agreed to it.

    Of a create, `beside` holds the ids of what is deployed of the version already. The `account` is a digest that tells
    whose deployments these are.
    """

    arguments: Mapping[str, Any]
    before: Mapping[str, Any] | None
    beside: Sequence[str] | None
    confirmed_by: str
    account: str


@dataclass
class Attempt:
    """A call of a tool that changes something, or one of the several writes of such a call: its `step`.

    Room for its lines is kept before anything is sent. What is sent is recorded before, as its intent; and the attempt
    ends with a line, after which subscribers are told. The id of a step is that of its call and a number.
    """

    log: AuditLog
    tool: str
    arguments: Mapping[str, Any]
    who: Who
    id: str = field(default_factory=lambda: secrets.token_hex(5))
    call: "Attempt | None" = None
    """The one that this is a step of."""
    steps: "list[Attempt]" = field(default_factory=list)
    has_ended: bool = False
    account: str | None = None
    """Whose deployments it has set out to change; None as long as nothing was to be sent."""
    is_intended: bool = False
    """Whether its intent may be on record: also where a disk answers too late, or takes the line and fails to flush."""
    is_sent: bool = False
    is_in_doubt: bool = False
    """Whether something was sent that was not refused for certain."""
    trouble: str | None = None
    """Why no further step is to be taken, in words, where one could not be recorded or met an error of ours."""
    unrecorded: dict[str, AuditLogUnwritable] = field(default_factory=dict)
    """Which of its lines the audit log lacks, `intent` or `outcome`, and why."""
    answered: Mapping[str, Any] = field(default_factory=dict)
    """What was answered to its question, and after how long, as the line tells it."""
    _before: Mapping[str, Any] | None = None
    _started: float = field(default_factory=time.monotonic)
    _room: Room | None = None
    _then: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def keep_room(self, lines: int) -> None:
        """Keep room for its lines and those of its steps. Raises `AuditLogUnwritable`, and then nothing may be sent."""
        self._room = await self.log.keep_room(lines)

    def step(self, name: str, arguments: Mapping[str, Any]) -> "Attempt":
        """Begin one of the writes of this call: its lines call it `replace_deployment: delete`."""
        its_id = f"{self.id}/{len(self.steps) + 1}"
        step = Attempt(self.log, f"{self.tool}: {name}", arguments, self.who, its_id, call=self, _room=self._room)
        self.steps.append(step)
        return step

    @property
    def has_sent(self) -> bool:
        """Whether it has sent anything, be it in a step."""
        return self.is_sent or any(step.is_sent for step in self.steps)

    async def intend(self, intent: Intent) -> None:
        """Record a write before it is sent; once, should it be sent again because it certainly did not arrive.

        Raises `AuditLogUnwritable`, and then it may not be sent.
        """
        if self.is_intended and "intent" not in self.unrecorded:
            return
        self.is_intended, self.account, self._before = True, intent.account, intent.before
        line = {
            **self.log.head("intent", self.id, self.tool),
            "arguments": intent.arguments,
            "target": intent.arguments.get("deployment_id"),
            "before": intent.before,
            "beside": intent.beside,
            "confirmed_by": intent.confirmed_by,
            "reason": self.arguments.get("reason"),
            **self._origin(),
            "process": self.log.process,
        }
        try:
            await self.log.append(line, self._room, is_durable=True)
        except AuditLogUnwritable as error:
            self.unrecorded["intent"] = error
            raise
        self.unrecorded.pop("intent", None)
        if self.call:
            self.call.account = intent.account

    def then(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Have this done once the line stands."""
        self._then.append(tell)

    async def end(self, result: Mapping[str, Any]) -> None:
        """Record what became of it, whoever has gone away meanwhile, and tell subscribers."""
        self.has_ended = True
        with anyio.CancelScope(shield=True):
            await self._record(result)
            try:
                with anyio.move_on_after(TELL_SECONDS):
                    for tell in self._then:
                        await tell()
            except Exception:
                logger.exception("Subscribers were not told")

    async def _record(self, result: Mapping[str, Any]) -> None:
        # A refusal for which nothing was prepared costs its caller nothing, so there can be any number of them.
        if result.get("status") == "refused" and self._room is None and self.log.counts(self.who.caller):
            return
        event = "outcome" if self.is_intended else "call" if self.account else "attempt"
        line = {
            **self.log.head(event, self.id, self.tool),
            "outcome": result.get("status"),
            "arguments": {name: value for name, value in self.arguments.items() if name not in _NOT_ARGUMENTS},
            "target": self.arguments.get("deployment_id"),
            "before": result.get("before") or self._before,
            "after": result.get("after"),
            "verified": result.get("verified"),
            "confirmed_by": result.get("confirmed_by"),
            "answer": self.answered.get("answer"),
            "answer_milliseconds": self.answered.get("answer_milliseconds"),
            "reason": self.arguments.get("reason"),
            **self._origin(),
            "undo": result.get("undo"),
            "message": result.get("message"),
            "milliseconds": round((time.monotonic() - self._started) * 1000),
            **({"sent": result["sent"]} if "sent" in result else {}),  # where its outcome was found out later
        }
        try:
            await self.log.append(line, self._room, is_last=self.call is None)
        except AuditLogUnwritable as error:
            logger.error("%s %s: %s", self.tool, result.get("status"), error.what)  # noqa: TRY400 - the traceback says no more
            self.unrecorded["outcome"] = error

    def lacks_of_steps(self) -> Iterator[str]:
        """What the audit log lacks of the steps that were sent, in sentences."""
        lacking: defaultdict[frozenset[str], list[Attempt]] = defaultdict(list)
        for step in self.steps:
            if step.is_sent and step.unrecorded:
                lacking[frozenset(step.unrecorded)].append(step)
        for lines, steps in lacking.items():
            which = "a step" if len(steps) == 1 else f"{len(steps)} steps"
            yield _LACKS[lines].format(which, next(iter(steps[0].unrecorded.values())).what)

    def lacks(self) -> Iterator[str]:
        """What the audit log lacks of the attempt itself, in sentences."""
        if self.is_sent and self.unrecorded:
            yield _LACKS[frozenset(self.unrecorded)].format("this call", next(iter(self.unrecorded.values())).what)
        elif why := self.unrecorded.get("outcome"):
            yield f"The result of this call is missing in the audit log: {why.what}"

    def _origin(self) -> dict[str, Any]:
        return {"caller": self.who.caller, "client": self.who.client, "account": self.account}

    @contextlib.contextmanager
    def is_current(self) -> Iterator[None]:
        """Let `current_attempt` be this one meanwhile."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Attempt] = ContextVar("attempt")


def current_attempt() -> Attempt:
    """The attempt that the call being served is; there is none while it serves a tool that only looks."""
    return _current.get()
