"""A call ends before its host gives up, whatever Patchworks does, and a host that asks hears that it goes on."""

import asyncio
import itertools
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import httpx2
import pytest
import stamina
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from support.clients import ERAS, IDS, LISTENS, Era, Progress, both_eras, complete, connected, data, read, text
from support.examples import examples
from support.faults import Fault, Upstream, delay, drip, every, later, reply, scripted, slowly
from support.processes import over_stdio
from support.team import on_loopback
from support.virtual_time import in_virtual_time, run

from patchworks_deployments.sandbox import API_KEY, Sandbox

pytestmark = pytest.mark.slow

HOST_SECONDS = 60
"""Seconds after which most hosts give up on a call."""

Ask: TypeAlias = Callable[[Client, Progress | None], Awaitable[object]]


def tool(name: str, **arguments: object) -> Ask:
    return lambda client, progress: client.call_tool(
        name, arguments, progress_callback=progress, meta=LISTENS if progress else None
    )


def resource(uri: str) -> Ask:
    return lambda client, _: read(client, uri)


READS: dict[str, Ask] = {
    "list": tool("list_deployments"),
    "list of a version": tool("list_flow_version_deployments", flow_version_id="1001"),
    "get": tool("get_deployment", **IDS),
    "listing": resource("patchworks://deployments"),
    "version's listing": resource("patchworks://flow-versions/1001/deployments"),
    "one": resource("patchworks://flow-versions/1001/deployments/500"),
    "completion": lambda client, _: complete(client, "flow_id", "ord"),
    "preview": tool("disable_deployment", **IDS, dry_run=True),
    "preview of a create": tool("create_deployment", flow_version_id="1001", dry_run=True),
    "preview of a replacement": tool("replace_deployment", **IDS, new_flow_version_id="1002", dry_run=True),
}
"""What asks Patchworks about a few deployments."""

READS_OF_MANY: dict[str, Ask] = {
    "overview": tool("deployment_overview"),
    "overview's resource": resource("patchworks://overview"),
    "preview of many": tool("set_deployments_enabled", enabled=True, environment="1", dry_run=True),
}
"""What reads page after page, and waits where Patchworks throttles if its host hears of it."""


WAITS = st.integers(0, 90)

TROUBLE: st.SearchStrategy[Fault | None] = st.one_of(
    st.sampled_from([delay(math.inf), delay(11.0), httpx2.ConnectTimeout, httpx2.ReadError, drip(3.0), None]),
    st.sampled_from([reply(429), reply(503), reply(500), reply(400, {"message": "No."}), reply(200, b"<html>")]),
    st.builds(slowly, st.integers(1, 29), st.sampled_from([reply(400, {"message": "No."}), reply(429), reply(503)])),
    st.builds(lambda status, wait: reply(status, retry_after=wait), st.sampled_from([429, 503]), WAITS),
    st.builds(lambda status, wait: reply(status, **later(wait)), st.sampled_from([429, 503]), WAITS),
)
"""What Patchworks does instead of an answer, or before it (a delay)."""


async def seconds_of(ask: Ask, client: Client, progress: Progress | None = None) -> float:
    """How long it takes, whatever comes of it."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        await ask(client, progress)
    except MCPError as error:
        assert "changed" not in str(error)  # noqa: PT017 - not every read fails
    return clock() - began


def play(ask: Ask, era: Era, trouble: Sequence[Fault | None], progress: Progress | None, timeout: float) -> float:
    """Seconds that it takes where each request meets the trouble in turn, and then again."""

    async def main() -> float:
        transport = Upstream(Sandbox(1_500)).on(every, *itertools.islice(itertools.cycle(trouble), 1_000))
        async with connected(transport=transport, era=era, timeout=timeout) as client:
            return await seconds_of(ask, client, progress)

    stamina.set_testing(False)
    return run(main())


LISTENERS = st.one_of(st.none(), st.builds(Progress))

TOOLS = ["list", "list of a version", "get", "preview", "preview of a create", "overview", "preview of many"]

TROUBLES = st.lists(TROUBLE, min_size=1, max_size=6)


@examples(50)
@given(st.sampled_from(sorted(READS)), st.sampled_from(ERAS), TROUBLES, LISTENERS, st.sampled_from([12, 30]))
@example("get", "auto", [delay(math.inf)], None, 30)
@example("get", "auto", [slowly(24, reply(400, {"message": "No."})), delay(math.inf)], Progress(), 30)
@example("one", "legacy", [drip(3.0)], None, 12)
def test_a_read_ends_within_45_seconds(
    name: str, era: Era, trouble: Sequence[Fault | None], progress: Progress | None, timeout: int
) -> None:
    """Whatever mix of silence, throttling, failures and dripping answers comes, and whoever listens."""
    assert play(READS[name], era, trouble, progress, timeout) <= 45.5


@examples(25)
@given(st.sampled_from(sorted(READS_OF_MANY)), st.sampled_from(ERAS), TROUBLES, st.sampled_from([12, 30]))
@example("overview", "auto", [reply(429, retry_after=20)], 12)
@example("overview's resource", "auto", [None, reply(503, **later(30))], 12)
def test_reading_many_pages_ends_within_45_seconds_where_nobody_listens(
    name: str, era: Era, trouble: Sequence[Fault | None], timeout: int
) -> None:
    """A host that has not asked for progress would give up on a longer call."""
    assert play(READS_OF_MANY[name], era, trouble, None, timeout) <= 45.5


@examples(25)
@given(st.sampled_from(TOOLS), st.sampled_from(ERAS), TROUBLES)
@example("overview", "auto", [reply(429, retry_after=60)])
@example("get", "legacy", [delay(math.inf)])
def test_who_listens_hears_at_least_every_five_seconds_that_a_call_goes_on(
    name: str, era: Era, trouble: Sequence[Fault | None]
) -> None:
    """However the time passes; and after some minutes it ends all the same."""
    progress = Progress()
    seconds = play({**READS, **READS_OF_MANY}[name], era, trouble, progress, 12)
    assert seconds <= 360.5
    assert len(progress.times) >= int(seconds / 5)
    pauses = [b - a for a, b in itertools.pairwise(progress.times)]
    assert not [pause for pause in pauses if pause > 5]
    assert all(sooner < later for sooner, later in itertools.pairwise(n for n, _ in progress.heard))


# What is said -------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_read_without_answer_says_how_long_it_waited() -> None:
    """And what to do next."""
    async with connected(transport=scripted(delay(math.inf))) as client:
        result = await client.call_tool("list_deployments", {})
    assert re.fullmatch(
        "Patchworks did not answer in time. This call has waited 2[45] seconds. Try again later.",
        text(result),
    )


@in_virtual_time
async def test_who_waits_for_a_throttle_hears_for_how_long() -> None:
    """In words, which count down; and then the call goes on where it was."""
    progress = Progress()
    transport = Upstream(Sandbox(300)).on(every, None, reply(429, retry_after=50))
    async with connected(transport=transport) as client:
        result = await client.call_tool("deployment_overview", {}, progress_callback=progress, meta=LISTENS)
    assert data(result)["deployments"] == 300
    said = [
        int(words.removeprefix("Patchworks throttles: waiting ").removesuffix(" s more")) for words in progress.words
    ]
    assert len(said) > 10
    assert {sooner - later for sooner, later in itertools.pairwise(said)} <= {3, 4}


@both_eras
@in_virtual_time
async def test_a_throttle_that_outlasts_the_call_is_reported_where_nobody_listens(era: Era) -> None:
    """At once, because waiting in vain helps nobody; and by its end where it seemed to be worth waiting."""
    for wait, seconds in ((50, 1), (20, HOST_SECONDS)):
        transport = Upstream(Sandbox(300)).on(every, None).always(every, reply(429, retry_after=wait))
        async with connected(transport=transport, era=era) as client:
            began = asyncio.get_running_loop().time()
            result = await client.call_tool("deployment_overview", {})
        assert asyncio.get_running_loop().time() - began < seconds
        assert f"Wait {wait} seconds, then call again." in text(result)


@both_eras
async def test_a_host_hears_over_stdio_why_it_waits(era: Era) -> None:
    """A server in a process of its own, and an API that wants four seconds of real time."""
    sandbox, progress, is_throttled = Sandbox(), Progress(), iter([True])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answer = Response(status_code=429, headers={"Retry-After": "4"}) if next(is_throttled, False) else sandbox.app
        await answer(scope, receive, send)

    async with on_loopback(app) as url:
        env = {"PATCHWORKS_BASE_URL": url, "PATCHWORKS_API_KEY": API_KEY}
        async with over_stdio(era=era, env=env) as client:
            result = await client.call_tool("deployment_overview", {}, progress_callback=progress)
    assert not result.is_error, text(result)
    assert re.fullmatch("Patchworks throttles: waiting [12] s more", progress.words[0])
