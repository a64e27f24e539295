"""The entry that makes a host start this server: the command, its flags, and where its secret comes from."""

import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import PREFIX, PROGRAM, Settings, flag_of

MODULE = "patchworks_deployments"

MAX_NAME = 28
"""Characters: hosts show a tool as `mcp__NAME__TOOL` and allow 64, of which our longest tool takes 29."""

FLAGS = frozenset(map(flag_of, Settings.model_fields))

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{MAX_NAME - 1}}}")


@dataclass(frozen=True)
class Entry:
    """What a host shall start, and under which name it shows it."""

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...]
    secret: str | None = None
    """The variable of the secret; None for the sandbox, which needs none."""
    value: str | None = None
    """The secret itself, for hosts that cannot refer to a variable."""


def flags_of(given: Mapping[str, object], folder: Path) -> tuple[str, ...]:
    """The settings as flags. An audit log in the `folder` gets its full path: hosts start servers elsewhere."""
    flags: list[str] = []
    for name in Settings.model_fields:
        if name not in given:
            continue
        flag, value = flag_of(name), given[name]
        if value is True:
            flags.append(flag)
            continue
        text = str(value)
        if name == "audit_log" and not text.startswith("~"):
            text = str(folder / text)
        flags += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return tuple(flags)


def checked_name(name: str) -> str:
    """The name, if hosts take it. Raises `SettingsError`."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"--name must begin with a letter, hold only letters, digits, - and _, and have at most {MAX_NAME} "
            "characters: hosts put it before the name of each tool. Nothing was written."
        )
    return name


def secret_variable(given: Mapping[str, object], environment: Mapping[str, str]) -> str | None:
    """Which variable holds the account's secret, by what is given: a password, a token, or else the API key."""
    if given.get("sandbox"):
        return None
    if given.get("username"):
        return PREFIX + "PASSWORD"
    has_token = environment.get(PREFIX + "BEARER_TOKEN") and not environment.get(PREFIX + "API_KEY")
    return PREFIX + ("BEARER_TOKEN" if has_token else "API_KEY")


def installed_command(
    executable: str | None = None,
    prefix: str | None = None,
    *,
    scripts: str | None = None,
    platform: str = sys.platform,
) -> tuple[str, ...]:
    """The command with its full path, as a host that a desktop started has no `PATH` of a shell.

    Raises `SettingsError` where the command lies in a place that is emptied by itself.
    """
    executable, prefix = executable or sys.executable, prefix or sys.prefix
    environment = Path(prefix)
    is_cached = any((folder / "CACHEDIR.TAG").exists() for folder in environment.parents)
    if is_cached or {".cache", "pipx"} <= set(environment.parts):
        raise SettingsError(
            f"This command runs from a cache, {prefix}, which is emptied from time to time: a host that starts it "
            "there fails some day. Install it for good, for example with `uv tool install .` in a clone, and run "
            "`install` again with that. Nothing was written."
        )
    suffix = ".exe" if platform == "win32" else ""
    for folder in (Path(executable).parent, Path(scripts or sysconfig.get_path("scripts"))):
        script = folder / f"{PROGRAM}{suffix}"
        if script.exists():
            return (str(script),)
    return (executable, "-m", MODULE)


def merged(old: Any, new: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - whatever was there
    """The new entry with what only the old one has: its other variables, and what the host keeps in it.

    All variables of this server are the new entry's. An entry that starts nothing, as that of a server over HTTP, is
    replaced as a whole. The `defaults` give way to what stands there.
    """
    if not isinstance(old, dict) or not isinstance(old.get("command"), str):
        return {**new, **defaults}
    kept = {**defaults, **old, **new}
    others = {name: value for name, value in _dict(old.get("env")).items() if not str(name).startswith(PREFIX)}
    kept["env"] = {**others, **_dict(new.get("env"))}
    if not kept["env"] and "env" not in new:
        del kept["env"]
    if isinstance(old.get("env_vars"), list) or "env_vars" in new:
        passed = [name for name in _list(old.get("env_vars")) if not str(name).startswith(PREFIX)]
        kept["env_vars"] = [*passed, *new.get("env_vars", [])]
    order = [*new, *defaults, *old]
    return {key: kept[key] for key in dict.fromkeys(order) if key in kept}


def _dict(value: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - the same
    return value if isinstance(value, list) else []
