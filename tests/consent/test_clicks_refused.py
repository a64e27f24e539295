"""What is no click: whatever a model can send in the place of one is refused, and nothing of it is sent on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import CallToolResult
from support.cases import disturb
from support.clicks import click, confirm_of, for_page
from support.clients import (
    CONFIRM,
    IDS,
    READING,
    Clock,
    Era,
    audit_lines,
    both_eras,
    connected,
    data,
    newer_era_first,
    text,
)
from support.examples import examples
from support.faults import Upstream, reply, single, write

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

NO_CLICK = (
    "Only a person's click in the page that shows the question can confirm a change. Nothing was changed. Call the "
    "tool itself, which shows the question."
)
AGAIN = " Nothing was changed by this click. Ask again, which shows the question as it is now."
FOREIGN = "This server has not asked that question, or it was started anew since." + AGAIN
EXPIRED = "The question has expired: it could be answered for 10 minutes." + AGAIN
USED = "The question is void: since it was asked, this very change was tried, or a person has declined it." + AGAIN
OTHER = (
    "The question was about something else: another state of the deployment, other arguments, another caller or "
    "another account." + AGAIN
)
ARGUMENTS: dict[str, Any] = {**IDS, "priority": 42}


@dataclass
class Page:
    """A page that shows a question about the first deployment, and the account behind it."""

    client: Client
    sandbox: Sandbox
    clock: Clock
    confirm: dict[str, Any] = field(default_factory=dict)

    async def ask(self, **arguments: object) -> dict[str, Any]:
        """What a click sends about this question."""
        return confirm_of(await self.client.call_tool("update_deployment", {**ARGUMENTS, **arguments}))

    async def send(self, **instead: object) -> CallToolResult:
        """A yes, with something else in it."""
        return await self.client.call_tool(CONFIRM, {**self.confirm, "agree": True, **instead})


@asynccontextmanager
async def page_of(sandbox: Sandbox | None = None, **more: Any) -> AsyncIterator[Page]:
    sandbox, clock = sandbox or Sandbox(), Clock()
    async with connected(sandbox, pages=True, clock=clock, **more) as client:
        page = Page(client, sandbox, clock)
        page.confirm = await page.ask()
        yield page


# Codes that are none ---------------------------------------------------------------------------


async def no_code(_: Page) -> dict[str, Any]:
    return {"code": None}


async def empty(_: Page) -> dict[str, Any]:
    return {"code": ""}


async def made_up(_: Page) -> dict[str, Any]:
    return {"code": "6b49d458-aaaaaaaaaaaaaaaaaaaa"}


async def of_the_model(page: Page) -> dict[str, Any]:
    """Given for the same by the same server's keys, to a client without pages."""
    async with connected(page.sandbox, clock=page.clock) as model:
        preview = await model.call_tool("update_deployment", ARGUMENTS)
    return {"code": data(preview)["confirmation_code"]}


async def expired(page: Page) -> dict[str, Any]:
    page.clock.now += 600
    return {}


async def used(page: Page) -> dict[str, Any]:
    """And the state came back."""
    rows = page.sandbox.account.deployments
    before = replace(rows[500])
    assert data(await page.send())["status"] == "done"
    rows[500] = before
    return {}


async def of_another_state(page: Page) -> dict[str, Any]:
    disturb(page.sandbox, IDS)
    return {}


async def of_before_a_no(page: Page) -> dict[str, Any]:
    assert data(await page.send(agree=False))["status"] == "declined"
    return {}


async def of_other_arguments(page: Page) -> dict[str, Any]:
    return {"code": (await page.ask(priority=43))["code"]}


async def for_other_arguments(_: Page) -> dict[str, Any]:
    return {"arguments": {**ARGUMENTS, "priority": 43}}


async def of_another_tool(page: Page) -> dict[str, Any]:
    return {"code": confirm_of(await page.client.call_tool("disable_deployment", IDS))["code"]}


async def for_another_tool(_: Page) -> dict[str, Any]:
    return {"tool_name": "delete_deployment", "arguments": IDS, "typed_id": "500"}


async def of_another_key(page: Page) -> dict[str, Any]:
    async with connected(page.sandbox, pages=True, clock=page.clock, state_keys="s" * 32) as other:
        return {"code": confirm_of(await other.call_tool("update_deployment", ARGUMENTS))["code"]}


SPOILT: dict[Callable[[Page], Awaitable[dict[str, Any]]], str] = {
    no_code: NO_CLICK,
    empty: NO_CLICK,
    made_up: FOREIGN,
    of_the_model: OTHER,
    expired: EXPIRED,
    used: USED,
    of_another_state: OTHER,
    of_before_a_no: USED,
    of_other_arguments: OTHER,
    for_other_arguments: OTHER,
    of_another_tool: OTHER,
    for_another_tool: OTHER,
    of_another_key: FOREIGN,
}


@newer_era_first
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
async def test_a_code_that_is_not_the_page_s_for_this_very_change_is_refused(
    spoil: Callable[[Page], Awaitable[dict[str, Any]]], era: Era
) -> None:
    """It says why, sends nothing, gives no new code, and leaves the good one as it was."""
    async with page_of(era=era) as page:
        instead = await spoil(page)
        writes = len(page.sandbox.writes)
        for agree in (True, False):
            refused = await page.send(agree=agree, **instead)
            told = data(refused)
            assert (refused.is_error, told["status"], told["message"]) == (True, "refused", SPOILT[spoil])
            assert not {"question", "confirmation_code"} & told.keys()
            assert for_page(refused)["change"].keys() == {"tool", "deed"}
        assert len(page.sandbox.writes) == writes
        if instead:
            assert data(await page.send())["status"] == "done"


async def test_what_is_no_click_is_logged_as_nobody_s_answer(tmp_path: Path) -> None:
    """A yes that brings no good code may be a model's."""
    log = tmp_path / "audit.jsonl"
    async with page_of(audit_log=log) as page:
        await page.send(code="made up")
        await page.send(code=None)
        await page.send()
    told = [(line["outcome"], line["answer"]) for line in audit_lines(log) if line["event"] != "intent"]
    assert told == [("waiting_for_person", None), ("refused", None), ("refused", None), ("done", "accept")]


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


@given(at=st.integers(0, 28), letter=st.sampled_from(LETTERS), cut=st.integers(0, 2), more=st.text(LETTERS, max_size=3))
@examples(20)
async def test_a_code_that_was_tampered_with_is_no_code(at: int, letter: str, cut: int, more: str) -> None:
    """Other letters, fewer or more of them: nothing is sent."""
    async with page_of() as page:
        code = page.confirm["code"]
        tampered = code[:at] + letter + more + code[at + cut :]
        if tampered.strip("-") != code:
            assert data(await page.send(code=tampered))["message"] == FOREIGN
            assert page.sandbox.writes == []


POLICIES: list[dict[str, Any]] = [{}, {"confirm_by": "human"}, {"confirm_by": "code"}, {"protected_environments": "10"}]


@both_eras
@pytest.mark.parametrize("pages", [True, False])
async def test_the_page_s_code_is_no_code_for_the_tool_itself(pages: bool, era: Era) -> None:  # noqa: FBT001 - a parameter
    """A model that got hold of it all the same has nothing from it, whatever the policy."""
    async with page_of(era=era) as page:
        for policy in POLICIES:
            async with connected(page.sandbox, pages=pages, clock=page.clock, era=era, **policy) as client:
                call = {**ARGUMENTS, "confirmation_code": page.confirm["code"]}
                result = await client.call_tool("update_deployment", call)
            expected = {"waiting_for_person"} if pages else {"confirmation_required", "refused"}
            if policy.get("confirm_by") == "code":
                expected = {"confirmation_required"}
            assert data(result)["status"] in expected
        assert page.sandbox.writes == []


@both_eras
async def test_a_client_that_shows_no_pages_cannot_click(era: Era) -> None:
    """With the very code: it has no page in which a person could have."""
    async with page_of(era=era) as page:
        transport = httpx2.ASGITransport(app=page.sandbox.app)
        for mime_types in ([], ["text/html"], APP_MIME_TYPE, {APP_MIME_TYPE: True}, None):
            extensions = [advertise(EXTENSION_ID, {"mimeTypes": mime_types})]
            server = create_server(load_settings({}, sandbox=True), transport, page.clock)
            async with Client(server, mode=era, extensions=extensions) as client:
                refused = await client.call_tool(CONFIRM, {**page.confirm, "agree": True})
                waiting = await client.call_tool("update_deployment", ARGUMENTS)
            assert (data(refused)["status"], data(refused)["message"]) == ("refused", NO_CLICK)
            assert data(waiting)["status"] == "confirmation_required"
            assert for_page(refused) == for_page(waiting) == {}
        assert page.sandbox.writes == []


# Calls that are none ---------------------------------------------------------------------------


NO_TOOLS: tuple[object, ...] = (CONFIRM, *sorted(READING), "nonsense", "", "Update_Deployment", 5, None, ["x"], {})


@both_eras
async def test_it_carries_out_nothing_but_changes(era: Era, tmp_path: Path) -> None:
    """Not itself, not what only looks, and nothing unknown; each attempt is in the log as its own."""
    log = tmp_path / "audit"
    async with page_of(era=era, audit_log=log) as page:
        for tool in NO_TOOLS:
            refused = await page.send(tool_name=tool, arguments=page.confirm if tool == CONFIRM else {})
            assert refused.is_error
            assert text(refused).startswith("tool_name: "), tool
            assert "Nothing was changed" in text(refused)
        assert page.sandbox.writes == []
        assert CONFIRM not in str(data(await page.client.call_tool("list_changes", {})))
    told = [(line["tool"], line["outcome"], line["arguments"]) for line in audit_lines(log)]
    assert told[1:] == [(CONFIRM, "refused", {})] * len(NO_TOOLS)


@both_eras
async def test_also_what_needs_nobody_s_agreement_is_no_click_without_the_page_s_code(era: Era) -> None:
    """The tool for clicks is no second door to the others."""
    async with page_of(era=era) as page:
        page.sandbox.account.deployments[500].enabled_at = None
        for code in (None, page.confirm["code"]):
            refused = await page.send(tool_name="enable_deployment", arguments=IDS, code=code)
            assert (data(refused)["status"], page.sandbox.writes) == ("refused", [])


@both_eras
async def test_a_dry_run_within_a_click_is_a_dry_run(era: Era) -> None:
    """Nothing is sent, and the click is still there to be made."""
    async with page_of(era=era) as page:
        tried = await page.send(arguments={**ARGUMENTS, "dry_run": True})
        assert (data(tried)["status"], page.sandbox.writes) == ("preview", [])
        assert "confirm" not in for_page(tried)["change"]
        assert data(await page.send())["status"] == "done"


@both_eras
async def test_what_the_tool_itself_refuses_a_click_meets_in_the_same_words(era: Era) -> None:
    """Unknown arguments, none, ids that are none, and a deployment that is gone; once, not once for each tool."""
    async with page_of(era=era) as page:
        for arguments in ({**ARGUMENTS, "prioritty": 3}, {}, {**ARGUMENTS, "deployment_id": "orders"}, {"priority": 1}):
            alone = await page.client.call_tool("update_deployment", arguments)
            refused = await page.send(arguments=arguments)
            assert (refused.is_error, text(refused)) == (True, text(alone))
        del page.sandbox.account.deployments[500]
        gone = await page.send()
        assert text(gone) == text(await page.client.call_tool("update_deployment", ARGUMENTS))
        assert page.sandbox.writes == []


@both_eras
async def test_an_error_of_patchworks_reaches_the_page_and_the_log_as_it_is(era: Era, tmp_path: Path) -> None:
    """Before the write as a failure, and of the write as one that Patchworks refused."""
    log = tmp_path / "audit"
    upstream = Upstream()
    async with connected(transport=upstream, pages=True, era=era, audit_log=log) as client:
        waiting = await client.call_tool("update_deployment", ARGUMENTS)
        upstream.on(single, *[reply(503)] * 3)
        unread = await click(client, waiting)
        assert (unread.is_error, upstream.writes) == (True, [])
        upstream.heal()
        upstream.on(write, reply(422, {"message": "No."}))
        refused = await click(client, waiting)
        assert data(refused)["status"] == "failed"
        upstream.heal()
        assert data(await click(client, waiting))["message"] == USED
    assert [line["outcome"] for line in audit_lines(log)] == ["waiting_for_person", "failed", "failed", "refused"]


@both_eras
async def test_a_crash_behind_a_click_is_told_as_one_of_the_tool_s_is(
    era: Era, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """In the same words, with one line in each log."""

    def crash(_: httpx2.Request) -> None:
        raise RuntimeError("boom")

    log = tmp_path / "audit"
    upstream = Upstream()
    async with connected(transport=upstream, pages=True, era=era, audit_log=log) as client:
        waiting = await client.call_tool("update_deployment", ARGUMENTS)
        upstream.always(single, crash)
        alone = await client.call_tool("update_deployment", ARGUMENTS)
        caplog.clear()
        crashed = await click(client, waiting)
    assert (crashed.is_error, text(crashed)) == (True, text(alone))
    assert "boom" not in text(crashed)
    (logged,) = [line for line in caplog.records if line.levelname == "ERROR"]
    assert "RuntimeError: boom" in caplog.text
    assert confirm_of(waiting)["code"] not in caplog.text
    assert logged.exc_info
    assert [line["outcome"] for line in audit_lines(log)] == ["waiting_for_person", "failed", "failed"]


@both_eras
async def test_only_a_plain_true_is_a_yes_and_a_plain_false_a_no(era: Era) -> None:
    """Anything else is no click at all, and the question stays open."""
    async with page_of(era=era) as page:
        for agree in ("true", "yes", "on", 1, 1.0, "1", 0, "false", "no", None, [True], {"agree": True}):
            unclear = await page.send(agree=agree)
            assert text(unclear).startswith("agree: "), agree
            assert (unclear.is_error, page.sandbox.writes) == (True, [])
        assert data(await page.send())["status"] == "done"


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(
    name=st.sampled_from(["tool_name", "arguments", "agree", "code", "typed_id", "more"]),
    value=ODD | st.sampled_from(["true", "yes", "1", 1, 1.0, "no", "off", '{"deployment_id": "500"}']),
)
@examples(60)
async def test_odd_arguments_end_in_words_and_send_nothing_but_what_was_agreed_to(name: str, value: Any) -> None:
    """Of any type, at any place; only a plain true is a yes."""
    async with page_of() as page:
        result = await page.send(**{name: value})
        words = text(result)
        assert words
        assert "Error executing" not in words
        is_as_it_was = name == "typed_id" or (name == "more" and value in (None, "", []))
        is_yes = name == "agree" and value is True
        if not (is_as_it_was or is_yes):
            assert page.sandbox.writes == []
