"""A sandbox, and clients that talk to it as Patchworks' documentation tells clients to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest
from support.sandboxes import Connect, FakeClock

from patchworks_deployments.sandbox import API_KEY, Sandbox
from patchworks_deployments.sandbox.account import Deployment, FlowVersion


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


@pytest.fixture
def enabled(sandbox: Sandbox) -> Deployment:
    return next(row for row in sandbox.account.deployments.values() if row.enabled_at and row.virtual_environment_id)


@pytest.fixture
def disabled(sandbox: Sandbox) -> Deployment:
    return next(row for row in sandbox.account.deployments.values() if not row.enabled_at)


@pytest.fixture
def inactive(sandbox: Sandbox) -> FlowVersion:
    return next(version for version in sandbox.account.flow_versions.values() if version.status == "Inactive")
