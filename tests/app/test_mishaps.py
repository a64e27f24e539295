"""What goes wrong between a page and its person: clicks that come too early, and answers that come late or never."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect
from support.host import Host, host
from support.team import Served

from patchworks_deployments.app.shown import KEY

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


async def answered_late(it: Host, served: Served) -> tuple[asyncio.Event, asyncio.Event]:
    """Lose the next call of a tool: the first event tells that it came, and the second lets its failure go."""
    came, goes = asyncio.Event(), asyncio.Event()

    async def lose(route: Route) -> None:
        called = json.loads(route.request.post_data or "{}")
        if called.get("method") != "tools/call" or came.is_set():
            return await route.fallback()
        came.set()
        await goes.wait()
        error = {"code": -32000, "message": "lost on the way"}
        return await route.fulfill(json={"jsonrpc": "2.0", "id": called["id"], "error": error})

    await it.page.route(served.url, lose)
    return came, goes


async def push(it: Host, result: dict[str, Any]) -> None:
    """Hand one more result to the view that is open."""
    message = {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": result}
    await it.page.frames[1].evaluate("one => frames[0].postMessage(one, '*')", message)


OTHER_DEED = "Disable deployment 999, which nobody has answered"


async def test_an_outcome_is_told_of_what_was_answered(browser: Browser, served: Served) -> None:
    """Also where another result came while the answer was under way, and the answer is lost."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", flow_version_id="1055", deployment_id="518")
        came, goes = await answered_late(it, served)
        await it.view.get_by_role("button", name="Yes, do this").click()
        await came.wait()
        told = {"status": "declined", "message": "The person declined."}
        shown = {KEY: {"change": {"tool": "disable_deployment", "deed": [OTHER_DEED]}}}
        await push(it, {"content": [], "structuredContent": told, "_meta": shown})
        main = it.view.get_by_role("main")
        await expect(main).to_contain_text(OTHER_DEED)
        goes.set()
        await expect(main).to_contain_text("lost on the way")
        await expect(main).to_contain_text("Disable deployment 518")
        await expect(main).not_to_contain_text(OTHER_DEED)


async def test_an_error_is_not_called_a_refusal(browser: Browser, served: Served) -> None:
    """One without a status may come from the host, after the change was made: its own words have to do."""
    async with host(browser, served) as it:
        text = "The call took longer than a minute."
        await it.hand("disable_deployment", {"isError": True, "content": [{"type": "text", "text": text}]})
        await expect(it.view.get_by_role("heading", level=1)).to_have_text("Error")
        await expect(it.view.get_by_role("status")).to_have_text(text)


@pytest.mark.parametrize("word", ["constructor", "__proto__", "toString"])
async def test_a_word_of_the_language_is_a_word(browser: Browser, served: Served, word: str) -> None:
    """A status, and who agreed, that the page does not know is shown as it came."""
    async with host(browser, served) as it:
        told = {"status": word, "confirmed_by": word, "message": "As it came."}
        await it.hand("disable_deployment", {"content": [], "structuredContent": told})
        await expect(it.view.get_by_role("status")).to_have_text("As it came.")
        await expect(it.view.locator(".meta")).to_have_text(word)


async def test_what_was_restored_is_not_as_before(browser: Browser, served: Served) -> None:
    """A replacement that was taken back has left another deployment in the place of the old one."""
    before = {"id": "500", "flow_version_id": "1001", "enabled": True}
    told = {"status": "failed", "message": "Taken back.", "before": before, "restored": {**before, "id": "777"}}
    async with host(browser, served) as it:
        await it.hand("replace_deployment", {"content": [], "structuredContent": told})
        table = it.view.get_by_role("table", name="Before and after")
        await expect(table).to_contain_text("777")
        await expect(table).not_to_contain_text("as before")


async def test_the_last_choice_is_what_the_board_shows(browser: Browser, served: Served) -> None:
    """Whichever read is answered first."""
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        came, goes = await answered_late(it, served)
        state = it.view.get_by_role("combobox", name="State")
        await state.select_option("Only on")
        await came.wait()
        await state.select_option("Only off")
        await expect(it.view.get_by_role("status")).to_contain_text("Read: ")
        goes.set()
        await it.page.wait_for_timeout(300)
        await expect(it.view.get_by_role("status")).to_contain_text("Read: ")
        assert await state.evaluate("at => at.selectedOptions[0].text") == "Only off"


async def test_an_error_is_told_of_the_deployment_it_is_about(browser: Browser, served: Served) -> None:
    """Not beside another one that was opened meanwhile."""
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        came, goes = await answered_late(it, served)
        await it.frame.locator("button.deployment").first.click()
        await came.wait()
        await it.view.get_by_role("button", name="Back to the board").click()
        await it.frame.locator("button.deployment").nth(1).click()
        await expect(it.view.get_by_role("main")).to_contain_text("Last changed")
        goes.set()
        await it.page.wait_for_timeout(300)
        await expect(it.view.get_by_role("main")).not_to_contain_text("lost on the way")
