"""A person's click in the page that a host shows beside a result: the way it goes, and whom it counts for."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from support.cases import CASES, disturb, replaceable
from support.clicks import click, confirm_of, for_page, for_the_model
from support.clients import (
    CONFIRM,
    IDS,
    READING,
    Clock,
    Era,
    Person,
    audit_lines,
    both_eras,
    connected,
    data,
    no,
    text,
    yes,
)
from support.faults import Upstream, delay, every
from support.histories import rows
from support.processes import over_stdio, sandbox_over_http
from support.wire import Json, envelope, in_process

from patchworks_deployments.app.shown import KEY
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings

Making = Callable[[Sandbox], dict[str, Any]]

WRITES: dict[str, Making] = {
    **{case.tool: case.arguments for case in CASES},
    "create_deployment": lambda _: {"flow_version_id": "1001", "deploy_disabled": True},
    "set_deployments_enabled": lambda _: {"enabled": False, "environment": "UK Live"},
    "replace_deployment": lambda sandbox: replaceable(sandbox)[1],
}
"""Each tool that changes something, with arguments of which a person is asked if all changes ask."""

VOID = "That code is void: since it was given, this very change was tried, or a person has declined it."
ONE = "patchworks://flow-versions/1001/deployments/500"


# The way it goes -------------------------------------------------------------------------------


@both_eras
@pytest.mark.parametrize("tool", WRITES)
async def test_a_change_waits_for_a_person_and_a_click_carries_it_out(tool: str, era: Era) -> None:
    """The model has the question and no code, nothing is sent before the click, and the undo waits for another one."""
    sandbox = Sandbox()
    arguments = {**WRITES[tool](sandbox), "reason": "stocktake"}
    async with connected(sandbox, pages=True, era=era, confirm="all") as client:
        waiting = await client.call_tool(tool, arguments)
        told, change = data(waiting), for_page(waiting)["change"]
        assert (told["status"], waiting.is_error, sandbox.writes) == ("waiting_for_person", False, [])
        assert told["question"] in text(waiting)
        assert change["deed"] == told["question"].splitlines()[:3]
        assert change["tool"] == change["confirm"]["tool_name"] == tool
        assert change["type"] == (arguments["deployment_id"] if tool == "delete_deployment" else None)
        assert change["confirm"]["arguments"]["reason"] == "stocktake"
        assert "confirmation_code" not in told
        assert change["confirm"]["code"] not in for_the_model(waiting)

        done = await click(client, waiting)
        assert (data(done)["status"], data(done)["verified"]) == ("done", True), text(done)
        assert data(done)["confirmed_by"] == "person_in_app"
        assert "confirmed_by: person_in_app" in text(done).splitlines()[-1]
        assert for_page(done)["change"].keys() == {"tool", "deed"}
        writes = len(sandbox.writes)
        assert writes

        undo = data(done)["undo"]
        back = await client.call_tool(undo["tool"], undo["arguments"])
        assert len(sandbox.writes) == writes
        assert data(await click(client, back))["status"] == "done"


@both_eras
async def test_a_client_without_pages_gets_what_it_would_get_without_any(era: Era) -> None:
    """A preview and a code for the model, and nothing beside it that is ours."""
    async with connected(era=era) as client:
        preview = await client.call_tool("disable_deployment", IDS)
        overview = await client.call_tool("deployment_overview", {})
        done = await client.call_tool(
            "disable_deployment", {**IDS, "confirmation_code": data(preview)["confirmation_code"]}
        )
    told = data(preview)
    assert told.keys() == {"status", "message", "before", "after", "question", "confirmation_code"}
    assert told["status"] == "confirmation_required"
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "code")
    for result in (preview, overview, done):
        assert for_page(result) == {}
        whole = result.model_dump_json(by_alias=True)
        assert not [word for word in ("patchworks-deployments/app", "ui://", CONFIRM, "page") if word in whole]


@both_eras
async def test_a_click_is_recorded_told_and_found_again(era: Era, tmp_path: Path) -> None:
    """One line of the attempt, with the yes; the list of changes says who agreed."""
    log = tmp_path / "audit.jsonl"
    async with connected(pages=True, era=era, audit_log=log) as client:
        waiting = await client.call_tool("disable_deployment", {**IDS, "reason": "stocktake"})
        await click(client, waiting)
        (changed,) = rows(data(await client.call_tool("list_changes", {})))
        again = await client.call_tool("enable_deployment", IDS)
        assert data(again)["status"] == "done"
        waiting = await client.call_tool("disable_deployment", IDS)
        await click(client, waiting, agree=False)
    waited, done, _, _, declined = audit_lines(log)
    of = ("event", "tool", "outcome", "arguments", "target", "confirmed_by", "answer", "answer_milliseconds", "reason")
    ask = ("attempt", "disable_deployment", "waiting_for_person", IDS, "500", None, None, None, "stocktake")
    assert tuple(waited[name] for name in of) == ask
    yes_ = ("outcome", "disable_deployment", "done", IDS, "500", "person_in_app", "accept", None, "stocktake")
    assert tuple(done[name] for name in of) == yes_
    no_ = ("attempt", "disable_deployment", "declined", IDS, "500", None, "decline", None, None)
    assert tuple(declined[name] for name in of) == no_
    assert (changed["confirmed_by"], changed["change"]) == ("person_in_app", "enabled → disabled")
    written = log.read_text(encoding="utf-8")
    assert confirm_of(waiting)["code"] not in written
    assert CONFIRM not in written


@both_eras
async def test_a_click_is_recorded_as_it_was_meant_however_its_arguments_were_written(era: Era, tmp_path: Path) -> None:
    """As a text of JSON, and filled up with what is empty."""
    log = tmp_path / "audit.jsonl"
    async with connected(pages=True, era=era, audit_log=log) as client:
        waiting = await client.call_tool("update_deployment", {**IDS, "priority": 42, "reason": "stocktake"})
        filled_up = {
            **confirm_of(waiting)["arguments"],
            "if_state": "",
            "enabled_at": None,
            "toolCallId": "added by a host",
        }
        done = await click(client, waiting, arguments=json.dumps(filled_up))
        (changed,) = rows(data(await client.call_tool("list_changes", {})))
    assert data(done)["status"] == "done"
    line = audit_lines(log)[-1]
    assert (line["arguments"], line["target"]) == ({**IDS, "priority": 42}, "500")
    assert (changed["reason"], line["reason"]) == ("1", "stocktake")


async def test_subscribers_are_told_of_a_click_and_of_no_question() -> None:
    """Where a change waits or is declined, nothing has changed."""
    async with connected(pages=True) as client, client.listen(resource_subscriptions=[ONE]) as stream:
        waiting = [await client.call_tool("disable_deployment", {**IDS, "reason": why}) for why in "ab"]
        await click(client, waiting[0], agree=False)
        await click(client, await client.call_tool("disable_deployment", IDS))
        with anyio.fail_after(5):
            assert (await anext(stream)).uri == ONE  # type: ignore[union-attr]
        with anyio.move_on_after(0.05) as waited:
            await anext(stream)
    assert waited.cancelled_caught


@both_eras
async def test_a_code_that_is_no_good_is_told_beside_the_question(era: Era) -> None:
    """A model that brings one hears why, and that a person has to click."""
    async with connected(pages=True, era=era) as client:
        waiting = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": "6b49d458-" + "a" * 20})
    assert data(waiting)["message"].startswith(
        "That code is not from this server, or it was mistyped. Nothing was changed yet: this waits for a person. "
    )
    assert confirm_of(waiting)["code"]


async def test_the_message_says_where_the_buttons_are_and_not_to_call_again() -> None:
    """A model that reads it cannot take it for done, nor for a refusal."""
    async with connected(pages=True) as client:
        waiting = await client.call_tool("disable_deployment", IDS)
    assert data(waiting)["message"] == (
        "Nothing was changed yet: this waits for a person. The page beside this result shows them the question, and "
        "its buttons are the only way to agree. Say so, and do not call again. Read the deployment later to see what "
        "became of it. If no page appears, a person can set PATCHWORKS_CONFIRM_BY=code: then a preview and a code take "
        "the place of the question."
    )


# One click, one write --------------------------------------------------------------------------


@both_eras
async def test_ten_clicks_at_once_make_one_write(era: Era) -> None:
    """Also those that began before the first had written."""
    sandbox = Sandbox()
    async with connected(transport=Upstream(sandbox).always(every, delay(0.03)), pages=True, era=era) as client:
        waiting = await client.call_tool("disable_deployment", IDS)
        results = await asyncio.gather(*[click(client, waiting) for _ in range(10)])
    statuses = [data(result)["status"] for result in results]
    assert (len(sandbox.writes), statuses.count("done")) == (1, 1)
    assert set(statuses) <= {"done", "refused", "unchanged"}


@both_eras
async def test_ten_clicks_at_once_create_one_deployment(era: Era) -> None:
    """Nothing in its state would tell that it was done."""
    sandbox = Sandbox()
    async with connected(transport=Upstream(sandbox).always(every, delay(0.03)), pages=True, era=era) as client:
        waiting = await client.call_tool("create_deployment", {"flow_version_id": "1001"})
        results = await asyncio.gather(*[click(client, waiting) for _ in range(10)])
    statuses = [data(result)["status"] for result in results]
    assert (len(sandbox.writes), statuses.count("done"), statuses.count("refused")) == (1, 1, 9)


@both_eras
@pytest.mark.parametrize("first", [True, False])
async def test_after_a_click_neither_yes_nor_no_counts(first: bool, era: Era) -> None:  # noqa: FBT001 - a parameter
    """Nor does a click in another page that had shown the same before."""
    sandbox = Sandbox()
    create = {"flow_version_id": "1001"}
    async with connected(sandbox, pages=True, era=era) as client:
        waiting = [await client.call_tool("create_deployment", create) for _ in range(2)]
        await click(client, waiting[0], agree=first)
        writes = len(sandbox.writes)
        assert writes == first
        for page in waiting:
            for agree in (True, False):
                late = await click(client, page, agree=agree)
                assert (data(late)["status"], late.is_error) == ("refused", True)
                assert "Nothing was changed by this click." in text(late)
                assert len(sandbox.writes) == writes
        asked_anew = await client.call_tool("create_deployment", create)
        assert data(await click(client, asked_anew))["status"] == "done"


async def test_a_no_after_which_nothing_is_left_says_what_to_do() -> None:
    """The code is void, and the question can be asked again."""
    async with connected(pages=True) as client:
        waiting = await client.call_tool("disable_deployment", IDS)
        declined = await click(client, waiting, agree=False)
        late = await click(client, waiting)
    assert data(declined)["message"] == "The person declined. Nothing was changed."
    assert not declined.is_error
    assert data(late)["message"] == (
        "The question is void: since it was asked, this very change was tried, or a person has declined it. "
        "Nothing was changed by this click. Ask again, which shows the question as it is now."
    )


@pytest.mark.parametrize("typed", ["501", "0500", "500 and more", "\uff15\uff10\uff10", "", None])
async def test_a_delete_wants_its_id_typed(typed: str | None) -> None:
    """Another one, or none, is a no: nothing is sent, and the code is void."""
    sandbox = Sandbox()
    async with connected(sandbox, pages=True) as client:
        waiting = await client.call_tool("delete_deployment", IDS)
        result = await click(client, waiting, typed_id=typed)
        late = await click(client, waiting)
    assert (data(result)["status"], data(late)["status"], sandbox.writes) == ("declined", "refused", [])
    assert data(result)["message"] == "The person typed another id than the one in question. Nothing was changed."


async def test_a_typed_id_may_stand_between_spaces() -> None:
    """As a person may leave them."""
    sandbox = Sandbox()
    async with connected(sandbox, pages=True) as client:
        result = await click(client, await client.call_tool("delete_deployment", IDS), typed_id=" 500 ")
    assert (data(result)["status"], len(sandbox.writes)) == ("done", 1)


async def test_a_no_makes_void_what_was_given_for_the_same_before_it() -> None:
    """A model's code, and the yes to a form's question: three ways to ask in one process, and a no in one of them."""
    sandbox, clock = Sandbox(), Clock()
    server = create_server(load_settings({}, sandbox=True), httpx2.ASGITransport(app=sandbox.app), clock, clock)
    pages: Json = {"extensions": {EXTENSION_ID: {"mimeTypes": [APP_MIME_TYPE]}}}
    forms: Json = {"elicitation": {"form": {}}}

    async with in_process(server) as wire:

        async def call(can: Json, tool: str = "disable_deployment", also: Json | None = None, **more: object) -> Json:
            params = {"name": tool, "arguments": {**IDS, **more} if tool != CONFIRM else more, "_meta": envelope(can)}
            number = await wire.request("tools/call", params | (also or {}))
            answer = await anext(wire.until_answered(number))
            told: Json = answer["result"]
            return told

        waiting, code = await call(pages), (await call({}))["structuredContent"]["confirmation_code"]
        question = await call(forms)
        clock.now += 5
        no_ = {**waiting["_meta"][KEY]["change"]["confirm"], "agree": False}
        assert (await call(pages, CONFIRM, **no_))["structuredContent"]["status"] == "declined"
        after = await call({}, confirmation_code=code)
        assert after["structuredContent"]["message"].startswith(VOID)
        agreed_ = {"action": "accept", "content": {"agree": True}}
        also = {
            "requestState": question["requestState"],
            "inputResponses": dict.fromkeys(question["inputRequests"], agreed_),
        }
        assert "inputRequests" in await call(forms, also=also)
        for agree in (True, False):
            assert (await call(pages, CONFIRM, **{**no_, "agree": agree}))["structuredContent"]["status"] == "refused"
    assert sandbox.writes == []


# Whom it counts for ----------------------------------------------------------------------------


@both_eras
async def test_who_shows_forms_is_asked_by_form(era: Era) -> None:
    """A person's yes and no to it are the last word, pages or not."""
    sandbox, person = Sandbox(), Person(no)
    async with connected(sandbox, person=person, pages=True, era=era) as client:
        declined = await client.call_tool("disable_deployment", IDS)
        person.answer = yes
        done = await client.call_tool("disable_deployment", IDS)
    assert (data(declined)["status"], for_page(declined)["change"].get("confirm")) == ("declined", None)
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "human")
    assert (len(person.asked), len(sandbox.writes)) == (2, 1)


@both_eras
@pytest.mark.parametrize("confirm_by", ["auto", "human"])
async def test_where_a_form_is_answered_unseen_the_page_takes_over(confirm_by: str, era: Era) -> None:
    """The result says what the client did, and the click counts."""
    sandbox = Sandbox()
    person = Person(no, takes=0.005)
    async with connected(sandbox, person=person, pages=True, era=era, confirm_by=confirm_by) as client:
        waiting = await client.call_tool("disable_deployment", IDS)
        assert data(waiting)["message"].startswith(
            "The client answered 'decline' after 5 ms, without showing the question. Nothing was changed yet: this "
            "waits for a person. "
        )
        assert confirm_of(waiting)["code"] not in for_the_model(waiting)
        assert sandbox.writes == []
        assert data(await click(client, waiting))["confirmed_by"] == "person_in_app"


COUNTS: dict[str, dict[str, Any]] = {
    "auto": {},
    "human": {"confirm_by": "human"},
    "protected": {"protected_environments": "10"},
    "protected, by code": {"protected_environments": "10", "confirm_by": "code"},
}


@both_eras
@pytest.mark.parametrize("policy", COUNTS)
async def test_a_click_counts_wherever_a_person_s_answer_counts(policy: str, era: Era) -> None:
    """Also where no code does: of all changes in a protected environment."""
    sandbox = Sandbox()
    tool = "enable_deployment" if "protected" in policy else "disable_deployment"
    if "protected" in policy:
        sandbox.account.deployments[500].enabled_at = None
    async with connected(sandbox, pages=True, era=era, **COUNTS[policy]) as client:
        waiting = await client.call_tool(tool, IDS)
        is_there = "does not count in a protected environment" in data(waiting)["message"]
        assert is_there == ("protected" in policy)
        done = await click(client, waiting)
    assert (data(done)["status"], data(done)["confirmed_by"], len(sandbox.writes)) == ("done", "person_in_app", 1)


@both_eras
async def test_by_code_means_by_code(era: Era) -> None:
    """The model gets one as ever, the page gets none, and a click from before the setting is refused."""
    sandbox = Sandbox()
    async with connected(sandbox, pages=True, era=era) as client:
        waiting = await client.call_tool("disable_deployment", IDS)
    async with connected(sandbox, pages=True, era=era, confirm_by="code") as client:
        preview = await client.call_tool("disable_deployment", IDS)
        assert "confirm" not in for_page(preview)["change"]
        refused = await click(client, waiting)
        assert (data(refused)["status"], sandbox.writes) == ("refused", [])
        code = data(preview)["confirmation_code"]
        done = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "code")


@both_eras
async def test_what_needs_nobody_s_agreement_waits_for_nobody(era: Era) -> None:
    """The page shows it as done."""
    sandbox = Sandbox()
    sandbox.account.deployments[500].enabled_at = None
    async with connected(sandbox, pages=True, era=era) as client:
        done = await client.call_tool("enable_deployment", IDS)
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "not_required")
    assert for_page(done)["change"]["deed"][0].startswith("Enable deployment 500")


@both_eras
async def test_of_many_those_that_changed_since_the_question_are_asked_about_again(era: Era) -> None:
    """The click was about all of them as they were."""
    sandbox = Sandbox()
    many = {"enabled": False, "environment": "UK Live"}
    async with connected(sandbox, pages=True, era=era) as client:
        waiting = await client.call_tool("set_deployments_enabled", many)
        count = len(data(waiting)["would_change"])
        disturb(sandbox, IDS)
        refused = await click(client, waiting)
        assert (data(refused)["status"], sandbox.writes) == ("refused", [])
        assert data(refused)["message"].startswith("The question was about something else")
        done = await click(client, await client.call_tool("set_deployments_enabled", many))
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "person_in_app")
    assert len(data(done)["done"]) == len(sandbox.writes) == count > 1


@both_eras
async def test_a_read_only_server_has_nothing_to_click(era: Era) -> None:
    """Neither the tool nor the board's actions, and a call of the tool all the same is refused."""
    async with connected(pages=True, era=era) as client:
        confirm = confirm_of(await client.call_tool("disable_deployment", IDS))
    sandbox = Sandbox()
    async with connected(sandbox, pages=True, era=era, read_only=True) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == READING
        assert for_page(await client.call_tool("deployment_overview", {}))["board"]["may_change"] is False
        refused = await client.call_tool(CONFIRM, {**confirm, "agree": True})
    assert text(refused).startswith("This server is read-only")
    assert sandbox.writes == []


# In processes ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_click_reaches_another_process_than_the_question_did() -> None:
    """A page stays on the screen while its host starts the server anew; it is done once all the same."""
    with sandbox_over_http() as upstream:
        env = {"PATCHWORKS_BASE_URL": upstream, "PATCHWORKS_API_KEY": "sandbox-key"}
        async with over_stdio(era="legacy", env=env, pages=True) as client:
            waiting = await client.call_tool("disable_deployment", IDS)
        async with over_stdio(era="legacy", env=env, pages=True) as client:
            done = await click(client, waiting)
            late = await click(client, waiting)
    assert (data(done)["status"], data(done)["confirmed_by"]) == ("done", "person_in_app")
    assert data(late)["status"] == "unchanged"
