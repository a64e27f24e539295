"""The time of a call: when it ends, what it waits for, and a sign of life meanwhile; and many requests at once."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import anyio
import anyio.lowlevel
import stamina

from patchworks_deployments.api.failures import asks_to_wait, retry_wait, throttle_wait
from patchworks_deployments.errors import NoAnswer, OutOfTime, Throttled, Unavailable, Unreachable
from patchworks_deployments.startup import alone, stop_of_what_finishes

Argument = TypeVar("Argument")
Outcome = TypeVar("Outcome")

MAX_CONCURRENT_REQUESTS = 8
"""Requests under way for one call: polite to a throttled API, and far below the client's connection limit."""

READ_SECONDS = 45.0
"""Seconds for which a call reads and waits: most hosts give up on a call after 60."""

CALL_SECONDS = 55.0
"""Seconds after which a call that sends something has ended: it is sent only if it can be read back until then."""

WRITE_SECONDS = 40.0
"""Seconds after which what was sent is no longer looked for; a replacement looks at its place once more then."""

PATIENCE_SECONDS = 360.0
"""Seconds that a call takes at most if its host hears of its progress, or if it must not stop halfway."""

ANSWER_SECONDS = 5.0
"""Seconds that must be left for an answer: with less, nothing is tried again."""

GLANCE_SECONDS = 5.0
"""Seconds for an answer to a look that is repeated anyway, so that there is time for another where one hangs, or that
only makes an error say more."""

MAX_PAUSE_SECONDS = 65.0
"""Seconds: Laravel throttles by the minute. A longer `Retry-After` is reported instead of waited for."""

PAUSES_SECONDS = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds to wait, the first time and so on, where Patchworks throttles and does not say for how long."""

ATTEMPTS = 3
RETRY = stamina.AsyncRetryingCaller(attempts=ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3)
"""Waits are in seconds, and longer where Patchworks asks for it."""

RETRY_SECONDS = 25.0
"""Seconds after which a request is not made again: who has got no answer until then seldom gets one later."""

RETRY_UNSENT = stamina.AsyncRetryingCaller(
    attempts=1 + len(PAUSES_SECONDS), timeout=None, wait_initial=2.0, wait_max=30.0
)
"""Tries what was not done on top of these attempts; waits are in seconds."""

MIN_TOLD_SECONDS = 2.0
"""Seconds from which on an error says how long was waited."""

BEAT_SECONDS = 3.0
"""Seconds between two signs of life of a call that waits."""

Progress = Callable[[float, float | None], Awaitable[None]]
"""Is told how many steps are done, and of how many, where that is known."""

Listener = Callable[[float, float | None, str | None], Awaitable[None]]
"""Hears the same, and words beside it, on behalf of the host that has asked for progress."""


# Time ---------------------------------------------------------------------------------------------


class Deadline:
    """When a call ends. Its time begins anew with each step of which its host hears, for `PATIENCE_SECONDS` in all.

    Hosts that hear nothing give up on a call after a minute. So do some that hear of its progress; a call that they
    give up goes on to the end of what it has sent, and its audit log says what it did.
    """

    def __init__(self, seconds: float, *, must_finish: bool = False) -> None:
        self._seconds = seconds
        self._began = self._since = anyio.current_time()
        self.must_finish = must_finish

    @property
    def waited(self) -> float:
        """Seconds since the call began, or a person answered."""
        return anyio.current_time() - self._began

    @property
    def left(self) -> float:
        """Seconds for which it still reads and waits."""
        return self._since + self._seconds - anyio.current_time()

    @property
    def left_to_send(self) -> float:
        """Seconds within which what it sends has to be answered and read back."""
        return self.left + CALL_SECONDS - READ_SECONDS

    def restart(self) -> None:
        """Count from now, because a person has answered."""
        self._began = self._since = anyio.current_time()

    def finish(self) -> None:
        """Let it go on for `PATIENCE_SECONDS` from now, once, whoever waits: stopping would leave things halfway."""
        if not self.must_finish:
            self.must_finish, self._since, self._seconds = True, anyio.current_time(), PATIENCE_SECONDS

    def go_on(self, pause: float = 0.0) -> None:
        """Count anew from the end of a pause in seconds, because the host hears that it goes on."""
        latest = self._began + PATIENCE_SECONDS - self._seconds
        self._since = max(self._since, min(anyio.current_time() + pause, latest))

    def has_time_for(self, pause: float) -> bool:
        """Whether Patchworks, which asks to wait for so many seconds, can be asked again after that."""
        if self.must_finish or _signs.get():
            self.go_on(pause)
        return self.left >= pause + ANSWER_SECONDS


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def deadline() -> Deadline:
    """The deadline of the call that is served, or a new one outside of a call."""
    return _deadline.get() or Deadline(READ_SECONDS)


@contextlib.contextmanager
def ending(at: Deadline) -> Iterator[Deadline]:
    """Have what is asked in the body end with this deadline."""
    token = _deadline.set(at)
    try:
        yield at
    finally:
        _deadline.reset(token)


def reading_back(sent: float) -> contextlib.AbstractContextManager[Deadline]:
    """Read back what was sent at this time (of the event loop), within the time of the call, or with one glance."""
    left = min(sent + WRITE_SECONDS - anyio.current_time(), deadline().left_to_send)
    return ending(Deadline(max(left, GLANCE_SECONDS), must_finish=deadline().must_finish))


@contextlib.asynccontextmanager
async def serving_call(seconds: float, listener: Listener | None) -> AsyncIterator[None]:
    """Give a call its time in seconds, and its host, if that listens, signs of life between the steps."""
    with ending(Deadline(seconds)):
        if listener is None:
            yield
            return
        signs = _Signs(listener)
        token, task = _signs.set(signs), asyncio.create_task(signs.beat())
        try:
            yield
        finally:
            task.cancel()
            _signs.reset(token)


# Signs of life ------------------------------------------------------------------------------------


class _Signs:
    """What a host hears of a call: ever higher numbers, as the protocol wants them."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._done = 0.0
        self._of: float | None = None
        self.waits_until = 0.0
        """When, in the event loop's time, the call asks Patchworks again, which throttles."""
        self.waits_for: str | None = None
        """What else it waits for, in words."""

    async def tell(self, done: float, of: float | None, words: str | None = None) -> None:
        if done <= self._done:
            return
        self._done, self._of = done, of
        # Whoever has gone away needs no sign of life; the call goes on without.
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._listener(self._done, of, words)

    async def beat(self) -> None:
        while True:
            await anyio.sleep(BEAT_SECONDS)
            pause = math.ceil(self.waits_until - anyio.current_time())
            words = f"Patchworks throttles: waiting {pause} s more" if pause > 0 else self.waits_for
            await self.tell(round(self._done + 0.001, 3), self._of, words)  # some hosts show the number


_signs: ContextVar[_Signs | None] = ContextVar("signs", default=None)


async def report(done: float, total: float | None) -> None:
    """Tell the host, if it listens, that so many steps are done: the call is worth waiting for."""
    if signs := _signs.get():
        deadline().go_on()
        await signs.tell(done, total)


def told_to_wait(seconds: float) -> None:
    """Have the host, if it listens, hear why nothing happens for so many seconds."""
    if signs := _signs.get():
        signs.waits_until = max(signs.waits_until, anyio.current_time() + seconds)


def told_what_for(words: str | None) -> None:
    """Have the host, if it listens, hear for what the call waits; None where that is over."""
    if signs := _signs.get():
        signs.waits_for = words


# Many, and again ----------------------------------------------------------------------------------


async def each(function: Callable[[Argument], Awaitable[Outcome]], arguments: Iterable[Argument]) -> list[Outcome]:
    """`function` of each argument, in order, several at a time; the first error stops the rest and is raised.

    A cancellation takes effect before the next call, even where no call ever has to wait.
    """
    waiting = enumerate(arguments)
    outcomes: dict[int, Outcome] = {}

    async def work() -> None:
        for index, argument in waiting:
            await anyio.lowlevel.checkpoint_if_cancelled()
            outcomes[index] = await function(argument)

    with alone():
        async with anyio.create_task_group() as group:
            for _ in range(MAX_CONCURRENT_REQUESTS):
                group.start_soon(work)
    return [outcomes[index] for index in sorted(outcomes)]


async def retried(
    attempt: Callable[[], Awaitable[Outcome]], *, seconds_to_send: float | None = None, is_glancing: bool = False
) -> Outcome:
    """Make a request, and again where `retry_wait` says so and the call has time for it.

    `seconds_to_send` is how long a write may take, which once begun is never cut short, because nobody would know what
    became of it. One who `is_glancing` tries again only where Patchworks throttles. Raises `OutOfTime` for a write that
    could not be answered and read back before the call ends.
    """
    is_read = seconds_to_send is None
    needed = ANSWER_SECONDS if seconds_to_send is None else seconds_to_send + GLANCE_SECONDS
    began = anyio.current_time()

    def wait(error: Exception) -> bool | float:
        pause, is_throttled = retry_wait(error, is_read=is_read), asks_to_wait(error, is_read=is_read)
        left = (ends.left if is_read else ends.left_to_send) - needed
        left = min(left, began + RETRY_SECONDS - anyio.current_time())
        if pause is False or left < pause or (is_glancing and not is_throttled):
            return False
        if is_throttled:
            told_to_wait(pause)
        return pause

    with ending(deadline()) as ends:
        if not is_read and ends.left_to_send < needed:
            raise OutOfTime(f"It was not sent, because {ends.waited:.0f} seconds had passed before that.")
        try:
            stop = None if is_read else stop_of_what_finishes()
            return await (stop.let_try(RETRY, wait, attempt) if stop else RETRY(wait, attempt))
        except (NoAnswer, Throttled, Unavailable, Unreachable) as error:
            if is_read and not is_glancing and ends.waited >= MIN_TOLD_SECONDS:
                error.what += f" This call has waited {ends.waited:.0f} seconds."
            raise


async def patiently(attempt: Callable[[], Awaitable[Outcome]], *, unreachable_seconds: float = 0.0) -> Outcome:
    """Make the attempt, and again, later, while the API throttles, or, for so many seconds, cannot be reached.

    An API that throttles says that nothing was done. Raises its error when there is no time for the pause that it asks
    for, and `Unreachable`.
    """
    gives_up = anyio.current_time() + unreachable_seconds
    untold = iter(PAUSES_SECONDS)

    def pause(error: Exception) -> bool | float:
        if not asks_to_wait(error):
            return isinstance(error, Unreachable) and anyio.current_time() < gives_up
        wait = throttle_wait(error, MAX_PAUSE_SECONDS)
        seconds = next(untold, False) if wait is True else wait
        if not seconds or not ends.has_time_for(seconds):
            return False
        told_to_wait(seconds)
        return seconds

    with ending(deadline()) as ends:
        return await RETRY_UNSENT(pause, attempt)
