"""When the garbage collector works."""

import gc
import subprocess
import sys

from support.clients import connected


def test_the_slow_start_is_not_interrupted() -> None:
    """What is imported stays, so looking through it for garbage would only cost time."""
    script = (
        "import patchworks_deployments.__main__, gc; before = gc.get_stats();"
        "import patchworks_deployments.serving.server; print(gc.get_stats() == before)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    assert ran.stdout == "True\n"


async def test_a_server_that_runs_collects() -> None:
    """Rarely, whatever has started it."""
    gc.disable()
    async with connected():
        assert gc.isenabled()
        assert gc.get_threshold()[0] == 20_000
