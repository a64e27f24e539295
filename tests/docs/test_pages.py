"""The pages as pages: their length, their links, and blocks that a reader copies."""

import re
from pathlib import Path

import pytest
from docs.pages import PAGES, ROOT, anchors, blocks, links

from patchworks_deployments.settings import PREFIX, Settings

README = ROOT / "README.md"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

LANGUAGES = {"", "console", "json", "nginx", "sh", "text"}
"""Without a language a block is a drawing; every other kind is held true by some test."""


def test_the_readme_takes_ten_minutes() -> None:
    """It has at most 200 lines."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Within the repository, that is: the file exists, and so does the heading."""
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_picture_is_shown_and_every_page_shows_pictures_that_exist() -> None:
    """A picture that no page shows would be kept up to date for nobody."""
    shown = {
        (page.parent / picture).resolve()
        for page in PAGES
        for picture in re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text(encoding="utf-8"))
    }
    assert shown == set((ROOT / "docs" / "pictures").glob("*.png"))


def test_the_readme_leads_to_every_page() -> None:
    """Nobody has to list the folder."""
    linked = {(README.parent / link.partition("#")[0]).resolve() for link in links(README)}
    assert {page for page in PAGES if page != README} <= linked


@every_page
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    """In prose, tables and blocks, but for the one that is misspelt to show what happens."""
    named = set(re.findall(rf"{PREFIX}([A-Z][A-Z_]+)", page.read_text(encoding="utf-8")))
    assert {name.lower() for name in named - {"READ_ONYL"}} <= set(Settings.model_fields)


def test_every_kind_of_block_is_held_true_by_a_test() -> None:
    """A new kind needs a test first."""
    assert {block.language for block in blocks()} == LANGUAGES
