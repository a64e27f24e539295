"""The bundle (MCPB) that a host with windows installs by a click: a manifest, and the sources that uv runs."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from patchworks_deployments import __version__
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.hosts.entry import MODULE
from patchworks_deployments.hosts.options import Option, options
from patchworks_deployments.settings import PROGRAM

MANIFEST_VERSION = "0.4"
"""The first one with the server type `uv`: github.com/modelcontextprotocol/mcpb, MANIFEST.md."""

ENTRY_POINT = "server/main.py"
ENTRY = f"from {MODULE}.commands.bundled import main\n\nmain()\n"
PACKAGE = Path(__file__).parent.parent
PROJECT_FILES = ("pyproject.toml", "README.md", "LICENSE")
SOURCES = frozenset({".py", ".html", ".css", ".js", ".typed"})
"""How the names of the package's files end: a log or a key that lies among them is nobody else's business."""

DESCRIPTION = "See and safely change which flow versions of Patchworks run where."
KEYLESS = "; without any, the server plays a made-up account"
DATE = (1980, 1, 1, 0, 0, 0)
"""Of each file in the bundle: the same sources make the same bundle, byte by byte."""


def manifest(tools: Mapping[str, str]) -> dict[str, Any]:
    """What the bundle says of itself; `tools` are their titles by name."""
    asked = [option for option in options() if option.name != "sandbox"]  # it is what an empty form means
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": PROGRAM,
        "display_name": "Patchworks deployments",
        "version": __version__,
        "description": DESCRIPTION,
        "author": {"name": f"The authors of {PROGRAM}"},
        "license": "MIT",
        "keywords": ["patchworks", "ipaas", "deployments"],
        "server": {
            "type": "uv",
            "entry_point": ENTRY_POINT,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--no-dev", "--directory", "${__dirname}", ENTRY_POINT],
                "env": {option.variable: f"${{user_config.{option.name}}}" for option in asked},
            },
        },
        "tools": [{"name": name, "description": title} for name, title in tools.items()],
        "prompts_generated": True,
        "compatibility": {"platforms": ["darwin", "win32", "linux"], "runtimes": {"python": ">=3.11"}},
        "user_config": {option.name: _asked(option) for option in asked},
    }


def _asked(option: Option) -> dict[str, Any]:
    """The option as a field of the form that the host shows."""
    description = option.description[:1].upper() + option.description[1:]
    made: dict[str, Any] = {
        "type": "string" if option.kind == "path" else option.kind,
        "title": option.title,
        "description": description + (KEYLESS if option.name == "api_key" else ""),
        "required": False,
    }
    if option.is_secret:
        made["sensitive"] = True
    found = {"default": option.default, "min": option.minimum, "max": option.maximum}
    return {**made, **{key: value for key, value in found.items() if value is not None}}


def clone() -> Path:
    """The folder of the repository. Raises `SettingsError` where an installed package runs, which lacks most of it."""
    root = PACKAGE.parent.parent
    if not all((root / name).is_file() for name in PROJECT_FILES):
        raise SettingsError(
            "A bundle is made in a clone of the repository, with its own command: this one is installed without the "
            "project's files. Nothing was written."
        )
    return root


def bundle(root: Path, tools: Mapping[str, str]) -> bytes:
    """The bundle's bytes, of the clone in that folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(root, manifest(tools)):
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return made.getvalue()


def _files(root: Path, said: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    yield "manifest.json", (json.dumps(said, indent=2, ensure_ascii=False) + "\n").encode()
    yield ENTRY_POINT, ENTRY.encode()
    for name in PROJECT_FILES:
        yield name, (root / name).read_bytes()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in SOURCES and path.is_file():
            yield path.relative_to(root).as_posix(), path.read_bytes()
