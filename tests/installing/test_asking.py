"""A person at a terminal is asked for the key, and another program may write at the same time."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from installing.conftest import KEY
from support.processes import COMMAND, clean_environment

from patchworks_deployments.hosts.editing import files


@pytest.mark.slow
def test_the_key_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    """It comes into the file, which is readable for its owner alone, and is nowhere on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "install", "zed", "--write"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=clean_environment(HOME=str(tmp_path), XDG_CONFIG_HOME=""),
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"PATCHWORKS_API_KEY (" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, KEY.encode() + b"\n")
    while True:
        try:
            more = os.read(ours, 1000)
        except OSError:  # Linux's way to say that the other side has closed
            break
        shown += more
        if not more:
            break
    assert process.wait(timeout=20) == 0, shown
    os.close(ours)
    path = tmp_path / ".config" / "zed" / "settings.json"
    entry = json.loads(path.read_text(encoding="utf-8"))["context_servers"]["patchworks"]
    assert entry["env"] == {"PATCHWORKS_API_KEY": KEY}
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEY.encode() not in shown


def test_what_another_program_has_just_written_is_not_lost(tmp_path: Path) -> None:
    """The host itself may save its configuration between our reading and our writing."""
    path = tmp_path / "mcp.json"
    path.write_text("{}", encoding="utf-8")
    file = files.read(path)
    path.write_text('{"new": 1}', encoding="utf-8")
    with pytest.raises(files.Untouched, match="was changed by another program"):
        files.replace(file, "{}", is_secret=False)
    assert path.read_text(encoding="utf-8") == '{"new": 1}'
    assert list(tmp_path.iterdir()) == [path]
