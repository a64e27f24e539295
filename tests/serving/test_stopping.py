"""A server that is told to stop, in memory: what becomes of each call that is under way, and of each that comes."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import stamina
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult
from support.clients import IDS, Era, Person, audit_lines, both_eras, data, text, yes
from support.faults import Gate, Upstream, every, listing, reply, slowly, write
from support.replacing import methods

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import DeploymentsServer, create_server
from patchworks_deployments.settings import load_settings
from patchworks_deployments.startup import STOPPING

SOON_SECONDS = 0.3
"""Seconds that what was sent gets in these tests."""


@pytest.fixture(autouse=True)
def _with_waiting() -> Iterator[None]:
    """Pauses between retries are as long as in production, for it is they that a stop ends."""
    with stamina.set_testing(False):
        yield


THROTTLED = reply(429, {"message": "Too Many Attempts."}, Retry_After=30)
REPLACE = {**IDS, "new_flow_version_id": "1002"}


@asynccontextmanager
async def _stoppable(
    upstream: Upstream, era: Era, log: Path | None = None, person: Any = None
) -> AsyncIterator[tuple[Client, DeploymentsServer]]:
    settings = load_settings({}, sandbox=True, audit_log=log)
    server = create_server(settings, upstream)
    async with Client(server, mode=era, elicitation_callback=person or Person(yes)) as client:
        yield client, server


async def _stopped(  # noqa: PLR0913 - each is one thing that a test chooses
    upstream: Upstream,
    era: Era,
    tool: str,
    arguments: dict[str, Any],
    *,
    when: anyio.Event,
    log: Path | None = None,
    opens: Gate | None = None,
    person: Any = None,
) -> CallToolResult:
    """Tell the server to stop `when` that has happened, and then open the gate; the result of the call."""
    results: list[CallToolResult] = []
    async with _stoppable(upstream, era, log, person) as (client, server):

        async def call() -> None:
            results.append(await client.call_tool(tool, arguments))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await when.wait()
                server.stop.begin(5 if opens else SOON_SECONDS)
                if opens:
                    opens.go_on.set()
    return results[0]


class _Silent:
    """A person who is asked and does not answer."""

    def __init__(self) -> None:
        self.is_asked = anyio.Event()

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context, params
        self.is_asked.set()
        await anyio.sleep_forever()
        raise AssertionError


async def test_an_open_question_ends_with_nothing_changed(tmp_path: Path) -> None:
    """In the older era the call waits for the person; it is answered in words, recorded, and nothing is sent."""
    upstream, person = Upstream(), _Silent()
    result = await _stopped(
        upstream, "legacy", "disable_deployment", IDS, when=person.is_asked, person=person, log=tmp_path / "log"
    )
    assert (result.is_error, text(result)) == (True, STOPPING)
    assert upstream.writes == []
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["message"][:23]) == ("cancelled", "The server was stopped.")


@both_eras
async def test_a_new_call_is_refused_in_words(era: Era, tmp_path: Path) -> None:
    """A tool that writes, one that reads and a resource; nothing reaches Patchworks."""
    upstream = Upstream()
    async with _stoppable(upstream, era, tmp_path / "log") as (client, server):
        await client.list_tools()
        server.stop.begin()
        assert text(await client.call_tool("deployment_overview", {})) == STOPPING
        assert text(await client.call_tool("disable_deployment", IDS)) == STOPPING
        with pytest.raises(MCPError, match="The server is stopping"):
            await client.read_resource("patchworks://deployments")
        assert len((await client.list_tools()).tools) == 11
    assert upstream.writes == []
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["refused"]


@both_eras
async def test_a_read_that_waits_for_a_throttle_ends_at_once(era: Era) -> None:
    """Patchworks wants a pause of 15 seconds, and a server that stops does not wait for it."""
    throttled, answer = anyio.Event(), reply(429, {"message": "Too Many Attempts."}, Retry_After=15)
    upstream = Upstream().before(every, lambda _: throttled.set()).always(every, answer)
    assert text(await _stopped(upstream, era, "list_deployments", {}, when=throttled)) == STOPPING


@both_eras
async def test_a_write_that_was_sent_is_finished(era: Era, tmp_path: Path) -> None:
    """It is answered, read back and recorded as if nothing were."""
    gate = Gate()
    upstream = Upstream().on(write, gate)
    result = await _stopped(
        upstream, era, "disable_deployment", IDS, when=gate.arrived, opens=gate, log=tmp_path / "log"
    )
    assert (data(result)["status"], data(result)["verified"]) == ("done", True)
    assert [line["outcome"] for line in audit_lines(tmp_path / "log")] == ["done"]


class _Disk(type(Path())):  # type: ignore[misc]  # the class differs with the system
    """A path at which something happens when it is looked at, as before each line, for the n-th time."""

    looks = 0
    happens: dict[int, Callable[[], object]]

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self.looks += 1
        self.happens.pop(self.looks, lambda: None)()
        return Path(str(self)).stat(follow_symlinks=follow_symlinks)


@both_eras
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("disable_deployment", IDS),
        ("set_deployments_enabled", {"enabled": False, "environment": "UK Live"}),
        ("replace_deployment", REPLACE),
    ],
)
async def test_a_write_whose_intent_is_being_recorded_is_not_sent(
    tool: str, arguments: dict[str, Any], era: Era, tmp_path: Path
) -> None:
    """The disk was slow, and nothing had been sent by then."""
    upstream, loop = Upstream(), asyncio.get_running_loop()
    log = _Disk(tmp_path / "log")
    settings = load_settings({}, sandbox=True, audit_log=tmp_path / "log").model_copy(update={"audit_log": log})
    server = create_server(settings, upstream)
    log.happens = {2: lambda: asyncio.run_coroutine_threadsafe(_begin(server), loop).result()}
    async with Client(server, mode=era, elicitation_callback=Person(yes)) as client:
        result = await client.call_tool(tool, arguments)
    assert (data(result)["status"], upstream.writes) == ("failed", [])
    assert "The server is stopping." in text(result)
    assert "Nothing was changed." in text(result)
    assert {line["outcome"] for line in audit_lines(tmp_path / "log")} <= {"failed", "refused"}


async def _begin(server: DeploymentsServer) -> None:
    server.stop.begin(SOON_SECONDS)


@both_eras
async def test_a_write_that_is_not_answered_in_time_is_unknown(era: Era, tmp_path: Path) -> None:
    """Result and line say that the server was stopped, and how to find out."""
    gate = Gate()
    upstream = Upstream().on(write, gate)
    result = await _stopped(upstream, era, "disable_deployment", IDS, when=gate.arrived, log=tmp_path / "log")
    assert data(result)["status"] == "unknown"
    assert "The server was stopped before Patchworks answered." in text(result)
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["message"]) == ("unknown", data(result)["message"])


@both_eras
async def test_a_write_that_cannot_be_read_back_in_time_was_accepted(era: Era) -> None:
    """What Patchworks has said counts, and the result says that it could not be verified."""
    gate = Gate()
    upstream = Upstream().reading_back(gate)
    result = await _stopped(upstream, era, "disable_deployment", IDS, when=gate.arrived)
    assert (data(result)["status"], data(result)["verified"]) == ("done", False)


@both_eras
async def test_of_many_writes_those_that_were_sent_are_finished_and_no_other_is_begun(era: Era, tmp_path: Path) -> None:
    """The result names both kinds, and each that was sent has a line of its own."""
    gate, sandbox = Gate(), Sandbox(300)
    upstream = Upstream(sandbox).on(write, *3 * [None]).always(write, gate)
    arguments = {"enabled": False, "environment": "UK Live"}
    result = await _stopped(
        upstream, era, "set_deployments_enabled", arguments, when=gate.arrived, opens=gate, log=tmp_path / "log"
    )
    told = data(result)
    assert told["status"] == "partial"
    assert 4 <= len(told["done"]) == len(sandbox.writes) <= 3 + 8
    assert {missed["why"].partition(" Call again")[0] for missed in told["not_tried"]} == {"The server is stopping."}
    lines = audit_lines(tmp_path / "log")
    assert len([line for line in lines if line["outcome"] == "done"]) == len(sandbox.writes)
    assert lines[-1]["tool"] == "set_deployments_enabled"
    assert lines[-1]["outcome"] == "partial"


@both_eras
async def test_of_many_writes_one_that_is_throttled_waits_no_more(era: Era) -> None:
    """What Patchworks throttles was not done; it is not tried again while the server stops."""
    throttled, upstream = anyio.Event(), Upstream()
    upstream.before(write, lambda _: throttled.set()).always(write, THROTTLED)
    arguments = {"enabled": False, "environment": "UK Live"}
    told = data(await _stopped(upstream, era, "set_deployments_enabled", arguments, when=throttled))
    assert told["status"] == "failed"
    assert "done" not in told


@both_eras
@pytest.mark.parametrize("is_early", [True, False])
async def test_a_write_that_was_refused_is_not_sent_again(is_early: bool, era: Era, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """Patchworks throttles for a short while: what was certainly not done ends at once, and as that."""
    throttled, upstream = anyio.Event(), Upstream()
    answer = reply(429, {"message": "Too Many Attempts."}, Retry_After=3)
    upstream.always(write, answer if is_early else slowly(SOON_SECONDS / 2, answer))
    upstream.before(write, lambda _: throttled.set())
    began = anyio.current_time()
    result = await _stopped(upstream, era, "disable_deployment", IDS, when=throttled, log=tmp_path / "log")
    assert anyio.current_time() - began < 2
    assert data(result)["status"] == "failed"
    assert "Nothing was changed." in text(result)
    (line,) = audit_lines(tmp_path / "log")
    assert (line["event"], line["outcome"], len(upstream.writes)) == ("outcome", "failed", 1)


@both_eras
async def test_a_replacement_that_has_begun_goes_on(era: Era, tmp_path: Path) -> None:
    """The old deployment is being deleted when the stop comes, and the new one is still put in its place."""
    gate = Gate()
    upstream = Upstream().on("DELETE", gate)
    result = await _stopped(
        upstream, era, "replace_deployment", REPLACE, when=gate.arrived, opens=gate, log=tmp_path / "log"
    )
    assert data(result)["status"] == "done", text(result)
    assert methods(upstream) == ["DELETE", "POST"]
    assert {line["outcome"] for line in audit_lines(tmp_path / "log")} == {"done"}


@both_eras
async def test_a_replacement_without_time_for_its_next_step_says_how_to_repair_it(era: Era, tmp_path: Path) -> None:
    """The old one is gone and the new one is throttled: status, message, line and repair call say so."""
    throttled, upstream = anyio.Event(), Upstream()
    upstream.before("POST", lambda _: throttled.set()).always("POST", THROTTLED)
    result = await _stopped(upstream, era, "replace_deployment", REPLACE, when=throttled, log=tmp_path / "log")
    told = data(result)
    assert told["status"] == "unknown"
    assert "The server was stopped in the middle of this. The old deployment 500 is deleted." in told["message"]
    assert told["repair"]["tool"] == "create_deployment"
    outcomes = {line["tool"].rpartition(": ")[2]: line["outcome"] for line in audit_lines(tmp_path / "log")}
    assert outcomes == {"delete": "done", "create": "failed", "replace_deployment": "unknown"}


@both_eras
async def test_a_replacement_that_waits_to_begin_does_not_begin(era: Era) -> None:
    """Deleting is throttled: nothing is there that has to be brought to an end."""
    throttled, upstream = anyio.Event(), Upstream()
    upstream.before("DELETE", lambda _: throttled.set()).always("DELETE", THROTTLED)
    result = await _stopped(upstream, era, "replace_deployment", REPLACE, when=throttled)
    assert (data(result)["status"], methods(upstream)) == ("failed", ["DELETE"])
    assert "The server is stopping. Call again once it is back. Nothing was changed." in text(result)


@both_eras
async def test_an_overview_ends_at_once(era: Era) -> None:
    """Reading is nothing that has to be finished."""
    gate = Gate()
    upstream = Upstream().always(listing, gate)
    assert text(await _stopped(upstream, era, "deployment_overview", {}, when=gate.arrived)) == STOPPING
