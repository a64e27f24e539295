"""The page as one document: its parts, which stand beside this module, put into one style and one script."""

from functools import cache
from importlib.resources import files

PAGE_URI = "ui://patchworks-deployments/app.html"

SCRIPTS = ("dom", "host", "theme", "estate", "paging", "board", "table", "deployment", "change", "sections", "main")
"""The parts of the script in their order: `main` starts what the others only define."""


@cache
def page_html() -> str:
    """The whole document. It asks the network for nothing, and the same parts always make the same document.

    The parts are indented for those who read them here; hosts get their lines without.
    """
    document = _part("page.html").replace("/* style.css */", _part("style.css"))
    return document.replace("/* scripts */", "\n".join(_part(f"{name}.js") for name in SCRIPTS))


def _part(name: str) -> str:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return "\n".join(filter(None, map(str.strip, text.splitlines())))
