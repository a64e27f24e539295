"""What the network and the API can do to a write, and what the result says about it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support.cases import CASES, Case
from support.clients import ERAS, Era, Person, connected, data, text, yes
from support.faults import Acted, Step, Upstream, lost, reply, write

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Fault:
    """What the write meets, and what the result must be; `Acted` where the API carries it out all the same."""

    name: str
    step: Step
    status: str
    sends: int = 1

    def __str__(self) -> str:
        return self.name


HTML = b"<html><body>Whoops, looks like something went wrong</body></html>"

FAULTS = (
    Fault("refused once", httpx2.ConnectError, status="done", sends=2),
    Fault("reset before send", httpx2.WriteError, status="unknown"),
    Fault("reset after send", Acted(httpx2.ReadError), status="done"),
    Fault("closed after send", Acted(httpx2.RemoteProtocolError), status="done"),
    Fault("timeout after acting", Acted(httpx2.ReadTimeout), status="done"),
    Fault("timeout before acting", httpx2.ReadTimeout, status="unknown"),
    Fault("throttled once", reply(429, {}, retry_after=1), status="done", sends=2),
    Fault("500 after acting", Acted(reply(500, HTML)), status="done"),
    Fault("500 before acting", reply(500, {"message": "Server Error"}), status="unknown"),
    Fault("503 before acting", reply(503), status="unknown"),
    Fault("garbage after acting", Acted(reply(200, HTML)), status="done"),
    Fault("cut off after acting", Acted(reply(200, b'{"data": {"id": 5')), status="done"),
    Fault("success without acting", reply(200, {"message": "ok"}), status="unknown"),
    Fault("422", reply(422, {"message": "no", "errors": {"x": ["bad"]}}), status="failed"),
    Fault("403", reply(403, {"message": "no"}), status="failed"),
)


def _case(tool: str) -> Case:
    return next(case for case in CASES if case.tool == tool)


async def _attempt(
    case: Case, sandbox: Sandbox, transport: Upstream, era: Era = "auto"
) -> tuple[CallToolResult, dict[str, Any]]:
    arguments = case.arguments(sandbox)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        return await client.call_tool(case.tool, arguments), arguments


@pytest.mark.parametrize(("fault", "case", "era"), list(product(FAULTS, CASES, ERAS)), ids=str)
async def test_a_write_under_a_fault_is_never_sent_twice_and_tells_the_truth(
    fault: Fault, case: Case, era: Era
) -> None:
    """The API acts at most once, and the result says done exactly when it did."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).on(write, fault.step)
    result, arguments = await _attempt(case, sandbox, transport, era)
    outcome = data(result)
    assert outcome["status"] == fault.status, text(result)
    assert case.is_done(sandbox, arguments) is (fault.status == "done")
    assert len(transport.writes) == fault.sends
    assert len(sandbox.writes) == (1 if isinstance(fault.step, Acted) or fault.sends == 2 else 0)
    assert result.is_error is (fault.status != "done")
    if fault.status == "failed":
        assert "Nothing was changed." in text(result)
    if fault.status == "unknown":
        assert "Nothing was changed" not in text(result)
        assert "deployment" in text(result).rpartition("Look again with")[2]
    assert ("undo" in outcome) is (fault.status == "done")


@pytest.mark.parametrize("step", [lost, httpx2.ReadTimeout], ids=["acted", "not acted"])
@pytest.mark.parametrize(("case", "era"), list(product(CASES, ERAS)), ids=str)
async def test_a_write_whose_fate_cannot_be_learned_is_unknown(step: Step, case: Case, era: Era) -> None:
    """When the answer is lost and reading back fails too, the result is unknown and says how to find out."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).on(write, step).reading_back(httpx2.ReadTimeout)
    result, arguments = await _attempt(case, sandbox, transport, era)
    assert data(result)["status"] == "unknown"
    assert result.is_error
    assert f'"flow_version_id": "{arguments["flow_version_id"]}"' in text(result).rpartition("Look again with")[2]
    assert len(transport.writes) == 1


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_write_that_cannot_be_read_back_is_done_but_not_verified(case: Case) -> None:
    """A success whose reading back fails is reported as accepted and unverified; it can be undone all the same."""
    sandbox = Sandbox()
    arguments = case.arguments(sandbox)
    transport = Upstream(sandbox).reading_back(httpx2.ReadTimeout)
    async with connected(transport=transport, person=Person(yes)) as client:
        result = await client.call_tool(case.tool, arguments)
        transport.heal()
        undo = data(result)["undo"]
        undone = await client.call_tool(undo["tool"], undo["arguments"])
    assert (data(result)["status"], data(result)["verified"]) == ("done", False)
    assert re.search(r"Reading back could not verify it: .* Look again with (get|list_flow)_.* before", text(result))
    assert ("lost" in data(result)) is (case.tool == "delete_deployment")
    assert data(undone)["status"] == "done"
    assert case.tool == "delete_deployment" or not case.is_done(sandbox, arguments)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("virtual_environment_id", None, "→ no environment"),
        ("enabled_at", datetime(2026, 4, 1, 9, tzinfo=UTC), "→ enabled since 2026-04-01 09:00 UTC"),
    ],
)
async def test_a_put_that_changes_more_than_was_asked_is_reported(name: str, value: object, told: str) -> None:
    """A field that changed although nobody mentioned it is named in the result."""
    sandbox, case = Sandbox(), _case("update_deployment")
    row = sandbox.account.deployments[int(case.arguments(sandbox)["deployment_id"])]
    transport = Upstream(sandbox).after(write, lambda *_: setattr(row, name, value))
    result, _ = await _attempt(case, sandbox, transport)
    (line,) = data(result)["also_changed"]
    assert line.endswith(told)
    assert f"Changed without being asked: {line}" in text(result)


async def test_an_update_sends_only_what_was_given() -> None:
    """Omitted and null arguments leave their fields alone, and clear sends an explicit null."""
    sandbox, case = Sandbox(), _case("update_deployment")
    ids = {key: value for key, value in case.arguments(sandbox).items() if key.endswith("_id")}
    async with connected(sandbox, person=Person(yes)) as client:
        await client.call_tool("update_deployment", {**ids, "priority": 3, "virtual_environment_id": None})
        await client.call_tool("update_deployment", {**ids, "clear": ["priority"]})
    assert [request.body for request in sandbox.writes] == [{"priority": 3}, {"priority": None}]


async def test_an_endless_throttle_changes_nothing_and_says_how_long_to_wait() -> None:
    """A write that is throttled every time gives up after three tries and names the wait."""
    sandbox = Sandbox()
    transport = Upstream(sandbox).always(write, reply(429, {}, retry_after=7))
    result, _ = await _attempt(_case("enable_deployment"), sandbox, transport)
    assert "Wait 7 seconds" in text(result)
    assert "Nothing was changed" in text(result)
    assert (len(transport.writes), sandbox.writes) == (3, [])
