"""One attempt to change something, from its call to its line in the audit log."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio

from patchworks_deployments.audit.file import Room
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who
from patchworks_deployments.errors import AuditLogUnwritable

TELL_SECONDS = 2.0
"""Seconds for which an answer waits until subscribers are told of what it is about."""


@dataclass
class Attempt:
    """A call of a tool that changes something, or one of the several writes of such a call: its `step`.

    Room for its lines is kept before anything is sent, and it ends with a line, after which subscribers are told.
    """

    log: AuditLog
    tool: str
    arguments: Mapping[str, Any]
    who: Who
    is_step: bool = False
    has_ended: bool = False
    answered: Mapping[str, Any] = field(default_factory=dict)
    """What was answered to its question, and after how long, as the line tells it."""
    _started: float = field(default_factory=time.monotonic)
    _room: Room | None = None
    _then: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def keep_room(self, lines: int) -> None:
        """Keep room for its line and those of its steps. Raises `AuditLogUnwritable`, and then nothing may be sent."""
        self._room = await self.log.keep_room(lines)

    def step(self, name: str, arguments: Mapping[str, Any]) -> "Attempt":
        """Begin one of the writes of this call: its line calls it `replace_deployment: delete`."""
        return Attempt(self.log, f"{self.tool}: {name}", arguments, self.who, is_step=True, _room=self._room)

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
        seconds = time.monotonic() - self._started
        line = (self.tool, self.arguments, {**result, **self.answered}, self.who, seconds)
        return await self.log.record(*line, self._room, is_last=not self.is_step)

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
