"""What is published for hosts and registries: it says what the settings say."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from support import install_links as links
from support.processes import ROOT, run_here
from support.programs import program

from patchworks_deployments.hosts.entry import Entry
from patchworks_deployments.hosts.options import OVER_HTTP, SECRETS
from patchworks_deployments.hosts.rows import HOSTS, input_for
from patchworks_deployments.settings import PREFIX, Settings, load_settings

SANDBOX = Entry("patchworks-sandbox", ("patchworks-deployments-mcp",), ("--sandbox",))
ACCOUNT = Entry("patchworks", ("patchworks-deployments-mcp",), (), "PATCHWORKS_API_KEY")

SCHEMAS = "skillsaw==0.22.0"
"""The package that has the registry's schemas; the registry itself has put them on no package index."""

VALIDATE = """
import json, sys
from importlib.resources import files
from jsonschema import Draft7Validator
for server in json.load(sys.stdin):
    version = "v" + server["$schema"].split("/")[-2].replace("-", "_")
    schema = files("skillsaw") / "schemas" / "mcp_registry" / version / "server.schema.json"
    validator = Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    print(json.dumps([error.message for error in validator.iter_errors(server)]))
"""

KEPT = ROOT / "docs" / "server.json"


def _kept() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return content


def test_the_server_json_in_the_repository_is_what_the_command_writes(tmp_path: Path) -> None:
    """A setting that is new, or has new words, has to be written there too."""
    run_here("server-json", "--output", str(tmp_path / "server.json"))
    assert (tmp_path / "server.json").read_bytes() == KEPT.read_bytes()


@pytest.mark.parametrize("command", [("server-json", "--output"), ("bundle", "--output"), ("schemas", "--directory")])
def test_what_cannot_be_written_is_told_in_one_line(command: tuple[str, str], tmp_path: Path) -> None:
    """Here a file stands where a folder would have to be."""
    (tmp_path / "file").touch()
    outcome = run_here(*command, str(tmp_path / "file" / "x"))
    assert (outcome.returncode, outcome.stdout) == (2, "")
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(str(tmp_path / "file" / "x"))
    assert f"could not be written ({tmp_path / 'file'}" in line


@pytest.mark.slow
def test_the_server_json_is_what_the_registry_takes() -> None:
    """By its own schema, which finds what is wrong in another one."""
    wrong = _kept() | {"packages": [{"registryType": "pypi"}]}
    uv = os.environ.get("UV") or program("uv")
    package = [uv, "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable, "--with", SCHEMAS]
    outcome = subprocess.run(  # noqa: S603 - our own script
        [*package, "python", "-c", VALIDATE],
        input=json.dumps([_kept(), wrong]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    of_ours, of_the_wrong_one = map(json.loads, outcome.stdout.splitlines())
    assert of_ours == []
    assert any("is a required property" in fault for fault in of_the_wrong_one)


def test_the_server_json_has_each_setting_of_a_server_that_a_host_starts() -> None:
    """With its default and its choices, and secrets marked."""
    (package,) = _kept()["packages"]
    variables = {each["name"].removeprefix(PREFIX).lower(): each for each in package["environmentVariables"]}
    assert set(variables) == set(Settings.model_fields) - OVER_HTTP
    assert {name for name, each in variables.items() if each["isSecret"]} == set(SECRETS)
    assert variables["confirm_by"]["choices"] == ["auto", "human", "code"]
    defaults = {name: each["default"] for name, each in variables.items() if "default" in each}
    plain = load_settings({}, sandbox=True)
    as_said = load_settings({}, **defaults | {"sandbox": True})
    assert as_said == plain


@pytest.mark.parametrize("entry", [SANDBOX, ACCOUNT], ids=["sandbox", "account"])
def test_a_link_for_cursor_is_its_entry(entry: Entry) -> None:
    """The name, and the entry in base64."""
    link = urlsplit(links.cursor(entry))
    query = parse_qs(link.query)
    assert (link.scheme, link.netloc, link.path) == ("cursor", "anysphere.cursor-deeplink", "/mcp/install")
    assert query["name"] == [entry.name]
    assert json.loads(base64.b64decode(query["config"][0])) == HOSTS["cursor"].form(entry)


@pytest.mark.parametrize("entry", [SANDBOX, ACCOUNT], ids=["sandbox", "account"])
@pytest.mark.parametrize("scheme", ["vscode", "vscode-insiders"])
def test_a_link_for_vscode_is_its_entry(entry: Entry, scheme: str) -> None:
    """With the name and, for a key, the question for it; the same through the web."""
    link = links.vscode(entry, scheme=scheme)
    start, _, query = link.partition("?")
    asked = {"inputs": [input_for("PATCHWORKS_API_KEY")]} if entry is ACCOUNT else {}
    assert start == f"{scheme}:mcp/install"
    assert json.loads(unquote(query)) == {"name": entry.name, **HOSTS["vscode"].form(entry), **asked}
    assert parse_qs(urlsplit(links.through_the_web(link)).query) == {"url": [link]}
