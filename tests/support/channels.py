"""What one channel of a write's result says and the other does not: hosts hand their model the text or the data.

Both functions return what is missing, each as a model would look for it, and nothing for a result without structured
content. Truth values are not compared.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from mcp_types import CallToolResult

from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import ToolCall
from patchworks_deployments.model.text import inert
from support.clients import text

Json: TypeAlias = Any

PREVIEW_ID = "new"
"""The id in a preview of a deployment that is not there yet."""

_CALL = re.compile(r"\b([a-z]+(?:_[a-z]+)+) (?=\{)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::(?!00)\d\d)?)(?::00)?(?:\.\d+)?(?:Z| UTC)")
_NAME = re.compile(r'"([^"\n]+)"')
_ID = re.compile(r"(?<![\w.-])\d{3,}(?![\w.])|(?<=\()\d+(?=\))")
"""A number that is an id: of three digits at least, or in brackets behind a name."""

_CODE = re.compile(r"(?<![\w-])(?=[a-z-]*\d)(?=[\d-]*[a-z])[0-9a-z-]{8,}(?![\w-])")
"""A code or fingerprint: eight or more letters and digits, some of each."""

_SENTENCE = re.compile(r"(?<=[.!?]) ")


def missing_in_text(result: CallToolResult) -> list[str]:
    """What the structured content says and the text does not: words, names, ids, counts and calls."""
    if result.structured_content is None:
        return []
    said = text(result)
    calls, rest = _calls_in(said), _flat(said)
    missing = [
        f"{where}: {_written(call)}" for where, call in _calls_of(result.structured_content) if call not in calls
    ]
    for where, value in _leaves(result.structured_content):
        if isinstance(value, int):
            found = value == 0 or _has_word(rest, str(value))
        elif value.isdigit():
            found = _has_word(rest, value)
        else:
            found = all(line in rest for line in map(_flat, value.splitlines()))
        if not found:
            missing.append(f"{where}: {value}")
    return missing


def missing_in_data(result: CallToolResult) -> list[str]:
    """What the text says and the structured content does not: sentences, quoted names, ids, codes and calls."""
    if result.structured_content is None:
        return []
    said, content = text(result), result.structured_content
    leaves = [str(value) for _, value in _leaves(content)]
    known = [*(call for _, call in _calls_of(content)), *(call for leaf in leaves for call in _calls_in(leaf))]
    missing = [f"call: {_written(call)}" for call in _calls_in(said) if call not in known]
    held = "\n".join(_flat(line) for leaf in leaves for line in leaf.splitlines())
    rest = "\n".join(_without_calls(said))
    timeless = _TIME.sub("", rest)
    tokens = {
        "name": [name for name in _NAME.findall(rest) if _flat(name) not in held],
        "id": [found for found in _ID.findall(timeless) if not _has_word(held, found)],
        "code": [code for code in _CODE.findall(timeless) if code not in held],
        "sentence": [sentence for sentence in _sentences(rest) if not _is_said(sentence, held)],
    }
    return missing + [f"{kind}: {found}" for kind, several in tokens.items() for found in dict.fromkeys(several)]


def _leaves(value: Json, where: str = "") -> Iterator[tuple[str, str | int]]:
    """Each text and number outside of calls, with the path to it."""
    if isinstance(value, dict):
        for name, held in value.items():
            if not _is_call(held):
                yield from _leaves(held, f"{where}.{name}".lstrip("."))
    elif isinstance(value, list):
        for n, held in enumerate(value):
            yield from _leaves(held, f"{where}[{n}]")
    elif isinstance(value, str | int) and not isinstance(value, bool) and value not in {"", PREVIEW_ID}:
        yield where, value


def _is_call(value: Json) -> bool:
    return isinstance(value, dict) and value.keys() == {"tool", "arguments"}


def _calls_of(value: Json, where: str = "") -> Iterator[tuple[str, Json]]:
    if _is_call(value):
        yield where, value
    elif isinstance(value, dict | list):
        for name, held in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _calls_of(held, f"{where}.{name}".lstrip("."))


def _calls_in(said: str) -> list[Json]:
    return [{"tool": tool, "arguments": arguments} for tool, arguments, _, _ in _found_calls(said)]


def _found_calls(said: str) -> Iterator[tuple[str, Json, int, int]]:
    """Each call as a model copies it: the tool, its arguments, and where the call begins and ends."""
    for found in _CALL.finditer(said):
        try:
            arguments, end = json.JSONDecoder().raw_decode(said, found.end())
        except json.JSONDecodeError:
            arguments, end = None, found.end()
        yield found[1], arguments, found.start(), end


def _without_calls(said: str) -> Iterator[str]:
    start = 0
    for _, _, begin, end in _found_calls(said):
        yield said[start:begin]
        start = end
    yield said[start:]


def _written(call: Json) -> str:
    return rendering.call(ToolCall(**call))


def _sentences(said: str) -> Iterator[str]:
    """Sentences of each line that has a full stop at its end: rows, headings and lists have none."""
    for line in said.splitlines():
        if line.endswith((".", "!")):
            yield from _SENTENCE.split(line)


def _is_said(sentence: str, held: str) -> bool:
    """Whether the sentence is there, or what remains of it without the words that name its field."""
    return _flat(sentence) in held or (": " in sentence and _is_said(sentence.split(": ", 1)[1], held))


def _flat(words: str) -> str:
    """The words as text shows them: on one line, without markup, and with times in one form."""
    return inert(_TIME.sub(r"\1 \2", words), len(words))


def _has_word(words: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", words) is not None
