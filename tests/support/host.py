"""A host that shows the server's page: in a real browser, with the official client and the official bridge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Frame, FrameLocator, Page, Route, async_playwright, expect

from support import node
from support.programs import program
from support.team import Served

Theme = Literal["light", "dark"]

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'none'; object-src 'none'; base-uri 'self'"
)
"""What a host must hold a page to that asks for nothing:
https://github.com/modelcontextprotocol/ext-apps/blob/main/specification/2026-01-26/apps.mdx"""

PATIENCE_MS = 15_000
"""Milliseconds for what a test waits for, on a busy machine."""

expect.set_options(timeout=PATIENCE_MS)

BACKGROUNDS: dict[Theme, str] = {"light": "#ffffff", "dark": "#1f1e1d"}
"""What a view stands on, which has no background of its own."""

_HOST = """<!doctype html><html lang="en"><title>Host</title>
<style>html {{ background: light-dark({light}, {dark}); }} body {{ margin: 0; }} iframe {{ border: 0; }}</style>
<body data-sandbox="{sandbox}"><iframe title="view"></iframe><script type="module">{script}</script>"""

_SANDBOX = """<!doctype html><html lang="en"><title>Sandbox</title>
<style>html, body, iframe {{ border: 0; display: block; height: 100%; margin: 0; width: 100%; }}</style>
<iframe title="view"></iframe><script type="module">{script}</script>"""


@cache
def _scripts() -> tuple[str, str]:
    """The host's script, with what it imports, and its sandbox's."""
    node.install()
    with TemporaryDirectory() as folder:
        bundle = Path(folder, "host.js")
        node.bundled("host.mjs", bundle)
        return bundle.read_text(encoding="utf-8"), (node.FOLDER / "sandbox.mjs").read_text(encoding="utf-8")


@cache
def axe() -> str:
    """The script that checks accessibility."""
    node.install()
    return (node.FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """The machine's own browser, without a window."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program("chromium", "chromium-browser"))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Host:
    """A host in a page of a browser."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    """What no view may bring about: errors, dialogs, requests, what the policy forbids."""
    tools: list[str] = field(default_factory=list)
    """What the model is offered."""

    @property
    def view(self) -> FrameLocator:
        return self.page.frame_locator("iframe").frame_locator("iframe")

    @property
    def frame(self) -> Frame:
        """The view as a frame, to run scripts in it."""
        return self.page.frames[-1]

    async def model(self, tool: str, **arguments: Any) -> Any:
        """What a model sees of its call; the view of the result is shown."""
        return await self.page.evaluate("([tool, given]) => host.model(tool, given)", [tool, arguments])

    async def hand(self, tool: str, result: Any) -> None:
        """Show the view of a result of that tool which no server has sent."""
        await self.page.evaluate("([tool, result]) => host.hand(tool, result)", [tool, result])

    async def change(self, **context: Any) -> None:
        """Tell the view what is different of its surroundings."""
        await self.page.evaluate("differs => host.change(differs)", context)

    async def saw(self, what: str) -> list[Any]:
        """What the host saw so far: a list of `saw` in `tests/node/host.mjs`."""
        seen: list[Any] = await self.page.evaluate("what => saw[what]", what)
        return seen


@asynccontextmanager
async def host(  # noqa: PLR0913 - each names one thing in which hosts differ
    browser: Browser,
    served: Served,
    *,
    theme: Theme = "light",
    width: int = 760,
    height: int = 900,
    scale: float = 1,
    touch: bool = False,
    mode: str = "legacy",
    **options: Any,
) -> AsyncIterator[Host]:
    """A host on the server's own origin, connected in the `mode` of the official client.

    Its window has `width` by `height` pixels of CSS. At the end nothing may have gone wrong in the view.
    """
    context = await browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": height}, device_scale_factor=scale, has_touch=touch
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    it = Host(page)
    sandbox = served.base.replace("127.0.0.1", "localhost")  # an origin of its own
    scripts = _scripts()
    pages: dict[str, dict[str, Any]] = {
        f"{served.base}/host": {"body": _HOST.format(**BACKGROUNDS, sandbox=sandbox, script=scripts[0])},
        f"{sandbox}/": {"body": _SANDBOX.format(script=scripts[1]), "headers": {"Content-Security-Policy": POLICY}},
    }

    async def answer(route: Route) -> None:
        if (url := route.request.url) == served.url:
            await route.continue_()
        elif url in pages:
            await route.fulfill(content_type="text/html; charset=utf-8", **pages[url])
        else:
            it.wrong.append(f"asked for {url}")
            await route.abort()

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            it.wrong.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: it.wrong.append(str(error)))
    page.on("dialog", lambda dialog: it.wrong.append(dialog.message))
    context.on("page", lambda other: it.wrong.append(f"opened {other.url}"))
    await context.route("**/*", answer)
    try:
        await page.goto(f"{served.base}/host")
        settings = {"mode": mode, **options, "context": {"theme": theme, **options.get("context", {})}}
        it.tools = await page.evaluate("settings => host.connect(settings)", settings)
        yield it
        assert not it.wrong
    finally:
        await context.close()


_LOOKS = """(finger) => {
  const found = []
  const root = document.documentElement
  const named = (at) => `${at.tagName} "${(at.getAttribute('aria-label') ?? at.innerText).slice(0, 60)}"`
  const moves = (at, axis) => /auto|scroll/.test(getComputedStyle(at)[`overflow${axis}`])
  const above = (at) => (at.parentElement ? [at.parentElement, ...above(at.parentElement)] : [])
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`)
  for (const at of document.querySelectorAll('body *')) {
    if (!at.checkVisibility()) continue
    const { left, right, width, height } = at.getBoundingClientRect()
    const inside = above(at)
    if (width > 1 && (left < -1 || right > innerWidth + 1) && !inside.some((one) => moves(one, 'X')))
      found.push(`${named(at)} sticks out`)
    if (moves(at, 'Y') && at.scrollHeight > at.clientHeight + 1)
      if (inside.some((one) => (one === root || moves(one, 'Y')) && one.scrollHeight > one.clientHeight + 1))
        found.push(`${named(at)} scrolls in what scrolls`)
    if (!at.matches('button, input, select')) continue
    if (at.scrollWidth > at.clientWidth + 1 || at.scrollHeight > at.clientHeight + 1) found.push(`${named(at)} is cut`)
    if (width < finger || height < finger) found.push(`${named(at)} is only ${width} by ${height}`)
  }
  return found
}"""


MOUSE, FINGER = 24, 44
"""Pixels that a control has at least, by what points at it: WCAG 2.2, 2.5.8 and 2.5.5."""


async def looks(it: Host, pointer: int = MOUSE) -> list[str]:
    """What is not whole in the view: what sticks out of it, is cut, is smaller than its pointer, or scrolls twice."""
    await it.frame.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    found: list[str] = await it.frame.evaluate(_LOOKS, pointer)
    return found
