"""What is published for hosts and registries: it says what the settings say."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from installing.registry import ServerJson
from pydantic import ValidationError
from support.processes import ROOT, run_here

from patchworks_deployments.hosts import links
from patchworks_deployments.hosts.entry import Entry
from patchworks_deployments.hosts.options import OVER_HTTP, SECRETS
from patchworks_deployments.hosts.rows import HOSTS, input_for
from patchworks_deployments.settings import PREFIX, Settings, load_settings

SANDBOX = Entry("patchworks-sandbox", ("patchworks-deployments-mcp",), ("--sandbox",))
ACCOUNT = Entry("patchworks", ("patchworks-deployments-mcp",), (), "PATCHWORKS_API_KEY")

KEPT = ROOT / "docs" / "server.json"


def _kept() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return content


def test_the_server_json_in_the_repository_is_what_the_command_writes(tmp_path: Path) -> None:
    """A setting that is new, or has new words, has to be written there too."""
    run_here("server-json", "--output", str(tmp_path / "server.json"))
    assert (tmp_path / "server.json").read_bytes() == KEPT.read_bytes()


def test_the_server_json_is_what_the_registry_takes() -> None:
    """By the rules of its schema, and its description is not too long."""
    ServerJson.model_validate(_kept())


def test_the_rules_of_the_registry_refuse_what_is_wrong() -> None:
    """Otherwise the test above would say nothing."""
    wrong: list[dict[str, Any]] = [{"name": "no-slash"}, {"description": "x" * 101}, {"version": 1}, {"packages": [{}]}]
    for each in wrong:
        with pytest.raises(ValidationError):
            ServerJson.model_validate(_kept() | each)


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
