"""The commands, as a person types them."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.clients import TOOLS
from support.processes import COMMAND, ROOT, run, run_here

from patchworks_deployments.settings import Settings


@pytest.mark.slow
def test_demo_plays_the_main_job() -> None:
    """The demo looks, disables with a yes, undoes, declines a delete, uses a code and hears of a change."""
    outcome = run("demo")
    assert outcome.returncode == 0, outcome.stderr
    said = outcome.stdout
    marks = [
        f"{len(TOOLS)} tools",
        "> list_deployments",
        "> get_deployment",
        "? the server asks the person",
        "Disabled, and verified by reading back.",
        "> enable_deployment",
        "The person declined. Nothing was changed.",
        "confirmation_code:",
        "! live update arrived: patchworks://deployments?virtual_environment_id=10 has changed",
    ]
    positions = [said.find(mark) for mark in marks]
    assert -1 not in positions, dict(zip(marks, positions, strict=True))
    assert positions == sorted(positions)
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ((), {}, "No way to authenticate"),
        ((), {"PATCHWORKS_API_KEY": "hush", "PATCHWORKS_READ_ONYL": "1"}, "did you mean PATCHWORKS_READ_ONLY?"),
        ((), {"PATCHWORKS_SANDBOX": "1", "PATCHWORKS_API_KEY": "hush"}, "contradict each other"),
        (("--sandbox", "--username", "u"), {}, "contradict each other"),
        (("--sandbox", "--confirm", "nothing"), {}, "PATCHWORKS_CONFIRM "),
        (("--sandbox",), {"PATCHWORKS_STATE_KEYS": "hush"}, "at least 32 bytes"),
        ((), {"PATCHWORKS_API_KEY": "hush", "PATCHWORKS_BASE_URL": "http://api.example.com"}, "plain http"),
        (("--sandbox",), {"PATCHWORKS_CONFIRM_BY": "nobody"}, "PATCHWORKS_CONFIRM_BY "),
    ],
)
def test_wrong_settings_stop_the_start_with_one_clear_message(
    arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    """The message names the setting and what to write; nothing goes to stdout, no secret and no traceback."""
    outcome = run_here(*arguments, **environment)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert "hush" not in outcome.stderr


def test_the_sandbox_as_a_flag_wins_over_an_account_in_the_environment() -> None:
    """Hosts that pass on all that a terminal has set start it all the same, and stderr says what is not used."""
    account = {
        "PATCHWORKS_BASE_URL": "https://core.example",
        "patchworks_api_key": "hush",
        "PATCHWORKS_LOGIN_URL": "${X}",
    }
    outcome = run_here("check", "--sandbox", **account)
    assert outcome.returncode == 0, outcome.stdout
    assert "the embedded sandbox, no account" in outcome.stdout
    (line,) = outcome.stderr.splitlines()
    said, _, names = line.partition(": ")
    assert said == "--sandbox needs no account, so this is not used"
    assert set(names.split(", ")) == set(account)


@pytest.mark.slow
def test_schemas_writes_what_is_under_review(tmp_path: Path) -> None:
    """One JSON file per tool, the same as in the repository."""
    outcome = run("schemas", "--directory", str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    written = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()}
    kept = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "tool_schemas").iterdir()}
    assert written == kept


def test_every_setting_without_a_secret_has_a_flag_and_no_secret_has_one() -> None:
    """A flag would show a secret in the process list; everything else can be typed."""
    offered = set(re.findall(r"--[a-z-]+", run("--help").stdout)) - {"--help", "--version"}
    public = {name for name, field in Settings.model_fields.items() if "SecretStr" not in str(field.annotation)}
    assert public < set(Settings.model_fields)
    assert offered == {"--" + name.replace("_", "-") for name in public}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--sandbox", "--read-onyl"), "--read-onyl is not a flag (did you mean --read-only?)"),
        (("--protected-enviroments", "UK Live"), "(did you mean --protected-environments?)"),
        (("--sandbox", "--protected-enviroments=UK Live"), "(did you mean --protected-environments?)"),
        (("--sandbox", "--read-o"), "--read-o is not a flag (did you mean --read-only?)"),
        (("check", "--sandbox", "--read-o"), "--read-o is not a flag"),
        (("sandbox", "--prt", "8080"), "--prt is not a flag (did you mean --port?)"),
        (("--sandbox", "--zzz"), "--zzz is not a flag. Nothing was started."),
        (("check", "--port", "80"), "unrecognized arguments: --port 80"),
        (("--sandbox", "--timeout"), "argument --timeout: expected one argument"),
        (("chekc",), "invalid choice: 'chekc'"),
        (("sandbox", "--port", "99999"), "argument --port: must be a port from 0 to 65535"),
        (("sandbox", "--port", "-1"), "argument --port: must be a port from 0 to 65535"),
        (("sandbox", "--deployments", "-4"), "argument --deployments: must be a whole number, 0 or more"),
        (("token", "a b"), "argument name: must be one word without #"),
        (("token", "a#b"), "argument name: must be one word without #"),
        (("token", ""), "argument name: must be one word without #"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    """The line names the argument, for a flag the nearest known one, and where to read on; no usage, no traceback."""
    outcome = run_here(*arguments)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert outcome.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--sandbox", "--http"), ("sandbox", "--port")])
def test_a_port_in_use_is_named_in_one_line(arguments: tuple[str, ...]) -> None:
    """Somebody who starts twice is told so, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run(*arguments, str(port))
    assert outcome.returncode == 2
    assert f"cannot listen on port {port} of 127.0.0.1 (Address already in use)" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert outcome.stdout == ""


@pytest.mark.parametrize("url", ["localhost:6379", "redis://:hush@localhost:port", "https://hush.example"])
def test_a_redis_address_that_is_none_stops_the_start(url: str) -> None:
    """One line says how to write it, and does not repeat it."""
    outcome = run_here("--sandbox", "--http", "0", PATCHWORKS_REDIS_URL=url)
    assert outcome.returncode == 2
    assert "PATCHWORKS_REDIS_URL is not right: write it as redis://HOST:6379/0" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert "hush" not in outcome.stderr


PRINTING = {
    "demo": ("demo",),
    "check": ("check", "--sandbox"),
    "token": ("token", "somebody"),
    "help": ("--help",),
    "http": ("--sandbox", "--http", "0"),
    "sandbox": ("sandbox", "--port", "0"),
}

printing = pytest.mark.parametrize("command", PRINTING.values(), ids=PRINTING)


def _told(stderr: bytes) -> list[str]:
    """What a command says on stderr, but for the token, which belongs there."""
    return [line for line in stderr.decode().splitlines() if not line.startswith("token, to be given to")]


@pytest.mark.slow
@printing
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(command: tuple[str, ...]) -> None:
    """As with `| head`: no line, no traceback, and the status that shells have for it."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as stdout:
        ended = subprocess.run([*COMMAND, *command], stdout=stdout, stderr=subprocess.PIPE, timeout=30, check=False)  # noqa: S603 - our own command
    assert (ended.returncode, _told(ended.stderr)) == (141, [])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@printing
def test_a_full_disk_ends_a_command_in_one_line(command: tuple[str, ...]) -> None:
    """The line says what could not be written, and why."""
    with Path("/dev/full").open("wb") as stdout:
        ended = subprocess.run([*COMMAND, *command], stdout=stdout, stderr=subprocess.PIPE, timeout=30, check=False)  # noqa: S603 - our own command
    why = "The output could not be written: No space left on device."
    assert (ended.returncode, _told(ended.stderr)) == (1, [why])


@pytest.mark.slow
def test_what_an_encoding_lacks_is_shown_as_an_escape() -> None:
    """A terminal of Windows, which knows no arrow, shows all the rest."""
    outcome = run("demo", PYTHONIOENCODING="cp1252")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert r"2026-02-28 19:37 UTC \u2192 disabled" in outcome.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows closes no file like this")
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_server_without_stdin_or_stdout_is_not_started(closed: str) -> None:
    """One line says what it needs."""
    ended = subprocess.run(["sh", "-c", f'"$@" {closed}', "", *COMMAND, "--sandbox"], capture_output=True, check=False)  # noqa: S603, S607 - our own command
    assert ended.returncode == 2
    (line,) = ended.stderr.decode().splitlines()
    assert "one of them is closed" in line


def test_python_dash_m_is_the_command() -> None:
    """Both ways to start the program print the same version."""
    script = Path(sys.executable).with_name("patchworks-deployments-mcp")
    installed = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert run("--version").stdout == installed.stdout
