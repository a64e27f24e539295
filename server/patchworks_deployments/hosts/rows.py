"""The hosts whose configuration is a file: a row for each, as the vendor's documentation has it."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchworks_deployments.hosts.entry import Entry
from patchworks_deployments.hosts.options import title_of
from patchworks_deployments.settings import PREFIX

QUESTION_SECONDS = 660
"""Seconds that a host must wait for a call: the server waits ten minutes for a person's answer."""


@dataclass(frozen=True)
class Machine:
    """What decides where files are: the platform as `sys.platform` names it, the home folder and the environment."""

    platform: str
    home: Path
    environment: Mapping[str, str]
    here: Path
    """The folder of the project."""

    def folder(self, variable: str, *default: str) -> Path:
        """What the variable names, or a folder in the home folder."""
        named = self.environment.get(variable)
        return Path(named) if named else self.home.joinpath(*default)

    def config(self) -> Path:
        """Where programs with windows keep their configuration."""
        if self.platform == "win32":
            return self.folder("APPDATA", "AppData", "Roaming")
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.folder("XDG_CONFIG_HOME", ".config")


@dataclass(frozen=True)
class Host:
    """One host: its files, the form of an entry, and how a secret gets in."""

    title: str
    documented: str
    """Where the vendor says so."""
    user: Callable[[Machine], Path] | None = None
    """The file for all projects."""
    project: tuple[str, ...] = ()
    """The file for one project, seen from its folder."""
    root: str = "mcpServers"
    reference: str = ""
    """How an entry names a variable of the host's own environment, with NAME for its name; empty: it cannot."""
    begins: dict[str, Any] = field(default_factory=dict)
    """What stands in an entry before its command."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """What an entry gets unless it has it already."""
    after: str = "Restart it."
    """What makes the host take up the change."""
    trusts: str = ""
    """How a person says that they trust the servers of a project, where they have to."""

    def path(self, machine: Machine, *, project: bool) -> Path | None:
        """The file that is to be changed; None where the host has none of this kind."""
        if project:
            return machine.here.joinpath(*self.project) if self.project else None
        return self.user(machine) if self.user else None

    def form(self, entry: Entry) -> dict[str, Any]:
        """The entry as this host has it."""
        made: dict[str, Any] = {**self.begins, "command": entry.command[0], "args": [*entry.command[1:], *entry.flags]}
        if entry.secret and self.passes_variables:
            made["env_vars"] = [entry.secret]
        elif entry.secret:
            made["env"] = {entry.secret: self.refer(entry.secret) or entry.value}
        return made

    def refer(self, variable: str) -> str:
        """What stands for the variable's value."""
        return self.reference.replace("ID", input_id(variable)).replace("NAME", variable)

    @property
    def is_toml(self) -> bool:
        """Whether the file is TOML; the others are JSON, some with comments."""
        return self.root == "mcp_servers"

    @property
    def passes_variables(self) -> bool:
        """Whether an entry lists variables that the host passes on."""
        return self.is_toml

    @property
    def asks_for_secrets(self) -> bool:
        """Whether the host itself asks the person for the secret and keeps it."""
        return self.reference.startswith("${input:")

    @property
    def needs_value(self) -> bool:
        """Whether the secret itself has to stand in the file."""
        return not self.reference and not self.passes_variables


def input_id(variable: str) -> str:
    """The name under which VS Code keeps the secret."""
    return "patchworks-" + variable.removeprefix(PREFIX).lower().replace("_", "-")


def input_for(variable: str) -> dict[str, Any]:
    """What makes VS Code ask for the secret, once, and keep it with its other secrets."""
    return {
        "type": "promptString",
        "id": input_id(variable),
        "description": f"{title_of(variable.removeprefix(PREFIX).lower())} of your Patchworks account",
        "password": True,
    }


def _claude_desktop(machine: Machine) -> Path:
    """Where Claude Desktop reads it.

    Its package for Windows (MSIX) sees other folders than other programs do: reported in anthropics/claude-code#26073,
    and for newer versions in MadGapun/PBP#1245.
    """
    name = "claude_desktop_config.json"
    if machine.platform == "win32":
        local = machine.folder("LOCALAPPDATA", "AppData", "Local")
        for pattern in ("Claude-Data/claude_*", "Packages/Claude_*/LocalCache/Roaming/Claude"):
            for folder in sorted(local.glob(pattern)):
                return folder / name
    return machine.config() / "Claude" / name


def _zed(machine: Machine) -> Path:
    if machine.platform == "win32":
        return machine.config() / "Zed" / "settings.json"
    return machine.folder("XDG_CONFIG_HOME", ".config") / "zed" / "settings.json"


HOSTS = {
    "claude-desktop": Host(
        "Claude Desktop",
        "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
        user=_claude_desktop,
        after="Quit it, also in the tray or the menu bar, and start it again.",
    ),
    "claude-code": Host(
        "Claude Code",
        "https://code.claude.com/docs/en/mcp",
        project=(".mcp.json",),
        reference="${NAME}",
        begins={"type": "stdio"},
        trusts="Start it in this folder, and choose to use this server: what it proposes is to go on without.",
    ),
    "cursor": Host(
        "Cursor",
        "https://cursor.com/docs/mcp",
        user=lambda machine: machine.home / ".cursor" / "mcp.json",
        project=(".cursor", "mcp.json"),
        reference="${env:NAME}",
        begins={"type": "stdio"},
    ),
    "vscode": Host(
        "VS Code",
        "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
        user=lambda machine: machine.config() / "Code" / "User" / "mcp.json",
        project=(".vscode", "mcp.json"),
        root="servers",
        reference="${input:ID}",
        begins={"type": "stdio"},
        after="Run the command `MCP: List Servers` in it, and start the server there.",
    ),
    "codex": Host(
        "Codex",
        "https://developers.openai.com/codex/mcp",
        user=lambda machine: machine.folder("CODEX_HOME", ".codex") / "config.toml",
        project=(".codex", "config.toml"),
        root="mcp_servers",
        after="Restart it. `codex exec` has to be told to wait for it: see docs/connecting.md.",
        # Without them it waits 10 s for the start and 60 s for a call.
        defaults={"startup_timeout_sec": 30, "tool_timeout_sec": QUESTION_SECONDS},
        trusts="Start it in this folder and trust that, or use `codex exec --trust`.",
    ),
    "gemini": Host(
        "Gemini CLI",
        "https://geminicli.com/docs/tools/mcp-server",
        user=lambda machine: machine.home / ".gemini" / "settings.json",
        project=(".gemini", "settings.json"),
        reference="$NAME",
        trusts="Start it in this folder and trust that.",
    ),
    "copilot": Host(
        "Copilot CLI",
        "https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers",
        user=lambda machine: machine.folder("COPILOT_HOME", ".copilot") / "mcp-config.json",
        project=(".mcp.json",),
        reference="${NAME}",
        begins={"type": "stdio"},
        defaults={"tools": ["*"]},
        trusts="Start it in this folder and trust that.",
    ),
    "windsurf": Host(
        "Windsurf",
        "https://docs.windsurf.com/windsurf/cascade/mcp",
        user=lambda machine: machine.home / ".codeium" / "windsurf" / "mcp_config.json",
        reference="${env:NAME}",
        after="Press the refresh button of its list of MCP servers.",
    ),
    "zed": Host(
        "Zed",
        "https://zed.dev/docs/ai/mcp",
        user=_zed,
        root="context_servers",
        after="It takes it up when the file is saved.",
    ),
}


def this_machine(environment: Mapping[str, str]) -> Machine:
    """The machine on which the command runs."""
    return Machine(sys.platform, Path.home(), environment, Path.cwd())
