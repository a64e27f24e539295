"""A caller that goes away: no write is half done, none goes unrecorded, and no reading goes on for nobody."""

from pathlib import Path
from typing import Any

import anyio
import stamina
from mcp import Client
from support.clients import IDS, Era, Person, audit_lines, both_eras, connected, yes
from support.faults import Gate, Upstream, listing, reply, write

from patchworks_deployments.sandbox import Sandbox


async def _called_off(  # noqa: PLR0913, PLR0917 - each is one thing that a test chooses
    sandbox: Sandbox, era: Era, log: Path, tool: str, arguments: dict[str, Any], k: int = 1
) -> None:
    """Call, go away while the k-th write is under way, and only then let it and all later ones arrive."""
    gate = Gate()
    slow = Upstream(sandbox).on(write, *(k - 1) * [None]).always(write, gate)
    async with connected(transport=slow, era=era, person=Person(yes), audit_log=log) as client:
        await _call_and_leave(client, gate, tool, arguments)


async def _call_and_leave(client: Client, gate: Gate, tool: str, arguments: dict[str, Any]) -> None:
    """Go away once a request of the call has come to the gate, and open that afterwards."""
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, tool, arguments)
        await gate.arrived.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            # Messages arrive in order: the first lets the cancellation leave, the second is answered after it.
            await client.call_tool("get_deployment", IDS)
            await client.call_tool("get_deployment", IDS)
            gate.go_on.set()
    await client.call_tool("get_deployment", IDS)


@both_eras
async def test_a_write_under_way_is_finished_verified_and_recorded(era: Era, tmp_path: Path) -> None:
    """The caller leaves between request and answer; the audit log still tells how it ended."""
    sandbox = Sandbox()
    await _called_off(sandbox, era, tmp_path / "log", "disable_deployment", IDS)
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["verified"]) == ("done", True)
    assert len(sandbox.writes) == 1


@both_eras
async def test_bulk_switching_stops_between_deployments(era: Era, tmp_path: Path) -> None:
    """Those under way are finished and recorded, no further one is begun, and the log says that it was called off."""
    sandbox = Sandbox(300)
    arguments = {"enabled": False, "environment": "UK Live"}
    await _called_off(sandbox, era, tmp_path / "log", "set_deployments_enabled", arguments, k=4)
    *steps, whole = audit_lines(tmp_path / "log")
    assert (whole["tool"], whole["outcome"]) == ("set_deployments_enabled", "cancelled")
    assert {line["outcome"] for line in steps} == {"done"}
    assert 4 <= len(steps) == len(sandbox.writes) <= 3 + 8


@both_eras
async def test_a_write_that_waits_to_be_sent_again_is_recorded_as_refused(era: Era, tmp_path: Path) -> None:
    """Patchworks throttles, and the caller leaves: of what certainly was not done nobody says that it is unknown."""
    log, throttled = tmp_path / "log", anyio.Event()
    slow = Upstream(Sandbox()).before(write, lambda _: throttled.set())
    slow.always(write, reply(429, {"message": "Too Many Attempts."}, Retry_After=30))
    with stamina.set_testing(False):
        async with connected(transport=slow, era=era, person=Person(yes), audit_log=log) as client:
            async with anyio.create_task_group() as group:
                arguments = {"enabled": False, "deployments": ["1001/500"]}
                group.start_soon(client.call_tool, "set_deployments_enabled", arguments)
                await throttled.wait()
                await anyio.sleep(0.2)
                group.cancel_scope.cancel()
            await client.call_tool("get_deployment", IDS)
            await client.call_tool("get_deployment", IDS)
    step, call = audit_lines(log)
    assert (step["event"], step["outcome"], call["event"], call["outcome"]) == (
        "outcome",
        "failed",
        "call",
        "cancelled",
    )
    assert "What was sent had been refused." in step["message"]


@both_eras
async def test_a_replacement_is_not_interrupted_between_its_steps(era: Era, tmp_path: Path) -> None:
    """The caller leaves while the old version is being deleted; the new one is still put in its place."""
    sandbox = Sandbox()
    old = sandbox.account.deployments[500]
    flow = sandbox.account.flow_of(old)
    newer = next(v.id for v in sandbox.account.flow_versions.values() if v.flow_id == flow.id and v.id != 1001)
    arguments = {**IDS, "new_flow_version_id": str(newer)}
    await _called_off(sandbox, era, tmp_path / "log", "replace_deployment", arguments)
    lines = audit_lines(tmp_path / "log")
    assert {line["outcome"] for line in lines} == {"done"}
    present = {(d.flow_version_id, d.virtual_environment_id) for d in sandbox.account.deployments.values()}
    assert (newer, old.virtual_environment_id) in present


@both_eras
async def test_an_overview_stops_reading(era: Era) -> None:
    """Of the twenty pages no further one is asked for, and those under way are given up."""
    sandbox, gate = Sandbox(2_000), Gate()
    slow = Upstream(sandbox).on(listing, *3 * [None]).always(listing, gate)
    async with connected(transport=slow, era=era) as client:
        await _call_and_leave(client, gate, "deployment_overview", {})
    answered = [request for request in sandbox.requests if request.path.endswith("/flow-version-deployments")]
    assert len(answered) == 3
    assert len([request for request in slow.requests if listing(request)]) <= 3 + 8
