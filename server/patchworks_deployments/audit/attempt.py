"""One attempt to change something, from its call to its lines in the audit log."""

import contextlib
import logging
import secrets
import time
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

_NOT_ARGUMENTS = {"reason", "confirmation_code"}
"""The reason has its own place; a code is a key and is not recorded."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write that is about to be sent: its `arguments`, the deployment as it is `before`, and who agreed to it.

    Of a create, `beside` holds the ids of what is deployed of the version in its place already. The `account` is a
    digest that tells whose deployments these are.
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
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    call: "Attempt | None" = None
    """The one that this is a step of."""
    has_ended: bool = False
    account: str | None = None
    """Whose deployments it has set out to change; None as long as nothing was sent."""
    answered: Mapping[str, Any] = field(default_factory=dict)
    """What was answered to its question, and after how long, as the line tells it."""
    _is_intended: bool = False
    _before: Mapping[str, Any] | None = None
    _steps: int = 0
    _started: float = field(default_factory=time.monotonic)
    _room: Room | None = None
    _then: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def keep_room(self, lines: int) -> None:
        """Keep room for its lines and those of its steps. Raises `AuditLogUnwritable`, and then nothing may be sent."""
        self._room = await self.log.keep_room(lines)

    def step(self, name: str, arguments: Mapping[str, Any]) -> "Attempt":
        """Begin one of the writes of this call: its lines call it `replace_deployment: delete`."""
        self._steps += 1
        its_id = f"{self.id}/{self._steps}"
        return Attempt(self.log, f"{self.tool}: {name}", arguments, self.who, its_id, call=self, _room=self._room)

    async def intend(self, intent: Intent) -> None:
        """Record a write before it is sent; once, should it be sent again because it certainly did not arrive.

        Raises `AuditLogUnwritable`, and then it may not be sent.
        """
        if self._is_intended:
            return
        line = {
            **self.log.head("intent", self.id, self.tool),
            "arguments": intent.arguments,
            "target": intent.arguments.get("deployment_id"),
            "before": intent.before,
            "beside": intent.beside,
            "confirmed_by": intent.confirmed_by,
            "reason": self.arguments.get("reason"),
            **self._origin(intent.account),
            "process": self.log.process,
        }
        await self.log.append(line, self._room, is_durable=True)
        self._is_intended, self.account, self._before = True, intent.account, intent.before
        if self.call:
            self.call.account = intent.account

    def then(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Have this done once the line stands."""
        self._then.append(tell)

    async def end(self, result: Mapping[str, Any]) -> AuditLogUnwritable | None:
        """Record what became of it, whoever has gone away meanwhile; and what kept that from being recorded."""
        self.has_ended = True
        with anyio.CancelScope(shield=True):
            trouble = await self._record(result)
            with anyio.move_on_after(TELL_SECONDS):
                for tell in self._then:
                    await tell()
        return trouble

    async def _record(self, result: Mapping[str, Any]) -> AuditLogUnwritable | None:
        # A refusal for which nothing was prepared costs its caller nothing, so there can be any number of them.
        if result.get("status") == "refused" and self._room is None and self.log.counts(self.who.caller):
            return None
        event = "outcome" if self._is_intended else "call" if self.account else "attempt"
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
            **self._origin(self.account),
            "undo": result.get("undo"),
            "message": result.get("message"),
            "milliseconds": round((time.monotonic() - self._started) * 1000),
        }
        try:
            await self.log.append(line, self._room, is_last=self.call is None)
        except AuditLogUnwritable as error:
            logger.error("%s %s: %s", self.tool, result.get("status"), error.what)  # noqa: TRY400 - the traceback says no more
            return error
        return None

    def _origin(self, account: str | None) -> dict[str, Any]:
        return {"caller": self.who.caller, "client": self.who.client, "account": account}

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
