"""`python3 server ...`, which needs nothing but a clone, Python and pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import ROOT

SCRIPT = ROOT / "server" / "__main__.py"

PYTHON = os.path.realpath(sys.executable)
"""The Python behind the tests' own environment, in which there is no pip."""


def _start(
    clone: Path, *words: str, flags: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, *flags, str(clone / "server"), *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone that holds the script alone."""
    (tmp_path / "server").mkdir()
    shutil.copy(SCRIPT, tmp_path / "server")
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demo_runs_in_a_fresh_clone_and_installs_nothing_outside_it(tmp_path: Path) -> None:
    """Where pip must not install for this Python, somebody else's environment is active, and the folder has a space."""
    clone, other = tmp_path / "a clone", tmp_path / "other"
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607 - git, wherever it is
    for name in filter(None, files.stdout.decode().splitlines()):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    other.mkdir()
    told = _start(clone, "demo", PIP_REQUIRE_VIRTUALENV="1", VIRTUAL_ENV=str(other))
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("# 12 tools")
    assert "Installing what this needs" in told.stderr
    assert not list(other.iterdir())
    again = _start(clone, "--version", PIP_NO_INDEX="1")
    assert (again.returncode, again.stdout.split()[0]) == (0, "patchworks-deployments-mcp")
    assert "Installing" not in again.stderr


def test_a_python_that_is_too_old_is_told_so(bare: Path) -> None:
    """In one line, and nothing is installed."""
    old = "import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path(sys.argv[1], run_name='__main__')"
    command = [PYTHON, "-c", old, str(bare / "server")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert told.returncode == 1
    assert told.stderr.startswith("This needs Python 3.11 or newer")
    assert "is Python 3.9.2. Nothing was installed." in told.stderr
    assert [path.name for path in bare.iterdir()] == ["server"]


def test_a_python_without_pip_is_told_what_to_install(bare: Path) -> None:
    """Where there is no uv either."""
    told = _start(bare, "demo", flags=("-S",), PATH=os.defpath)
    assert told.returncode == 1
    assert "has no pip. Install it (on Debian and Ubuntu: sudo apt install python3-pip), or install uv." in told.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script of a shell")
def test_a_python_without_pip_takes_the_uv_that_is_there(bare: Path) -> None:
    """And hands on every word."""
    uv = bare / "uv"
    uv.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    uv.chmod(0o755)
    told = _start(bare, "install", "cursor", "--sandbox", flags=("-S",), PATH=str(bare))
    assert told.stdout.split()[-4:] == ["patchworks-deployments-mcp", "install", "cursor", "--sandbox"]
    tests = _start(bare, "tests", "-m", "not slow", flags=("-S",), PATH=str(bare))
    assert tests.stdout.splitlines()[-3:] == ["pytest", "-m", "not slow"]


def test_what_cannot_be_downloaded_ends_it_with_what_to_do(bare: Path) -> None:
    """A company's proxy is the usual reason. stdout, which may be a host's, stays empty."""
    told = _start(bare, "demo", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS=str(bare))
    assert told.returncode == 1
    assert told.stdout == ""
    assert "uv could not be installed, for the reason above. Behind a company's proxy set HTTPS_PROXY" in told.stderr
