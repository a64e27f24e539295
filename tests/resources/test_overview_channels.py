"""Whatever an account holds and whatever is asked of it, the text and the data of an overview tell the same."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import connected, data, read, text
from support.estates import estates
from support.examples import examples
from support.faults import reply, scripted
from support.overviews import assert_both_tell_all, tokens

TOOL = "deployment_overview"

asked = st.fixed_dictionaries(
    {},
    optional={
        "flow": st.sampled_from(["7", "Orders", "orders", "e"]),
        "environment": st.sampled_from(["1,2", "UK", "UK ¦ Live", "UK | Live", "Bu\u0308ro", "W"]),
        "package": st.sampled_from(["7,8", "Orders (5)"]),
        "enabled": st.booleans(),
        "show": st.sampled_from(["deployments", "environments", "versions", "missing", "unplaced", "names"]),
    },
)
totals = st.none() | st.integers(0, 3)


@examples(60)
@given(estate=estates(max_size=60), more=totals, arguments=asked)
async def test_text_and_data_of_any_overview_tell_the_same(
    estate: list[Any], more: int | None, arguments: dict[str, Any]
) -> None:
    """Each id, name, count, state, example, remark and call of one is in the other, on every page."""
    paging: dict[str, Any] = {"current_page": 1, "last_page": 1}
    answer = {"data": estate, "meta": paging if more is None else {**paging, "total": len(estate) + more}}
    async with connected(transport=scripted(reply(200, answer))) as client:
        result = await client.call_tool(TOOL, arguments)
        assert not result.is_error, text(result)
        assert_both_tell_all(result)
        for page in range(2, data(result).get("pages", 1) + 1):
            assert_both_tell_all(await client.call_tool(TOOL, {**arguments, "page": page}))
        if arguments.keys() <= {"enabled"}:
            flag = "".join(f"?enabled={json.dumps(value)}" for value in arguments.values())
            assert await read(client, f"patchworks://overview{flag}") == data(result)
    seen = data(result)
    if seen["deployments"] > 25 and "show" not in arguments:
        assert max(tokens(text(result)), tokens(seen)) <= 1_200


LONG = 10**18
"""The smallest of the longest ids."""


def _worst(flows: int = 30, environments: int = 60) -> list[dict[str, Any]]:
    """Deployments with the longest ids and names, and with findings of all kinds."""
    records: list[dict[str, Any]] = []
    for flow, place in itertools.product(range(flows), range(environments)):
        if place == 10 + flow:  # each environment lacks one flow
            continue
        where = {"id": LONG + (0 if place == 1 else place), "name": f"Place {place} " + "W" * 10_000}
        known = {"flow_id": 3 * LONG + flow, "flow_name": f"Flow {flow // 2} " + "y" * 10_000, "iteration": 10**17}
        records.append(
            {
                "id": 4 * LONG + len(records),
                "flow_version": known,
                "virtual_environment": None if place == 2 else where,
                "package": {"id": 5 * LONG, "name": "p" * 10_000},
                "enabled_at": None if place > 50 else "2026-03-01T00:00:00Z",
            }
        )
    return records


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"environment": "Place"}, {"environment": "Place", "flow": "Flow"}])
async def test_the_longest_names_and_ids_do_not_make_an_overview_long(arguments: dict[str, str]) -> None:
    """Sixty environments and findings of all kinds: 1,200 tokens in either channel."""
    records = _worst()
    answer = {"data": records, "meta": {"current_page": 1, "last_page": 1, "total": len(records)}}
    async with connected(transport=scripted(reply(200, answer))) as client:
        result = await client.call_tool(TOOL, arguments)
    assert not result.is_error, text(result)
    assert_both_tell_all(result)
    assert max(tokens(text(result)), tokens(data(result))) <= 1_200
    kinds = {kind["what"]: kind for kind in data(result)["attention"]}
    assert all(len(kind["examples"]) == 3 for what, kind in kinds.items() if what != "smaller environments")
    assert len(data(result)["environments"]) >= 10
    shown, others = len(data(result)["environments"]), kinds["smaller environments"]["count"]
    assert shown + others == (58 if arguments else 59)  # two have one id, and none is called "Place"
