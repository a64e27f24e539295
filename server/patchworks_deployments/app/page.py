"""The page: one document made of the parts beside this module."""

PAGE_URI = "ui://patchworks-deployments/app.html"


def page_html() -> str:
    """The document."""
    return "<!doctype html><title>What runs where</title>"
