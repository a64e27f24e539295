"""Names that want to be more than text, in every place of the page."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from support.host import Host, host, looks
from support.team import Served

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow

HOSTILE = (
    '<img src="http://evil.example/x.png" onerror="window.hit = 1">',
    "<script>window.hit = 1</script>",
    '"><svg onload="window.hit = 1">',
    "' onmouseover='window.hit = 1",
    "</style><style>* { display: none; background: url(http://evil.example/y) }</style>",
    "</script><iframe src=http://evil.example></iframe>",
    "<a href='javascript:window.hit = 1'>press</a><form action=http://evil.example><input autofocus></form>",
    "red; background: url(http://evil.example/z)",
    "${window.hit = 1} {{constructor.constructor('window.hit = 1')()}}",
    "x\u202eevil\u2066\u200f\u00ad\U000e0041y\u2028z",
    "W" * 10_000,
    "<b>" * 3_000,
)

MADE = """() => {
  const all = [...document.querySelectorAll('*')]
  const made = document.querySelectorAll('img, iframe, object, embed, link, a, form, base, b, body style, script ~ *')
  const handling = all.filter((at) => [...at.attributes].some(({ name }) => /^on/.test(name)))
  return [...made, ...handling].map(({ outerHTML }) => outerHTML.slice(0, 200))
}"""
"""What names have made of themselves."""

TURNS = """() => {
  const script = document.querySelector('script')
  const texts = (at) => [...at.attributes, ...at.childNodes].map(({ nodeValue }) => nodeValue ?? '')
  const all = [...document.querySelectorAll('*')].filter((at) => at !== script).flatMap(texts)
  return all.filter((text) => /[\\u202a-\\u202e\\u2066-\\u2069]/.test(text))
}"""
"""Texts that would turn the direction of what stands beside them."""


async def assert_only_text(it: Host, where: str) -> None:
    assert await it.frame.evaluate(MADE) == [], where
    assert await it.frame.evaluate(TURNS) == [], where
    assert await it.frame.evaluate("window.hit") is None, where
    assert await looks(it) == [], where
    assert (await it.saw("sizes"))[-1]["height"] <= 500, where


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """An account in whose names somebody has written markup and more."""
    sandbox = Sandbox()
    names, account = cycle(HOSTILE), sandbox.account
    for things in (account.flows, account.virtual_environments, account.packages, account.users):
        for thing in things.values():
            thing.name = next(names)
    return sandbox


@pytest.mark.parametrize(("width", "deployment"), [(320, "500"), (1200, "515")])
async def test_names_of_an_account_stay_text(browser: Browser, served: Served, width: int, deployment: str) -> None:
    """Those of flows, environments, packages and people, on the board, in a deployment and in a change."""
    async with host(browser, served, width=width) as it:
        await it.model("deployment_overview")
        await expect(it.view.get_by_role("rowheader").first).to_be_visible()
        await assert_only_text(it, "board")
        await it.view.get_by_role("button", name=": iteration ").first.click()
        await expect(it.view.get_by_role("button", name="Delete")).to_be_visible()
        await assert_only_text(it, "deployment")
        await it.model("delete_deployment", flow_version_id="1001", deployment_id=deployment)
        box = it.view.get_by_label(f"Type {deployment} to agree")
        await expect(box).to_be_visible()
        await assert_only_text(it, "waiting")
        await box.fill(deployment)
        await it.view.get_by_role("button", name="Yes, do this").click()
        await expect(it.view.get_by_role("heading", name="Done", level=1)).to_be_visible()
        await assert_only_text(it, "done")


def spoilt(value: Any, by: Iterator[str], key: str = "") -> Any:
    """The same with each text spoilt by the next of these but those that choose what is shown."""
    match value:
        case str():
            return value if key in {"status", "type", "tool"} else value + next(by)
        case dict():
            return {name: spoilt(inner, by, name) for name, inner in value.items()}
        case list():
            return [spoilt(inner, by, key) for inner in value]
    return value


IDS = {"flow_version_id": "1015", "deployment_id": "527"}


@pytest.mark.parametrize(
    ("tool", "given"), [("deployment_overview", {}), ("disable_deployment", IDS), ("delete_deployment", IDS)]
)
async def test_texts_that_no_server_of_ours_would_send_stay_text(
    browser: Browser, served: Served, tool: str, given: dict[str, str]
) -> None:
    """Each text of a result, ids and sentences, too, as if nothing had been cleaned on the way."""
    async with host(browser, served, width=500) as it:
        result = await it.page.evaluate("([tool, given]) => host.call(tool, given)", [tool, given])
        for first in range(0, len(HOSTILE), 3):
            await it.hand(tool, spoilt(result, cycle(HOSTILE[first:] + HOSTILE[:first])))
            await expect(it.view.get_by_role("heading", level=1)).to_be_visible()
            await assert_only_text(it, HOSTILE[first][:20])
