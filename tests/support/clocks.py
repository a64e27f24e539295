"""Clocks that stand still until a test moves them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """Seconds, moved by hand: since the epoch where codes expire, since anything where keys and limits do."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class FakeClock:
    """The sandbox's time of day."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Let time pass: `advance(minutes=5)`."""
        self.now += timedelta(**duration)
