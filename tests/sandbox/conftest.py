"""A sandbox, and clients that talk to it as Patchworks' documentation tells clients to."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import httpx2
import pytest

from patchworks_deployments.sandbox import API_KEY, Sandbox

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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients of any sandbox, with any `authorization`; they are closed after the test."""
    async with AsyncExitStack() as stack:

        def open_client(
            sandbox: Sandbox, authorization: str | None = API_KEY, accept: str = "application/json"
        ) -> httpx2.AsyncClient:
            client = httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=sandbox.app),
                base_url="https://sandbox.example",
                headers={"Accept": accept} | ({"Authorization": authorization} if authorization else {}),
            )
            stack.push_async_exit(client)
            return client

        yield open_client


@pytest.fixture
def api(connect: Connect, sandbox: Sandbox) -> httpx2.AsyncClient:
    """A client with every right on `sandbox`."""
    return connect(sandbox)
