"""What goes wrong between a page and its person: clicks that come too early, and answers that come late or never."""

import pytest
from playwright.async_api import Browser, expect
from support.host import host
from support.team import Served

pytestmark = pytest.mark.slow

EAGER = """name => new MutationObserver(() => document.querySelectorAll('button').forEach(
  (one) => one.textContent === name && one.click())).observe(document, { childList: true, subtree: true })"""
"""Clicks on each button of that name as soon as it is drawn, as the second half of a double click may."""


async def test_the_second_half_of_a_double_click_undoes_nothing(browser: Browser, served: Served) -> None:
    """Undo stands where Yes did, and not every way back asks: so it takes no click at first."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", flow_version_id="1055", deployment_id="533")
        await it.frame.evaluate(EAGER, "Undo")
        await it.view.get_by_role("button", name="Yes, do this").click()
        undo = it.view.get_by_role("button", name="Undo", exact=True)
        await expect(undo).to_be_enabled()
        assert [call["name"] for call in await it.saw("calls")] == ["confirm_change"]
        await undo.click()
        await expect(it.view.get_by_role("main")).to_contain_text("Enabled")


async def test_a_double_click_on_a_cell_changes_nothing(browser: Browser, served: Served) -> None:
    """It opens the deployment, whose buttons take no click at first."""
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        for name in ("Disable", "Enable", "Delete"):
            await it.frame.evaluate(EAGER, name)
        await it.frame.locator("button.deployment").first.click()
        await expect(it.view.get_by_role("button", name="Delete")).to_be_enabled()
        assert {call["name"] for call in await it.saw("calls")} == {"get_deployment"}
