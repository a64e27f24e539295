"""What putting an entry into a host's file changes: the new text, and the difference as a person may see it."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patchworks_deployments.hosts.editing import jsonc, toml
from patchworks_deployments.hosts.editing.files import BOM, File, Untouched
from patchworks_deployments.hosts.entry import FLAGS, Entry, merged
from patchworks_deployments.hosts.rows import Host, input_for

DOTS = "•••"
"""Stands for what is not shown: every value that is not of the new entry, and each secret."""


@dataclass(frozen=True)
class Inserted:
    """A host's file with the entry in it; the `difference` shows no value that somebody else has written there."""

    text: str
    difference: tuple[str, ...]


def insert(host: Host, entry: Entry, file: File) -> Inserted:
    """What is to be written. Raises `Untouched` for a file that nobody can be sure to change rightly."""
    bom = BOM if file.text.startswith(BOM) else ""
    text = file.text.removeprefix(BOM)
    try:
        made = _in_toml(host, entry, text) if host.is_toml else _in_json(host, entry, text)
    except (jsonc.NotJson, toml.NotToml) as error:
        form = "TOML" if host.is_toml else "JSON"
        raise Untouched(file.path, f"cannot be read as {form}: {error}. Put it right, then try again") from None
    except jsonc.NoObject as error:
        raise Untouched(file.path, f"{error}, so no entry can be added") from None
    except jsonc.Twice as error:
        raise Untouched(file.path, f"has {error} twice: remove one of the two, then try again") from None
    except toml.Unwritable as error:
        raise Untouched(file.path, f"has to be changed by hand: {error}") from None
    return Inserted(bom + made.text, made.difference)


def _in_json(host: Host, entry: Entry, text: str) -> Inserted:
    document = jsonc.Document(text if text.strip() else "{}\n")
    path = (host.root, entry.name)
    old = document.get(*path)
    new = merged(old, host.form(entry), host.defaults)
    shown = _difference(host, entry, old, new)
    if old != new:
        document.set(path, new)
    if entry.secret and host.asks_for_secrets:
        shown += _add_input(document, entry.secret)
    return Inserted(document.text, tuple(shown))


def _add_input(document: jsonc.Document, variable: str) -> list[str]:
    """Make the host ask for the secret, unless it does already."""
    asked = document.get("inputs")
    ours = input_for(variable)
    if isinstance(asked, list) and any(isinstance(each, dict) and each.get("id") == ours["id"] for each in asked):
        return []
    document.append(("inputs",), ours)
    return ["+ " + line for line in f'"inputs": {jsonc.show([ours])}'.splitlines()]


def _in_toml(host: Host, entry: Entry, text: str) -> Inserted:
    path = (host.root, entry.name)
    servers = toml.read(text).get(host.root, {})
    old = servers.get(entry.name) if isinstance(servers, dict) else None
    new = merged(old, host.form(entry), host.defaults)
    shown = _difference(host, entry, old, new)
    return Inserted(text if old == new else toml.put(text, path, new), tuple(shown))


# What is shown ------------------------------------------------------------------------------------


def _difference(host: Host, entry: Entry, old: Any, new: dict[str, Any]) -> list[str]:  # noqa: ANN401 - any JSON
    """The lines of the old entry and the new one, marked as in a unified diff. Nothing where they are the same."""
    if old == new:
        return []
    shown = (FLAGS | frozenset(_plain([host.form(entry), host.defaults]))) - {entry.value}
    before, after = (_lines(host, entry.name, None if each is None else _masked(each, shown)) for each in (old, new))
    if before == after:
        return [*("  " + line for line in after), "(what changes is a value that is not shown)"]
    return [line for line in difflib.ndiff(before, after) if not line.startswith("?")]


def _lines(host: Host, name: str, value: Any) -> list[str]:  # noqa: ANN401 - any JSON
    if host.is_toml:
        return toml.lines((host.root, name), value) if isinstance(value, dict) else []
    inner = [] if value is None else f"{json.dumps(name)}: {jsonc.show(value)}".splitlines()
    return [f"{json.dumps(host.root)}: {{", *("  " + line for line in inner), "}"]


def _plain(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Every text and number in the value."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _plain(each)
    else:
        yield value


def _masked(value: Any, shown: frozenset[Any]) -> Any:  # noqa: ANN401 - any JSON
    """The value with dots for every text and number but those."""
    if isinstance(value, dict):
        # A name that a terminal would take for more than text is not shown either.
        return {key if key.isprintable() else DOTS: _masked(each, shown) for key, each in value.items()}
    if isinstance(value, list):
        # Tables in a list are not written as TOML here, and an old entry may have some.
        return [DOTS if isinstance(each, dict) else _masked(each, shown) for each in value]
    return value if value is None or isinstance(value, bool) or value in shown else DOTS
