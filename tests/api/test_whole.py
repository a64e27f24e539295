"""Reading all pages: what showed is counted, what is missing is looked for, and what stays missing is an error."""

from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import connected, data, text
from support.examples import examples
from support.faults import Answered, Upstream, delay, every, list_of_version, reply
from support.listings import FIRST, alike, but, ordered
from support.operations import operate
from support.virtual_time import in_virtual_time

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.api.query import CUTS
from patchworks_deployments.commands.doctor.command import findings
from patchworks_deployments.errors import Incomplete
from patchworks_deployments.model.deployment import Deployment, DeploymentPage, Gathered
from patchworks_deployments.sandbox import API_KEY, Sandbox
from patchworks_deployments.settings import load_settings


def _of_one_version(count: int, ties_seed: int | None = None) -> Sandbox:
    sandbox = alike(count, flows=1, ties_seed=ties_seed)
    for row in sandbox.account.deployments.values():
        row.flow_version_id = 4_000
    return sandbox


async def _read(transport: Upstream, what: str) -> list[Deployment]:
    """What decides a write by what else is there, each way of reading it."""

    async def operation(client: DeploymentsClient) -> list[Deployment]:
        match what:
            case "of a version":
                return await client.every_deployment_of("4000")
            case "at a place":
                return await client.every_deployment_at({"3000"}, {"10"})
            case _:
                return (await client.look_into("10", "3000"))[1]

    transport.before(every, lambda request: request.headers.update({"Authorization": API_KEY}))
    found: list[Deployment] = await operate(transport, operation)
    return found


@pytest.mark.parametrize("what", ["of a version", "at a place", "into a place"])
async def test_what_else_is_there_is_read_whole_in_whatever_order_it_comes(what: str) -> None:
    """Beyond one page, too, each deployment is found, once."""
    found = await _read(Upstream(_of_one_version(130, ties_seed=5)), what)
    assert sorted(int(d.id) for d in found) == list(range(FIRST, FIRST + 130))


@pytest.mark.parametrize("what", ["at a place", "into a place"])
async def test_what_decides_a_write_is_not_read_with_a_gap(what: str) -> None:
    """One that never shows makes it incomplete, on one page as well as on several."""
    for count in (3, 15):
        hiding = ordered(_of_one_version(count), but(FIRST + 1), pages_cut_by=10)
        with pytest.raises(Incomplete, match=f"counts {count} deployments, and 1 of them did not show"):
            await _read(hiding, what)


async def test_a_version_s_list_that_lacks_one_is_incomplete() -> None:
    """Nothing is gone because of it."""

    def lack(answer: httpx2.Response) -> httpx2.Response:
        body = answer.json()
        return httpx2.Response(200, json={**body, "data": body["data"][1:]})

    transport = Upstream(_of_one_version(3)).always(list_of_version, Answered(lack))
    with pytest.raises(Incomplete, match="counts 3 deployments, and 1 of them did not show"):
        await _read(transport, "of a version")


async def test_an_api_without_one_of_the_sorts_is_read_in_the_others() -> None:
    """A sort that is refused is passed over."""
    transport = Upstream(alike(150, ties_seed=3))
    transport.always(lambda r: r.url.params.get("sort") in {"flow_name", "-created_at"}, reply(422, {"message": "No."}))
    async with connected(transport=transport) as client:
        assert data(await client.call_tool("deployment_overview", {}))["deployments"] == 150


async def test_a_failure_while_looking_for_the_rest_costs_only_the_rest() -> None:
    """What showed is shown, with what is missing."""
    transport = Upstream(alike(150, ties_seed=3)).on(every, None, None).always(every, reply(500))
    async with connected(transport=transport) as client:
        overview = data(await client.call_tool("deployment_overview", {}))
    assert 100 <= overview["deployments"] < 150
    assert overview["deployments"] + overview["missing"] == 150


@pytest.mark.slow
@in_virtual_time
async def test_looking_for_the_rest_ends_in_time() -> None:
    """However slow the API is and however little it shows, the call ends well before 45 seconds."""
    for seconds in (0.1, 2.0, 6.0):
        transport = ordered(alike(150), but(FIRST + 3))
        slow = Upstream(transport).always(every, delay(seconds))
        async with connected(transport=slow) as client:
            result = await client.call_tool("deployment_overview", {})
        assert data(result)["missing"] == 1
        assert slow.passages[-1].ended - slow.passages[0].came < 20
        assert len(slow.requests) <= sum(-(-150 // cut.per_page) for cut in CUTS)


async def test_records_that_cannot_be_read_are_no_gap() -> None:
    """Each page has one: they are counted as what they are, and nothing is read again for them."""

    def spoil(_: httpx2.Request, answer: Any) -> Any:
        answer["data"][7] = {"id": None}
        return answer

    transport = Upstream(alike(150)).alter(spoil)
    async with connected(transport=transport) as client:
        overview = data(await client.call_tool("deployment_overview", {}))
    assert overview["deployments"] == 148
    assert "missing" not in overview
    assert "2 records could not be read and are left out." in overview["remarks"]
    assert len(transport.requests) == 2


@pytest.mark.parametrize("seed", [None, 4])
async def test_without_a_total_two_readings_have_to_show_the_same(seed: int | None) -> None:
    """Where nobody counts, what was repeated gives a gap away, and what was not is read twice."""

    def uncounted(_: httpx2.Request, answer: Any) -> Any:
        del answer["meta"]["total"]
        return answer

    transport = Upstream(alike(150, ties_seed=seed)).alter(uncounted)
    async with connected(transport=transport) as client:
        overview = await client.call_tool("deployment_overview", {})
    if seed is None:
        assert data(overview)["deployments"] == 150
        assert len(transport.requests) == 4
    else:
        assert data(overview)["deployments"] == 150 or "changed while it was read" in text(overview)


async def test_check_does_not_say_of_what_did_not_show_that_it_protects_nothing() -> None:
    """It says that not all was read; what was found is found."""
    settings = load_settings({}, sandbox=True, protected_environments="10,99")
    transport = ordered(alike(15), but(FIRST + 3), pages_cut_by=10)
    told = [(one.mark, one.what) async for one in findings(settings, transport) if "protected environment " in one.what]
    doubt = "Patchworks counts 15 deployments, and 1 of them did not show on any page."
    assert told == [
        ("ok", "protected environment 10: found"),
        ("FAIL", f"protected environment 99: not found, but maybe not all deployments were read. {doubt}"),
    ]


# The count ---------------------------------------------------------------------------------------

IDS = st.integers(1, 12)


@examples(100)
@given(st.data())
def test_nothing_is_called_whole_that_is_not(drawn: st.DataObject) -> None:
    """Of an account that changes between readings, but not within one, all has shown, or there is a gap."""
    gathered, there = Gathered(), drawn.draw(st.sets(IDS, min_size=1))
    for _ in range(drawn.draw(st.integers(1, 6))):
        change = drawn.draw(st.sampled_from(["none", "none", "gone", "new"]))
        if change == "gone":
            there = there - {min(there)} or {13}
        elif change == "new":
            there = there | {max(there) + 1}
        rows = drawn.draw(st.lists(st.sampled_from(sorted(there)), min_size=len(there), max_size=len(there)))
        records = [Deployment(id=str(row)) for row in rows]
        cut = drawn.draw(st.integers(1, len(records)))
        parts = [part for part in (records[:cut], records[cut:]) if part]
        gathered.add([DeploymentPage(deployments=part, page=n, total=len(there)) for n, part in enumerate(parts, 1)])
        if gathered.gap is None:
            assert {int(id_) for id_ in gathered.by_id} == there
