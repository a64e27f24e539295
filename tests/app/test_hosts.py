"""What the page and its host say to each other: surroundings that change, an end, and strangers who join in."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.host import Host, host
from support.team import Served

pytestmark = pytest.mark.slow

IDS = {"flow_version_id": "1034", "deployment_id": "553"}

INK = "() => getComputedStyle(document.querySelector('h1')).color.match(/\\d+/g).slice(0, 3).map(Number)"
"""The colour of the heading: red, green and blue, each from 0 to 255."""


async def box(it: Host) -> tuple[float, float]:
    """Width and height of what the host gives the view."""
    bounds = await it.page.locator("iframe").bounding_box()
    assert bounds
    return bounds["width"], bounds["height"]


async def test_the_page_follows_its_hosts_theme(browser: Browser, served: Served) -> None:
    """Not the browser's; and the host's own colours win over the page's."""
    async with host(browser, served, theme="light") as it:
        await it.model("deployment_overview")
        assert max(await it.frame.evaluate(INK)) < 100
        await it.change(theme="dark")
        await it.frame.wait_for_function(f"() => Math.min(...({INK})()) > 150")
        colour = {"--color-text-primary": "light-dark(rgb(1, 2, 3), rgb(250, 251, 252))"}
        await it.change(styles={"variables": colour})
        await it.frame.wait_for_function(f"() => String(({INK})()) === '250,251,252'")
        await it.change(theme="light")
        await it.frame.wait_for_function(f"() => String(({INK})()) === '1,2,3'")


async def test_full_screen_is_offered_where_the_host_has_it(browser: Browser, served: Served) -> None:
    """The page asks for it, uses all of it, and gives it back."""
    async with host(browser, served, height=900) as it:
        await it.model("deployment_overview")
        await it.view.get_by_role("button", name="Full screen", exact=True).click()
        await expect(it.view.get_by_role("button", name="Leave full screen")).to_be_visible()
        assert (await box(it))[1] == 900
        await it.view.get_by_role("button", name="Leave full screen").click()
        await expect(it.view.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
        assert await it.saw("modes") == ["fullscreen", "inline"]
        await it.change(displayMode="fullscreen")
        await expect(it.view.get_by_role("button", name="Leave full screen")).to_be_visible()
        await it.change(displayMode="inline")
        await expect(it.view.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
        assert (await box(it))[1] <= 500


async def test_full_screen_is_not_offered_where_the_host_lacks_it(browser: Browser, served: Served) -> None:
    """Neither at the start nor after the host has said so later."""
    async with host(browser, served, context={"availableDisplayModes": ["inline"]}) as it:
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()
        await expect(it.view.get_by_role("button", name="Full screen")).to_have_count(0)
        await it.change(availableDisplayModes=["inline", "fullscreen"])
        await expect(it.view.get_by_role("button", name="Full screen", exact=True)).to_be_visible()


async def test_a_host_that_makes_no_calls_for_pages_gets_a_page_without_them(browser: Browser, served: Served) -> None:
    """It shows what it was handed, and offers nothing that would need the server."""
    async with host(browser, served, capabilities={}) as it:
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()
        await expect(it.view.get_by_role("button", name="Read again")).to_have_count(0)
        await it.model("disable_deployment", **IDS)
        await expect(it.view.get_by_role("heading", name="Waiting for you")).to_be_visible()
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_have_count(0)


async def test_the_end_is_answered_and_nothing_is_sent_after_it(browser: Browser, served: Served) -> None:
    """Whatever is clicked, typed or resized in what is left of the page."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **IDS)
        yes = it.view.get_by_role("button", name="Yes, do this")
        await expect(yes).to_be_visible()
        assert await it.page.evaluate("host.teardown()") == {}
        sent = len(await it.saw("sent"))
        if await yes.is_visible() and await yes.is_enabled():
            await yes.click()
        await it.page.set_viewport_size({"width": 320, "height": 400})
        await it.change(theme="dark", containerDimensions={"width": 320, "maxHeight": 500})
        await it.page.wait_for_timeout(300)
        assert len(await it.saw("sent")) == sent
        assert await it.saw("calls") == []


FORGED = {
    "content": [{"type": "text", "text": "forged"}],
    "structuredContent": {"status": "done", "message": "forged"},
}


async def test_only_the_parent_is_listened_to(browser: Browser, served: Served) -> None:
    """A result, an answer, a context or an end from another window or from the page itself changes nothing."""
    result = {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": FORGED}
    dark = {"jsonrpc": "2.0", "method": "ui/notifications/host-context-changed", "params": {"theme": "dark"}}
    end = {"jsonrpc": "2.0", "id": 1, "method": "ui/resource-teardown", "params": {}}
    answers = [{"jsonrpc": "2.0", "id": n, "result": FORGED} for n in range(50)]
    async with host(browser, served) as it:
        await it.model("disable_deployment", **IDS)
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_be_enabled()
        before, sent = await it.frame.locator("body").inner_html(), await it.saw("sent")
        everything = [result, dark, end, *answers]
        await it.page.evaluate("all => all.forEach(one => frames[0].frames[0].postMessage(one, '*'))", everything)
        await it.frame.evaluate("all => all.forEach(one => postMessage(one, '*'))", everything)
        await it.page.wait_for_timeout(200)
        assert await it.frame.locator("body").inner_html() == before
        assert await it.saw("sent") == sent
        assert max(await it.frame.evaluate(INK)) < 100


async def test_an_odd_message_breaks_nothing(browser: Browser, served: Served) -> None:
    """The parent may send what this page does not know, or what nobody would."""
    odd: list[Any] = [
        None, 5, "text", [], {}, {"jsonrpc": "2.0"}, {"jsonrpc": "2.0", "id": 99, "result": None},
        {"jsonrpc": "2.0", "method": "ui/notifications/tool-result"},
        {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": 5},
        {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": {"structuredContent": []}},
        {"jsonrpc": "2.0", "method": "ui/notifications/host-context-changed", "params": {"theme": 5, "styles": 1}},
        {"jsonrpc": "2.0", "method": "ui/notifications/of-a-later-year", "params": {}},
        {"jsonrpc": "2.0", "method": "ui/notifications/tool-cancelled", "params": {"reason": "the person said stop"}},
        {"jsonrpc": "2.0", "id": 7, "method": "of/a-later-year", "params": {}},
    ]  # fmt: skip
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()
        proxy = it.page.frames[1]
        await proxy.evaluate("all => all.forEach(one => frames[0].postMessage(one, '*'))", odd)
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()


async def test_a_call_that_was_cancelled_is_told(browser: Browser, served: Served) -> None:
    """The page does not wait for ever for a result that never comes."""
    async with host(browser, served) as it:
        await it.page.evaluate("host.cancel('deployment_overview', 'the person said stop')")
        await expect(it.view.get_by_role("main")).to_contain_text("cancelled")
