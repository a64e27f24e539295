"""Codex's TOML: one table comes or is replaced, and every other line stays."""

import tomllib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from patchworks_deployments.hosts.editing import toml

PATH = ("mcp_servers", "patchworks")
TABLE = {"command": "C:\\Users\\é b\\x.exe", "args": ["--sandbox"], "tool_timeout_sec": 660, "env": {"A": "it's \"\\"}}

bodies = st.sampled_from(
    [
        "",
        "x = 1\n",
        "# [mcp_servers.patchworks]\n",
        'y = """\n[mcp_servers.patchworks]\n"""\n',
        'z = [\n  [1],\n  "]", # a remark\n]\n',
        "q = '[x'\n\n",
        "d = 1979-05-27T07:32:00Z\n",
    ]
)
HEADERS = ["[a]", '[mcp_servers."x.y"]', "[mcp_servers.github]", " [ projects . '/home/a' ] # why", "[b.c]"]
OURS = ["[mcp_servers.patchworks]", "[mcp_servers.patchworks.env]", '["mcp_servers".patchworks.tools.x]']
REMARK = "# about the next one"
remarks = st.sampled_from(["", REMARK + "\n", "\n\n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A file with some tables, ours among them or not, in any order."""
    headers = draw(st.permutations([*HEADERS, *draw(st.lists(st.sampled_from(OURS), unique=True))]))
    sections = [draw(remarks) + header + "\n" + draw(bodies) for header in headers]
    text = draw(bodies) + "".join(sections)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text.rstrip("\n")


def _without_ours(values: dict[str, Any]) -> dict[str, Any]:
    servers = {name: value for name, value in values["mcp_servers"].items() if name != "patchworks"}
    return {**values, "mcp_servers": servers}


@given(documents())
@examples(100)
def test_our_table_is_there_and_nothing_else_has_changed(text: str) -> None:
    """The values are the old ones and ours; lines of other tables, with their remarks, stay in their order."""
    edited = toml.put(text, PATH, TABLE)
    values = tomllib.loads(edited)
    assert values["mcp_servers"]["patchworks"] == TABLE
    assert _without_ours(values) == _without_ours(tomllib.loads(text))
    kept, ours = iter(edited.splitlines()), False
    for line in text.splitlines():
        ours = line in OURS or (ours and line.lstrip(" ") not in {header.lstrip(" ") for header in HEADERS})
        assert ours or line in kept, line
    above = [(line, header) for line, header in pairwise(text.splitlines()) if header in HEADERS and line == REMARK]
    assert set(above) <= set(pairwise(edited.splitlines()))
    assert toml.put(edited, PATH, TABLE) == edited


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = {patchworks = {command = "x"}}',
        'mcp_servers.patchworks.command = "x"',
        '[mcp_servers]\npatchworks = {command = "x"}',
        '[mcp_servers]\npatchworks.command = "x"',
        "mcp_servers = 3",
        "mcp_servers = {}",
    ],
)
def test_a_form_that_cannot_be_edited_by_lines_is_refused(text: str) -> None:
    """Rather than to write a file that says something else."""
    with pytest.raises(toml.Unwritable):
        toml.put(text, PATH, TABLE)


def test_what_is_no_toml_is_refused_with_its_place() -> None:
    """As Python's reader says it."""
    with pytest.raises(toml.NotToml, match="line 2"):
        toml.put("a = 1\nb = \n", PATH, TABLE)


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}", f"a = {'1' * 5000}"])
def test_what_python_cannot_read_is_refused_like_it(text: str) -> None:
    """Values too deep within others, and a number with too many digits."""
    with pytest.raises(toml.NotToml):
        toml.put(text, PATH, TABLE)


@pytest.mark.timeout(20)
def test_a_file_with_many_tables_is_edited_in_a_moment() -> None:
    """Codex keeps one for each folder that somebody has trusted."""
    text = "".join(f'[projects."/home/p{number}"]\ntrust_level = "trusted"\n\n' for number in range(2000))
    assert toml.put(text, PATH, TABLE).startswith(text)
