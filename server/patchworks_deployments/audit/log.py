"""The audit log of a process: what is written to its file, without holding up anybody, and how much of it."""

import contextlib
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import TaskGroup

from patchworks_deployments.audit import reading
from patchworks_deployments.audit.file import Room, append_to
from patchworks_deployments.audit.line import head_of, line_of
from patchworks_deployments.audit.process import Presence, left_behind
from patchworks_deployments.errors import AuditLogUnreadable, AuditLogUnwritable

logger = logging.getLogger(__name__)

DISK_SECONDS = 5.0
"""Seconds for which a call waits until the disk has taken a line, or kept room for its lines."""

READ_SECONDS = 10.0
"""Seconds for which a call waits for what the log tells; reading all of it takes one or two."""

MAX_REFUSALS = 60
"""Calls of one caller, refused within `REFUSALS_SECONDS`, that have a line each; one more line counts all others."""

REFUSALS_SECONDS = 60.0

KEPT_LINES = 2_000
"""Lines about what was sent that are kept in memory where there is no file: of a thousand writes."""

T = TypeVar("T")


@dataclass
class _Refusals:
    """How many calls of a caller were refused since a time: with a line each, and those that are only counted."""

    since: float
    recorded: int = 0
    counted: int = 0

    @property
    def are_over(self) -> bool:
        return time.monotonic() - self.since >= REFUSALS_SECONDS


class AuditLog:
    """Appends to one file, each line in one write and unbuffered, so several processes can share it.

    What the disk does is done in a thread, so that a slow one holds up no other call. No file is locked: a lock that
    somebody else holds would stop every write, and the system appends in one piece what is written at once. Without a
    path the last `KEPT_LINES` lines about what was sent are kept in memory. The `clock` tells seconds since the epoch.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self.process = secrets.token_hex(6)
        """Tells this process from all others that share the file."""
        self._presence = Presence(path, self.process) if path else None
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._turn = anyio.Lock()
        self._is_hanging = False
        self._reading = anyio.Lock()
        self._refusals: OrderedDict[str, _Refusals] = OrderedDict()
        self._counting: TaskGroup | None = None

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Record at most `MAX_REFUSALS` refused calls of a caller each minute, and count the others, meanwhile."""
        async with anyio.create_task_group() as self._counting:
            try:
                yield
            finally:
                self._counting.cancel_scope.cancel()
                if self._presence and self._presence.is_shown:
                    with contextlib.suppress(AuditLogUnwritable):
                        await self._on_disk(self._presence.end)
        self._counting = None

    async def keep_room(self, lines: int) -> Room | None:
        """Keep room for so many lines. Raises `AuditLogUnwritable` where there is none."""
        if (path := self._path) is None:
            return None
        is_wanted = True

        def keep() -> Room:
            room = Room(path, lines)
            if not is_wanted:
                room.close()
            return room

        try:
            return await self._on_disk(keep)
        except AuditLogUnwritable:
            is_wanted = False  # should it come after all
            raise

    async def ensure_writable(self) -> None:
        """Raise `AuditLogUnwritable` if a line could not be recorded."""
        if room := await self.keep_room(1):
            await self._on_disk(room.close)

    def now(self) -> datetime:
        """The time, in UTC, as its lines tell it."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def head(self, event: str, of: str, tool: str | None) -> dict[str, Any]:
        """The fields that a line of now begins with: see `head_of`."""
        return head_of(event, of, tool, self.now())

    async def append(
        self, fields: Mapping[str, Any], room: Room | None, *, is_last: bool = False, is_durable: bool = False
    ) -> None:
        """Append a line with these fields, in its room if that was kept. Raises `AuditLogUnwritable`.

        What is left of the room after the last line is given up. One that `is_durable` outlasts a loss of power.
        """
        if (path := self._path) is None or (presence := self._presence) is None:
            if fields["event"] != "attempt":
                self._kept.append(line_of(fields))
            return

        def append() -> None:
            line, closing = line_of(fields), contextlib.closing(room) if room and is_last else contextlib.nullcontext()
            with presence.recording(fields["event"], fields["id"]), closing:
                room.append(line, is_durable=is_durable) if room else append_to(path, line)

        await self._on_disk(append)

    async def read(self, work: Callable[[], T]) -> T:
        """What the work makes of the lines; one is done at a time, in a thread. Raises `AuditLogUnreadable`."""
        async with self._reading:
            try:
                with anyio.fail_after(READ_SECONDS):
                    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
            except TimeoutError:
                raise AuditLogUnreadable("The audit log cannot be read (its disk does not answer).") from None
            except OSError as error:
                raise AuditLogUnreadable(f"The audit log cannot be read ({error.strerror}).") from error

    def left_behind(self) -> list[Path]:
        """The files of processes that have begun to change something, and have not ended in order."""
        return left_behind(self._path) if self._path else []

    def blocks_backwards(self) -> Iterator[bytes]:
        """Its lines, many at once, the newest first; without a path those of this process, about what it has sent.

        For a thread that somebody waits for. Raises `OSError`.
        """
        for block in reading.blocks_backwards(self._path) if self._path else [b"\n".join(self._kept)]:
            anyio.from_thread.check_cancelled()  # else calls that are called off at once could pile up threads
            yield block

    @property
    def has_more(self) -> bool:
        """Whether older lines exist that are not read: those of packed files, or more than memory keeps."""
        return reading.has_packed(self._path) if self._path else len(self._kept) == self._kept.maxlen

    @property
    def is_kept(self) -> bool:
        """Whether it outlasts the process."""
        return self._path is not None

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Do it in a thread, one thing after another. Raises `AuditLogUnwritable`."""

        def work_and_tell() -> T:
            self._is_hanging = True
            try:
                return work()
            finally:
                self._is_hanging = False

        try:
            with anyio.fail_after(DISK_SECONDS, shield=True):
                async with self._turn:
                    if self._is_hanging:  # a thread that nobody waits for any more
                        raise TimeoutError  # noqa: TRY301 - it is one more way not to be in time
                    return await anyio.to_thread.run_sync(work_and_tell, abandon_on_cancel=True)
        except TimeoutError:
            raise AuditLogUnwritable("The audit log cannot be written (its disk does not answer).") from None
        except OSError as error:
            raise AuditLogUnwritable(f"The audit log cannot be written ({error.strerror}).") from error

    def counts(self, caller: str) -> bool:
        """Whether one more refused call of this caller is only counted, for a line that comes when a minute is over."""
        if self._path is None or self._counting is None:
            return False
        while self._refusals and next(iter(self._refusals.values())).are_over:
            self._refusals.popitem(last=False)
        refusals = self._refusals.setdefault(caller, _Refusals(time.monotonic()))
        if refusals.recorded < MAX_REFUSALS:
            refusals.recorded += 1
            return False
        refusals.counted += 1
        if refusals.counted == 1:
            self._counting.start_soon(self._tell_how_many, caller, refusals)
        return True

    async def _tell_how_many(self, caller: str, refusals: _Refusals) -> None:
        """Record it once their minute is over, or the server stops."""
        try:
            await anyio.sleep(refusals.since + REFUSALS_SECONDS - time.monotonic())
        finally:
            if self._refusals.get(caller) is refusals:
                del self._refusals[caller]
            seconds = time.monotonic() - refusals.since
            said = f"{refusals.counted} more calls of this caller were refused in this time, without a line for each."
            with contextlib.suppress(AuditLogUnwritable):
                line = {"outcome": "refused", "caller": caller, "message": said, "milliseconds": round(seconds * 1000)}
                await self.append({**self.head("attempt", secrets.token_hex(6), None), **line}, None)
