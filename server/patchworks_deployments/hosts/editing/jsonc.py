"""JSON with comments and commas at ends, edited in place: reading it keeps where each value stands."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_BLANK = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_LINE_END = re.compile(r"\r\n|\n|\r")

MAX_DEPTH = 100
"""Values within values; a configuration has fewer than ten."""


class NotJson(ValueError):
    """The text is no JSON, not even with comments; says where, in lines and columns that count from 1."""

    def __init__(self, text: str, at: int, expected: str) -> None:
        lines = _LINE_END.split(text[:at])
        super().__init__(f"line {len(lines)}, column {len(lines[-1]) + 1}: {expected} was expected")


@dataclass
class Value:
    """A value and its place: `text[start:end]`. Of objects and lists, `items` are the values within."""

    start: int
    end: int
    data: Any
    items: list["Value"] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    """Where each item begins: of an object, where its name does."""
    last: int = 0
    """Of an object or a list: where its last value, comma or comment ends."""
    has_comma: bool = False
    """Whether a comma stands behind the last value."""

    def members(self, key: str) -> list["Value"]:
        """The values that stand under the key; JSON does not forbid it to stand there twice."""
        return [item for name, item in zip(self.keys, self.items, strict=True) if name == key]


def read(text: str) -> Value:
    """The text's value. Raises `NotJson`."""
    reader = _Reader(text)
    value = reader.value(reader.blank(0))
    end = reader.blank(value.end)
    if end != len(text):
        raise NotJson(text, end, "the end of the file")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0

    def blank(self, at: int) -> int:
        """Where what begins `at` is neither white space nor comment any more."""
        found = _BLANK.match(self._text, at)
        assert found
        return found.end()

    def value(self, at: int) -> Value:
        """The value that begins exactly there."""
        opening = self._text[at : at + 1]
        if opening in {"{", "["}:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise NotJson(self._text, at, f"no value within more than {MAX_DEPTH} others")
            value = self._container(at, is_object=opening == "{")
            self._depth -= 1
            return value
        return self._string(at) if opening == '"' else self._scalar(at)

    def _scalar(self, at: int) -> Value:
        found = _SCALAR.match(self._text, at)
        if not found or self._text[found.end() : found.end() + 1].isalnum():
            raise NotJson(self._text, at, "a value")
        try:
            data = json.loads(found[0])
        except ValueError:  # more digits than Python takes
            data = math.inf
        if data in {math.inf, -math.inf}:
            raise NotJson(self._text, at, "a number that is not as large")
        return Value(at, found.end(), data)

    def _string(self, at: int) -> Value:
        found = _STRING.match(self._text, at)
        if not found:
            raise NotJson(self._text, at, "a string with its closing quotation mark")
        try:
            return Value(at, found.end(), json.loads(found[0]))
        except ValueError:
            raise NotJson(self._text, at, "a string without unknown escapes") from None

    def _container(self, at: int, *, is_object: bool) -> Value:
        whole = Value(at, at, {} if is_object else [], last=at + 1)
        for item in self._items(whole, is_object=is_object):
            whole.items.append(item)
            if is_object:
                whole.data[whole.keys[-1]] = item.data
            else:
                whole.data.append(item.data)
        return whole

    def _items(self, whole: Value, *, is_object: bool) -> Iterator[Value]:
        closing = "}" if is_object else "]"
        at, may_follow = whole.start + 1, True
        while True:
            begin = self.blank(at)
            if self._text[begin : begin + 1] == closing:
                whole.last = at + len(self._text[at:begin].rstrip())
                whole.end = begin + 1
                return
            if not may_follow:
                raise NotJson(self._text, begin, f"a comma or {closing}")
            whole.begins.append(begin)
            item = self.value(self._key(whole, begin) if is_object else begin)
            yield item
            comma = self.blank(item.end)
            may_follow = whole.has_comma = self._text[comma : comma + 1] == ","
            at = comma + 1 if may_follow else item.end

    def _key(self, whole: Value, at: int) -> int:
        if self._text[at : at + 1] != '"':
            raise NotJson(self._text, at, 'a name in "quotation marks" or }')
        name = self._string(at)
        colon = self.blank(name.end)
        if self._text[colon : colon + 1] != ":":
            raise NotJson(self._text, colon, "a colon")
        whole.keys.append(name.data)
        return self.blank(colon + 1)


class Twice(ValueError):
    """A name on the way stands there twice, so nobody knows which of the two the host takes."""


class NoObject(ValueError):
    """What stands on the way is no object, or no list where one belongs."""


@dataclass
class Document:
    """A text with one object at its root, and what is changed in it."""

    text: str

    @property
    def root(self) -> Value:
        """The object. Raises `NotJson` and `NoObject`."""
        value = read(self.text)
        if not isinstance(value.data, dict):
            raise NoObject("has no object at its root")
        return value

    def get(self, *path: str) -> Any:  # noqa: ANN401 - whatever stands there
        """What stands there; None where nothing does. Raises `NotJson`, `NoObject` and `Twice`."""
        found = self._find(path)
        return found.data if found else None

    def _find(self, path: tuple[str, ...]) -> Value | None:
        value = self.root
        for depth, key in enumerate(path):
            if not isinstance(value.data, dict):
                raise NoObject(f'has no object under "{".".join(path[:depth])}"')
            found = value.members(key)
            if len(found) > 1:
                raise Twice(f'"{".".join(path[: depth + 1])}"')
            if not found or found[0].data is None:
                return found[0] if found and depth == len(path) - 1 else None
            value = found[0]
        return value

    def set(self, path: tuple[str, ...], data: Any) -> None:  # noqa: ANN401 - any JSON
        """Put the data there, with what is missing on the way. Raises like `get`."""
        for depth in range(len(path)):
            here = self._find(path[: depth + 1])
            if here is None or here.data is None:
                for key in reversed(path[depth + 1 :]):
                    data = {key: data}
                whole = self._find(path[:depth]) if depth else self.root
                assert whole
                self._replace(here, data) if here else self._add(whole, data, path[depth])
                return
        found = self._find(path)
        assert found
        self._replace(found, data)

    def append(self, path: tuple[str, ...], data: Any) -> None:  # noqa: ANN401 - any JSON
        """Put the data at the end of the list there, or into a new one. Raises like `get`."""
        found = self._find(path)
        if found is None or found.data is None:
            self.set(path, [data])
        elif isinstance(found.data, list):
            self._add(found, data)
        else:
            raise NoObject(f'has no list under "{".".join(path)}"')

    # How it is written ----------------------------------------------------------------------------

    @property
    def _newline(self) -> str:
        found = _LINE_END.search(self.text)
        return found[0] if found else "\n"

    @property
    def _indent(self) -> str:
        found = re.search(r"[{\[][ \t]*(?:\r\n|\n|\r)([ \t]+)\S", self.text)
        return found[1] if found else "  "

    def _written(self, data: Any, margin: str) -> str:  # noqa: ANN401 - any JSON
        return show(data, self._indent).replace("\n", self._newline + margin)

    def _replace(self, value: Value, data: Any) -> None:  # noqa: ANN401 - any JSON
        written = self._written(data, self._margin(value.start))
        self.text = self.text[: value.start] + written + self.text[value.end :]

    def _add(self, whole: Value, data: Any, key: str | None = None) -> None:  # noqa: ANN401 - any JSON
        """Write it behind the last value of the object or list, on a line of its own where that has lines."""
        outer = self._margin(whole.start)
        inner = outer + self._indent
        if whole.begins and not self._before(whole.begins[-1]).strip(" \t"):
            inner = self._margin(whole.begins[-1])
        has_lines = not whole.items or _LINE_END.search(self.text, whole.start, whole.end) is not None
        head, tail = self.text[: whole.last], self.text[whole.last :]
        if whole.items and not whole.has_comma:
            comma = whole.items[-1].end
            head = head[:comma] + "," + head[comma:]
        name = "" if key is None else _plain(key) + ": "
        written = self._written(data, inner) if has_lines else _plain(data)
        added = (self._newline + inner if has_lines else " ") + name + written + "," * whole.has_comma
        if has_lines and not _LINE_END.match(tail.lstrip(" \t")):
            added, tail = added + self._newline + outer, tail.lstrip(" \t")
        self.text = head + added + tail

    def _before(self, at: int) -> str:
        """What stands before it on its line."""
        return _LINE_END.split(self.text[:at])[-1]

    def _margin(self, at: int) -> str:
        """The white space at the beginning of its line."""
        line = self._before(at)
        return line[: len(line) - len(line.lstrip(" \t"))]


def show(data: Any, indent: str = "  ") -> str:  # noqa: ANN401 - any JSON
    """The data as JSON over several lines, but lists of plain values on one."""
    if isinstance(data, dict) and data:
        lines = [f"{_plain(key)}: {show(value, indent)}" for key, value in data.items()]
        return "{\n" + ",\n".join(_indented(line, indent) for line in lines) + "\n}"
    if isinstance(data, list) and any(isinstance(value, dict | list) for value in data):
        return "[\n" + ",\n".join(_indented(show(value, indent), indent) for value in data) + "\n]"
    return _plain(data)


def _plain(data: Any) -> str:  # noqa: ANN401 - any JSON
    """The data on one line; half a character, which UTF-8 cannot have, stays the escape that it was."""
    return json.dumps(data, ensure_ascii=False).encode(errors="backslashreplace").decode()


def _indented(text: str, indent: str) -> str:
    return indent + text.replace("\n", "\n" + indent)
