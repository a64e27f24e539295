"""Switching many deployments: one consent, one truthful report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clients import LISTENS, Era, Person, Progress, audit_lines, connected, data, newer_era_first, no, text, yes
from support.faults import Upstream, reading, reply, write

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment

TOOL = "set_deployments_enabled"


def _in(sandbox: Sandbox, environment: str) -> list[Deployment]:
    ids = {e.id for e in sandbox.account.virtual_environments.values() if environment in e.name}
    return [d for d in sandbox.account.deployments.values() if d.virtual_environment_id in ids]


def _name(row: Deployment) -> str:
    return f"{row.flow_version_id}/{row.id}"


@newer_era_first
async def test_one_consent_stops_everything_in_an_environment_and_its_undo_restores_exactly_that(era: Era) -> None:
    """The question shows the blast radius; the report and the undo name exactly those that changed."""
    sandbox = Sandbox(300)
    rows = _in(sandbox, "DE Sandbox")
    running = [d for d in rows if d.enabled_at]
    stopped = [d for d in rows if not d.enabled_at]
    person = Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "environment": "DE Sandbox"}))
        assert all(d.enabled_at is None for d in rows)
        assert result["done"] == sorted(_name(d) for d in running)
        assert result["unchanged"] == sorted(_name(d) for d in stopped)
        undone = data(await client.call_tool(result["undo"]["tool"], result["undo"]["arguments"]))
    assert undone["status"] == "done"
    assert {d.id for d in rows if d.enabled_at} == {d.id for d in running}
    asked, *again = person.asked
    assert len(again) == (len(running) > 5)
    assert f"Disable {len(running)} deployments" in asked
    assert f'environment "DE Sandbox" (12): {len(running)}' in asked
    assert f"Already disabled: {len(stopped)} more" in asked


@newer_era_first
async def test_declined_nothing_is_sent(era: Era) -> None:
    """A no stops all of them."""
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(no), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "environment": "Live"})
    assert data(result)["status"] == "declined"
    assert sandbox.writes == []


@newer_era_first
async def test_a_client_that_cannot_ask_gets_a_preview_and_a_code(era: Era) -> None:
    """The code carries out the same switch, and not after one of its deployments changed."""
    sandbox = Sandbox()
    arguments: dict[str, Any] = {"enabled": False, "environment": "UK Live"}
    async with connected(sandbox, era=era) as client:
        preview = await client.call_tool(TOOL, arguments)
        assert data(preview)["status"] == "confirmation_required"
        assert "Disable" in text(preview)
        assert sandbox.writes == []
        _in(sandbox, "UK Live")[0].priority = 99
        stale = await client.call_tool(TOOL, {**arguments, "confirmation_code": data(preview)["confirmation_code"]})
        assert data(stale)["status"] == "confirmation_required"
        assert sandbox.writes == []
        done = await client.call_tool(TOOL, {**arguments, "confirmation_code": data(stale)["confirmation_code"]})
    assert data(done)["status"] == "done"
    assert all(d.enabled_at is None for d in _in(sandbox, "UK Live"))


async def test_enabling_asks_nobody_unless_an_environment_is_protected() -> None:
    """Enabling stops no work, so it asks only where everything asks; the protected environment is named."""
    sandbox = Sandbox()
    person = Person(yes)
    async with connected(sandbox, person=person) as client:
        assert data(await client.call_tool(TOOL, {"enabled": True, "environment": "UK Live"}))["status"] != "declined"
        assert person.asked == []
    async with connected(sandbox, person=person, protected_environments="us live") as client:
        await client.call_tool(TOOL, {"enabled": True, "flow": "orders"})
    assert person.asked[0].splitlines()[2].startswith('Protected environment: "US Live" (13); ')


async def test_deployments_can_be_named_by_id_alone_or_with_their_version() -> None:
    """Both ways of naming address the same deployments, each once."""
    sandbox = Sandbox()
    row, other = [d for d in sandbox.account.deployments.values() if d.enabled_at][:2]
    async with connected(sandbox, person=Person(yes)) as client:
        names = [row.id, _name(row), _name(other)]
        result = data(await client.call_tool(TOOL, {"enabled": False, "deployments": names}))
    assert result["done"] == sorted([_name(row), _name(other)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "No deployments and no filter"),
        ({"deployments": ["500"], "flow": "orders"}, "Both deployments and a filter"),
        ({"environment": "Atlantis"}, "No deployment matches"),
        ({"flow": " "}, "flow: must be text"),
        ({"deployments": ["7", "8"]}, "There is no deployment 7 and 8"),
        ({"deployments": ["1/2/3"]}, "deployments: must be a deployment's id"),
        ({"search": "x"}, "is not an argument"),
        ({"environment": "e"}, "at most 200"),
    ],
)
async def test_what_means_nothing_or_too_much_is_refused(arguments: dict[str, Any], said: str) -> None:
    """Nobody switches everything by leaving something out."""
    sandbox = Sandbox(1_000)
    async with connected(sandbox, person=Person(yes)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, **arguments})
    assert result.is_error
    assert said in text(result)
    assert sandbox.writes == []


@newer_era_first
async def test_what_changes_between_consent_and_its_turn_is_skipped_and_reported(era: Era) -> None:
    """A deployment somebody else touched after the question is left alone, the others are switched."""
    sandbox = Sandbox()
    rows = [d for d in _in(sandbox, "UK Live") if d.enabled_at]
    touched = rows[0]

    def touch(_: httpx2.Request) -> None:
        touched.updated_at = touched.updated_at.replace(year=2027)

    transport = Upstream(sandbox).always(reading(touched.id), touch)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live"})
    assert data(result)["status"] == "partial"
    assert result.is_error
    assert [item["deployments"] for item in data(result)["not_tried"]] == [[_name(touched)]]
    assert "changed since it was agreed to" in text(result)
    assert touched.enabled_at
    assert data(result)["done"] == sorted(_name(d) for d in rows[1:])


@newer_era_first
@pytest.mark.parametrize("k", [1, 4, 7])
async def test_a_failure_at_the_k_th_is_reported_and_the_same_call_finishes_the_rest(era: Era, k: int) -> None:
    """One failure costs one deployment; calling again with the same arguments switches just that one."""
    sandbox = Sandbox()
    rows = [d for d in _in(sandbox, "UK Live") if d.enabled_at]
    assert len(rows) >= 7
    transport = Upstream(sandbox).on(write, *(k - 1) * [None], reply(422, {"message": "Whoops"}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        arguments = {"enabled": False, "environment": "UK Live"}
        first = await client.call_tool(TOOL, arguments)
        second = await client.call_tool(TOOL, arguments)
    assert data(first)["status"] == "partial"
    (failed,) = data(first)["failed"]
    assert "422" in failed["why"]
    (name,) = failed["deployments"]
    assert name in text(first)
    assert len(data(first)["done"]) == len(rows) - 1
    assert data(second)["done"] == [name]
    assert len(sandbox.writes) == len(rows)


@newer_era_first
async def test_every_fate_has_its_place(era: Era) -> None:
    """Done, accepted but not read back, refused, unknown and not tried: each deployment stands in the right one."""
    sandbox = Sandbox()
    seen, blind, refused, lost_one, touched, *others = [d for d in _in(sandbox, "UK Live") if d.enabled_at]

    def ends(row: Deployment, method: str) -> Callable[[httpx2.Request], bool]:
        return lambda r: r.method == method and f"/{row.id}" in r.url.path and (method == "GET" or r.method == "POST")

    def touch(_: httpx2.Request) -> None:
        touched.updated_at = touched.updated_at.replace(year=2027)

    transport = (
        Upstream(sandbox)
        .on(ends(blind, "GET"), None)
        .always(ends(blind, "GET"), reply(500))
        .always(ends(refused, "POST"), reply(422, {"message": "No."}))
        .always(ends(lost_one, "POST"), httpx2.ReadTimeout)
        .always(ends(touched, "GET"), touch)
    )
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live"})
        outcome = data(result)
        transport.heal()
        undone = await client.call_tool(outcome["undo"]["tool"], outcome["undo"]["arguments"])
    assert (outcome["status"], outcome["verified"]) == ("partial", False)
    assert outcome["done"] == sorted(_name(d) for d in (seen, *others))
    assert outcome["unverified"] == [_name(blind)]
    assert [entry["deployments"] for entry in outcome["failed"]] == [[_name(refused)]]
    assert [entry["deployments"] for entry in outcome["unknown"]] == [[_name(lost_one)]]
    assert [entry["deployments"] for entry in outcome["not_tried"]] == [[_name(touched)]]
    assert "1 disabled but not read back" in outcome["message"]
    assert "Look again with set_deployments_enabled" in outcome["message"]
    assert "same call again" not in text(result)
    assert data(undone)["done"] == sorted(_name(d) for d in (seen, blind, *others))


@pytest.mark.parametrize("status", [500, 403])
async def test_what_could_not_be_read_was_not_tried(status: int) -> None:
    """A deployment whose turn begins with a read that fails is reported as not tried, since nothing was sent."""
    sandbox = Sandbox()
    target = next(d for d in _in(sandbox, "UK Live") if d.enabled_at)
    transport = Upstream(sandbox).always(reading(target.id), reply(status, {"message": "No."}))
    async with connected(transport=transport, person=Person(yes)) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live"}))
    assert [_name(target)] in [entry["deployments"] for entry in result["not_tried"]]
    assert "failed" not in result
    assert target.enabled_at


async def test_lost_rights_stop_the_rest() -> None:
    """After a 403 the remaining ones are not tried, and said to be so."""
    sandbox = Sandbox(300)
    transport = Upstream(sandbox).always(write, reply(403, {"message": "No."}))
    async with connected(transport=transport, person=Person(yes)) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live"}))
    assert result["status"] == "failed"
    assert len(transport.writes) <= 8
    (failed,), (left,) = result["failed"], result["not_tried"]
    assert len(failed["deployments"]) == len(transport.writes)
    assert "stopped after" in left["why"]
    assert sandbox.writes == []


async def test_throttling_slows_it_down_and_loses_nothing() -> None:
    """Where somebody hears of it, 429s are waited out; every deployment ends up switched, once."""
    sandbox = Sandbox()
    rows = [d for d in _in(sandbox, "UK Live") if d.enabled_at]
    transport = Upstream(sandbox).on(write, None, *5 * [reply(429, retry_after=60)])
    async with connected(transport=transport, person=Person(yes)) as client:
        arguments = {"enabled": False, "environment": "UK Live"}
        result = data(await client.call_tool(TOOL, arguments, progress_callback=Progress(), meta=LISTENS))
    assert result["status"] == "done"
    assert len(sandbox.writes) == len(rows) == len(result["done"])


async def test_a_throttle_that_lasts_is_reported_and_not_waited_out() -> None:
    """A wait of a day fails the deployment in the API's own words, and the rest are not tried."""
    sandbox = Sandbox(300)
    transport = Upstream(sandbox).always(write, reply(429, retry_after=86400))
    async with connected(transport=transport, person=Person(yes)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live"})
    assert data(result)["status"] == "failed"
    assert "(429). Wait 86400 seconds" in data(result)["failed"][0]["why"]
    assert len(data(result)["failed"][0]["deployments"]) == len(transport.writes) <= 8
    assert "throttling" in data(result)["not_tried"][0]["why"]


async def test_each_switch_leaves_a_line_in_the_audit_log(tmp_path: Path) -> None:
    """The call has its line, and every deployment it switched has one too, with the reason."""
    log = tmp_path / "audit.jsonl"
    sandbox = Sandbox()
    async with connected(sandbox, person=Person(yes), audit_log=log) as client:
        result = data(
            await client.call_tool(TOOL, {"enabled": False, "environment": "UK Live", "reason": "incident 7"})
        )
    *steps, call = audit_lines(log)
    assert (call["tool"], call["outcome"]) == (TOOL, "done")
    assert {f"{s['arguments']['flow_version_id']}/{s['target']}" for s in steps} == set(result["done"])
    assert {(s["tool"], s["outcome"], s["reason"], s["confirmed_by"]) for s in steps} == {
        (f"{TOOL}: disable", "done", "incident 7", "human")
    }


async def test_switching_reports_progress_per_deployment() -> None:
    """A client that asks for progress hears of every deployment."""
    sandbox, progress = Sandbox(), Progress()
    count = len([d for d in _in(sandbox, "UK Live") if d.enabled_at])
    async with connected(sandbox, person=Person(yes), era="legacy") as client:
        arguments = {"enabled": False, "environment": "UK Live"}
        await client.call_tool(TOOL, arguments, progress_callback=progress, meta=LISTENS)
    assert progress.heard == [(n, count) for n in range(1, count + 1)]


async def test_an_undo_is_refused_once_one_of_them_changed() -> None:
    """The undo of many names the state of all that it takes back."""
    sandbox = Sandbox()
    arguments = {"enabled": False, "environment": "DE Sandbox"}
    async with connected(sandbox, person=Person(yes)) as client:
        done = data(await client.call_tool(TOOL, arguments))
        some = sandbox.account.deployments[int(done["done"][0].partition("/")[2])]
        some.priority = 66
        late = await client.call_tool(done["undo"]["tool"], done["undo"]["arguments"])
        assert late.is_error
        assert "no longer in the state" in text(late)
        assert some.enabled_at is None
