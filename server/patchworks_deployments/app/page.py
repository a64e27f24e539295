"""The page as one document: its parts, which stand beside this module, put into one style and one script."""

import re
from functools import cache
from importlib.resources import files

PAGE_URI = "ui://patchworks-deployments/app.html"

SCRIPTS = ("dom", "host", "theme", "estate", "paging", "board", "table", "deployment", "change", "sections", "main")
"""The parts of the script in their order: `main` starts what the others only define."""

_FOR_READERS = re.compile(r"^[ \t]*(?:(?://.*|/\*[\s\S]*?\*/|<!--.*-->)?\n)?", re.MULTILINE)
"""Indentation, and comments that fill their lines: they are for those who read the parts here."""


@cache
def page_html() -> str:
    """The whole document. It asks the network for nothing, and the same parts always make the same document."""
    document = _part("page.html").replace("{style}", _part("style.css"))
    return document.replace("{scripts}", "".join(_part(f"{name}.js") for name in SCRIPTS))


def _part(name: str) -> str:
    return _FOR_READERS.sub("", files(__package__).joinpath(name).read_text(encoding="utf-8"))
