"""What is said of switching many: in the question, in a preview, and of each deployment afterwards."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Era, Person, connected, data, newer_era_first, no, text, yes
from support.examples import examples
from support.faults import Upstream, reading, reply, write

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import VirtualEnvironment

TOOL = "set_deployments_enabled"


def look_first(*names: str) -> str:
    """The call that shows what became of those that are unknown, as a sentence."""
    call = f'set_deployments_enabled {{"enabled": false, "deployments": {json.dumps(names)}, "dry_run": true}}'
    return f"Look again with {call} before anything else is done."


def _many(count: int, *, enabled: bool) -> Sandbox:
    """A sandbox of so many deployments, each of a flow of its own in an environment of its own."""
    sandbox = Sandbox()
    account, row = sandbox.account, sandbox.account.deployments[500]
    version, flow = account.version_of(row), account.flow_of(row)
    account.deployments = {}
    for n in range(count):
        account.flows[3000 + n] = replace(flow, id=3000 + n)
        account.flow_versions[4000 + n] = replace(version, id=4000 + n, flow_id=3000 + n)
        account.virtual_environments[5000 + n] = VirtualEnvironment(5000 + n, f"Shop {n}")
        account.deployments[900 + n] = replace(
            row,
            id=900 + n,
            flow_version_id=4000 + n,
            virtual_environment_id=5000 + n,
            enabled_at=row.enabled_at if enabled else None,
        )
    return sandbox


@newer_era_first
@pytest.mark.parametrize("count", [2, 13, 60])
async def test_a_question_about_many_names_every_environment_and_deployment(count: int, era: Era) -> None:
    """Each environment has a line with its count and its ids, and each flow its count, however many there are."""
    person = Person(no)
    async with connected(_many(count, enabled=True), person=person, era=era) as client:
        await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    head, change, at_stake, *places, which, fit, _, state = person.asked[0].splitlines()
    assert head.startswith(f'Disable {count} deployments in {count} environments: "Shop 0" (5000): 1, ')
    assert change.startswith("From enabled to disabled: 900, 901")
    assert at_stake.startswith("Several flows fit the name")
    assert at_stake.endswith("; Patchworks does not say if runs under way finish")
    assert fit.startswith("Several flows fit the name: Shopify orders to NetSuite (3000), ")
    assert sorted(places) == sorted(f'In environment "Shop {n}" ({5000 + n}): 1 ({900 + n})' for n in range(count))
    assert which.startswith("Of: flow ")
    assert state.startswith("What changes before the answer is left alone or asked about again (state ")


@newer_era_first
async def test_one_live_environment_is_not_hidden_by_many_sandboxes(era: Era) -> None:
    """Where the fewest deployments are comes first, and what does not tell its environment comes before that."""
    sandbox, person = _many(26, enabled=True), Person(no)
    rows = list(sandbox.account.deployments.values())
    for n, row in enumerate(rows):
        row.virtual_environment_id = 5000 + n // 2
    sandbox.account.virtual_environments[5012].name = "UK Live"
    sandbox.account.virtual_environments[5099] = VirtualEnvironment(5099, "FR Live")
    rows[25].virtual_environment_id = 5099

    def hide(_: httpx2.Request, answer: Any) -> Any:
        for record in answer["data"]:
            if record["id"] == rows[0].id:
                del record["virtual_environment_id"], record["virtual_environment"]
        return answer

    transport = Upstream(sandbox).alter(hide)
    async with connected(transport=transport, person=person, era=era) as client:
        await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    places = [line for line in person.asked[0].splitlines() if line.startswith("In ")]
    assert places[:4] == [
        "In environment unknown: 1 (900)",
        'In environment "FR Live" (5099): 1 (925)',
        'In environment "Shop 0" (5000): 1 (901)',
        'In environment "UK Live" (5012): 1 (924)',
    ]
    assert len(places) == 15


async def test_flows_that_a_question_cannot_hold_are_counted() -> None:
    """Those of which there is one deployment come first, and the question stays within its bound."""
    sandbox, person = _many(100, enabled=True), Person(no)
    for n, row in enumerate(sandbox.account.deployments.values()):
        sandbox.account.flows[3000 + n].name = f"Shopify orders, {'very ' * 15} long {n:02}"
        row.virtual_environment_id = 5000
    sandbox.account.flow_versions[4000].flow_id = 3099
    async with connected(sandbox, person=person) as client:
        await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    question = person.asked[0].rpartition("\nAccount: ")[0]
    (which,) = [line for line in question.splitlines() if line.startswith("Of: ")]
    shown = which.count("(30")
    assert which.endswith(f"; and {99 - shown} more flows")
    assert "(3099)" not in which
    assert 3_800 < len(question) <= 4_000


@newer_era_first
@pytest.mark.parametrize("arguments", [{}, {"dry_run": True}])
async def test_what_a_question_cannot_show_whole_is_not_asked(arguments: dict[str, Any], era: Era) -> None:
    """A yes covers what was seen: it is refused with how to split it, also where it would only be previewed."""
    sandbox, person = _many(150, enabled=True), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        refused = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify", **arguments})
        one = await client.call_tool(TOOL, {"enabled": False, "environment": "5000", **arguments})
    assert refused.is_error
    assert "more than a person can be shown in one question. Nothing was changed. Go environment by" in text(refused)
    assert data(one)["status"] == ("preview" if arguments else "done")
    assert len(person.asked) == (0 if arguments else 1)


@pytest.mark.slow
@examples(30)
@given(st.lists(st.tuples(st.text(max_size=140), st.integers(1, 8)), min_size=1, max_size=30))
async def test_no_environment_is_hidden_whatever_they_are_called(environments: list[tuple[str, int]]) -> None:
    """Each has one line with its id and its count, the fewest first; or nothing is asked at all."""
    counts = [count for _, count in environments]
    sandbox, person = _many(min(sum(counts), 200), enabled=True), Person(no)
    places = [5000 + n for n, count in enumerate(counts) for _ in range(count)][:200]
    for row, place in zip(sandbox.account.deployments.values(), places, strict=True):
        row.virtual_environment_id = place
    for n, (name, _) in enumerate(environments):
        sandbox.account.virtual_environments[5000 + n] = VirtualEnvironment(5000 + n, name)
    async with connected(sandbox, person=person) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    if not person.asked:
        assert "more than a person can be shown in one question" in text(result)
        return
    if sum(counts) == 1:
        assert re.match(r"Disable 1 deployment: 900 in (\".*\" \(5000\)|environment 5000): ", person.asked[0])
        return
    lines = [line for line in person.asked[0].splitlines() if line.startswith("In environment ")]
    told = [re.search(r"\b(50\d\d)\)?: (\d+) \(([0-9, ]+)\)$", line) for line in lines]
    held = [(int(one[1]), int(one[2]), len(one[3].split(", "))) for one in told if one]
    assert sorted(held) == sorted((place, n, n) for place, n in Counter(places).items())
    assert [n for _, n, _ in held] == sorted(n for _, n, _ in held)
    assert len(person.asked[0].rpartition("\nAccount: ")[0]) <= 4_000


async def test_a_question_about_enabling_says_so() -> None:
    """They start processing runs, and those that are enabled already are counted."""
    sandbox, person = _many(3, enabled=False), Person(no)
    sandbox.account.deployments[901].enabled_at = sandbox.account.deployments[901].created_at
    async with connected(sandbox, person=person, confirm="all") as client:
        await client.call_tool(TOOL, {"enabled": True, "flow": "Shopify"})
    assert person.asked[0].startswith('Enable 2 deployments in 2 environments: "Shop 0" (5000): 1, ')
    assert person.asked[0].splitlines()[2].endswith("; their triggers start runs by themselves; nothing is lost")
    assert 'In environment "Shop 0" (5000): 1 (900)\nIn environment "Shop 2" (5002): 1 (902)\n' in person.asked[0]
    assert "\nAlready enabled: 1 more, left alone\n" in person.asked[0]


async def test_a_preview_names_what_would_be_switched() -> None:
    """All of them, the whole question in words, and nothing as if it had been tried."""
    async with connected(_many(13, enabled=True)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify", "dry_run": True})
        asked = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    for shown in (result, asked):
        assert data(shown)["would_change"] == [f"{4000 + n}/{900 + n}" for n in range(13)]
        assert "not_tried" not in data(shown)
        assert data(shown)["question"].startswith("Disable 13 deployments")
        assert f"\n{data(shown)['question']}" in text(shown)
        assert "not tried" not in text(shown)
    assert data(result)["status"] == "preview"
    assert text(asked).endswith(f"\nconfirmation_code: {data(asked)['confirmation_code']}")


async def test_who_said_no_is_not_told_what_was_not_tried() -> None:
    """Nothing of it was tried, and nothing is named."""
    async with connected(_many(2, enabled=True), person=Person(no)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert (data(result)["status"], "not_tried" in data(result)) == ("declined", False)
    assert "Disable 2 deployments" not in text(result)


async def test_who_cannot_be_asked_reads_the_question_in_the_refusal() -> None:
    """A person can decide by it, and do it from elsewhere."""
    async with connected(_many(2, enabled=True), confirm_by="human") as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert data(result)["status"] == "refused"
    assert "\nDisable 2 deployments in 2 environments: " in text(result)
    assert "not tried" not in text(result)


@newer_era_first
async def test_what_is_so_already_is_said_without_asking(era: Era) -> None:
    """Nobody is asked, and nothing is sent."""
    sandbox, person = _many(2, enabled=False), Person(yes)
    async with connected(sandbox, person=person, era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert data(result)["status"] == "unchanged"
    assert (person.asked, sandbox.writes) == ([], [])


@newer_era_first
async def test_each_fate_has_its_line(era: Era) -> None:
    """A model that reads the words alone learns of each deployment that is not simply done, and why."""
    sandbox = _many(6, enabled=True)
    account = sandbox.account
    account.deployments[905].enabled_at = None

    def touch(_: httpx2.Request) -> None:
        account.deployments[904].updated_at = account.deployments[904].updated_at.replace(year=2027)

    def posts(id_: int) -> Callable[[httpx2.Request], bool]:
        return lambda request: write(request) and f"/{id_}/" in request.url.path

    transport = (
        Upstream(sandbox)
        .on(reading(901), None)
        .always(reading(901), reply(500))
        .always(posts(902), reply(422, {"message": "No."}))
        .always(posts(903), httpx2.ReadTimeout)
        .always(reading(904), touch)
    )
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    head, *lines = text(result).splitlines()
    counts = "1 disabled and verified, 1 disabled but not read back, 1 was so already, 1 failed, 1 unknown, 1 not tried"
    assert head == data(result)["message"] == f"{counts}. {look_first('4003/903')}"
    assert lines[1:4] == ["done: 4000/900", "unverified: 4001/901", "unchanged: 4005/905"]
    assert re.fullmatch(r"failed 4002/902: .*422.*", lines[4])
    assert re.fullmatch(r"unknown 4003/903: .*(Whether it was done is not known|the change may still come)\.", lines[5])
    assert lines[6] == "not_tried 4004/904: It changed since it was agreed to, and was left alone."
    assert lines[7] == 'Undo: set_deployments_enabled {"enabled": true, "deployments": ["4000/900", "4001/901"]}'
    assert data(result)["unchanged"] == ["4005/905"]
    assert data(result)["confirmed_by"] == "human"


@newer_era_first
@pytest.mark.parametrize(
    ("step", "status", "said"),
    [
        (None, "done", "2 disabled and verified, 0 were so already."),
        (
            reply(422, {"message": "No."}),
            "failed",
            (
                "0 disabled and verified, 0 were so already, 2 failed. "
                "The same call again, without if_state, tries the rest once more."
            ),
        ),
        (
            reply(500),
            "unknown",
            f"0 disabled and verified, 0 were so already, 2 unknown. {look_first('4000/900', '4001/901')}",
        ),
    ],
)
async def test_one_fate_of_all_is_the_fate_of_the_call(step: Any, status: str, said: str, era: Era) -> None:
    """The call has failed, or nobody knows; only what was done can be undone, and a reason they share is said once."""
    transport = Upstream(_many(2, enabled=True)).always(write, step)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert (data(result)["status"], data(result)["message"]) == (status, said)
    assert ("undo" in data(result)) is (status == "done")
    assert data(result).get("verified") == {"done": True, "unknown": False}.get(status)
    assert result.is_error is (status != "done")
    if result.is_error:
        assert [missed["deployments"] for missed in data(result)[status]] == [["4000/900", "4001/901"]]


@newer_era_first
async def test_many_that_still_show_their_own_old_states_share_the_reason(era: Era) -> None:
    """Since when each was enabled is no reason of its own."""
    sandbox = _many(3, enabled=True)
    for n, row in enumerate(sandbox.account.deployments.values()):
        row.enabled_at = row.created_at.replace(day=1 + n)
    transport = Upstream(sandbox).always(write, reply(200, {"message": "ok"}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"}))
    (missed,) = result["unknown"]
    assert missed["deployments"] == ["4000/900", "4001/901", "4002/902"]


@newer_era_first
async def test_what_was_not_switched_says_nothing_of_the_others(era: Era) -> None:
    """A refusal of one changed nothing of it, which must not be read of all; what a person has to do stays."""
    transport = Upstream(_many(2, enabled=True)).on(write, reply(403, {"message": "No."}))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert "Nothing was changed" not in text(result)
    assert "A person must give these Patchworks credentials the right" in text(result)


async def test_of_many_reasons_the_most_frequent_are_told() -> None:
    """Each deployment is named all the same, and the result stays short."""
    sandbox = _many(40, enabled=True)

    def refuse(request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.split("/")[-2]
        return httpx2.Response(422, json={"message": "Locked." if name in {"930", "931"} else f"{name} is locked."})

    async with connected(transport=Upstream(sandbox).always(write, refuse), person=Person(yes)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    first, *others, rest = data(result)["failed"]
    assert first["deployments"] == ["4030/930", "4031/931"]
    assert [len(missed["deployments"]) for missed in others] == [1] * 9
    assert (rest["why"], len(rest["deployments"])) == ("For other reasons, too many to tell.", 29)
    assert data(result)["message"].startswith("0 disabled and verified, 0 were so already, 40 failed.")
    assert f"failed {', '.join(rest['deployments'])}: {rest['why']}" in text(result)


async def test_an_undo_of_which_a_part_failed_can_be_finished() -> None:
    """Its own part has moved the state that it named, so the advice is to call again without that."""
    sandbox = _many(2, enabled=True)
    transport = Upstream(sandbox)
    async with connected(transport=transport, person=Person(yes)) as client:
        undo = data(await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"}))["undo"]
        transport.on(write, reply(422))
        result = data(await client.call_tool(undo["tool"], undo["arguments"]))
        assert result["message"].endswith("The same call again, without if_state, tries the rest once more.")
        again = {name: value for name, value in undo["arguments"].items() if name != "if_state"}
        assert data(await client.call_tool(undo["tool"], again))["status"] == "done"
    assert all(row.enabled_at for row in sandbox.account.deployments.values())


@newer_era_first
async def test_what_somebody_else_has_switched_meanwhile_is_so_already(era: Era) -> None:
    """It is neither sent again nor taken back by the undo."""
    sandbox = _many(2, enabled=True)
    account = sandbox.account
    transport = Upstream(sandbox).before(reading(900), lambda _: setattr(account.deployments[900], "enabled_at", None))
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"}))
    assert (result["status"], result["unchanged"], result["done"]) == ("done", ["4000/900"], ["4001/901"])
    assert result["undo"]["arguments"]["deployments"] == ["4001/901"]
    assert result["undo"]["arguments"]["enabled"] is True


async def test_the_order_in_which_deployments_are_named_does_not_matter() -> None:
    """A code for some deployments is good for the same ones in another order, each named once or twice."""
    sandbox = _many(3, enabled=True)
    async with connected(sandbox) as client:
        arguments: dict[str, Any] = {"enabled": False, "deployments": ["902", "4000/900"]}
        code = data(await client.call_tool(TOOL, arguments))["confirmation_code"]
        again = {**arguments, "deployments": ["4000/900", "902"], "confirmation_code": code}
        assert data(await client.call_tool(TOOL, again))["done"] == ["4000/900", "4002/902"]
    assert {id_ for id_, row in sandbox.account.deployments.items() if row.enabled_at} == {901}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Say which deployments to switch."),
        ({"deployments": ["900"], "flow": "orders"}, "Give one of the two."),
        ({"environment": "Atlantis"}, "Look with deployment_overview, which shows names and ids."),
        ({"deployments": ["7", "900", "8"]}, "There is no deployment 7 and 8. Nothing was changed. Correct the ids."),
        ({"flow": "Shopify"}, "201 deployments match, and at most 200 can be switched at once. Nothing was changed."),
        ({"flow": "Shopify"}, "Narrow it, or go environment by environment."),
    ],
)
async def test_a_refusal_says_what_to_do_instead(arguments: dict[str, Any], said: str) -> None:
    """Each has a next step."""
    async with connected(_many(201, enabled=True), person=Person(yes)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, **arguments})
    assert result.is_error
    assert said in text(result)


@pytest.mark.slow
async def test_two_hundred_are_not_too_many() -> None:
    """The largest call that is allowed switches each of them."""
    sandbox = _many(200, enabled=True)
    for row in sandbox.account.deployments.values():
        row.virtual_environment_id = 5000 + row.id % 12
    async with connected(sandbox, person=Person(yes)) as client:
        result = data(await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"}))
    assert len(result["done"]) == len(sandbox.writes) == 200


async def test_records_that_cannot_be_read_are_not_left_out_silently() -> None:
    """Nothing is switched by a filter where some of what it may mean cannot be read."""
    sandbox = _many(3, enabled=True)

    def spoil(_: httpx2.Request, answer: Any) -> Any:
        if isinstance(answer, dict) and isinstance(answer.get("data"), list):
            answer["data"][1] = {"id": None}
        return answer

    async with connected(transport=Upstream(sandbox).alter(spoil), person=Person(yes)) as client:
        result = await client.call_tool(TOOL, {"enabled": False, "flow": "Shopify"})
    assert "1 deployment cannot be read. Nothing was changed. Give ids for names, or name each" in text(result)
    assert sandbox.writes == []
