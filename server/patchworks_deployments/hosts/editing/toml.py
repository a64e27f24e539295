"""One table of a TOML file, put there or replaced; every other line stays as it is."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"[ \t]*\[")
_ESCAPED = {chr(code): f"\\u{code:04x}" for code in [*range(0x20), 0x7F]}


class NotToml(ValueError):
    """The text is no TOML; says where."""


class Unwritable(ValueError):
    """The table stands there in a way in which no line of it can be replaced, or holds what is not written here."""


def read(text: str) -> dict[str, Any]:
    """The text's values. Raises `NotToml`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("it has too many values within values") from None
    except ValueError as error:  # also a number with more digits than Python takes
        raise NotToml(str(error)) from None


def put(text: str, path: tuple[str, ...], table: Mapping[str, Any]) -> str:
    """The text with the table at the path, in place of what stands there. Raises `NotToml` and `Unwritable`."""
    wanted = _with(read(text), path, table)
    newline = "\r\n" if "\r\n" in text else "\n"
    written = newline.join(lines(path, table))
    kept, at = _without(text, path)
    if at is None:
        gap = "" if not kept.strip() else newline if kept.endswith(("\n", "\r")) else newline * 2
        edited = kept + gap + written + newline
    else:
        edited = kept[:at] + written + newline + kept[at:]
    try:
        is_as_wanted = tomllib.loads(edited) == wanted
    except tomllib.TOMLDecodeError:
        is_as_wanted = False
    if not is_as_wanted:
        raise Unwritable(f"{'.'.join(path)} stands there in another form than a table of its own")
    return edited


def _with(values: dict[str, Any], path: tuple[str, ...], table: Mapping[str, Any]) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {**values, key: dict(table)}
    inner = values.get(key, {})
    if not isinstance(inner, dict):
        raise Unwritable(f"{key} is no table")
    return {**values, key: _with(inner, tuple(rest), table)}


def _without(text: str, path: tuple[str, ...]) -> tuple[str, int | None]:
    """The text without the sections of the table, and where the first of them stood."""
    kept, at, is_ours, pending = "", None, False, ""
    for line, header in _lines(text):
        if header is not None:
            is_ours = header[: len(path)] == path
            if is_ours and at is None:
                at = len(kept + pending)
        if is_ours:
            # What follows the table's last line belongs to the next one: a remark above its header, or an empty line.
            is_remark = not line.strip() or line.lstrip().startswith("#")
            pending = pending + line if is_remark else ""
        else:
            kept, pending = kept + pending + line, ""
    return kept + pending, at


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Each line, with its path if it is the header of a table."""
    above = ""  # from the last header on, so that a file with many tables is not read as many times
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        header = _header(line) if _HEADER.match(line) and _is_whole(above) else None
        above = line if header else above + line
        yield line, header


def _is_whole(text: str) -> bool:
    """Whether nothing is open at its end, neither a list nor a string over several lines."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(line: str) -> tuple[str, ...]:
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(value, dict) and value:
        (key, value), *_ = value.items()
        path.append(key)
    return tuple(path)


def lines(path: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    """The table as lines, its own tables behind its values. Raises `Unwritable`."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    written = [f"[{'.'.join(map(_key, path))}]", *(f"{_key(key)} = {_value(value)}" for key, value in plain.items())]
    for key, value in table.items():
        if isinstance(value, Mapping):
            written += ["", *lines((*path, key), value)]
    return written


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # a path of Windows, readable
    return '"' + "".join(_ESCAPED.get(char, "\\" + char if char in '"\\' else char) for char in text) + '"'


def _value(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list) and not any(isinstance(item, Mapping) for item in value):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise Unwritable(f"a value of the kind {type(value).__name__} is not written here")
