"""The page about hosts says what their rows say, and its entries start."""

import json
import re
import tomllib
from typing import Any

from docs.pages import ROOT, blocks, code, links, prose, rows, spans
from support import install_links as made
from support.clients import TOOLS
from support.processes import over_stdio, run_here

from patchworks_deployments.hosts.entry import Entry
from patchworks_deployments.hosts.rows import HOSTS, QUESTION_SECONDS, Machine

PAGE = ROOT / "docs" / "connecting.md"
COMMAND = ("patchworks-deployments-mcp",)
SANDBOX = Entry("patchworks-sandbox", COMMAND, ("--sandbox",))
ACCOUNT = Entry("patchworks", COMMAND, (), "PATCHWORKS_API_KEY")
READ_ONLY = Entry("patchworks", COMMAND, ("--read-only",), "PATCHWORKS_API_KEY")

ENTRIES: dict[str, dict[str, Any]] = {
    next(iter(json.loads(block.text))) + " " + name: entry
    for block in blocks("json")
    if block.page == PAGE
    for name, entry in next(iter(json.loads(block.text).values())).items()
}


def _title(cell: str) -> str:
    return re.sub(r"\[(.+)]\(.+\)", r"\1", cell)


def test_each_host_has_a_row_with_its_files() -> None:
    """As `install` writes them on Linux; and each says whether it was tried, and with which version."""
    machine = Machine("linux", ROOT / "~", {}, ROOT)
    table = {code(row[1]): row for row in rows(PAGE, "host") if len(row) == 5}
    assert set(table) == {*HOSTS, "jetbrains"}
    for name, host in HOSTS.items():
        title, _, file, project, tried = table[name]
        path = host.path(machine, project=False)
        assert _title(title) == host.title
        assert path is None or code(file) == path.relative_to(ROOT).as_posix()
        assert code(project) == "/".join(host.project)
        assert re.match(r"tried with \d+\.\d+\.\d+: |not tried here: ", tried)


def test_the_page_says_how_each_host_names_a_variable() -> None:
    """Word for word as the entries do."""
    said = set(spans(PAGE))
    for host in HOSTS.values():
        if host.reference and not host.asks_for_secrets:
            assert host.refer("PATCHWORKS_API_KEY") in said


def test_the_entries_are_those_of_install() -> None:
    """But for the command's full path."""
    assert ENTRIES["mcpServers patchworks"] == HOSTS["cursor"].form(READ_ONLY)
    assert ENTRIES["context_servers patchworks-sandbox"] == HOSTS["zed"].form(SANDBOX)
    example = json.loads((ROOT / "claude_config.example.json").read_text(encoding="utf-8"))
    assert example == {"mcpServers": {"patchworks-sandbox": HOSTS["claude-desktop"].form(SANDBOX)}}


def _account() -> dict[str, Any]:
    """The entry with a place for a key, as one pastes it."""
    (entry,) = [
        server
        for block in blocks("json")
        if block.page == PAGE
        for server in json.loads(block.text).get("mcpServers", {}).values()
        if "paste" in server["env"]["PATCHWORKS_API_KEY"]
    ]
    found: dict[str, Any] = entry
    return found


async def test_the_entry_for_an_account_needs_nothing_but_a_key() -> None:
    """With any key it starts and lists its tools."""
    async with over_stdio(*_account()["args"], era="auto", env={"PATCHWORKS_API_KEY": "some-key-1"}) as client:
        assert len((await client.list_tools()).tools) == len(TOOLS)


def test_the_words_in_the_place_of_a_key_stop_the_start() -> None:
    """The message names the setting, instead of a server whose tools are all answered with 401."""
    outcome = run_here(**_account()["env"])
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "- PATCHWORKS_API_KEY holds the words of an example" in outcome.stderr


def test_the_links_are_made_of_the_rows() -> None:
    """For the sandbox and for an account, in VS Code, its Insiders and Cursor."""
    shown = {*links(PAGE), *spans(PAGE)}
    for entry in (SANDBOX, ACCOUNT):
        assert made.cursor(entry) in shown
        for scheme in ("vscode", "vscode-insiders"):
            assert made.through_the_web(made.vscode(entry, scheme=scheme)) in shown


def test_each_framework_that_is_tried_is_named() -> None:
    """By the very script that is run."""
    scripts = {path.name for path in (ROOT / "tests" / "hosts").glob("with_*.py")}
    assert {link.rpartition("/")[2] for link in links(PAGE) if "tests/hosts" in link} == scripts


def test_what_is_written_by_hand_is_no_other_toml() -> None:
    """The transcript of Codex, without its marks, is a table that Codex reads."""
    (transcript,) = [block for block in blocks("text") if block.page == PAGE and "config.toml" in block.text]
    table = "\n".join(line[2:] for line in transcript.lines if line.startswith("+ "))
    assert tomllib.loads(table)["mcp_servers"]["patchworks"]["env_vars"] == ["PATCHWORKS_API_KEY"]
    assert str(QUESTION_SECONDS) in prose(PAGE)
