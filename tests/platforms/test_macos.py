"""What is different on macOS, played in processes that find it so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.clients import TOOLS
from support.team import calling, serving

pytestmark = pytest.mark.slow

MACOS = str(Path(__file__).parent / "macos")

APPEND = """
import pathlib, sys
from patchworks_deployments.audit.file import Room
room = Room(pathlib.Path(sys.argv[1]), 1)
room.append(b"{}\\n", is_durable=True)
"""


@pytest.mark.parametrize(("cannot", "flushed"), [("", "to the disk"), ("1", "to the drive")])
def test_what_must_outlast_a_loss_of_power_is_on_the_disk(cannot: str, flushed: str, tmp_path: Path) -> None:
    """There a flush ends at the drive, which must be asked to write it down; a disk far away may not know that."""
    environment = {**os.environ, "PYTHONPATH": MACOS, "FLUSHED": str(tmp_path / "flushed"), "CANNOT_FLUSH": cannot}
    subprocess.run([sys.executable, "-c", APPEND, tmp_path / "log"], env=environment, check=True)  # noqa: S603 - our own
    assert (tmp_path / "flushed").read_text(encoding="utf-8").startswith(flushed)


async def test_a_limit_that_cannot_be_raised_is_said_and_the_server_starts(tmp_path: Path) -> None:
    """What macOS allows may be less than it says, and it has no time-out for who reads nothing."""
    with serving("--sandbox", files="700", log=str(tmp_path / "log"), PYTHONPATH=MACOS) as served:
        async with calling(served.url) as client:
            assert len((await client.list_tools()).tools) == len(TOOLS)
    assert "Only 88 connections fit" in (tmp_path / "log").read_text(encoding="utf-8")
