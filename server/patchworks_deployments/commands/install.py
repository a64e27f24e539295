"""Putting this server into a host's configuration, or only showing what would change."""

import contextlib
import dataclasses
import getpass
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from patchworks_deployments.commands.output import say, tell
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.hosts.editing import files, jsonc
from patchworks_deployments.hosts.entry import (
    Entry,
    checked_name,
    flags_of,
    installed_command,
    secret_variable,
)
from patchworks_deployments.hosts.insertion import DOTS, Inserted, insert
from patchworks_deployments.hosts.options import OVER_HTTP, SECRETS
from patchworks_deployments.hosts.rows import HOSTS, Host, this_machine
from patchworks_deployments.settings import PREFIX, PROGRAM, flag_of, load_settings, variable_of

BY_HAND = {
    "jetbrains": "JetBrains AI Assistant: Settings, Tools, AI Assistant, Model Context Protocol (MCP), Add, JSON"
}
"""Hosts into which a person pastes the entry, and where."""

STAND_IN = "0" * 32
"""Takes the place of a secret that only the host will know, while the other settings are checked."""

COMMAND_OF_CLAUDE_CODE = (
    "Claude Code, for all projects: it keeps its servers in a file that it rewrites all the time, so add this one with "
    "its own command:"
)


def run(options: dict[str, Any]) -> None:
    """Show the difference in the host's file, and with `--write` make it. Raises `SettingsError`."""
    name, project, write = options.pop("name", None), options.pop("project"), options.pop("write")
    key = options.pop("host")
    if key is None:
        say(_listed())
        return
    key = key.lower()
    if key not in {*HOSTS, *BY_HAND}:
        raise SettingsError(f"{key} is no host that is known here. Nothing was written.\n{_listed()}")
    environment = _taken_out()
    _warn_of_unused(environment)
    entry = _entry(name, options, environment)
    host = HOSTS.get(key)
    path = host.path(this_machine(os.environ), project=project) if host else None
    if host is None or path is None:
        _check(options, entry, environment)
        say(_by_hand(key, entry, project=project))
        return
    if project and host.trusts:
        host = dataclasses.replace(host, after=host.trusts)
    file = files.read(path)
    entry = _with_secret(host, entry, file, environment, may_ask=write)
    _check(options, entry, environment)
    inserted = insert(host, entry, file)
    say(f"{host.title}: {file.path}{'' if file.raw is not None else ' (a new file)'}")
    if not project and not file.path.parent.exists():
        say(f"There is no folder {file.path.parent} yet: is {host.title} installed here, and was it started once?")
    _carry_out(host, entry, file, inserted, write=write)


def _by_hand(key: str, entry: Entry, *, project: bool) -> str:
    """What to paste, or which command to run, where there is no file to change. Raises `SettingsError`."""
    if key in BY_HAND:
        dots = ", with your own secret in the place of the dots" if entry.secret else ""
        return f"{BY_HAND[key]}. Paste this{dots}:\n{_to_paste(entry)}"
    host = HOSTS[key]
    if project:
        raise SettingsError(f"{host.title} has no file for a project: leave out --project. Nothing was written.")
    return f"{COMMAND_OF_CLAUDE_CODE}\n\n  {_claude_mcp_add(entry)}\n\nNothing was written.{_to_be_set(host, entry)}"


def _taken_out() -> dict[str, str]:
    """What this terminal has set of the settings. The entry stands alone, so it is checked without them."""
    names = [name for name in os.environ if name.upper().startswith(PREFIX)]
    return {name: os.environ.pop(name) for name in names}


def _warn_of_unused(environment: dict[str, str]) -> None:
    secrets = set(map(variable_of, SECRETS))
    names = [name for name, value in sorted(environment.items()) if value and name not in secrets]
    if names:
        tell(f"Not taken over from this terminal: {', '.join(names)}. Give it as a flag, or add it to `env` there.")


def _entry(name: str | None, given: dict[str, Any], environment: dict[str, str]) -> Entry:
    wrong = sorted(flag_of(setting) for setting in given if setting in OVER_HTTP)
    if wrong:
        raise SettingsError(f"A host starts the server over stdio: leave out {', '.join(wrong)}. Nothing was written.")
    default = "patchworks-sandbox" if given.get("sandbox") else "patchworks"
    secret = secret_variable(given, environment)
    entry = Entry(checked_name(name or default), installed_command(), flags_of(given, Path.cwd()), secret)
    try:
        "".join(entry.command + entry.flags).encode()
    except UnicodeEncodeError:
        raise SettingsError(
            "The entry would hold a path or a name that is not in UTF-8, which no host's file can have: give it "
            "another name. Nothing was written."
        ) from None
    return entry


def _with_secret(host: Host, entry: Entry, file: files.File, environment: dict[str, str], *, may_ask: bool) -> Entry:
    """The entry with the secret itself, where the host's file has to hold it. Raises `SettingsError`.

    As long as nothing is written nobody is asked, and a secret that is not known is not missed: it is not shown anyway.
    """
    if not entry.secret or not host.needs_value:
        return entry
    value = environment.get(entry.secret) or _kept(host, entry, file)
    if not value and may_ask and sys.stdin and sys.stdin.isatty():
        with contextlib.suppress(EOFError):
            value = getpass.getpass(f"{entry.secret} (it is not shown, and will stand in {file.path}): ").strip()
    if not value and may_ask:
        raise SettingsError(
            f"{host.title} cannot refer to a variable, so its file has to hold the secret of your account. Set "
            f"{entry.secret} in this terminal and run the command again, or run it where you can be asked. "
            "To try it without an account, add --sandbox. Nothing was written."
        )
    return dataclasses.replace(entry, value=value or STAND_IN)


def _kept(host: Host, entry: Entry, file: files.File) -> str | None:
    """The secret that stands in the entry already."""
    try:
        old = jsonc.Document(file.text.removeprefix(files.BOM) or "{}").get(
            host.root, entry.name, "env", entry.secret or ""
        )
    except ValueError:
        return None  # said when the file is changed
    return old if isinstance(old, str) else None


def _check(given: dict[str, Any], entry: Entry, environment: dict[str, str]) -> None:
    """Refuse what the server would refuse when the host starts it. Raises `SettingsError`."""
    secret: dict[str, str] = {}
    if entry.secret:
        value = entry.value or environment.get(entry.secret) or STAND_IN
        secret[entry.secret.removeprefix(PREFIX).lower()] = value
    try:
        load_settings({}, **given, **secret)
    except SettingsError as error:
        faults = str(error).partition("\n")[2]
        raise SettingsError(f"Nothing was written, because the server would not start with this:\n{faults}") from None


def _carry_out(host: Host, entry: Entry, file: files.File, inserted: Inserted, *, write: bool) -> None:
    if not inserted.difference:
        say(f"{entry.name} is already there, nothing to do.{_to_be_set(host, entry)}")
        return
    say("\n".join(inserted.difference))
    if not write:
        asked = (
            f" You are asked for {entry.secret}, unless this terminal has set it." if entry.value == STAND_IN else ""
        )
        say(f"Nothing was written. To write it, add --write.{asked}{_to_be_set(host, entry)}")
        return
    backup = files.replace(file, inserted.text, is_secret=entry.value is not None)
    say("Written." + (f" The file as it was: {backup}" if backup else ""))
    if entry.value is not None and file.is_shared:
        say(f"Others on this machine can read {file.path}, which holds a secret: `chmod 600` would end that.")
    clone = Path(sys.prefix).parent
    if (clone / "pyproject.toml").exists():
        say(f"The entry starts the command in {clone}: keep that folder where it is.")
    say(f"{host.title}: {host.after}{_to_be_set(host, entry)}")


def _to_be_set(host: Host, entry: Entry) -> str:
    """What a person has to do for the secret to be there."""
    if not entry.secret or entry.value is not None:
        return ""
    if host.asks_for_secrets:
        return f" It asks you for the secret ({entry.secret}) when it starts the server, and keeps it."
    return (
        f" It takes the secret of your account from its own environment: set {entry.secret} where {host.title} is "
        "started. A program that the desktop starts does not see what a terminal sets: start it from the terminal, or "
        "write the secret itself in the place of its reference."
    )


def _claude_mcp_add(entry: Entry) -> str:
    words = ["claude", "mcp", "add", entry.name, "--scope", "user"]
    if entry.secret:
        words += ["--env", f"{entry.secret}=${{{entry.secret}}}"]
    return shlex.join([*words, "--", *entry.command, *entry.flags])


def _to_paste(entry: Entry) -> str:
    shown = Host("", "").form(dataclasses.replace(entry, value=DOTS))
    return jsonc.show({"mcpServers": {entry.name: shown}})


def _listed() -> str:
    machine = this_machine(os.environ)
    width = max(map(len, [*HOSTS, *BY_HAND]))
    lines = [f"{PROGRAM} install HOST, where HOST is one of:"]
    for key, host in HOSTS.items():
        path = host.path(machine, project=False) or "(by its own command, which is shown)"
        project = f"; with --project {'/'.join(host.project)}" if host.project else ""
        lines.append(f"  {key:{width}}  {path}{project}")
    lines += [f"  {key:{width}}  {where}" for key, where in BY_HAND.items()]
    return "\n".join(lines)
