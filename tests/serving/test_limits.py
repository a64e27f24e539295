"""What a caller may ask of the server, in bytes, seconds, connections and calls."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest
from anyio.lowlevel import checkpoint
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from support.clients import TOOLS, Clock, Era, audit_lines, both_eras, text
from support.faults import Gate
from support.team import (
    ALICE,
    BOB,
    HALVES,
    INITIALIZE,
    READER,
    Served,
    calling,
    head,
    on_loopback,
    serving,
    tokens_file,
)

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.limits import MAX_SESSIONS_OF_ONE, Buckets, PromptBody, RateLimit
from patchworks_deployments.startup import Stop, listen


@pytest.mark.slow
@pytest.mark.parametrize("token", [ALICE, READER])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_an_oversized_body_is_refused(token: str, version: str, closed: Served) -> None:
    """A megabyte is far more than any call needs: told beforehand, or as soon as it has come without an end."""
    megabyte = b" " * 2**20
    told = head(token, f"MCP-Protocol-Version: {version}", f"Content-Length: {2**20 + 1}")
    untold = head(token, f"MCP-Protocol-Version: {version}", "Transfer-Encoding: chunked")
    for sent in (told, untold + b"100000\r\n" + megabyte + b"\r\n1\r\n \r\n"):
        async with await anyio.connect_tcp(*closed.address) as connection:
            await connection.send(sent)
            assert (await connection.receive()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
@both_eras
async def test_a_caller_over_its_limit_is_told_how_long_to_wait(era: Era, tmp_path: Path) -> None:
    """The limit reaches the model as an error result, others as a protocol error, and a write leaves an audit line."""
    log = tmp_path / "audit.jsonl"
    said = "Too many requests: the limit is 3 a minute. Nothing was changed. Wait"
    with serving("--sandbox", "--rate-limit", "3", "--audit-log", str(log)) as served:
        async with calling(served.url, era=era) as client:
            results = [await client.call_tool("list_deployments", {"per_page": 1}) for _ in range(4)]
            with pytest.raises(MCPError, match=said):
                await client.read_resource("patchworks://deployments")
            with pytest.raises(MCPError, match=said):
                await client.complete(PromptReference(name="stop_environment"), {"name": "environment", "value": "U"})
            write = await client.call_tool("disable_deployment", {"deployment_id": "500", "api_key": "S3CRET"})
            assert len((await client.list_tools()).tools) == len(TOOLS)
    assert [result.is_error for result in results] == [False, False, False, True]
    assert text(results[-1]).startswith(said)
    (line,) = audit_lines(log)
    assert (line["tool"], line["outcome"], line["message"]) == ("disable_deployment", "refused", text(write))
    assert (line["caller"], line["arguments"]) == ("local", {"deployment_id": "500"})
    assert line["client"].startswith("mcp ")


def test_a_limit_refills_and_is_each_caller_s_own() -> None:
    """What one caller uses up is not another's, and comes back with time."""
    clock = Clock()
    limit = RateLimit(60, clock)
    assert [limit.take("alice") for _ in range(60)] == [0.0] * 60
    assert limit.take("alice") >= 1
    assert limit.take("bob") == 0
    clock.now += 1
    assert limit.take("alice") == 0
    assert limit.take("alice") > 0


@pytest.mark.slow
async def test_a_request_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    """Half a body ends with 408 and the connection, without a traceback."""
    log = tmp_path / "stderr"
    answers: dict[str, bytes] = {}
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:

        async def ask(what: str) -> None:
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(HALVES[what])
                answers[what] = b"".join([chunk async for chunk in connection])

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for what in HALVES:
                    group.start_soon(ask, what)
    for what in HALVES:
        assert answers[what].startswith(b"HTTP/1.1 408 Request Timeout\r\n"), what
    assert log.read_text(encoding="utf-8") == ""


@pytest.mark.slow
async def test_a_head_without_end_is_refused() -> None:
    """A caller without a token cannot fill the memory: 64 KiB of head end with 400 and the connection."""
    with serving("--sandbox") as served:
        async with await anyio.connect_tcp(*served.address) as connection:
            await connection.send(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 2**17)
            received = b""
            with anyio.fail_after(10), suppress(anyio.BrokenResourceError):
                async for chunk in connection:
                    received += chunk
    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
async def test_a_client_that_gives_up_in_the_middle_of_a_body_leaves_no_trace(tmp_path: Path) -> None:
    """It is no fault of the server: nothing is logged, and the next request is served."""
    log = tmp_path / "stderr"
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), log=str(log)) as served:
        for half in HALVES.values():
            async with await anyio.connect_tcp(*served.address) as connection:
                await connection.send(half)
        async with calling(served.url, ALICE) as client:
            assert not (await client.call_tool("list_deployments", {})).is_error
    assert log.read_text(encoding="utf-8") == ""


@pytest.mark.slow
def test_a_crowd_of_connections_keeps_out_newcomers_and_nobody_who_is_served(tmp_path: Path) -> None:
    """One too many is closed at once. Where few files may be open the log says so. After the crowd all is as before."""
    log = tmp_path / "stderr"
    with (
        serving("--sandbox", log=str(log), files="700") as served,
        httpx2.Client(trust_env=False, base_url=served.base) as there,
    ):
        assert there.get("/health").status_code == 200
        with ExitStack() as crowd:
            for _ in range(800):
                crowd.enter_context(socket.create_connection(served.address))
            with pytest.raises(httpx2.TransportError):
                httpx2.get(f"{served.base}/health", trust_env=False)
            for _ in range(5):
                assert there.get("/health").status_code == 200
        anyio.run(_until_health_answers, served.base)
    said = "".join(log.read_text(encoding="utf-8").split())
    assert "raiseulimit-Hnto4612" in said
    assert "Error" not in said


async def _until_health_answers(base: str) -> None:
    with anyio.fail_after(20):
        while True:
            with suppress(httpx2.TransportError):
                async with httpx2.AsyncClient(trust_env=False) as http:
                    assert (await http.get(f"{base}/health")).status_code == 200
                return
            await anyio.sleep(0.1)


async def test_a_connection_on_which_nobody_reads_ends() -> None:
    """The system ends it, and with it whatever waits for room to send."""
    with listen("127.0.0.1", 0, unread_seconds=0.5) as listener, socket.create_connection(listener.getsockname()):
        sent, _ = listener.accept()
        with sent, anyio.fail_after(20):
            sent.setblocking(False)  # noqa: FBT003 - positional only
            with pytest.raises(TimeoutError):
                await _send_for_ever(sent)


async def _send_for_ever(connection: socket.socket) -> None:
    while True:
        with suppress(BlockingIOError):
            connection.send(b"x" * 2**16)
        await anyio.sleep(0.01)


@pytest.mark.slow
async def test_strangers_who_ask_whether_it_is_ready_make_one_request() -> None:
    """Also those who come while the first answer is under way; and an answer that does not come is a no."""
    sandbox, gate, asked = Sandbox(), Gate(), 0

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal asked
        asked += 1
        await gate()
        await sandbox.app(scope, receive, send)

    async with on_loopback(slow) as upstream, httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        with serving(PATCHWORKS_API_KEY="sandbox-key", PATCHWORKS_BASE_URL=upstream) as served:
            answers: list[int] = []

            async def ask() -> None:
                answers.append((await http.get(f"{served.base}/ready")).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(ask)
                await gate.arrived.wait()
            assert answers == [503] * 50
            gate.go_on.set()
    assert asked == 1


@pytest.mark.slow
@both_eras
async def test_whatever_a_caller_sends_counts(era: Era, tmp_path: Path) -> None:
    """Also what costs Patchworks nothing; and what one caller sends does not count for another."""
    with serving("--sandbox", "--rate-limit=1", "--tokens-file", tokens_file(tmp_path)) as served:
        async with calling(served.url, ALICE, era=era) as alice:
            with pytest.raises(
                MCPError, match=r"one caller may send 5 of any kind a minute.* Nothing was changed\. Wait"
            ):
                await _ask_for_ever(alice)
        async with httpx2.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {ALICE}"}) as http:
            for method in ("POST", "GET", "DELETE"):
                refused = await http.request(method, served.url, headers={"Mcp-Session-Id": "x"})
                assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
            assert (await http.get(served.url, headers={"Authorization": "Bearer x"})).status_code == 401
        async with calling(served.url, BOB, era=era) as bob:
            assert (await bob.list_tools()).tools


async def _ask_for_ever(client: Client) -> None:
    while True:
        await client.get_prompt("stop_environment", {"environment": "10"})


@pytest.mark.slow
async def test_two_hundred_streams_or_sessions_may_be_asked_for_at_once(tmp_path: Path) -> None:
    """What is opened anew together, after a restart for example, waits for its turn, and none of it is refused."""
    headers = {"Authorization": f"Bearer {ALICE}", "Accept": "application/json, text/event-stream"}
    pool = httpx2.Limits(max_connections=None)
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        async with httpx2.AsyncClient(trust_env=False, headers=headers, timeout=30, limits=pool) as http:
            statuses: list[int] = []

            async def begin() -> None:
                opened = await http.post(served.url, json=INITIALIZE)
                session = {"Mcp-Session-Id": opened.headers.get("Mcp-Session-Id", "")}
                begun = await http.post(served.url, json=INITIALIZED, headers=session)
                statuses.extend((opened.status_code, begun.status_code))

            async with anyio.create_task_group() as group:
                for _ in range(200):
                    group.start_soon(begin)
    assert statuses.count(200) == statuses.count(202) == 200


@pytest.mark.slow
async def test_a_crowd_of_strangers_waits_for_its_refusals_and_a_caller_does_not_wait_with_it(tmp_path: Path) -> None:
    """Each of the crowd is answered 401, those beyond the first fifty up to two seconds later."""
    taken: list[float] = []
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path)) as served:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http, calling(served.url, ALICE) as alice:

            async def intrude() -> None:
                began = anyio.current_time()
                answer = await http.post(served.url, json=INITIALIZE, headers={"Authorization": "Bearer nobody"})
                assert answer.status_code == 401
                taken.append(anyio.current_time() - began)

            async with anyio.create_task_group() as group:
                for _ in range(140):
                    group.start_soon(intrude)
                await anyio.sleep(0.3)
                with anyio.fail_after(1.0):
                    await alice.list_tools()
    assert len(taken) == 140
    assert max(taken) > 0.8


@pytest.mark.slow
async def test_waiting_for_a_turn_is_no_fault_of_the_body() -> None:
    """A body has its seconds from when it is asked for, however long that takes."""

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0.3)
        assert (await receive())["body"] == b"x"
        await checkpoint()
        await PlainTextResponse("read")(scope, receive, send)

    app = PromptBody(late, Stop(), seconds=0.1)
    async with on_loopback(app) as url, httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.post(url, content=b"x")).text == "read"


def test_who_sends_too_much_at_once_waits_for_a_turn() -> None:
    """What is taken beforehand comes back with time; what would take too long is not taken."""
    clock = Clock()
    buckets = Buckets(60, 2, clock)
    assert [buckets.take("alice", patience=2) for _ in range(4)] == [0, 0, 1, 2]
    assert [buckets.take("alice", patience=2) for _ in range(2)] == [3, 3]
    clock.now += 4
    assert buckets.take("alice", 2) == 0


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.mark.slow
async def test_one_caller_has_so_many_sessions(tmp_path: Path) -> None:
    """One more is refused in words until one has ended, and other callers open theirs; a malformed one counts too."""
    with serving("--sandbox", "--rate-limit=0", "--tokens-file", tokens_file(tmp_path)) as served:
        headers = {"Authorization": f"Bearer {ALICE}", "Accept": "application/json, text/event-stream"}
        async with httpx2.AsyncClient(trust_env=False, headers=headers, timeout=30) as http:
            malformed = INITIALIZE | {"params": {}}
            opened = [
                await http.post(served.url, json=malformed if number % 2 else INITIALIZE)
                for number in range(MAX_SESSIONS_OF_ONE)
            ]
            assert {answer.status_code for answer in opened} == {200}
            refused = await http.post(served.url, json=INITIALIZE)
            assert refused.status_code == 429
            assert "one caller may have 500 at once. Nothing was changed. End one with DELETE" in refused.text
            session = {"Mcp-Session-Id": opened[0].headers["Mcp-Session-Id"]}
            assert (await http.delete(served.url, headers=session)).status_code == 200
            again = [await http.post(served.url, json=INITIALIZE) for _ in range(10)]  # it ends a moment later
            assert [answer.status_code for answer in again].count(200) == 1
            other = {"Authorization": f"Bearer {BOB}"}
            assert (await http.post(served.url, json=INITIALIZE, headers=other)).status_code == 200
