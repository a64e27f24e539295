"""Reading all deployments for the overview: progress, and an API that throttles."""

import httpx2
import pytest
from support.clients import LISTENS, Era, Progress, both_eras, connected, data, text
from support.faults import Upstream, every, reply, scripted
from support.sandboxes import FakeClock

from patchworks_deployments.sandbox import Sandbox


@pytest.mark.slow
@both_eras
async def test_a_throttled_api_slows_the_overview_down_and_loses_nothing(era: Era) -> None:
    """Sixty requests a minute and a hundred pages: it takes its minutes, and progress goes on to the end."""
    progress, clock, waits = Progress(), FakeClock(), list[int]()

    def let_time_pass(_: httpx2.Request, answer: httpx2.Response) -> None:
        if answer.status_code == 429:
            waits.append(int(answer.headers["Retry-After"]))
            clock.advance(seconds=waits[-1])

    transport = Upstream(Sandbox(10_000, requests_per_minute=60, clock=clock)).after(every, let_time_pass)
    async with connected(transport=transport, era=era) as client:
        result = await client.call_tool("deployment_overview", {}, progress_callback=progress, meta=LISTENS)
    assert data(result)["deployments"] == 10_000
    assert waits
    assert max(waits) == 60
    assert int(progress.heard[-1][0]) == 100


async def test_a_long_pause_is_reported_instead_of_waited_for() -> None:
    """An API that wants ten minutes gets them from the caller: nothing is tried again."""
    throttled = scripted(reply(429, {}, retry_after=600))
    async with connected(transport=throttled) as client:
        result = await client.call_tool("deployment_overview", {})
    assert result.is_error
    assert "(429). Wait 600 seconds" in text(result)
    assert len(throttled.requests) == 1


async def test_patience_with_a_throttled_api_ends() -> None:
    """An API that throttles for ever is given up, with what to do next."""
    async with connected(transport=scripted(reply(429, {}, retry_after=30))) as client:
        result = await client.call_tool("deployment_overview", {})
    assert result.is_error
    assert "Wait 30 seconds" in text(result)


async def test_reading_the_account_reports_progress() -> None:
    """A client that asks for progress hears of every page."""
    progress = Progress()
    async with connected(Sandbox(1_000), era="legacy") as client:
        await client.call_tool("deployment_overview", {}, progress_callback=progress, meta=LISTENS)
    assert progress.heard == [(n, 10) for n in range(1, 11)]
