"""Where hosts keep their files on each system, and entries with paths of Windows; none of it can be run here."""

import json
import tomllib
from pathlib import Path

import pytest

from patchworks_deployments.hosts.editing.files import File
from patchworks_deployments.hosts.entry import Entry, installed_command
from patchworks_deployments.hosts.insertion import insert
from patchworks_deployments.hosts.rows import HOSTS, Machine

CLAUDE = "Claude/claude_desktop_config.json"
PLACES = {
    ("claude-desktop", "darwin"): "Library/Application Support/" + CLAUDE,
    ("claude-desktop", "win32"): "AppData/Roaming/" + CLAUDE,
    ("vscode", "darwin"): "Library/Application Support/Code/User/mcp.json",
    ("vscode", "win32"): "AppData/Roaming/Code/User/mcp.json",
    ("zed", "darwin"): ".config/zed/settings.json",
    ("zed", "win32"): "AppData/Roaming/Zed/settings.json",
    ("cursor", "win32"): ".cursor/mcp.json",
}


@pytest.mark.parametrize(("host", "platform"), PLACES)
def test_a_file_is_where_its_system_has_it(tmp_path: Path, host: str, platform: str) -> None:
    """As the vendor documents it."""
    machine = Machine(platform, tmp_path, {}, tmp_path)
    assert HOSTS[host].path(machine, project=False) == tmp_path / PLACES[host, platform]


@pytest.mark.parametrize(
    ("host", "variable", "file"),
    [
        ("codex", "CODEX_HOME", "config.toml"),
        ("copilot", "COPILOT_HOME", "mcp-config.json"),
        ("zed", "XDG_CONFIG_HOME", "zed/settings.json"),
        ("vscode", "XDG_CONFIG_HOME", "Code/User/mcp.json"),
    ],
)
def test_a_variable_moves_a_file(tmp_path: Path, host: str, variable: str, file: str) -> None:
    """The host reads the same variable."""
    machine = Machine("linux", tmp_path, {variable: str(tmp_path / "moved")}, tmp_path)
    assert HOSTS[host].path(machine, project=False) == tmp_path / "moved" / file


@pytest.mark.parametrize(
    "folder", ["Claude-Data/claude_pzs8", "Packages/Claude_pzs8/LocalCache/Roaming/Claude"], ids=["newer", "package"]
)
def test_the_packaged_claude_desktop_has_a_folder_of_its_own(tmp_path: Path, folder: str) -> None:
    """Where that is there, Windows does not show the other one to it."""
    local = tmp_path / "AppData" / "Local"
    (local / folder).mkdir(parents=True)
    machine = Machine("win32", tmp_path, {"LOCALAPPDATA": str(local)}, tmp_path)
    assert HOSTS["claude-desktop"].path(machine, project=False) == local / folder / "claude_desktop_config.json"


@pytest.mark.parametrize("host", ["cursor", "codex"])
def test_a_path_of_windows_is_written_so_that_it_is_read_again(host: str) -> None:
    """Its backslashes are none of JSON's or TOML's, and an apostrophe in a name does no harm; line ends stay."""
    command = (r"C:\Users\new O'Neill\tools\patchworks-deployments-mcp.exe",)
    before = '{\r\n  "a": 1\r\n}\r\n' if host == "cursor" else "a = 1\r\n"
    file = File(Path("x"), before.encode(), before, None)
    text = insert(HOSTS[host], Entry("patchworks", command, ("--sandbox",)), file).text
    read = json.loads(text) if host == "cursor" else tomllib.loads(text)
    assert read[HOSTS[host].root]["patchworks"]["command"] == command[0]
    assert text.count("\n") == text.count("\r\n")


def test_without_a_script_the_module_is_run(tmp_path: Path) -> None:
    """By the full path of the Python that has it, as where pip put the script into a folder of the user."""
    python = tmp_path / "bin" / "python"
    found = installed_command(str(python), str(tmp_path), scripts=str(tmp_path / "scripts"))
    assert found == (str(python), "-m", "patchworks_deployments")


@pytest.mark.parametrize("where", ["bin", "scripts"])
@pytest.mark.parametrize(("platform", "name"), [("linux", ""), ("win32", ".exe")])
def test_the_script_is_beside_python_or_where_scripts_are(tmp_path: Path, where: str, platform: str, name: str) -> None:
    """On Windows it ends in .exe, and beside a Python for all there is a folder for scripts."""
    script = tmp_path / where / f"patchworks-deployments-mcp{name}"
    script.parent.mkdir()
    script.touch()
    found = installed_command(
        str(tmp_path / "bin" / "python"), str(tmp_path), scripts=str(tmp_path / "scripts"), platform=platform
    )
    assert found == (str(script),)
