"""The command `install`: what it shows, what it writes, and what it leaves alone."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from installing.conftest import KEY, Install
from support.processes import clean_environment

from patchworks_deployments.hosts.rows import HOSTS

FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "copilot": ".copilot/mcp-config.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
    "zed": ".config/zed/settings.json",
}
"""On Linux; the folders of the other systems are in test_places.py."""

REFERENCES = {
    "cursor": "${env:PATCHWORKS_API_KEY}",
    "vscode": "${input:patchworks-api-key}",
    "gemini": "$PATCHWORKS_API_KEY",
    "copilot": "${PATCHWORKS_API_KEY}",
    "windsurf": "${env:PATCHWORKS_API_KEY}",
    "claude-desktop": KEY,
    "zed": KEY,
}

every_file = pytest.mark.parametrize(("host", "file"), FILES.items())


def _servers(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return next(value for key, value in content.items() if key in {host.root for host in HOSTS.values()})


@every_file
def test_nothing_is_written_until_it_is_asked_for(install: Install, home: Path, host: str, file: str) -> None:
    """The file and the difference are shown, and the home folder stays empty."""
    outcome = install(host, "--sandbox", "--read-only")
    assert outcome.returncode == 0, outcome.stderr
    assert str(home / file) in outcome.stdout
    assert "+ " in outcome.stdout
    assert "Nothing was written. To write it, add --write." in outcome.stdout
    assert list(home.iterdir()) == []


@every_file
def test_an_entry_starts_the_installed_command(install: Install, home: Path, host: str, file: str) -> None:
    """By its full path, with the flags that were given; a second run has nothing to do."""
    given = ("--sandbox", "--read-only", "--protected-environments", 'UK Live,"a, b"')
    outcome = install(host, *given, "--write")
    assert outcome.returncode == 0, outcome.stderr
    entry = _servers(home / file)["patchworks-sandbox"]
    assert Path(entry["command"]) == Path(sys.executable).parent / "patchworks-deployments-mcp"
    assert entry["args"] == list(given)
    assert "env" not in entry
    before = (home / file).read_bytes()
    assert "patchworks-sandbox is already there, nothing to do." in install(host, *given, "--write").stdout
    assert (home / file).read_bytes() == before
    assert [path.name for path in (home / file).parent.iterdir()] == [Path(file).name]


@pytest.mark.parametrize(("host", "reference"), REFERENCES.items())
def test_a_secret_is_a_reference_where_the_host_can_have_one(
    install: Install, home: Path, host: str, reference: str
) -> None:
    """Elsewhere it stands in the file, which then only its owner can read, and is shown as dots."""
    outcome = install(host, "--write", PATCHWORKS_API_KEY=KEY)
    assert outcome.returncode == 0, outcome.stderr
    path = home / FILES[host]
    assert _servers(path)["patchworks"]["env"] == {"PATCHWORKS_API_KEY": reference}
    if reference == KEY:
        assert '"PATCHWORKS_API_KEY": "•••"' in outcome.stdout
        assert path.stat().st_mode & 0o777 == 0o600
    else:
        assert KEY not in path.read_text(encoding="utf-8")
        assert "PATCHWORKS_API_KEY" in outcome.stdout.splitlines()[-1]


def test_codex_passes_on_the_variable_and_waits_for_a_person(install: Install, home: Path) -> None:
    """It names the variable, and waits longer for a call than the ten minutes that a question may take."""
    install("codex", "--write", PATCHWORKS_API_KEY=KEY)
    entry = _servers(home / FILES["codex"])["patchworks"]
    assert entry["env_vars"] == ["PATCHWORKS_API_KEY"]
    assert entry["tool_timeout_sec"] > 600


def test_vscode_asks_for_the_key_once_for_all_entries(install: Install, home: Path) -> None:
    """The question for it is written beside the servers, and not again for a second entry."""
    install("vscode", "--write")
    install("vscode", "--write", "--name", "other")
    content = json.loads((home / FILES["vscode"]).read_text(encoding="utf-8"))
    (asked,) = content["inputs"]
    assert asked["password"] is True
    assert set(content["servers"]) == {"patchworks", "other"}


@pytest.mark.parametrize(
    ("given", "environment", "variable"),
    [
        (("--username", "me@example.com"), {}, "PATCHWORKS_PASSWORD"),
        ((), {"PATCHWORKS_BEARER_TOKEN": "a-token-of-a-login"}, "PATCHWORKS_BEARER_TOKEN"),
    ],
)
def test_a_password_or_a_token_takes_the_place_of_a_key(
    install: Install, home: Path, given: tuple[str, ...], environment: dict[str, str], variable: str
) -> None:
    """By what is given."""
    assert install("cursor", "--write", *given, **environment).returncode == 0
    assert list(_servers(home / FILES["cursor"])["patchworks"]["env"]) == [variable]


@pytest.mark.parametrize("host", ["claude-desktop", "zed"])
def test_without_a_secret_nothing_is_written_where_the_file_has_to_hold_it(
    install: Install, home: Path, host: str
) -> None:
    """The message names both ways on: the variable, and the sandbox."""
    outcome = install(host, "--write")
    assert outcome.returncode == 2
    assert "Set PATCHWORKS_API_KEY" in outcome.stderr
    assert "--sandbox" in outcome.stderr
    assert list(home.iterdir()) == []


def test_whoever_only_looks_needs_no_key(install: Install, home: Path) -> None:
    """The entry is shown with dots in its place, and where the key will come from."""
    outcome = install("claude-desktop", "--read-only")
    assert outcome.returncode == 0, outcome.stderr
    assert '+       "PATCHWORKS_API_KEY": "•••"' in outcome.stdout
    assert "You are asked for PATCHWORKS_API_KEY, unless this terminal has set it." in outcome.stdout
    assert list(home.iterdir()) == []


def test_a_key_that_stands_there_stays(install: Install, home: Path) -> None:
    """Whoever only changes a flag need not give it again."""
    install("claude-desktop", "--write", PATCHWORKS_API_KEY=KEY)
    outcome = install("claude-desktop", "--write", "--read-only")
    assert outcome.returncode == 0, outcome.stderr
    entry = _servers(home / FILES["claude-desktop"])["patchworks"]
    assert (entry["args"], entry["env"]) == (["--read-only"], {"PATCHWORKS_API_KEY": KEY})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("cursor", "--sandbox", "--confirm", "nothing"), "PATCHWORKS_CONFIRM "),
        (("cursor", "--sandbox", "--http", "8080"), "leave out --http"),
        (("cursor", "--sandbox", "--name", "a b"), "--name must begin with a letter"),
        (("cursor", "--sandbox", "--name", "x" * 29), "at most 28"),
        (("windsurf", "--sandbox", "--project"), "Windsurf has no file for a project"),
        (("jetbrains", "--sandbox", "--confirm", "nothing"), "PATCHWORKS_CONFIRM "),
        (("codex", "--sandbox", "--audit-log", "\udcff.jsonl"), "is not in UTF-8"),
        (("emacs", "--sandbox"), "emacs is no host that is known here"),
        (("cursor", "--base-url", "http://api.example.com"), "plain http"),
    ],
)
def test_what_would_not_work_is_refused_before_anything_is_written(
    install: Install, home: Path, given: tuple[str, ...], said: str
) -> None:
    """By the same settings that the server reads."""
    outcome = install(*given, "--write")
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert "othing was written" in outcome.stderr
    assert list(home.iterdir()) == []


def test_a_key_that_is_none_is_refused(install: Install, home: Path) -> None:
    """Also where only a reference to it would be written."""
    outcome = install("cursor", "--write", PATCHWORKS_API_KEY="Bearer " + KEY)
    assert outcome.returncode == 2
    assert "must be the key alone" in outcome.stderr
    assert list(home.iterdir()) == []


def test_what_this_terminal_has_set_is_not_part_of_the_entry(install: Install) -> None:
    """A key in the environment does not contradict --sandbox, and another setting is named as not taken over."""
    outcome = install("cursor", "--sandbox", PATCHWORKS_API_KEY=KEY, PATCHWORKS_READ_ONLY="true")
    assert outcome.returncode == 0, outcome.stderr
    assert "Not taken over from this terminal: PATCHWORKS_READ_ONLY." in outcome.stderr
    assert "--read-only" not in outcome.stdout


def test_a_project_has_its_own_file(install: Install, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its folder; a path of a setting that begins there becomes a full one, as hosts start servers elsewhere."""
    monkeypatch.chdir(home)
    install("claude-code", "--project", "--sandbox", "--audit-log", "log.jsonl", "--write")
    entry = json.loads((home / ".mcp.json").read_text(encoding="utf-8"))["mcpServers"]["patchworks-sandbox"]
    assert entry["args"] == ["--sandbox", "--audit-log", str(home / "log.jsonl")]


def test_claude_code_is_told_by_its_own_command(install: Install, home: Path) -> None:
    """The command names the variable in place of the key, and nothing is written."""
    outcome = install("claude-code", "--write", "--read-only", PATCHWORKS_API_KEY=KEY)
    assert (
        "claude mcp add patchworks --scope user --env 'PATCHWORKS_API_KEY=${PATCHWORKS_API_KEY}' -- " in outcome.stdout
    )
    assert "Nothing was written." in outcome.stdout
    assert list(home.iterdir()) == []


def test_jetbrains_gets_an_entry_to_paste(install: Install) -> None:
    """With dots in the place of the key."""
    outcome = install("jetbrains", "--read-only", PATCHWORKS_API_KEY=KEY)
    shown = json.loads(outcome.stdout.partition("\n")[2])
    assert shown["mcpServers"]["patchworks"]["env"] == {"PATCHWORKS_API_KEY": "•••"}


def test_without_a_host_they_are_listed(install: Install) -> None:
    """Each with its file."""
    outcome = install()
    assert outcome.returncode == 0
    assert all(f"  {host} " in outcome.stdout for host in [*HOSTS, "jetbrains"])
    assert all(file in outcome.stdout for file in FILES.values())


@pytest.mark.slow
def test_a_command_in_a_cache_is_not_written_down(tmp_path: Path) -> None:
    """As that of uvx: a host would fail as soon as the cache is emptied."""
    (tmp_path / "CACHEDIR.TAG").touch()
    cached = (
        "import sys; sys.prefix = sys.argv[1]\n"
        "from patchworks_deployments.commands.cli import main\n"
        "main(['install', 'cursor', '--sandbox', '--write'])"
    )
    outcome = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", cached, str(tmp_path / "archive" / "x")],
        capture_output=True,
        text=True,
        env=clean_environment(HOME=str(tmp_path)),
        check=False,
    )
    assert outcome.returncode == 2
    assert "uv tool install" in outcome.stderr
    assert not (tmp_path / ".cursor").exists()
