"""Waiting for a person, in the older era: how long, what the host hears, and what comes of a late answer."""

import math
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, ErrorData
from support.clients import IDS, Person, Progress, audit_lines, connected, data, text
from support.faults import Upstream, delay, write
from support.virtual_time import in_virtual_time

from patchworks_deployments.sandbox import Sandbox


class _Slow(Person):
    """Answers yes after so many seconds, and knows whether the question was withdrawn by then."""

    seconds = math.inf
    is_withdrawn = False

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        try:
            await anyio.sleep(self.seconds)
        except anyio.get_cancelled_exc_class():
            self.is_withdrawn = True
            raise
        return await super().__call__(context, params)


@pytest.mark.parametrize("settings", [{}, {"protected_environments": "UK Live"}])
@in_virtual_time
async def test_after_ten_minutes_of_silence_the_call_is_refused(settings: dict[str, Any]) -> None:
    """It says so, the question is withdrawn, and nothing is changed."""
    person, sandbox = _Slow(), Sandbox()
    async with anyio.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        async with connected(sandbox, person=person, era="legacy", audit_log=log, **settings) as client:
            began = anyio.current_time()
            result = await client.call_tool("disable_deployment", IDS)
            waited = anyio.current_time() - began
            assert person.is_withdrawn
            assert not (await client.call_tool("get_deployment", IDS)).is_error
        (line,) = audit_lines(log)
    assert 600 <= waited < 601
    assert (data(result)["status"], result.is_error, sandbox.writes) == ("refused", True, [])
    assert text(result).startswith("Nobody answered the question within ten minutes, so it was withdrawn. Nothing was")
    assert "PATCHWORKS_CONFIRM_BY=code" in text(result)
    assert ("does not count in a protected environment" in text(result)) is ("protected_environments" in settings)
    assert (line["outcome"], line["answer"], line["answer_milliseconds"]) == ("refused", "silence", 600_000)


@in_virtual_time
async def test_a_person_may_think_for_almost_ten_minutes() -> None:
    """Their yes counts, and the time that the write has begins with it."""
    person, sandbox = _Slow(), Sandbox()
    person.seconds = 599
    async with connected(sandbox, person=person, era="legacy") as client:
        result = data(await client.call_tool("disable_deployment", IDS))
    assert (result["status"], result["verified"], len(sandbox.writes)) == ("done", True, 1)


@in_virtual_time
async def test_a_host_that_listens_hears_for_whom_the_call_waits() -> None:
    """And no more of that once the person has answered."""
    person, progress, upstream = _Slow(), Progress(), Upstream().on(write, delay(20))
    person.seconds = 30
    async with connected(transport=upstream, person=person, era="legacy") as client:
        await client.call_tool("disable_deployment", IDS, progress_callback=progress)
    assert progress.words == ["Waiting for a person's answer"] * len(progress.words)
    assert 8 <= len(progress.words) <= 10
    assert [done for done, _ in progress.heard] == sorted({done for done, _ in progress.heard})
