"""Measures how long a good caller waits for its answers while another caller, or none, does harm.

For each case it prints the good caller's latencies alone and beside the bad one, in milliseconds, and it fails where
the worst beside it is more than 250 ms above the worst alone, in each of five attempts: another program on the
machine can spoil one. The server is a process of its own, with tokens, an audit log and the embedded sandbox, and so is
the bad caller: the two share nothing but the server. Everything stays on loopback and takes about a minute on two
idle cores.

Run: python tests/load.py [WORD of a case]
"""

import asyncio
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx2
from support.clients import IDS
from support.team import ALICE, BOB, READER, serving, tokens_file

MORE_MS = 250.0
"""Milliseconds by which the worst latency may grow."""

ATTEMPTS = 5
START_SECONDS = 2.0
"""Seconds from the bad caller's first request until the good one's is measured."""

CONNECTIONS = 32
"""Connections over which the bad caller sends at once, unless the case is about connections."""

CALLS = 24
"""Calls of the good caller, one after the other, to measure once."""

PAUSE_SECONDS = 0.02
"""Between two of them."""

GIVE_UP_SECONDS = 10.0
"""Seconds after which the good caller waits no longer for an answer."""

NEW_ERA, OLDER_ERA = "2026-07-28", "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": NEW_ERA,
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


WHO_AND_WHAT = {"Authorization": f"Bearer {ALICE}", "Accept": "application/json, text/event-stream"}


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return message("tools/call", name=name, arguments=arguments, _meta=META)


def listen(*uris: str) -> dict[str, Any]:
    return message("subscriptions/listen", notifications={"resourceSubscriptions": uris}, _meta=META)


def initialize() -> dict[str, Any]:
    info = {"name": "load", "version": "1"}
    return message("initialize", protocolVersion=OLDER_ERA, capabilities={}, clientInfo=info)


def request(token: str | None, body: dict[str, Any], era: str = NEW_ERA, **more: str) -> bytes:
    """A POST of the message, as it travels."""
    content = json.dumps(body).encode()
    lines = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(content)),
        "MCP-Protocol-Version": era,
        "Mcp-Method": body["method"],
        "Mcp-Name": body["params"].get("name", ""),
        **more,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + content


READY = b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The head of an answer, once all of it has come."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length:
        await reader.readexactly(int(length[1]))
    elif b" 202 " not in head.split(b"\r\n")[0]:
        while (await reader.readline()) != b"0\r\n":
            pass
        await reader.readline()
    return head


# What the bad caller does, until its process is ended -----------------------------------------------------------

Port = int
Bad = Callable[[Port], Awaitable[None]]


async def flood(port: Port, requests: Iterator[bytes], connections: int = CONNECTIONS) -> None:
    """Send one request after the other over each connection, as fast as the server answers."""

    async def send() -> None:
        while True:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
                for sent in requests:
                    writer.write(sent)
                    await answer(reader)

    await asyncio.gather(*(send() for _ in range(connections)))


def again(sent: bytes) -> Iterator[bytes]:
    while True:
        yield sent


async def listening(port: Port, bodies: list[dict[str, Any]]) -> None:
    """Open a stream for each, and read none of them."""
    with ExitStack() as stack:
        for body in bodies:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(request(BOB, body))
            await reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()


async def subscribe(port: Port) -> None:
    """Of an older host: one URI after the other, in one session."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {BOB}", "Accept": "application/json, text/event-stream"}
        opened = await http.post(f"http://127.0.0.1:{port}/mcp", json=initialize(), headers=headers)
    session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
    numbers = iter(range(10**9))
    sent = (
        message("resources/subscribe", uri=f"patchworks://deployments?like=x{number}") | {"id": number}
        for number in numbers
    )
    await flood(port, (request(BOB, body, OLDER_ERA, **session) for body in sent))


async def stop_reading(port: Port) -> None:
    """Ask for large answers on many connections, and read nothing."""
    sent = request(BOB, call("list_deployments", per_page=100))
    held = []
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            held.append((reader, writer))
            writer.write(sent * 20)
        await asyncio.sleep(0.005 if len(held) < 400 else 1.0)


async def connect(port: Port) -> None:
    """Open connections and send nothing: more than the server takes."""
    held: list[asyncio.StreamWriter] = []
    while True:
        with suppress(OSError):
            held.append((await asyncio.open_connection("127.0.0.1", port))[1])
        if len(held) > 6_000:
            held.pop(0).close()


FILTERED = [f"patchworks://deployments?like={number}" for number in range(18_000)]
REFUSED = call("disable_deployment", flow_version_id="1", deployment_id="1", odd="x" * 20_000)
LONG_INCLUDE = call("list_deployments", include=["flow"] * 100_000)
LONG_LIST = call("set_deployments_enabled", enabled=False, deployments=["1/1"] * 100_000)

BAD: dict[str, Bad] = {
    "listening to 18,000 URIs": lambda port: flood(port, again(request(BOB, listen(*FILTERED)))),
    "listening as much as allowed": lambda port: listening(port, [listen(*FILTERED[i : i + 5]) for i in range(100)]),
    "resources/subscribe": subscribe,
    "initialize": lambda port: flood(port, again(request(BOB, initialize(), OLDER_ERA))),
    "tools/list": lambda port: flood(port, again(request(BOB, message("tools/list", _meta=META)))),
    "calls": lambda port: flood(port, again(request(BOB, call("list_deployments")))),
    "/ready from 300 strangers": lambda port: flood(port, again(READY), 300),
    "unknown tokens": lambda port: flood(port, again(request("nobody", call("list_deployments")))),
    "calls without the scope": lambda port: flood(port, again(request(READER, REFUSED))),
    "refused calls": lambda port: flood(port, again(request(BOB, REFUSED))),
    "a long include": lambda port: flood(port, again(request(BOB, LONG_INCLUDE))),
    "a long list of deployments": lambda port: flood(port, again(request(BOB, LONG_LIST))),
    "answers that nobody reads": stop_reading,
    "connections": connect,
}


def do_harm(case: str, port: Port, has_begun: Any) -> None:
    async def forever() -> None:
        has_begun.set()
        await BAD[case](port)

    asyncio.run(forever())


@contextmanager
def beside(case: str, port: Port) -> Iterator[None]:
    """The bad caller at work."""
    processes = multiprocessing.get_context("spawn")
    has_begun = processes.Event()
    process = processes.Process(target=do_harm, args=(case, port, has_begun), daemon=True)
    process.start()
    try:
        assert has_begun.wait(60), f"the bad caller of {case!r} has not begun"
        time.sleep(START_SECONDS)
        yield
        assert process.is_alive(), f"the bad caller of {case!r} has ended by itself"
    finally:
        process.kill()
        process.join()


# The good caller ------------------------------------------------------------------------------------------------


class Good:
    """Calls, and notes how many milliseconds each takes."""

    def __init__(self, http: httpx2.AsyncClient, port: Port) -> None:
        self._http, self._url = http, f"http://127.0.0.1:{port}/mcp"
        self.taken: list[float] = []

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of the result."""
        headers = {"MCP-Protocol-Version": NEW_ERA, "Mcp-Method": "tools/call", "Mcp-Name": name, **WHO_AND_WHAT}
        began = time.perf_counter()
        try:
            got = await self._http.post(self._url, json=call(name, **arguments), headers=headers)
        finally:
            self.taken.append((time.perf_counter() - began) * 1000)
        result = got.json()["result"]
        assert not result.get("isError"), result
        await asyncio.sleep(PAUSE_SECONDS)
        return dict(result["structuredContent"])


async def latencies(port: Port, case: str | None = None) -> list[float]:
    """Milliseconds of each of some calls: a listing, and a deployment switched off and on.

    The good caller is connected before the bad one begins: a crowd of connections keeps out newcomers.
    """
    kept = httpx2.Limits(keepalive_expiry=None)
    async with httpx2.AsyncClient(trust_env=False, timeout=GIVE_UP_SECONDS, limits=kept) as http:
        good = Good(http, port)
        await good.call("list_deployments", per_page=5)
        good.taken.clear()
        with beside(case, port) if case else nullcontext(), suppress(httpx2.TimeoutException):
            while len(good.taken) < CALLS:
                await good.call("list_deployments", per_page=5)
                code = (await good.call("disable_deployment", **IDS))["confirmation_code"]
                await good.call("disable_deployment", **IDS, confirmation_code=code)
                await good.call("enable_deployment", **IDS)
    return good.taken


def shown(taken: list[float]) -> str:
    high = statistics.quantiles(taken, n=20)[-1] if len(taken) > 1 else taken[0]
    return f"{statistics.median(taken):10.0f}{high:8.0f}{max(taken):8.0f}"


def holds(case: str, port: Port) -> bool:
    """Whether the good caller waits little longer beside the bad one."""
    for _ in range(ATTEMPTS):
        alone = asyncio.run(latencies(port))
        taken = asyncio.run(latencies(port, case))
        more = max(taken) - max(alone)
        print(f"{case:30}{shown(alone)}{shown(taken)}{more:+10.0f}", flush=True)
        if more <= MORE_MS:
            return True
    return False


def main() -> None:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"{'':30}{'alone: median, 95%, worst':>26}{'beside it':>26}{'more':>10}")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--sandbox", "--tokens-file", tokens_file(Path(folder)), "--audit-log", f"{folder}/audit.jsonl")
        with serving(*arguments, log=f"{folder}/stderr") as served:
            failed = [case for case in BAD if word in case and not holds(case, served.address[1])]
    if failed:
        sys.exit(f"A good caller waits more than {MORE_MS:.0f} ms longer beside: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
