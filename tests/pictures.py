"""Takes the pictures of the board and of a change for the pages in `docs/`, in both themes.

Run: uv run python tests/pictures.py
"""

import asyncio

from playwright.async_api import Browser, expect
from support.host import Host, Theme, browsing, host
from support.processes import ROOT
from support.team import Served, serving

FOLDER = ROOT / "docs" / "pictures"

WIDTH = 960
"""Pixels of CSS that the page gets."""

SCALE = 1.5
"""Pixels of a picture for each of them: sharp on most screens, and below 200 kB."""

MARGIN = 24
"""Pixels around it."""


async def board(it: Host) -> None:
    await it.model("deployment_overview")
    await expect(it.view.get_by_role("rowheader").first).to_be_visible()


async def change(it: Host) -> None:
    await it.model("disable_deployment", flow_version_id="1005", deployment_id="529")
    await expect(it.view.get_by_role("button", name="Yes, do this")).to_be_enabled()


async def take(browser: Browser, served: Served, theme: Theme) -> None:
    room = {"containerDimensions": {"width": WIDTH, "maxHeight": 500}}
    async with host(browser, served, theme=theme, width=WIDTH + 2 * MARGIN, scale=SCALE, context=room) as it:
        await it.page.add_style_tag(content=f"body {{ display: table; padding: {MARGIN}px; }}")
        for view in (board, change):
            await view(it)
            await it.page.mouse.move(0, 0)
            await it.page.wait_for_timeout(500)  # whatever moves has come to rest
            path = FOLDER / f"{view.__name__}-{theme}.png"
            await it.page.locator("body").screenshot(path=path, animations="disabled", caret="hide")
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


async def main() -> None:
    with serving("--sandbox") as served:
        async with browsing() as browser:
            await take(browser, served, "light")
            await take(browser, served, "dark")


if __name__ == "__main__":
    asyncio.run(main())
