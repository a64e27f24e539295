"""A change in a browser: the question, a person's click, what became of it, and the way back."""

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect
from support.clients import data
from support.host import Host, host
from support.team import Served, calling

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow

KEY = "patchworks-deployments/app"


def of(version: int, deployment: int) -> dict[str, str]:
    return {"flow_version_id": str(version), "deployment_id": str(deployment)}


def headed(it: Host, name: str) -> Locator:
    return it.view.get_by_role("heading", name=name, level=1)


async def settled(it: Host, name: str, told: str) -> None:
    """The change came to this, and it is said aloud: a reader reads where the focus is, and what the status tells."""
    await expect(headed(it, name)).to_be_focused()
    await expect(it.view.get_by_role("status")).to_contain_text(told)


async def last_handed(it: Host) -> dict[str, Any]:
    """The last result that the view got."""
    handed: dict[str, Any] = (await it.saw("handed"))[-1]
    return handed


async def assert_kept_from_the_model(it: Host) -> None:
    """No code of the page's is in what a model has seen, or was told by the view."""
    changes = [result.get("_meta", {}).get(KEY, {}).get("change", {}) for result in await it.saw("handed")]
    codes = [change["confirm"]["code"] for change in changes if "confirm" in change]
    assert codes
    for what in ("model", "contexts", "messages"):
        seen = json.dumps(await it.saw(what))
        assert not [code for code in codes if code in seen], what


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_person_agrees_by_a_click(browser: Browser, served: Served, sandbox: Sandbox, mode: str) -> None:
    """Nothing happens before it; then it is done, verified, and told to the person and to the model."""
    ids = {"legacy": of(1041, 506), "auto": of(1041, 521)}[mode]
    async with host(browser, served, mode=mode) as it:
        told = await it.model("disable_deployment", **ids)
        assert told["structuredContent"]["status"] == "waiting_for_person"
        assert "confirmation_code" not in told["structuredContent"]
        await expect(headed(it, "Waiting for you")).to_be_visible()
        for line in ("Shopify customers to Klaviyo", "Patchworks does not say if runs under way finish"):
            await expect(it.view.get_by_role("main")).to_contain_text(line)
        rows = it.view.get_by_role("table", name="Before and after").get_by_role("row")
        await expect(rows.filter(has_text="enabled").first).to_be_visible()
        before = len(sandbox.writes)
        await it.view.get_by_role("button", name="Yes, do this").click()
        await settled(it, "Done", "verified by reading back")
        assert len(sandbox.writes) == before + 1
        async with calling(served.url) as client:
            assert data(await client.call_tool("get_deployment", ids))["enabled"] is False
        outcome = (await last_handed(it))["structuredContent"]
        assert (outcome["status"], outcome["confirmed_by"], outcome["verified"]) == ("done", "person_in_app", True)
        (context,) = await it.saw("contexts")
        assert "person_in_app" in json.dumps(context)
        assert ids["deployment_id"] in json.dumps(context)
        await assert_kept_from_the_model(it)


async def test_from_the_board_to_a_change_and_back_by_its_undo(
    browser: Browser, served: Served, sandbox: Sandbox
) -> None:
    """A cell, Disable, the question, the outcome; and Undo asks nothing more than the same write by a model would."""
    async with host(browser, served) as it:
        await it.model("deployment_overview")
        await it.view.get_by_role("searchbox", name="Filter flows").fill("Xero")
        await it.view.get_by_role("button", name="Xero invoices to Salesforce in Staging: iteration 3, on").click()
        await it.view.get_by_role("button", name="Disable").click()
        await it.view.get_by_role("button", name="Yes, do this").click()
        await settled(it, "Done", "verified by reading back")
        assert sandbox.account.deployments[547].enabled_at is None
        await it.view.get_by_role("button", name="Undo", exact=True).click()
        await settled(it, "Done", "Enabled, and verified by reading back")
        assert sandbox.account.deployments[547].enabled_at
        await it.view.get_by_role("button", name="Back to the board").click()
        await expect(
            it.view.get_by_role("button", name="Xero invoices to Salesforce in Staging: iteration 3, on")
        ).to_be_visible()


async def test_no_leaves_all_as_it_is(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """A no is a no: nothing is sent, the model hears of it, and the same question cannot be agreed to any more."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **of(1058, 517))
        before = len(sandbox.writes)
        await it.view.get_by_role("button", name="No", exact=True).click()
        await settled(it, "Declined", "Nothing was changed")
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_have_count(0)
        assert len(sandbox.writes) == before
        assert (await last_handed(it))["structuredContent"]["status"] == "declined"
        assert "declined" in json.dumps(await it.saw("contexts"))


async def test_a_delete_wants_its_id_typed(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """Another id, or none, lets nobody agree."""
    async with host(browser, served) as it:
        await it.model("delete_deployment", **of(1046, 535))
        yes, box = it.view.get_by_role("button", name="Yes, do this"), it.view.get_by_label("Type 535 to agree")
        await expect(box).to_have_value("")
        await expect(yes).to_be_disabled()
        await box.fill("536")
        await expect(yes).to_be_disabled()
        await box.fill("535")
        await yes.click()
        await settled(it, "Done", "verified by reading back")
        assert 535 not in sandbox.account.deployments
        undo = (await last_handed(it))["structuredContent"]["undo"]
        assert undo["tool"] == "create_deployment"
        await it.view.get_by_role("button", name="Undo", exact=True).click()
        await settled(it, "Done", "Created, and verified by reading back")
        assert [row for row in sandbox.account.deployments.values() if row.flow_version_id == 1046 and row.id > 559]


async def test_two_quick_clicks_are_one_write(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """The second click finds no button that could be pressed."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **of(1028, 524))
        before = len(sandbox.writes)
        await it.view.get_by_role("button", name="Yes, do this").dblclick()
        await settled(it, "Done", "verified by reading back")
        assert len(sandbox.writes) == before + 1
        assert [call["name"] for call in await it.saw("calls")] == ["confirm_change"]


async def test_two_views_of_one_question_are_one_write(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """Whoever sends the same answer again hears that it was used; and can ask again."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **of(1028, 509))
        before = len(sandbox.writes)
        await it.view.get_by_role("button", name="Yes, do this").click()
        await settled(it, "Done", "verified by reading back")
        answer = (await it.saw("calls"))[-1]
        again = await it.page.evaluate("({ name, arguments: given }) => host.call(name, given)", answer)
        assert again["structuredContent"]["status"] in {"refused", "unchanged"}
        assert len(sandbox.writes) == before + 1


async def test_a_question_about_what_has_changed_is_asked_again(
    browser: Browser, served: Served, sandbox: Sandbox
) -> None:
    """The click is refused, nothing is sent, and Ask again shows the question as it is now."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **of(1055, 533))
        sandbox.account.deployments[533].priority = 77
        before = len(sandbox.writes)
        await it.view.get_by_role("button", name="Yes, do this").click()
        await settled(it, "Refused", "Nothing was changed")
        assert len(sandbox.writes) == before
        await it.view.get_by_role("button", name="Ask again").click()
        await expect(it.view.get_by_role("main")).to_contain_text("77")
        await it.view.get_by_role("button", name="Yes, do this").click()
        await settled(it, "Done", "verified by reading back")


async def test_no_key_agrees_by_itself(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """The question has no default: Enter and the space bar, as somebody types on, decide nothing."""
    async with host(browser, served) as it:
        await it.model("disable_deployment", **of(1055, 518))
        await expect(headed(it, "Waiting for you")).to_be_visible()
        before = len(sandbox.writes)
        for key in ("Enter", "Space", "y", "Enter"):
            await it.page.keyboard.press(key)
        await it.view.get_by_role("heading", level=1).click()
        await it.page.keyboard.press("Enter")
        assert await it.saw("calls") == []
        assert len(sandbox.writes) == before


async def test_all_of_it_can_be_done_by_keys(browser: Browser, served: Served, sandbox: Sandbox) -> None:
    """Tab, Enter and letters lead from the board to a change that is done, and where the focus is can be seen."""

    async def reach(target: Locator) -> None:
        for _ in range(60):
            await it.page.keyboard.press("Tab")
            if await target.evaluate("at => at === document.activeElement"):
                assert await target.evaluate(HAS_RING)
                return
        pytest.fail(f"no key leads to {target}")

    async with host(browser, served) as it:
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()
        await it.view.get_by_role("searchbox", name="Filter flows").focus()
        await it.page.keyboard.type("Peoplevox")
        await reach(it.view.get_by_role("button", name="Peoplevox stock levels to BigCommerce in US Live"))
        await it.page.keyboard.press("Enter")
        await expect(headed(it, "Peoplevox stock levels to BigCommerce")).to_be_focused()
        await reach(it.view.get_by_role("button", name="Disable"))
        await it.page.keyboard.press("Enter")
        await expect(headed(it, "Waiting for you")).to_be_focused()
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_be_enabled()
        await reach(it.view.get_by_role("button", name="Yes, do this"))
        await it.page.keyboard.press("Enter")
        await settled(it, "Done", "verified by reading back")
        assert sandbox.account.deployments[501].enabled_at is None
        await expect(headed(it, "Done")).to_be_focused()


HAS_RING = """(at) => {
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at)
  return (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none'
}"""


async def test_a_host_that_hands_over_no_code_shows_the_question_without_buttons(
    browser: Browser, served: Served
) -> None:
    """And says why: what the page needs to send an answer does not reach it."""
    async with host(browser, served, strips=True) as it:
        await it.model("disable_deployment", **of(1001, 530))
        await expect(headed(it, "Waiting for you")).to_be_visible()
        await expect(it.view.get_by_role("main")).to_contain_text("Shopify orders to NetSuite")
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_have_count(0)
        await expect(it.view.get_by_role("main")).to_contain_text("This host does not hand the page what it needs")


async def test_what_is_refused_early_is_told(browser: Browser, served: Served) -> None:
    """A call about what is not there has no data, only words, and the page shows them."""
    async with host(browser, served) as it:
        told = await it.model("disable_deployment", **of(1001, 999))
        assert told["isError"]
        await expect(it.view.get_by_role("main")).to_contain_text("999")
        await expect(it.view.get_by_role("button", name="Yes, do this")).to_have_count(0)
