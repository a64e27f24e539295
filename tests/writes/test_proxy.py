"""The faults of the tests over HTTP: a client meets each as what it is, and time costs nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
import pytest
from support.faults import Acted, Answered, Late, Step, Upstream, delay, every, listing, reply, single, write
from support.matrix import answers, facts
from support.proxy import Front, served
from support.virtual_time import real_monotonic, run

from patchworks_deployments.sandbox import API_KEY

ONE = "/api/v1/flow-versions/1001/deployments/500"

Outcome = TypeVar("Outcome")


def connected(upstream: Upstream, use: Callable[[httpx2.AsyncClient, Front], Awaitable[Outcome]]) -> Outcome:
    """Use a client of the upstream, in virtual time."""

    async def main() -> Outcome:
        transport = httpx2.AsyncHTTPTransport(verify=False)
        headers = {"Authorization": API_KEY, "Accept": "application/json"}
        async with (
            served(upstream) as front,
            httpx2.AsyncClient(base_url=front.url, transport=transport, timeout=5, headers=headers) as client,
        ):
            return await use(client, front)

    return run(main())


async def _get(client: httpx2.AsyncClient, _: Front) -> httpx2.Response:
    return await client.get(ONE)


async def _disable(client: httpx2.AsyncClient, _: Front) -> httpx2.Response:
    return await client.post(f"{ONE}/disable")


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (httpx2.ReadError, httpx2.ReadError),
        (httpx2.ReadTimeout, httpx2.ReadTimeout),
        (Answered(answers.broken_off), httpx2.RemoteProtocolError),
    ],
    ids=["reset", "silence", "broken off"],
)
def test_a_broken_connection_is_one(step: Step, error: type[Exception]) -> None:
    """A reset, silence, and an answer that ends too early."""
    with pytest.raises(error):
        connected(Upstream().always(every, step), _get)


@pytest.mark.parametrize(
    ("step", "status", "content"),
    [
        (None, 200, b'{"data": {"id": 500'),
        (reply(503), 503, b""),
        (answers.NULL, 200, b"null"),
        (answers.NO_ROUTE, 404, b'{"message"'),
        (answers.HTML, 200, b"<!doctype html>"),
        (answers.throttled(30), 429, b'{"message"'),
        (Answered(answers.bomb), 200, b" " * 9 * 2**20),
    ],
    ids=["none", "503", "null", "404", "HTML", "429", "bomb"],
)
def test_an_answer_arrives_as_it_is(step: Step, status: int, content: bytes) -> None:
    """Whoever gives it: the sandbox, a gateway, a page, a bomb."""
    answer = connected(Upstream().always(every, step), _get)
    assert (answer.status_code, answer.content[: len(content)]) == (status, content)


def test_a_slow_body_takes_its_time_and_none_of_ours() -> None:
    """Three virtual seconds pass between the first and the last byte."""
    began = real_monotonic()

    async def timed(client: httpx2.AsyncClient, front: Front) -> float:
        before = time.monotonic()
        assert (await _get(client, front)).json()["data"]["id"] == 500
        return time.monotonic() - before

    assert 3 <= connected(Upstream().always(every, answers.dripping(3)), timed) < 3.5
    assert real_monotonic() - began < 2


def test_a_refused_connection_is_one_until_the_port_listens_again() -> None:
    """Also for a client that was connected before."""

    async def use(client: httpx2.AsyncClient, front: Front) -> int:
        await _get(client, front)
        front.refuse(1)
        with pytest.raises(httpx2.ConnectError):
            await _get(client, front)
        await asyncio.sleep(1.1)
        return (await _get(client, front)).status_code

    assert connected(Upstream(), use) == 200


def test_connecting_hangs_until_the_port_listens_again() -> None:
    """Nobody says no, and whoever was connected before is sent away."""

    async def use(client: httpx2.AsyncClient, front: Front) -> int:
        await _get(client, front)
        front.refuse(4, hangs=True)
        with pytest.raises(httpx2.ConnectTimeout):
            await _get(client, front)
        return (await _get(client, front)).status_code

    assert connected(Upstream(), use) == 200


def test_an_answer_that_comes_too_late_is_not_told() -> None:
    """The client has given up by then, and the request was carried out for nobody."""
    upstream = Upstream().on(every, delay(7))

    async def use(client: httpx2.AsyncClient, front: Front) -> None:
        with pytest.raises(httpx2.ReadTimeout):
            await _get(client, front)
        await asyncio.sleep(5)

    connected(upstream, use)
    assert upstream.passages[0].answer
    assert not upstream.passages[0].is_told


def test_records_without_a_field_are_marked() -> None:
    """The caller misses the field; the rules know that the rest is true."""
    upstream = Upstream().always(every, answers.without("priority"))
    record = connected(upstream, _get).json()["data"]
    assert (record["id"], "priority" in record) == (500, False)
    assert facts.untold(upstream.passages[0]) == {"priority"}


@pytest.mark.parametrize("step", [Acted(httpx2.ReadError), Late(7, httpx2.ReadTimeout), httpx2.ReadError])
def test_the_upstream_knows_what_was_carried_out(step: Step) -> None:
    """At once, once the client has given up, or never."""
    upstream = Upstream().on(write, step)

    async def use(client: httpx2.AsyncClient, front: Front) -> set[int]:
        with pytest.raises((httpx2.ReadError, httpx2.ReadTimeout)):
            await _disable(client, front)
        at_once = upstream.passages[0].changed
        await asyncio.sleep(10)
        assert not upstream.passages[0].is_under_way
        return at_once

    assert connected(upstream, use) == ({500} if isinstance(step, Acted) else set())
    assert upstream.passages[0].changed == (set() if step is httpx2.ReadError else {500})


def test_reads_lag_behind_a_write_for_as_long_as_they_are_told_to() -> None:
    """Two reads show what was before, the third what is."""

    async def use(client: httpx2.AsyncClient, front: Front) -> list[bool]:
        await _disable(client, front)
        seen = [await _get(client, front) for _ in range(3)]
        return [answer.json()["data"]["enabled_at"] is None for answer in seen]

    assert connected(Upstream().lag(write, reads=2), use) == [False, False, True]
    assert connected(Upstream().lag(write, of=single, reads=1), use) == [False, True, True]
    assert connected(Upstream().lag(write, of=listing), use) == [True, True, True]
