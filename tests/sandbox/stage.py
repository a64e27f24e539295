"""What the sandbox's fixtures and tests share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import httpx2

Connect: TypeAlias = Callable[..., httpx2.AsyncClient]


class FakeClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Let time pass: `advance(minutes=5)`."""
        self.now += timedelta(**duration)
