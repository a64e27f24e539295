"""What every test stands on: asyncio, no waiting between retries, and a server on a sandbox of its own."""

from collections.abc import Iterator

import pytest
import stamina
from hypothesis import settings

settings.register_profile("without deadlines", deadline=None)  # a busy machine is no failure
settings.load_profile("without deadlines")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Retries happen, as many as in production, but without the pauses between them."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield
