"""The board in a browser: what runs where, narrowed, and opened at a deployment."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.clients import TOOLS, data
from support.host import host
from support.team import Served, calling, on_loopback, serving

from patchworks_deployments.sandbox import API_KEY, Sandbox

pytestmark = pytest.mark.slow

WHOLE: dict[str, Any] = {"context": {"displayMode": "fullscreen"}}
"""A host that gives the page all of its window."""

ERAS = ["legacy", "auto"]
"""As the official client calls them."""


@pytest.mark.parametrize("mode", ERAS)
async def test_the_board_shows_every_deployment_where_it_runs(browser: Browser, served: Served, mode: str) -> None:
    """Flows by environments, and in their cells the iteration and the state; the model is told what it always is."""
    async with calling(served.url) as client:
        as_ever = data(await client.call_tool("deployment_overview", {}))
    async with host(browser, served, mode=mode, width=1200, height=1200, **WHOLE) as it:
        told = await it.model("deployment_overview")
        assert set(it.tools) == TOOLS - {"confirm_change"}
        assert told["structuredContent"] == as_ever
        table = it.view.get_by_role("table", name="Deployments")
        await expect(it.view.get_by_role("heading", name="What runs where", level=1)).to_be_visible()
        assert await it.frame.title() == "What runs where"
        for environment in ("UK Live", "EU Production", "no environment"):
            await expect(table.get_by_role("columnheader", name=environment)).to_have_count(1)
        for flow in ("eBay orders to Linnworks", "Shopify customers to Klaviyo"):
            await expect(table.get_by_role("rowheader", name=flow)).to_have_count(1)
        await expect(table.get_by_role("button", name=", on")).to_have_count(50)
        await expect(table.get_by_role("button", name=", off")).to_have_count(10)
        cell = table.get_by_role("button", name="Mintsoft dispatches to Shopify in DE Sandbox: iteration 1, off")
        await expect(cell).to_contain_text("off")
        await expect(cell).to_contain_text("1")


async def test_the_filter_works_on_what_is_loaded(browser: Browser, served: Served) -> None:
    """As one types, and the server is not asked; who empties it sees all again."""
    async with host(browser, served, width=1200, height=1200, **WHOLE) as it:
        await it.model("deployment_overview")
        cells, box = it.view.get_by_role("button", name=": iteration "), it.view.get_by_role("searchbox")
        await box.press_sequentially("klav")
        await expect(it.view.get_by_role("button", name="Shopify customers to Klaviyo in ")).to_have_count(4)
        await expect(cells).to_have_count(4)
        await box.fill("no such flow")
        await expect(cells).to_have_count(0)
        await box.fill("")
        await expect(cells).to_have_count(60)
        assert await it.saw("calls") == []


async def test_narrowing_reads_from_the_server(browser: Browser, served: Served) -> None:
    """An environment, a package, a state or the filter's words become a call; Read again makes it again."""
    async with host(browser, served, width=1200, height=1200, **WHOLE) as it:
        await it.model("deployment_overview")
        cells, columns = it.view.get_by_role("button", name=": iteration "), it.view.get_by_role("columnheader")
        await it.view.get_by_role("combobox", name="Environment").select_option(label="UK Live")
        await expect(cells).to_have_count(11)
        await expect(columns.filter(has_text="UK Live")).to_have_count(1)
        await expect(columns.filter(has_text="US Live")).to_have_count(0)
        await it.view.get_by_role("combobox", name="State").select_option(label="Only off")
        await expect(cells).to_have_count(3)
        await it.view.get_by_role("searchbox", name="Filter flows").fill("mintsoft")
        await it.view.get_by_role("searchbox", name="Filter flows").press("Enter")
        await expect(cells).to_have_count(1)
        await it.view.get_by_role("button", name="Read again").click()
        await expect(cells).to_have_count(1)
        calls = await it.saw("calls")
        assert {call["name"] for call in calls} == {"deployment_overview"}
        assert [call["arguments"] for call in calls][-1] == [call["arguments"] for call in calls][-2]
        assert calls[0]["arguments"] == {"environment": "10"}


async def test_a_cell_opens_its_deployment(browser: Browser, served: Served) -> None:
    """Its facts, and what can be done in its state; and there is a way back to the board as it was."""
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        await it.view.get_by_role("searchbox", name="Filter flows").fill("eBay")
        cell = it.view.get_by_role("button", name="eBay orders to Linnworks in UK Sandbox: iteration 1, on")
        await cell.click()
        await expect(it.view.get_by_role("heading", name="eBay orders to Linnworks", level=1)).to_be_visible()
        for fact in ("503", "UK Sandbox", "Product Information"):
            await expect(it.view.get_by_role("main")).to_contain_text(fact)
        await expect(it.view.get_by_role("button", name="Disable")).to_be_visible()
        await expect(it.view.get_by_role("button", name="Delete")).to_be_visible()
        await expect(it.view.get_by_role("button", name="Enable")).to_have_count(0)
        await it.view.get_by_role("button", name="Back to the board").click()
        await expect(it.view.get_by_role("searchbox", name="Filter flows")).to_have_value("eBay")
        await expect(cell).to_be_focused()


async def test_who_may_only_read_is_offered_no_changes(browser: Browser) -> None:
    """A server that only reads has no tool to confirm with, and the page no button to change with."""
    with serving("--sandbox", "--read-only") as served:
        async with host(browser, served) as it:
            await it.model("deployment_overview")
            await it.view.get_by_role("searchbox", name="Filter flows").fill("eBay")
            await it.view.get_by_role("button", name="eBay orders to Linnworks in Staging").click()
            await expect(it.view.get_by_role("heading", name="eBay orders to Linnworks", level=1)).to_be_visible()
            await expect(it.view.get_by_role("button", name="Disable")).to_have_count(0)
            await expect(it.view.get_by_role("button", name="Delete")).to_have_count(0)


async def test_a_host_that_hands_over_no_more_than_the_model_gets_still_shows_a_board(
    browser: Browser, served: Served
) -> None:
    """It shows the counts, and where a call of the model asked for rows, those."""
    async with host(browser, served, strips=True) as it:
        await it.model("deployment_overview", environment="UK Live")
        await expect(it.view.get_by_role("heading", name="What runs where", level=1)).to_be_visible()
        await expect(it.view.get_by_role("main")).to_contain_text("UK Live")


TIMED = """
if (location.href === 'about:srcdoc') addEventListener('message', ({ data }) => {
  if (data.method !== 'ui/notifications/tool-result') return
  const began = performance.now()
  requestAnimationFrame(() => setTimeout(() => { window.milliseconds = performance.now() - began }))
})
"""
"""Milliseconds from a result's message to the end of the frame in which it is drawn."""


async def test_two_thousand_deployments_are_drawn_in_no_time(browser: Browser) -> None:
    """Some 300 milliseconds on an idle machine, a few times as much on a busy one; and each can be found and opened."""
    async with on_loopback(Sandbox(2000).app) as upstream:
        with serving(PATCHWORKS_BASE_URL=upstream, PATCHWORKS_API_KEY=API_KEY) as served:
            async with host(browser, served, width=1200) as it:
                await it.page.add_init_script(TIMED)
                told = await it.model("deployment_overview")
                assert told["structuredContent"]["deployments"] == 2000
                await expect(it.view.get_by_role("button", name=": iteration ").first).to_be_visible()
                milliseconds = await it.frame.evaluate("milliseconds")
                print(f"2,000 deployments: {milliseconds:.0f} ms")  # noqa: T201 - for whoever measures
                assert milliseconds < 900
                assert max(size["height"] for size in await it.saw("sizes")) <= 500
                await it.view.get_by_role("searchbox", name="Filter flows").fill("Akeneo products to Shopify")
                await it.view.get_by_role("button", name="Akeneo products to Shopify in ").first.click()
                await expect(it.view.get_by_role("heading", name="Akeneo products to Shopify")).to_be_visible()
