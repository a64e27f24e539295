"""What the network and the API can do to a write, and what the result says about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support import ERAS, Era, Person, connected, data, text, yes
from test_writes import CASES, Case

from patchworks_deployments.sandbox import Sandbox

Reply = Callable[[httpx2.Request], httpx2.Response]


@dataclass
class FaultyTransport(httpx2.AsyncBaseTransport):
    """The sandbox, with one fault at the first write (or `at` the n-th request)."""

    sandbox: Sandbox
    acts: bool
    fault: Reply
    times: int = 1
    reads_fail_after: bool = False
    sent: list[str] = field(default_factory=list)
    _struck: int = 0

    def __post_init__(self) -> None:
        self._inner = httpx2.ASGITransport(app=self.sandbox.app)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            if self._struck and self.reads_fail_after:
                raise httpx2.ReadTimeout("gone", request=request)
            return await self._inner.handle_async_request(request)
        self.sent.append(request.method)
        if self._struck >= self.times:
            return await self._inner.handle_async_request(request)
        self._struck += 1
        if self.acts:
            await self._inner.handle_async_request(request)
        return self.fault(request)


def _raises(error: type[httpx2.RequestError]) -> Reply:
    def fault(request: httpx2.Request) -> httpx2.Response:
        raise error("injected", request=request)

    return fault


def _answers(status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    return lambda _: httpx2.Response(status, content=content, headers=headers)


@dataclass(frozen=True)
class Fault:
    """A fault at the write: does the API act, what comes back, and what must the result be."""

    name: str
    acts: bool
    reply: Reply
    status: str
    sends: int = 1

    def __str__(self) -> str:
        return self.name


HTML = b"<html><body>Whoops, looks like something went wrong</body></html>"

FAULTS = (
    Fault("refused once", acts=False, reply=_raises(httpx2.ConnectError), status="done", sends=2),
    Fault("reset before send", acts=False, reply=_raises(httpx2.WriteError), status="failed"),
    Fault("reset after send", acts=True, reply=_raises(httpx2.ReadError), status="done"),
    Fault("closed after send", acts=True, reply=_raises(httpx2.RemoteProtocolError), status="done"),
    Fault("timeout after acting", acts=True, reply=_raises(httpx2.ReadTimeout), status="done"),
    Fault("timeout before acting", acts=False, reply=_raises(httpx2.ReadTimeout), status="failed"),
    Fault("throttled once", acts=False, reply=_answers(429, b"{}", {"Retry-After": "1"}), status="done", sends=2),
    Fault("500 after acting", acts=True, reply=_answers(500, HTML), status="done"),
    Fault("500 before acting", acts=False, reply=_answers(500, b'{"message": "Server Error"}'), status="failed"),
    Fault("503 before acting", acts=False, reply=_answers(503), status="failed"),
    Fault("garbage after acting", acts=True, reply=_answers(200, HTML), status="done"),
    Fault("cut off after acting", acts=True, reply=_answers(200, b'{"data": {"id": 5'), status="done"),
    Fault("success without acting", acts=False, reply=_answers(200, b'{"message": "ok"}'), status="failed"),
    Fault("422", acts=False, reply=_answers(422, b'{"message":"no","errors":{"x":["bad"]}}'), status="failed"),
    Fault("403", acts=False, reply=_answers(403, b'{"message":"no"}'), status="failed"),
)


async def _attempt(case: Case, era: Era, transport: FaultyTransport) -> tuple[CallToolResult, dict[str, Any]]:
    arguments = case.arguments(transport.sandbox)
    async with connected(transport=transport, person=Person(yes), era=era) as client:
        return await client.call_tool(case.tool, arguments), arguments


@pytest.mark.parametrize(("fault", "case", "era"), list(product(FAULTS, CASES, ERAS)), ids=str)
async def test_a_write_under_a_fault_is_never_sent_twice_and_tells_the_truth(
    fault: Fault, case: Case, era: Era
) -> None:
    """The API acts at most once, and the result says done exactly when it did."""
    sandbox = Sandbox()
    transport = FaultyTransport(sandbox, fault.acts, fault.reply)
    result, arguments = await _attempt(case, era, transport)
    outcome = data(result)
    assert outcome["status"] == fault.status, text(result)
    assert case.is_done(sandbox, arguments) is (fault.status == "done")
    assert len(transport.sent) == fault.sends
    assert len(sandbox.writes) == (1 if fault.acts or fault.sends == 2 else 0)
    assert result.is_error is (fault.status == "failed")
    if fault.status == "failed":
        assert "hing was changed" in text(result) or "Reading back" in text(result)
        assert "undo" not in outcome


@pytest.mark.parametrize(("acts", "case", "era"), list(product((True, False), CASES, ERAS)), ids=str)
async def test_a_write_whose_fate_cannot_be_learned_is_unknown(acts: bool, case: Case, era: Era) -> None:  # noqa: FBT001
    """When the answer is lost and reading back fails too, the result is unknown and says how to find out."""
    sandbox = Sandbox()
    transport = FaultyTransport(sandbox, acts, _raises(httpx2.ReadTimeout), reads_fail_after=True)
    result, _ = await _attempt(case, era, transport)
    assert data(result)["status"] == "unknown"
    assert result.is_error
    assert "Do not repeat it" in text(result)
    assert "deployment" in text(result).rpartition("find out with")[2]
    assert len(transport.sent) == 1


async def test_a_write_that_cannot_be_read_back_is_done_but_not_verified() -> None:
    """A success whose reading back fails is reported as accepted and unverified."""
    sandbox = Sandbox()
    transport = FaultyTransport(sandbox, True, _answers(200, b'{"message":"ok"}'), reads_fail_after=True)  # noqa: FBT003
    case = next(case for case in CASES if case.tool == "disable_deployment")
    result, _ = await _attempt(case, "auto", transport)
    assert (data(result)["status"], data(result)["verified"]) == ("done", False)
    assert "Reading back could not verify it" in text(result)


async def test_a_put_that_changes_more_than_was_asked_is_reported() -> None:
    """A field that changed although nobody mentioned it is named in the result."""
    sandbox = Sandbox()
    case = next(case for case in CASES if case.tool == "update_deployment")

    def wipe(_: httpx2.Request) -> httpx2.Response:
        row = sandbox.estate.deployments[int(case.arguments(sandbox)["deployment_id"])]
        row.virtual_environment_id = None
        return httpx2.Response(200, json={})

    result, _ = await _attempt(case, "auto", FaultyTransport(sandbox, acts=True, fault=wipe))
    assert "no environment" in data(result)["also_changed"][0]
    assert "Changed without being asked" in text(result)


async def test_an_update_sends_only_what_was_given() -> None:
    """Omitted and null arguments leave their fields alone, and clear sends an explicit null."""
    sandbox = Sandbox()
    case = next(case for case in CASES if case.tool == "update_deployment")
    ids = {key: value for key, value in case.arguments(sandbox).items() if key.endswith("_id")}
    async with connected(sandbox, person=Person(yes)) as client:
        await client.call_tool("update_deployment", {**ids, "priority": 3, "virtual_environment_id": None})
        await client.call_tool("update_deployment", {**ids, "clear": ["priority"]})
    assert [request.body for request in sandbox.writes] == [{"priority": 3}, {"priority": None}]


async def test_an_endless_throttle_changes_nothing_and_says_how_long_to_wait() -> None:
    """A write that is throttled every time gives up after three tries and names the wait."""
    sandbox = Sandbox()
    throttle = _answers(429, b"{}", {"Retry-After": "7"})
    transport = FaultyTransport(sandbox, acts=False, fault=throttle, times=99)
    case = next(case for case in CASES if case.tool == "enable_deployment")
    result, _ = await _attempt(case, "auto", transport)
    assert "Wait 7 seconds" in text(result)
    assert "Nothing was changed" in text(result)
    assert (len(transport.sent), sandbox.writes) == (3, [])
