"""The set-up of docs/team.md, followed as a reader would: the same files and commands, on other ports."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from docs.pages import ROOT, blocks
from support.clients import ERAS, Era, Person, data
from support.programs import program
from support.team import calling

PAGE = ROOT / "docs" / "team.md"
IDS = {"flow_version_id": "1001", "deployment_id": "500"}

HEAD_SECONDS = 2
"""Seconds for a request's head, instead of the page's ten."""

SLOW_TO_START = 40
"""Seconds in which a busy machine has started everything."""


def _block(language: str, words: str) -> str:
    """The page's one block in the language that holds these words."""
    (found,) = [block.text for block in blocks(language) if block.page == PAGE and words in block.text]
    return found


def _with_free_ports(texts: list[str]) -> list[str]:
    """The texts with every port of the page replaced by a free one, the same in all of them."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        free = [str(listener.getsockname()[1]) for listener in sockets]
    ports = dict(zip(("6379", "8100", "8800", "8801", "8802"), free, strict=True))
    return [re.sub(r"\b(6379|8100|880[0-2])\b", lambda found: ports[found[0]], text) for text in texts]


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """As it stands on the page."""
    (tmp_path / "nginx.conf").write_text(_block("nginx", "server"), encoding="utf-8")
    command = [program("nginx"), "-t", "-p", str(tmp_path), "-c", "nginx.conf"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - found above
    assert outcome.returncode == 0, outcome.stderr


@contextmanager
def _started(line: str, folder: Path) -> Iterator[None]:
    """A line of the page in a shell of its own; it is stopped with everything that it has started."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - from our own page
            [program("bash"), "-c", line],
            cwd=folder,
            env=_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _environment() -> dict[str, str]:
    """This machine's, with our command on the path and nothing of Patchworks."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWORKS_")}
    return {**clean, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@dataclass(frozen=True)
class Team:
    """What was set up: the address that hosts connect to, and the tokens that were shown."""

    base: str
    anna: str
    report: str

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Everything that the page says, in its order."""
    for name in ("nginx", "redis-server"):
        program(name)
    folder = tmp_path_factory.mktemp("team")
    prepare, settings, nginx, start = _with_free_ports(
        [
            _block("console", "mkdir ../team"),
            _block("sh", "PATCHWORKS_REDIS_URL"),
            _block("nginx", "server"),
            _block("console", "curl"),
        ]
    )
    (folder / "team.env").write_text(settings + "\n", encoding="utf-8")
    hurried = nginx.replace("client_header_timeout 10s", f"client_header_timeout {HEAD_SECONDS}s")
    assert hurried != nginx
    (folder / "nginx.conf").write_text(hurried + "\n", encoding="utf-8")
    shown = ""
    for line in prepare.splitlines():
        if not line.startswith(("uv ", "mkdir ")):
            command = [program("bash"), "-c", line]
            outcome = subprocess.run(  # noqa: S603 - from our own page
                command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=30, check=True
            )
            shown += outcome.stderr
    redis = re.findall(r"redis://127.0.0.1:(\d+)", settings)
    *servers, ready = start.splitlines()
    with ExitStack() as stack:
        stack.enter_context(_started(f"redis-server --port {redis[0]} --bind 127.0.0.1 --save ''", folder))
        for line in servers:
            stack.enter_context(_started(line, folder))
        url = ready.removeprefix("curl ")
        _wait_for(url, folder / "log")
        yield Team(url.removesuffix("/ready"), *re.findall(r"shown only now: (\S+)", shown))


def _wait_for(url: str, log: Path) -> None:
    """Until both processes say that they are ready: nginx asks them in turn."""
    answers: list[int] = []
    until = time.monotonic() + SLOW_TO_START
    while answers[-4:] != [200] * 4:
        assert time.monotonic() < until, log.read_text(encoding="utf-8")
        try:
            answers.append(httpx2.get(url, trust_env=False).status_code)
        except httpx2.TransportError:
            answers.append(0)
        time.sleep(0.1)


pytestmark = pytest.mark.timeout(120)


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
async def test_a_team_reads_and_writes_through_nginx(team: Team, era: Era) -> None:
    """Anna is asked and disables and enables; the reader sees no tool for that."""
    async with calling(team.url, team.anna, era=era, person=Person()) as client:
        for tool, confirmed_by in (("disable_deployment", "human"), ("enable_deployment", "not_required")):
            result = data(await client.call_tool(tool, IDS))
            assert (result["status"], result["confirmed_by"]) == ("done", confirmed_by)
    async with calling(team.url, team.report, era=era) as client:
        assert "disable_deployment" not in {tool.name for tool in (await client.list_tools()).tools}
        assert not (await client.call_tool("list_deployments", {})).is_error


@pytest.mark.slow
async def test_a_change_is_told_across_processes(team: Team) -> None:
    """Whichever process a host watches through."""
    async with calling(team.url, team.anna, person=Person()) as writer, calling(team.url, team.report) as watcher:
        for tool in ("disable_deployment", "enable_deployment"):
            async with watcher.listen(resource_subscriptions=["patchworks://deployments"]) as updates:
                assert data(await writer.call_tool(tool, IDS))["status"] == "done"
                with anyio.fail_after(10):
                    assert await anext(updates)


@pytest.mark.slow
@pytest.mark.parametrize("line", ["", "X-More: 1\r\n"], ids=["silent", "line by line"])
async def test_nginx_lets_go_of_a_head_that_does_not_arrive(team: Team, line: str) -> None:
    """Not even a line now and then keeps the connection open, and the next request is served."""
    began = anyio.current_time()
    with anyio.fail_after(10 * HEAD_SECONDS), pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
        await _dawdle(httpx2.URL(team.base).port or 0, line)
    assert anyio.current_time() - began < 3 * HEAD_SECONDS
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{team.base}/ready")).status_code == 200


@pytest.mark.slow
async def test_nginx_turns_away_who_asks_too_often(team: Team) -> None:
    """With 429, before any process is asked; a moment later the same address is served again."""
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        statuses: list[int] = []

        async def ask() -> None:
            statuses.extend([(await http.get(f"{team.base}/health")).status_code for _ in range(60)])

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        assert {*statuses} == {200, 429}
        await anyio.sleep(3)
        assert (await http.get(f"{team.base}/ready")).status_code == 200


async def _dawdle(port: int, line: str) -> None:
    """Send a head that never ends, if anything, until the connection is closed."""
    async with await anyio.connect_tcp("127.0.0.1", port) as connection:
        if line:
            await connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        while True:
            await connection.send(line.encode())
            with anyio.move_on_after(HEAD_SECONDS / 10):
                await connection.receive()
