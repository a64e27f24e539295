"""Listings that are hard to read whole: deployments that sort alike, and an API that orders them as it likes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import httpx2

from patchworks_deployments.sandbox import Sandbox
from support.faults import Upstream, listing

Records: TypeAlias = list[dict[str, Any]]
Order: TypeAlias = Callable[[Records, int], Records]
"""What an API makes of all records of a listing, in order, for the page with this number."""

FIRST = 900
"""The lowest id of the deployments that sort alike."""


def alike(count: int, *, flows: int = 1_000, ties_seed: int | None = None) -> Sandbox:
    """An account of so many deployments of so many flows, all enabled, in UK Live, and made at the same moment."""
    sandbox = Sandbox(ties_seed=ties_seed)
    account, row = sandbox.account, sandbox.account.deployments[500]
    version, flow = account.version_of(row), account.flow_of(row)
    account.deployments = {}
    for n in range(count):
        flow_id = 3_000 + n % flows
        account.flows[flow_id] = replace(flow, id=flow_id, name=f"Orders of shop {n % flows}")
        account.flow_versions[4_000 + n] = replace(version, id=4_000 + n, flow_id=flow_id)
        account.deployments[FIRST + n] = replace(row, id=FIRST + n, flow_version_id=4_000 + n)
    return sandbox


def as_it_is(records: Records, _: int) -> Records:
    """The order that the sandbox has."""
    return records


def ordered(sandbox: Sandbox, order: Order = as_it_is, *, pages_cut_by: int = 1) -> Upstream:
    """The sandbox behind an API that orders each page of a listing as `order` does, and makes smaller pages."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        asked = request.url.params
        number, size = int(asked["page"]), max(1, int(asked["per_page"]) // pages_cut_by)
        whole: Records = []
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=sandbox.app), headers=request.headers
        ) as client:
            for first in range(0, len(sandbox.account.deployments), 100):
                part = request.url.copy_merge_params({"page": first // 100 + 1, "per_page": 100})
                whole += (await client.get(part)).json()["data"]
        meta = {"current_page": number, "per_page": size, "last_page": max(1, -(-len(whole) // size))}
        rows = order(whole, number)[(number - 1) * size : number * size]
        return httpx2.Response(200, json={"data": rows, "meta": {**meta, "total": len(whole)}})

    return Upstream(sandbox).always(listing, answer)


def back_and_forth(records: Records, page: int) -> Records:
    """Every other page is cut from the listing read backwards."""
    return records[::-1] if page % 2 == 0 else records


def turned(records: Records, page: int) -> Records:
    """Each page is cut from the listing turned on by 37 deployments more."""
    start = (page - 1) * 37 % max(1, len(records))
    return records[start:] + records[:start]


def but(hidden: int) -> Order:
    """No page shows this deployment: each that should shows its neighbour twice."""

    def order(records: Records, _: int) -> Records:
        place = next((n for n, record in enumerate(records) if record["id"] == hidden), None)
        if place is None or len(records) < 2:
            return records
        return [*records[:place], records[place - 1], *records[place + 1 :]]

    return order
