"""A browser, a sandbox and a server on it, for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser
from support.host import browsing
from support.team import Served, on_loopback, serving

from patchworks_deployments.sandbox import API_KEY, Sandbox


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """For a module, as what follows lives as long."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as it:
        yield it


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture(scope="module")
async def served(sandbox: Sandbox) -> AsyncIterator[Served]:
    """A server in a process of its own, over HTTP, whose Patchworks is the sandbox."""
    async with on_loopback(sandbox.app) as upstream:
        with serving(PATCHWORKS_BASE_URL=upstream, PATCHWORKS_API_KEY=API_KEY) as it:
            yield it
