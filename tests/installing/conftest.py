"""A home folder of its own for each test, and the command as a person types it there."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import run_here

Outcome = subprocess.CompletedProcess[str]
Install = Callable[..., Outcome]

KEY = "hush-this-is-the-key"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder."""
    return tmp_path


@pytest.fixture
def install(home: Path) -> Install:
    """The command `install`, at home there."""

    def run(*arguments: str, **environment: str) -> Outcome:
        outcome = run_here("install", *arguments, HOME=str(home), XDG_CONFIG_HOME="", **environment)
        assert "Traceback" not in outcome.stderr
        assert KEY not in outcome.stdout + outcome.stderr
        return outcome

    return run
