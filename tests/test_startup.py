"""When the garbage collector works."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from patchworks_deployments.startup import uncollected


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_the_server_is_built_nor_looked_at_later() -> None:
    """What was made inside is out of the collector's reach; what comes after is not."""
    with uncollected():
        assert not gc.isenabled()
        lasting: list[object] = []
    later: list[object] = []
    found = {id(tracked) for tracked in gc.get_objects()}
    assert id(lasting) not in found
    assert id(later) in found


def test_collecting_goes_on_even_when_building_failed() -> None:
    """A refused setting must not leave a process without its collector."""
    with pytest.raises(ValueError, match="refused"), uncollected():
        raise ValueError("refused")
    assert gc.isenabled()


def test_the_command_imports_without_collecting() -> None:
    """Before the slow imports of the command line, or it would gain nothing."""
    script = (
        "import gc, sys; from patchworks_deployments.__main__ import main; sys.argv[1:] = ['--version'];"
        "gc.callbacks.append(lambda *_: print('collected')); main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    assert "collected" not in ran.stdout.partition("patchworks-deployments-mcp")[0]
