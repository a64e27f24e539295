"""The page for when something is wrong says what the server says."""

import ast
import re

from docs.pages import ROOT, prose, rows

from patchworks_deployments.commands import cli
from patchworks_deployments.commands.doctor.findings import Exit

PAGE = ROOT / "docs" / "troubleshooting.md"


def test_the_statuses_of_check_are_those_of_the_page_and_of_its_help() -> None:
    """Each with the same number."""
    assert [int(row[0]) for row in rows(PAGE, "status")] == [*Exit]
    subparsers = next(action for action in cli.parser()._actions if action.choices)  # noqa: SLF001 - nothing else has them
    assert isinstance(subparsers.choices, dict)
    epilog = subparsers.choices["check"].epilog
    assert re.findall(r"\b\d\b", epilog) == [str(int(status)) for status in Exit]


SAID = [
    "No way to authenticate",
    "holds a placeholder",
    "holds the words of an example",
    "Patchworks does not accept the credentials (401)",
    "Patchworks does not allow this with these credentials (403)",
    "that is not the Patchworks Core API",
    "could not be reached",
    "is not trusted",
    "Something answered",
    "Patchworks did not answer in time",
    "without showing the question.",
    "The person declined. Nothing was changed.",
    "The audit log cannot be written",
]


def test_what_the_page_quotes_of_the_server_is_what_the_server_says() -> None:
    """So that a search for it finds the page."""
    page = " ".join(prose(PAGE).split())
    texts = [
        node.value.lower()
        for path in (ROOT / "server" / "patchworks_deployments").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [said for said in SAID if said not in page] == []
    assert [said for said in SAID if not any(said.lower() in text for text in texts)] == []
