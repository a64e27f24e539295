"""The page as a document: what hosts and people who read its source can rely on without a browser."""

import re
from pathlib import Path

import pytest

from patchworks_deployments import app
from patchworks_deployments.app.page import PAGE_URI, SCRIPTS, page_html

PARTS = Path(app.__file__).parent

MAX_BYTES = 60_000


def test_the_page_is_small() -> None:
    """The whole document has at most 60 kB."""
    assert len(page_html().encode()) <= MAX_BYTES


def test_the_page_is_one_document() -> None:
    """It has one style and one script, no part is missing, and nothing is left to be filled in."""
    page = page_html()
    assert page.startswith("<!doctype html>")
    assert [page.count(tag) for tag in ("<style>", "</style>", '<script type="module">', "</script>")] == [1, 1, 1, 1]
    assert {part.stem for part in PARTS.glob("*.js")} == set(SCRIPTS)
    assert "{style}" not in page
    assert "{scripts}" not in page


def test_the_same_parts_make_the_same_page() -> None:
    """A host that keeps the page compares it with what it reads later."""
    kept = page_html()
    page_html.cache_clear()
    assert page_html() == kept
    assert PAGE_URI.startswith("ui://")


@pytest.mark.parametrize("name", ["page.html", "style.css", *(f"{name}.js" for name in SCRIPTS)])
def test_only_indentation_and_comments_are_left_out(name: str) -> None:
    """Each line that says something to a browser stands in the page, and no text of the script spans lines."""
    source = (PARTS / name).read_text(encoding="utf-8")
    code = re.sub(r"(?s)/\*.*?\*/\n|<!--.*?-->\n", "", re.sub(r"(?m)^ *//.*\n", "", source))
    lines = [line.strip() for line in code.splitlines() if line.strip() not in {"", "{style}", "{scripts}"}]
    served = set(page_html().splitlines())
    assert not [line for line in lines if line not in served]
    assert not [line for line in lines if line.count("`") % 2]


@pytest.mark.parametrize(
    "word",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function", "srcdoc"],
)
def test_text_never_becomes_markup(word: str) -> None:
    """Names from Patchworks may hold markup and script; the page only ever puts them where text stands."""
    assert word not in page_html()


@pytest.mark.parametrize(
    "word",
    ["http:", "https:", "url(", "@import", "import ", "import(", "src=", "href=", "fetch(", "XMLHttp", "WebSocket"],
)
def test_the_page_asks_the_network_for_nothing(word: str) -> None:
    """Hosts forbid it, and the page holds all that it needs."""
    assert word not in page_html()
