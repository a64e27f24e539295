"""What the page looks like: accessible, and whole in every theme and width."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.host import BACKGROUNDS, FINGER, MOUSE, Host, Theme, axe, host, looks
from support.team import Served

pytestmark = pytest.mark.slow

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def board(it: Host) -> None:
    await it.model("deployment_overview")
    await expect(it.view.get_by_role("rowheader").first).to_be_visible()


async def deployment(it: Host) -> None:
    await board(it)
    await it.view.get_by_role("searchbox", name="Filter flows").fill("Akeneo")
    await it.view.get_by_role("button", name="Akeneo products to Shopify in ").first.click()
    await expect(it.view.get_by_role("heading", name="Akeneo products to Shopify", level=1)).to_be_visible()


async def waiting(it: Host) -> None:
    await it.model("disable_deployment", flow_version_id="1059", deployment_id="532")
    await expect(it.view.get_by_role("button", name="Yes, do this")).to_be_visible()


async def typing(it: Host) -> None:
    await it.model("delete_deployment", flow_version_id="1059", deployment_id="532")
    await expect(it.view.get_by_label("Type 532 to agree")).to_be_visible()


async def done(it: Host) -> None:
    await it.model("enable_deployment", flow_version_id="1010", deployment_id="528")
    yes = it.view.get_by_role("button", name="Yes, do this")
    outcome = it.view.get_by_role("heading", name="Done", level=1)
    nothing = it.view.get_by_role("heading", name="Nothing to do", level=1)
    await expect(yes.or_(outcome).or_(nothing).first).to_be_visible()
    if await yes.is_visible():
        await yes.click()
    await expect(outcome.or_(nothing)).to_be_visible()


@pytest.mark.parametrize(("theme", "width"), [("light", 320), ("dark", 1200)])
async def test_every_view_is_accessible_and_whole(browser: Browser, served: Served, theme: Theme, width: int) -> None:
    """Nothing is found by the check of accessibility, sticks out, is cut or small; inline it is at most 500 high."""
    views: list[Callable[[Host], Awaitable[None]]] = [board, deployment, waiting, typing, done]
    touch = width < 600
    async with host(browser, served, theme=theme, width=width, touch=touch) as it:
        for view in views:
            await view(it)
            assert await looks(it, FINGER if touch else MOUSE) == [], view.__name__
            assert (await it.saw("sizes"))[-1]["height"] <= 500, view.__name__
            # The page has no background of its own, and the checker would take white for it.
            await it.frame.evaluate(
                "colour => (document.documentElement.style.background = colour)", BACKGROUNDS[theme]
            )
            await it.frame.evaluate(axe())
            found = await it.frame.evaluate("tags => axe.run({ runOnly: tags })", TAGS)
            assert told(found["violations"]) == [], view.__name__
            assert found["passes"]


def told(violations: list[Any]) -> list[str]:
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in violations for node in each["nodes"]]


async def test_the_page_is_whole_again_when_its_room_changes(browser: Browser, served: Served) -> None:
    """From wide to narrow and back, inline and in full screen."""
    async with host(browser, served, width=1200) as it:
        await board(it)
        for width, mode in ((320, "inline"), (320, "fullscreen"), (1200, "fullscreen"), (1200, "inline")):
            await it.page.set_viewport_size({"width": width, "height": 800})
            await it.change(displayMode=mode, containerDimensions={"width": width, "maxHeight": 500})
            await expect(it.view.get_by_role("rowheader").first).to_be_visible()
            assert await looks(it) == [], (width, mode)
