"""Every command on the pages is one that its program takes."""

import contextlib
import importlib
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import uvicorn
from docs.pages import PAGES, ROOT, Block, blocks, spans

from patchworks_deployments.commands.cli import parser
from patchworks_deployments.settings import PREFIX, Settings

PROGRAM = "patchworks-deployments-mcp"

OTHERS = {"cd", "chmod", "curl", "mkdir", "nginx", "pre-commit", "."}
"""What belongs to the machine; the set-up for a team is run as a whole by test_team_page.py."""

Words = list[str]


def _commands(line: str) -> list[Words]:
    """The simple commands of a line, without what redirects their output."""
    words = shlex.split(line, comments=True)
    parts = [list(part) for divides, part in itertools.groupby(words, "&&".__eq__) if not divides]
    return [
        part[: part.index(">>")] if ">>" in part else part[: part.index(">")] if ">" in part else part for part in parts
    ]


def _check(words: Words) -> None:
    """Fail unless the program takes these words."""
    program, arguments = words[0], words[1:]
    if program not in OTHERS:
        _CHECKS[program](arguments)


def _ours(arguments: Words) -> None:
    with contextlib.suppress(SystemExit) if arguments == ["--version"] else contextlib.nullcontext():
        parser().parse_args(arguments)


def _uv(arguments: Words) -> None:
    if arguments == ["sync"] or arguments[:2] == ["tool", "dir"]:
        return
    if arguments[:2] == ["tool", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        assert all(set(re.findall(r"\[(\w+)]", word)) <= extras.keys() for word in arguments)
        return
    assert arguments[0] == "run"
    _check([word for word in arguments[1:] if word != "--no-dev"])


def _python(arguments: Words) -> None:
    if arguments[0] == "-c":
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=50)  # noqa: S603 - from our own page
    elif arguments[0] == "-m":
        assert arguments[1:] == ["pip", "install", "uv"]
    else:
        assert (ROOT / arguments[0]).is_file()


def _python3(arguments: Words) -> None:
    """The two commands of a clone, and any other of ours."""
    if arguments[:2] == ["server", "tests"]:
        _pytest(arguments[2:])
    else:
        assert arguments[0] == "server"
        _ours(arguments[1:])


def _pytest(arguments: Words) -> None:
    assert arguments in ([], ["-m", "not slow"], ["tests/app"])


def _ruff(arguments: Words) -> None:
    assert arguments in (["check"], ["format"], ["format", "--check"])


def _mypy(arguments: Words) -> None:
    assert not arguments


def _claude(arguments: Words) -> None:
    """A host's own command: what it would start is ours."""
    if arguments == ["mcp", "list"] or arguments[:2] == ["mcp", "remove"]:
        return
    assert arguments[:2] == ["mcp", "add"]
    if "--" in arguments:
        _check(arguments[arguments.index("--") + 1 :])
    else:
        assert any(word.endswith("/mcp") for word in arguments)


def _codex(arguments: Words) -> None:
    """The entry is one that `install` writes."""
    if arguments in (["mcp", "list"], ["exec"], ["exec", "--trust"]):
        return
    assert arguments[:2] == ["exec", "-c"]
    assert arguments[2] == "mcp_servers.patchworks-sandbox.required=true"


def _npx(arguments: Words) -> None:
    """The Inspector: what it would start is ours."""
    package, *arguments = arguments
    assert package == "@modelcontextprotocol/inspector"
    words = [word for word in arguments if word != "--cli"]
    if words[0] == "--config":
        assert words[3] in json.loads((ROOT / words[1]).read_text(encoding="utf-8"))["mcpServers"]
        return
    _check(words[: words.index("--method")] if "--method" in words else words)


def _factory(arguments: Words) -> None:
    module, _, name = arguments[arguments.index("--factory") + 1].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def _uvicorn(arguments: Words) -> None:
    _factory(arguments)
    uvicorn.main.make_context("uvicorn", arguments)


_CHECKS = {
    PROGRAM: _ours,
    "uv": _uv,
    "python": _python,
    "python3": _python3,
    "pytest": _pytest,
    "ruff": _ruff,
    "mypy": _mypy,
    "claude": _claude,
    "codex": _codex,
    "npx": _npx,
    "granian": _factory,  # no dependency of ours; its flags were tried with 2.8
    "uvicorn": _uvicorn,
}


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_are_what_their_programs_take(block: Block) -> None:
    """Line by line, and each part of a line."""
    for line in block.text.replace("\\\n", "").splitlines():
        for words in _commands(line):
            _check(words)


SPANS = sorted({span for page in PAGES for span in spans(page)})


@pytest.mark.parametrize("span", [span for span in SPANS if span.split(" ")[0] in _CHECKS and " " in span])
def test_commands_in_prose_are_too(span: str) -> None:
    """In sentences and tables."""
    _check(shlex.split(span))


@pytest.mark.parametrize("span", [span for span in SPANS if span.startswith("--")])
def test_a_flag_in_prose_is_one_of_ours(span: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Or one of granian's, where the page speaks of that."""
    for command in ([], ["schemas"], ["sandbox"], ["token"], ["install"], ["bundle"]):
        with pytest.raises(SystemExit):
            parser().parse_args([*command, "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) | {"--backpressure"}
    assert span.split(" ", maxsplit=1)[0] in known


CONFIGURATIONS = [
    (ROOT / "claude_config.example.json").read_text(encoding="utf-8"),
    *(block.text for block in blocks("json")),
    *(span for span in SPANS if span.startswith("{")),
]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_host_s_configuration_starts_our_command(configuration: str) -> None:
    """In blocks, tables and the example: flags and settings exist."""
    (servers,) = json.loads(configuration).values()
    for server in servers.values():
        _check([server["command"], *server.get("args", [])])
        assert {name.removeprefix(PREFIX).lower() for name in server.get("env", {})} <= Settings.model_fields.keys()


RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_two_commands_of_the_readme_stand_as_they_are() -> None:
    """Whoever has them by heart, or in a script, can rely on them; and .ci/run runs exactly them."""
    lines = [line for block in blocks("console") if block.page.name == "README.md" for line in block.lines]
    assert {"python3 server demo", "python3 server tests"} <= set(lines)
    assert {"python3 server demo", "python3 server tests"} <= set(RUN)


def test_the_hooks_run_what_has_to_hold() -> None:
    """Each hook's command is one of .ci/run's."""
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert hooks
    assert set(hooks) <= set(RUN)
