"""All means all: what an API orders differently for each page, or changes between two, is never left running unsaid."""

import itertools
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.clients import Era, Person, connected, data, newer_era_first, text, yes
from support.examples import examples
from support.faults import Upstream, listing
from support.listings import FIRST, Order, alike, as_it_is, back_and_forth, but, ordered, turned

from patchworks_deployments.resources.overview import MADE_UP
from patchworks_deployments.sandbox import Sandbox

TOOL = "set_deployments_enabled"
STOP_ALL = {"enabled": False, "environment": "10"}


def _running(sandbox: Sandbox) -> set[int]:
    return {id_ for id_, row in sandbox.account.deployments.items() if row.enabled_at}


@pytest.mark.slow
@newer_era_first
@pytest.mark.parametrize("flows", [1_000, 1], ids=["many flows", "one flow"])
async def test_what_sorts_alike_is_stopped_to_the_last(era: Era, flows: int) -> None:
    """150 deployments of one moment, in another order for each page: all are counted, and all are stopped."""
    sandbox = alike(150, flows=flows, ties_seed=7)
    async with connected(sandbox, person=Person(yes), era=era) as client:
        overview = await client.call_tool("deployment_overview", {"environment": "10"})
        result = await client.call_tool(TOOL, STOP_ALL)
    assert data(overview)["deployments"] == 150
    assert text(result).startswith("150 disabled and verified, 0 were so already.")
    assert _running(sandbox) == set()


@pytest.mark.parametrize("order", [back_and_forth, turned])
@pytest.mark.parametrize("count", [11, 15])
async def test_an_order_that_is_wrong_in_the_same_way_each_time_is_no_obstacle(order: Order, count: int) -> None:
    """Pages that end elsewhere show what the others left out."""
    sandbox = alike(count, flows=1)
    async with connected(transport=ordered(sandbox, order, pages_cut_by=10), person=Person(yes)) as client:
        result = await client.call_tool(TOOL, STOP_ALL)
    assert text(result).startswith(f"{count} disabled and verified"), text(result)
    assert _running(sandbox) == set()


@newer_era_first
async def test_what_never_shows_is_said_to_be_missing_and_nothing_is_switched(era: Era) -> None:
    """The overview counts it in text and data; many at once is refused, with what to do."""
    sandbox, person = alike(15), Person(yes)
    transport = ordered(sandbox, but(FIRST + 12), pages_cut_by=10)
    async with connected(transport=transport, person=person, era=era) as client:
        overview = await client.call_tool("deployment_overview", {"environment": "10"})
        result = await client.call_tool(TOOL, STOP_ALL)
        sought = await client.call_tool("deployment_overview", {"deployment_id": FIRST + 12})
        named = await client.call_tool(TOOL, {"enabled": False, "deployments": [FIRST, FIRST + 12]})
        there = await client.call_tool(TOOL, {"enabled": False, "deployments": [FIRST]})
    said = "Patchworks counts 15 deployments, and 1 of them did not show on any page."
    assert (data(overview)["deployments"], data(overview)["missing"]) == (14, 1)
    assert text(overview).startswith("14 deployments of 14 flows: 14 enabled, 0 disabled; 1 missing\n")
    assert said in text(overview)
    assert any(said in remark for remark in data(overview)["remarks"])
    assert result.is_error
    assert f"{said} Nothing was changed. Call again. If that does not help, narrow it" in text(result)
    assert f"Deployment 912 did not show. {said}" in text(sought)
    assert f"912 did not show among the deployments. {said}" in text(named)
    assert "There is no deployment" not in text(sought) + text(named)
    assert len(person.asked) == 1, "only for what was seen"
    assert data(there)["status"] == "done"
    assert len(transport.writes) == 1


async def test_what_fits_on_one_page_can_be_switched_where_all_cannot() -> None:
    """The advice of the refusal works: fewer by their ids, then each by both of its ids."""
    sandbox = alike(15)
    transport = ordered(sandbox, but(FIRST + 12), pages_cut_by=10)
    async with connected(transport=transport, person=Person(yes)) as client:
        some = {"enabled": False, "flow": ",".join(str(3_000 + n) for n in range(9))}
        assert len(data(await client.call_tool(TOOL, some))["done"]) == 9
        one = {"enabled": False, "deployments": [f"{4_000 + 12}/{FIRST + 12}"]}
        assert data(await client.call_tool(TOOL, one))["status"] == "done"
    assert len(_running(sandbox)) == 5


@newer_era_first
async def test_a_full_page_of_an_api_that_makes_smaller_pages_and_counts_nothing_is_not_taken_for_all(era: Era) -> None:
    """A page that holds as many as it says to hold may have another one after it, however many were asked for."""
    sandbox = alike(40)

    def plain(request: httpx2.Request, answer: Any) -> Any:
        if not listing(request):
            return answer
        return {"data": answer["data"], "meta": {"per_page": answer["meta"]["per_page"]}}

    upstream = Upstream(ordered(sandbox, pages_cut_by=5)).alter(plain)
    async with connected(transport=upstream, person=Person(yes), era=era) as client:
        overview = await client.call_tool("deployment_overview", {"environment": "10"})
        result = await client.call_tool(TOOL, STOP_ALL)
    assert overview.is_error
    assert "did not say how many pages there are, so not all can be read. Nothing was changed." in text(result)
    assert upstream.writes == []


async def test_when_all_show_nothing_is_asked_twice() -> None:
    """Counting costs no request: each page is read once for the overview, and once for a switch."""
    sandbox = alike(150)
    async with connected(sandbox, person=Person(yes), era="legacy") as client:
        await client.call_tool("deployment_overview", {"environment": "10"})
        assert len(sandbox.requests) == 2
        await client.call_tool(TOOL, {**STOP_ALL, "dry_run": True})
    assert len(sandbox.requests) == 4


# Pages that change while they are read -------------------------------------------------------------


def _changing(sandbox: Sandbox, *changes: tuple[int, int], order: Order = as_it_is) -> Upstream:
    """The API in small pages; (3, -2) means that somebody deletes the first two deployments after the third page."""
    rows, pages = sandbox.account.deployments, itertools.count(1)

    def change(_: httpx2.Request, __: httpx2.Response) -> None:
        number = dict(changes).get(next(pages), 0)
        for row in list(rows.values())[: max(0, -number)]:
            sandbox.account.remove(row)
        for new in (sandbox.account.next_deployment_id() for _ in range(number)):
            rows[new] = replace(rows[max(rows)], id=new)

    return Upstream(ordered(sandbox, order, pages_cut_by=10)).after(listing, change)


@newer_era_first
@pytest.mark.parametrize("number", [-3, 3], ids=["deleted", "created"])
async def test_pages_that_change_while_they_are_read_are_read_again(era: Era, number: int) -> None:
    """What slides from one page to the one before is found; what is gone is neither missing nor shown."""
    sandbox = alike(15)
    async with connected(transport=_changing(sandbox, (1, number)), era=era) as client:
        overview = data(await client.call_tool("deployment_overview", {"environment": "10"}))
    assert overview["deployments"] == 15 + number
    assert "missing" not in overview
    assert overview["remarks"] == [MADE_UP]


@newer_era_first
async def test_a_list_that_does_not_come_to_rest_is_said_to_be_changing_and_nothing_is_switched(era: Era) -> None:
    """There is no number that would be true."""
    sandbox, person = alike(15), Person(yes)
    transport = _changing(sandbox, *((n, (-1) ** n) for n in range(1, 200)))
    async with connected(transport=transport, person=person, era=era) as client:
        overview = await client.call_tool("deployment_overview", {"environment": "10"})
        result = await client.call_tool(TOOL, STOP_ALL)
    said = "The list of deployments changed while it was read, so some may be missing, and others gone."
    assert said in text(overview)
    assert result.is_error
    assert f"{said} Nothing was changed. Call again." in text(result)
    assert (person.asked, transport.writes) == ([], [])


@pytest.mark.slow
@newer_era_first
@examples(25)
@given(
    account=st.builds(
        alike, st.integers(8, 16), flows=st.sampled_from([1, 2, 1_000]), ties_seed=st.none() | st.integers(0, 2**32)
    ),
    order=st.sampled_from([as_it_is, back_and_forth, turned, but(FIRST + 9)]),
    changes=st.lists(st.tuples(st.integers(1, 12), st.sampled_from([-3, -1, 2])), max_size=3, unique_by=lambda c: c[0]),
)
async def test_either_every_deployment_is_stopped_or_the_call_says_why_not(
    era: Era, account: Sandbox, order: Order, changes: list[tuple[int, int]]
) -> None:
    """Never is a switch done while one of the deployments that were there all the time runs on."""
    before = set(account.account.deployments)
    upstream = _changing(account, *changes, order=order)
    async with connected(transport=upstream, person=Person(yes), era=era) as client:
        result = await client.call_tool(TOOL, STOP_ALL)
    outcome: dict[str, Any] = result.structured_content or {}
    stayed = before & set(account.account.deployments)
    event(outcome.get("status", "refused"))
    if outcome.get("status") == "done":
        assert not stayed & _running(account)
        assert {int(name.partition("/")[2]) for name in outcome["done"]} >= stayed
    elif not outcome:
        assert "Nothing was changed. Call again." in text(result)
        assert upstream.writes == []
