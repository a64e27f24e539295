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


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script of a shell")
def test_what_is_set_for_other_projects_is_not_taken_over(bare: Path) -> None:
    """Else pip and uv would install elsewhere, or not at all."""
    uv = bare / "uv"
    uv.write_text("#!/bin/sh\n/usr/bin/env\n", encoding="utf-8")
    uv.chmod(0o755)
    elsewhere = ("PIP_TARGET", "PIP_USER", "UV_NO_SYNC", "UV_FROZEN", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")
    told = _start(bare, "demo", flags=("-S",), PATH=str(bare), UV_OFFLINE="1", **dict.fromkeys(elsewhere, "x"))
    names = {line.partition("=")[0] for line in told.stdout.splitlines()}
    assert "UV_OFFLINE" in names
    assert not names & set(elsewhere)


WAITING_PIP = """
import os, pathlib, sys, time
made, clone = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]), pathlib.Path(os.environ["CLONE"])
(made / "begun").touch()
while len(list(clone.glob("*/begun")) + list(clone.glob(".*/begun"))) < 2:
    time.sleep(0.01)
(made / "bin" / "uv").write_text("#!/bin/sh\\necho this is uv\\n")
(made / "bin" / "uv").chmod(0o755)
time.sleep(0.2)
"""
"""A pip that has installed its uv only when another one is at it, too."""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script of a shell")
def test_two_first_runs_at_once_do_not_disturb_each_other(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One of them puts its uv in place, both use it, and nothing else is left."""
    modules = tmp_path_factory.mktemp("modules")
    (modules / "pip").mkdir()
    (modules / "pip" / "__init__.py").touch()
    (modules / "pip" / "__main__.py").write_text(WAITING_PIP, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(modules), "CLONE": str(bare), "PYTHONDONTWRITEBYTECODE": "1"}
    both = [
        subprocess.Popen([PYTHON, str(bare / "server"), "demo"], env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == ["this is uv\n"] * 2
    assert sorted(path.name for path in bare.iterdir()) == [".uv", "server"]


def test_a_clone_that_cannot_be_written_to_is_told(bare: Path) -> None:
    """In one line."""
    refused = (
        "import runpy, sys, tempfile\n"
        "def refuse(*_, **__): raise OSError(30, 'Read-only file system')\n"
        "tempfile.mkdtemp = refuse\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    told = subprocess.run([PYTHON, "-c", refused, str(bare / "server")], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith(f"Nothing can be installed into {bare} (Read-only file system)")


def test_what_cannot_be_downloaded_ends_it_with_what_to_do(bare: Path) -> None:
    """A company's proxy is the usual reason. stdout, which may be a host's, stays empty."""
    told = _start(bare, "demo", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS=str(bare))
    assert told.returncode == 1
    assert told.stdout == ""
    assert "uv could not be installed, for the reason above. Behind a company's proxy set HTTPS_PROXY" in told.stderr
