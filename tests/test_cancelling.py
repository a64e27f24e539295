"""A caller that goes away: no write is half done, none goes unrecorded, and no reading goes on for nobody."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from support import ERAS, Era, Person, connected, yes

from patchworks_deployments.sandbox import Sandbox

both_eras = pytest.mark.parametrize("era", ERAS)
IDS = {"flow_version_id": "1001", "deployment_id": "500"}


class Slow(httpx2.AsyncBaseTransport):
    """The sandbox; says when the k-th write arrives, and answers it and all later ones only when told to go on."""

    def __init__(self, sandbox: Sandbox, k: int = 1) -> None:
        self._inner = httpx2.ASGITransport(app=sandbox.app)
        self._before = k - 1
        self.arrived, self.go_on = anyio.Event(), anyio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "GET":
            if self._before == 0:
                self.arrived.set()
                await self.go_on.wait()
            else:
                self._before -= 1
        return await self._inner.handle_async_request(request)


async def _called_off(slow: Slow, era: Era, log: Path, tool: str, arguments: dict[str, Any]) -> None:
    """Call, go away while the write is under way, and only then let it arrive."""
    async with connected(transport=slow, era=era, person=Person(yes), audit_log=log) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, tool, arguments)
            await slow.arrived.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                # Messages arrive in order: the first lets the cancellation leave, the second is answered after it.
                await client.call_tool("get_deployment", IDS)
                await client.call_tool("get_deployment", IDS)
                slow.go_on.set()
        await client.call_tool("get_deployment", IDS)


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]


@both_eras
async def test_a_write_under_way_is_finished_verified_and_recorded(era: Era, tmp_path: Path) -> None:
    """The caller leaves between request and answer; the audit log still tells how it ended."""
    sandbox = Sandbox()
    await _called_off(Slow(sandbox), era, tmp_path / "log", "disable_deployment", IDS)
    (line,) = _lines(tmp_path / "log")
    assert (line["outcome"], line["verified"]) == ("done", True)
    assert len(sandbox.writes) == 1


@both_eras
async def test_bulk_switching_stops_between_deployments(era: Era, tmp_path: Path) -> None:
    """Those under way are finished and recorded, no further one is begun, and the log says that it was called off."""
    sandbox = Sandbox(300)
    arguments = {"enabled": False, "environment": "UK Live"}
    await _called_off(Slow(sandbox, k=4), era, tmp_path / "log", "set_deployments_enabled", arguments)
    *steps, whole = _lines(tmp_path / "log")
    assert (whole["tool"], whole["outcome"]) == ("set_deployments_enabled", "cancelled")
    assert {line["outcome"] for line in steps} == {"done"}
    assert 4 <= len(steps) == len(sandbox.writes) <= 3 + 8


@both_eras
async def test_a_replacement_is_not_interrupted_between_its_steps(era: Era, tmp_path: Path) -> None:
    """The caller leaves while the old version is being deleted; the new one is still put in its place."""
    sandbox = Sandbox()
    old = sandbox.estate.deployments[500]
    flow = sandbox.estate.flow_of(old)
    newer = next(v.id for v in sandbox.estate.flow_versions.values() if v.flow_id == flow.id and v.id != 1001)
    arguments = {**IDS, "new_flow_version_id": str(newer)}
    await _called_off(Slow(sandbox), era, tmp_path / "log", "replace_deployment", arguments)
    lines = _lines(tmp_path / "log")
    assert {line["outcome"] for line in lines} == {"done"}
    present = {(d.flow_version_id, d.virtual_environment_id) for d in sandbox.estate.deployments.values()}
    assert (newer, old.virtual_environment_id) in present


class SlowListing(httpx2.AsyncBaseTransport):
    """The sandbox; says when the k-th page is asked for, and answers it and all later ones only when told to go on."""

    def __init__(self, sandbox: Sandbox, k: int) -> None:
        self._inner = httpx2.ASGITransport(app=sandbox.app)
        self._k = k
        self.asked = 0
        self.arrived, self.go_on = anyio.Event(), anyio.Event()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/api/v1/flow-version-deployments":
            self.asked += 1
            if self.asked >= self._k:
                self.arrived.set()
                await self.go_on.wait()
        return await self._inner.handle_async_request(request)


@both_eras
async def test_an_overview_stops_reading(era: Era) -> None:
    """Of the twenty pages no further one is asked for, and those under way are given up."""
    sandbox = Sandbox(2_000)
    slow = SlowListing(sandbox, k=4)
    async with connected(transport=slow, era=era) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "deployment_overview", {})
            await slow.arrived.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await client.call_tool("get_deployment", IDS)
                await client.call_tool("get_deployment", IDS)
                slow.go_on.set()
        await client.call_tool("get_deployment", IDS)
    answered = [request for request in sandbox.requests if request.path.endswith("/flow-version-deployments")]
    assert len(answered) == 3
    assert slow.asked <= 3 + 8
