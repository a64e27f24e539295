"""The bundle (MCPB): the official tool takes it, and it starts with whatever a person filled into the form."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from support.clients import TOOLS
from support.node import FOLDER, install
from support.processes import ROOT, run, run_here, sandbox_over_http
from support.programs import program

from patchworks_deployments.hosts.options import OVER_HTTP
from patchworks_deployments.settings import PREFIX, Settings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as the command writes it."""
    path = tmp_path_factory.mktemp("bundle") / "patchworks.mcpb"
    outcome = run_here("bundle", "--output", str(path))
    assert outcome.stdout == f"{path}\n"
    return path


@pytest.fixture(scope="module")
def folder(bundle: Path) -> Path:
    """The bundle as a host unpacks it."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(bundle.parent / "unpacked")
    return bundle.parent / "unpacked"


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.slow
def test_the_official_tool_takes_it(bundle: Path, folder: Path) -> None:
    """It finds nothing wrong with the manifest, and what it unpacks is what is in."""
    install()
    tool, unpacked = str(FOLDER / "node_modules" / ".bin" / "mcpb"), bundle.parent / "by the tool"
    for arguments in (("validate", folder / "manifest.json"), ("unpack", bundle, unpacked)):
        outcome = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - as the lock names it
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert _contents(unpacked) == _contents(folder)


def test_its_form_asks_for_each_setting_of_a_server_that_a_host_starts(folder: Path) -> None:
    """Secrets are kept as secrets, nothing is required, and what only HTTP needs is not asked."""
    manifest = _manifest(folder)
    form = manifest["user_config"]
    assert set(form) | OVER_HTTP | {"sandbox"} == set(Settings.model_fields)
    assert not set(form) & (OVER_HTTP | {"sandbox"})
    secret = {name for name in form if "SecretStr" in str(Settings.model_fields[name].annotation)}
    assert {name for name, field in form.items() if field.get("sensitive")} == secret
    assert not any(field["required"] for field in form.values())
    assert all(field["title"] and field["description"] for field in form.values())
    env = manifest["server"]["mcp_config"]["env"]
    assert env == {PREFIX + name.upper(): f"${{user_config.{name}}}" for name in form}
    Settings(sandbox=True, **{name: field["default"] for name, field in form.items() if "default" in field})


def test_it_names_the_tools_that_an_assistant_is_offered(folder: Path) -> None:
    """And not the one that only the page may call."""
    assert {tool["name"] for tool in _manifest(folder)["tools"]} == set(TOOLS)


def test_the_same_sources_make_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    """Byte by byte, so that a checksum says which one it is; no compiled file and no other part of the clone is in."""
    run_here("bundle", "--output", str(tmp_path / "again.mcpb"))
    assert (tmp_path / "again.mcpb").read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
    assert {name for name in names if "/" not in name} == {"manifest.json", "pyproject.toml", "README.md", "LICENSE"}
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
    assert {"server/main.py", "server/patchworks_deployments/app/page.html"} <= names


@pytest.mark.slow
def test_what_lies_among_the_sources_is_not_in_it(bundle: Path, tmp_path: Path) -> None:
    """Neither a log nor a key nor an older bundle: it is the same as without them."""
    package = Path("server", "patchworks_deployments")
    shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (".env", "audit.jsonl", "tokens", "old.mcpb", "app/.audit.jsonl.0123456789ab", "key.pem"):
        (tmp_path / package / name).write_text("hush", encoding="utf-8")
    outcome = run("bundle", "--output", str(tmp_path / "x.mcpb"), PYTHONPATH=str(tmp_path / "server"))
    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "x.mcpb").read_bytes() == bundle.read_bytes()


def _started(folder: Path, **filled: str) -> StdioServerParameters:
    """What a host starts, with the form expanded; uv takes this environment, instead of making one.

    For a field that nobody has filled in some hosts pass on its default or an empty text, and others the field's own
    name. Here each comes as often as the other, among the ways to authenticate too.
    """
    manifest = _manifest(folder)
    values = {
        name: filled.get(name) or (f"${{user_config.{name}}}" if number % 2 else str(field.get("default", "")).lower())
        for number, (name, field) in enumerate(manifest["user_config"].items())
    }
    assert {values[name][:1] for name in ("bearer_token", "username", "password")} == {"", "$"}

    def expanded(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"${{user_config.{name}}}", value)
        return text.replace("${__dirname}", str(folder))

    config = manifest["server"]["mcp_config"]
    as_installed = {"UV_NO_SYNC": "1", "UV_PROJECT_ENVIRONMENT": sys.prefix, "PATH": os.environ["PATH"]}
    return StdioServerParameters(
        command=program(config["command"]),
        args=[expanded(argument) for argument in config["args"]],
        env=as_installed | {name: expanded(value) for name, value in config["env"].items()},
    )


async def _account(server: StdioServerParameters) -> str:
    """The question of a change, which names the account."""
    async with Client(server) as client:
        arguments = {"flow_version_id": "1001", "deployment_id": "500"}
        result = await client.call_tool("disable_deployment", arguments)
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@pytest.mark.slow
async def test_an_empty_form_plays_the_sandbox(folder: Path) -> None:
    """The question says whose deployments these are."""
    assert "Account: the sandbox" in await _account(_started(folder))


@pytest.mark.slow
async def test_a_key_alone_is_enough(folder: Path) -> None:
    """It is what the server shows to Patchworks, and no sandbox comes in between."""
    with sandbox_over_http() as address:
        said = await _account(_started(folder, api_key="a-key-that-is-wrong", base_url=address))
    assert "Patchworks does not accept the credentials (401)" in said


@pytest.mark.slow
def test_outside_of_a_clone_no_bundle_is_made(tmp_path: Path) -> None:
    """The project's files are not installed, so the command says where it works."""
    package = tmp_path / "site" / "patchworks_deployments"
    package.parent.mkdir()
    package.symlink_to(ROOT / "server" / "patchworks_deployments")
    outcome = run("bundle", "--output", str(tmp_path / "x.mcpb"), PYTHONPATH=str(package.parent))
    assert outcome.returncode == 2
    assert "A bundle is made in a clone" in outcome.stderr
    assert not (tmp_path / "x.mcpb").exists()
