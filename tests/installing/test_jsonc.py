"""JSON of people: with comments, odd indentation and commas at ends, of which an edit loses nothing."""

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from patchworks_deployments.hosts.editing.jsonc import Document, NoObject, NotJson, Twice, read

NAME = "patchworks"
ENTRY = {"command": "/a b/c", "args": ["--sandbox"], "env": {"X": "é\\"}}

blanks = st.sampled_from(["", " ", "\n", "\n    ", "\r\n\t", ' // a remark, with { and "\n', "/* another } */", "\t"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
files = st.dictionaries(st.sampled_from(["a", "mcpServer", "é", "inputs"]), values, max_size=3)
servers = st.dictionaries(st.sampled_from(["github", "x y", "other"]), values.filter(lambda value: value is not None))


@st.composite
def texts(draw: st.DrawFn, data: Any) -> str:
    """The data, as somebody may have written it."""
    if isinstance(data, dict):
        items = [
            json.dumps(key) + draw(blanks) + ":" + draw(blanks) + draw(texts(value)) for key, value in data.items()
        ]
        opening, closing = "{}"
    elif isinstance(data, list):
        items = [draw(texts(value)) for value in data]
        opening, closing = "[]"
    else:
        return json.dumps(data, ensure_ascii=draw(st.booleans()))
    inner = ",".join(draw(blanks) + item + draw(blanks) for item in items)
    return opening + inner + "," * (bool(items) and draw(st.booleans())) + draw(blanks) + closing


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """The data of a file and its text; it may have servers."""
    data = draw(files)
    if draw(st.booleans()):
        data["mcpServers"] = draw(servers)
    return data, draw(blanks) + draw(texts(data)) + draw(blanks)


def _holds(text: str, part: str) -> bool:
    """Whether all of the part stands in the text in its order, whatever stands between."""
    rest = iter(text)
    return all(char in rest for char in part)


@given(documents())
@examples(50)
def test_an_entry_comes_to_what_is_there(document: tuple[dict[str, Any], str]) -> None:
    """The data is the old one and ours, and no comment and no letter of the old text is lost; twice is once."""
    data, text = document
    edited = Document(text)
    edited.set(("mcpServers", NAME), ENTRY)
    assert read(edited.text).data == data | {"mcpServers": data.get("mcpServers", {}) | {NAME: ENTRY}}
    assert _holds(edited.text, re.sub(r"[ \t]", "", text))
    again = Document(edited.text)
    again.set(("mcpServers", NAME), ENTRY)
    assert read(again.text).data == read(edited.text).data


@given(documents(), values)
@examples(60)
def test_an_entry_takes_the_place_of_another_one(document: tuple[dict[str, Any], str], old: Any) -> None:
    """What stands before and behind the old entry stays, letter by letter."""
    edited = Document(document[1])
    edited.set(("mcpServers", NAME), old)
    before = edited.text
    if old is None:
        return
    place = read(before).members("mcpServers")[0].members(NAME)[0]
    edited.set(("mcpServers", NAME), ENTRY)
    assert edited.text.startswith(before[: place.start])
    assert edited.text.endswith(before[place.end :])
    assert read(edited.text).data["mcpServers"][NAME] == ENTRY


@given(documents())
@examples(60)
def test_a_list_grows_at_its_end(document: tuple[dict[str, Any], str]) -> None:
    """VS Code's inputs come behind those that are there."""
    data, text = document
    edited = Document(text)
    if not isinstance(data.get("inputs", []), list | None):
        with pytest.raises(NoObject):
            edited.append(("inputs",), ENTRY)
        return
    edited.append(("inputs",), ENTRY)
    assert read(edited.text).data == data | {"inputs": [*(data.get("inputs") or []), ENTRY]}


@given(st.text(alphabet='{}[]",:/*\n 1atrue\\', max_size=20))
@examples(300)
def test_no_text_makes_it_stumble(text: str) -> None:
    """What Python's JSON takes is read the same, and anything else is JSON with comments or refused."""
    try:
        expected = json.loads(text)
    except ValueError:
        with contextlib.suppress(NotJson):
            read(text)
    else:
        assert read(text).data == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: a comma or }"),
        ('{"a": }', "line 1, column 7: a value"),
        ('{\r\n"a" 1}', "line 2, column 5: a colon"),
        ("{a: 1}", "line 1, column 2: a name"),
        ('{"a": "b', "line 1, column 7: a string with its closing quotation mark"),
        ('{"a": "\\x"}', "line 1, column 7: a string without unknown escapes"),
        ("{} {}", "line 1, column 4: the end of the file"),
        ("[" * 200, "line 1, column 101: no value within more than 100 others"),
        ('{"a": 1 /* open', "line 1, column 9: a comma or }"),
        ("{,}", "line 1, column 2: a name"),
        ('{"a": 1e999}', "line 1, column 7: a number that is not as large"),
        (f'{{"a": {"1" * 5000}}}', "line 1, column 7: a number that is not as large"),
    ],
)
def test_an_error_says_where(text: str, where: str) -> None:
    """In lines and columns as editors count them."""
    with pytest.raises(NotJson, match=re.escape(where)):
        read(text)


def test_half_a_character_stays_the_escape_that_it_was() -> None:
    """JSON can have one, and a file in UTF-8 only so."""
    document = Document('{"mcpServers": {}}')
    document.set(("mcpServers", NAME), {"\ud800": ["\udc00"]})
    assert b'"\\ud800": ["\\udc00"]' in document.text.encode()


def test_what_is_twice_is_not_guessed() -> None:
    """Only where it matters: a name that stands twice elsewhere is no business of ours."""
    with pytest.raises(Twice, match="mcpServers"):
        Document('{"mcpServers": {}, "mcpServers": {}}').set(("mcpServers", NAME), ENTRY)
    elsewhere = Document('{"a": 1, "a": 2}')
    elsewhere.set(("mcpServers", NAME), ENTRY)
    assert elsewhere.text.startswith('{"a": 1, "a": 2,')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "mcpServers": {\n    "x": {\n      "a": [1, 2]\n    }\n  }\n}'),
        (
            '{\n\t"a": 1 // one\n}\n',
            '{\n\t"a": 1, // one\n\t"mcpServers": {\n\t\t"x": {\n\t\t\t"a": [1, 2]\n\t\t}\n\t}\n}\n',
        ),
        ('{"mcpServers": {"y": 1}}', '{"mcpServers": {"y": 1, "x": {"a": [1, 2]}}}'),
        (
            '{\r\n "mcpServers": {\r\n  "y": {},\r\n }\r\n}',
            '{\r\n "mcpServers": {\r\n  "y": {},\r\n  "x": {\r\n   "a": [1, 2]\r\n  },\r\n }\r\n}',
        ),
    ],
)
def test_it_writes_as_the_file_is_written(before: str, after: str) -> None:
    """With its indentation, its line ends and its commas."""
    document = Document(before)
    document.set(("mcpServers", "x"), {"a": [1, 2]})
    assert document.text == after
