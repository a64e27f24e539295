"""What every test stands on: asyncio, no waiting between retries, and a server on a sandbox of its own."""

import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest
import stamina
from hypothesis import settings
from support import examples
from support.programs import program


def pytest_configure(config: pytest.Config) -> None:
    """Before the tests are imported: their decorators count on the profile."""
    settings.load_profile(examples.FAST if config.option.markexpr == "not slow" else examples.WHOLE)
    # A shell lets what it runs in the background ignore Ctrl-C, and what the tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Retries happen, as many as in production, but without the pauses between them."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real redis-server on a free port; where CI is set it has to be there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - found above
    assert process.stdout
    try:
        assert any("Ready to accept connections" in line for line in iter(process.stdout.readline, ""))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
