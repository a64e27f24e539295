"""Proxies that misbehave, and an environment that makes no sense."""

import asyncio
import contextlib
import errno
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.operations import KEY, READS, WRITES
from support.processes import run, run_here
from support.team import on_loopback, tokens_file

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.errors import NoAnswer, SettingsError, UnexpectedResponse, Unreachable, UpstreamError
from patchworks_deployments.network.causes import cause_of
from patchworks_deployments.network.routes import Passage, proxy_to
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.access import API_KEY
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.settings import load_settings

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

TOO_MUCH = 64 * 1024 * 1024

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def a_proxy(behaves: Behaviour, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The one that the environment names does this with each connection, once its request has come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await behaves(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://clerk:hush-hush-7@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("ALL_PROXY", url)
    async with server:
        yield


@asynccontextmanager
async def a_socks_proxy(api: str) -> AsyncIterator[tuple[str, list[str]]]:
    """One that leads to the API whatever it is asked for: its address, and the hosts that it was asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")  # nobody has to say who they are
        *_, length = await reader.readexactly(5)
        asked.append((await reader.readexactly(length + 2))[:length].decode())
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection("127.0.0.1", httpx2.URL(api).port)
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(reader, back))
            both.create_task(pass_on(there, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def connect_to_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await be_silent(reader, writer)


async def speak_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def echo_the_password(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 403 clerk:hush-hush-7\r\nContent-Length: 0\r\n\r\n")


sent = 0


async def send_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global sent  # noqa: PLW0603 - what a proxy has sent is looked at afterwards
    sent = 0
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Type: text/html\r\n\r\n")
    while sent < TOO_MUCH:
        writer.write(b"x" * 2**16)
        sent += 2**16
        await writer.drain()


@asynccontextmanager
async def client_of(base_url: str, **settings: Any) -> AsyncIterator[DeploymentsClient]:
    given = {"api_key": KEY, "allow_http": True, "timeout": 0.5, **settings}
    async with open_client(load_settings({}, base_url=base_url, **given)) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaves", "said"),
    [
        (hang_up, "no connection to the proxy"),
        (be_silent, "did not connect in time"),
        (connect_to_nothing, "did not connect in time"),
        (speak_nonsense, "no connection to the proxy"),
        (echo_the_password, r"refuses the way to core.example \(403\)"),
        (send_without_end, r"the right user name and password \(407\)"),
    ],
)
async def test_a_write_for_which_a_proxy_makes_no_connection_has_not_arrived(
    behaves: Behaviour, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it fails, the request itself has not left; the proxy's own words and the password are not shown."""
    async with a_proxy(behaves, monkeypatch), client_of("https://core.example") as client:
        with pytest.raises(Unreachable, match=said) as caught:
            await WRITES["disable"](client)
    assert not caught.value.may_have_acted
    assert "hush" not in str(caught.value)
    assert "proxy http://127.0.0.1:" in str(caught.value)


@pytest.mark.parametrize("behaves", [hang_up, be_silent])
async def test_a_write_that_a_proxy_was_given_may_have_arrived(
    behaves: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over plain http the first thing that a proxy gets is the request."""
    async with a_proxy(behaves, monkeypatch), client_of("http://core.example") as client:
        with pytest.raises(NoAnswer) as caught:
            await WRITES["disable"](client)
    assert caught.value.may_have_acted


async def test_a_page_of_the_proxy_s_own_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends at the same bound as for an answer of Patchworks."""
    async with a_proxy(send_without_end, monkeypatch), client_of("http://core.example", timeout=30) as client:
        with pytest.raises(UnexpectedResponse, match="more than 8 MiB"):
            await WRITES["disable"](client)
    assert sent < TOO_MUCH


async def test_a_page_of_the_proxy_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it repeats it, encoded as it was sent."""

    async def repeat(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b"<html><title>No hush-hush-7 and Y2xlcms6aHVzaC1odXNoLTc= here</title>"
        writer.write(b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with a_proxy(repeat, monkeypatch), client_of("http://core.example") as client:
        with pytest.raises(UpstreamError, match=r"No \(secret\) and") as caught:
            await READS["list"](client)
    assert "hush" not in str(caught.value)
    assert "aHVza" not in str(caught.value)


async def test_nothing_but_the_key_of_patchworks_is_sent_as_authorization(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A netrc file, which other programs take passwords from, does not count."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"data": []}')
        await writer.drain()
        writer.close()

    (tmp_path / "netrc").write_text("default login someone password else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, client_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        await READS["list"](client)
    (head,) = heads
    sent_lines = [line for line in head.split(b"\r\n") if b"authorization:" in line.lower()]
    assert sent_lines == [f"Authorization: {KEY}".encode()]


@pytest.mark.parametrize(
    ("no_proxy", "is_direct"),
    [
        ("core.example", True),
        (".example", True),
        ("*.example", True),
        ("example", True),
        ("*", True),
        ("a.test, core.example", True),
        ("other.example", False),
        ("ore.example", False),
        ("", False),
    ],
)
async def test_no_proxy_names_what_is_reached_directly(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch, *, is_direct: bool
) -> None:
    """As curl and others read it."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert await proxy_to("https://core.example/") == ("" if is_direct else "http://proxy.corp.test:3128")


BAD_VALUES = {
    "another scheme": ({"HTTPS_PROXY": "ftp://clerk:hush@proxy.test"}, "HTTPS_PROXY: must be the address of a proxy"),
    "no host": ({"HTTP_PROXY": "http://"}, "HTTP_PROXY: must be the address of a proxy"),
    "a port that is none": ({"all_proxy": "http://proxy.test:hush"}, "ALL_PROXY: must be the address of a proxy"),
    "a port that nobody has": (
        {"HTTPS_PROXY": "http://hush.test:99999"},
        "HTTPS_PROXY: must be the address of a proxy",
    ),
    "a password that cuts the address": (
        {"HTTPS_PROXY": "http://clerk:hu#sh@proxy.test:3128"},
        "http://USER:PASSWORD@HOST:PORT, with %23 for #",
    ),
    "a script": ({"HTTPS_PROXY": "http://wpad.test/hush/proxy.pac"}, "HTTPS_PROXY: must be the proxy itself"),
    "a file that is not there": ({"SSL_CERT_FILE": "/no/such/file"}, "SSL_CERT_FILE: /no/such/file cannot be read (No"),
    "a folder for a file": ({"SSL_CERT_FILE": "{folder}"}, "SSL_CERT_FILE: {folder} "),
    "a file that is no PEM": ({"SSL_CERT_FILE": "{folder}/hush"}, "SSL_CERT_FILE: {folder}/hush holds no certificate"),
    "an empty folder": ({"SSL_CERT_DIR": "{folder}"}, "SSL_CERT_DIR: must be a folder of certificates"),
    "no folder": ({"SSL_CERT_DIR": "/no/such/folder"}, "SSL_CERT_DIR: must be a folder of certificates"),
}


@pytest.mark.parametrize("bad", BAD_VALUES)
@pytest.mark.parametrize("arguments", [(), ("--http", "0"), ("check",)], ids=["stdio", "http", "check"])
def test_an_environment_that_makes_no_sense_stops_the_start(
    arguments: tuple[str, ...], bad: str, tmp_path: Path
) -> None:
    """One line names the variable, what it must be, and none of its secrets."""
    given, said = BAD_VALUES[bad]
    (tmp_path / "hush").write_text("no certificate", encoding="utf-8")
    environment = {name: value.replace("{folder}", str(tmp_path)) for name, value in given.items()}
    ended = run_here(*arguments, PATCHWORKS_API_KEY=KEY, **environment)
    assert ended.returncode == 2
    assert said.replace("{folder}", str(tmp_path)) in ended.stderr
    assert len(ended.stderr.splitlines()) == 2
    assert "hush" not in ended.stderr.replace(f"{tmp_path}/hush", "")
    assert ended.stdout == ""


def test_an_asgi_server_of_somebody_s_own_is_told_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP client's own error would show what it takes for a port: a piece of the password."""
    monkeypatch.setenv("PATCHWORKS_TOKENS_FILE", tokens_file(tmp_path))
    monkeypatch.setenv("PATCHWORKS_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", "http://clerk:hush/1@proxy.test:3128")
    with pytest.raises(SettingsError, match="HTTPS_PROXY: must be the address of a proxy") as refused:
        create_app()
    assert "hush" not in str(refused.value)


@pytest.mark.slow
def test_the_process_itself_ends_so_too() -> None:
    """Without a traceback; and the sandbox, which reaches out to nobody, starts."""
    bad = {"HTTPS_PROXY": "ftp://proxy.test", "SSL_CERT_FILE": "/no/such/file"}
    ended = run(PATCHWORKS_API_KEY=KEY, **bad)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 3
    assert run("check", "--sandbox", **bad).returncode == 0


async def test_what_the_http_client_does_beyond_what_is_known_counts_as_sending() -> None:
    """With another release of it, a write that may have left is never told to have stayed."""
    passage = Passage(httpx2.URL("https://core.example"), {})
    await passage("connection.connect_tcp.started", {"host": "core.example", "port": 443})
    assert not passage.is_connected
    await passage("http3.open_stream.started", {})
    assert passage.is_connected


async def test_a_socks_proxy_is_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the host by its name, which nothing else here knows."""
    async with on_loopback(Sandbox().app) as api, a_socks_proxy(api) as (proxy, asked):
        monkeypatch.setenv("ALL_PROXY", proxy)
        async with client_of("http://core.patchworks.test", api_key=API_KEY, timeout=5) as client:
            assert (await client.get("1001", "500")).id == "500"
        assert await proxy_to("http://core.patchworks.test") == proxy
    assert asked == ["core.patchworks.test"]


@pytest.mark.parametrize(
    ("given", "url", "told"),
    [
        ({"HTTPS_PROXY": "DOWN"}, "https://core.example", "HTTPS_PROXY"),
        ({"https_proxy": "DOWN"}, "https://core.example", "HTTPS_PROXY"),
        ({"ALL_PROXY": "DOWN"}, "https://core.example", "ALL_PROXY"),
        ({"ALL_PROXY": "http://127.0.0.1:8", "HTTPS_PROXY": "DOWN"}, "https://core.example", "HTTPS_PROXY"),
        ({"HTTP_PROXY": "DOWN", "HTTPS_PROXY": "http://127.0.0.1:8"}, "http://core.example", "HTTP_PROXY"),
    ],
)
async def test_the_variable_that_names_the_proxy_is_told(
    given: dict[str, str], url: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for it in another."""
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("DOWN", "http://127.0.0.1:9"))
    async with client_of(url) as client:
        with pytest.raises(Unreachable, match=rf"proxy http://127.0.0.1:9 refused the connection.* proxy in {told},"):
            await READS["list"](client)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENETUNREACH, "no network leads there"),
        (errno.EHOSTUNREACH, "its host cannot be reached"),
        (errno.ECONNRESET, "it was broken off"),
        (errno.EPERM, "this machine does not allow it"),
    ],
)
async def test_what_the_system_says_of_a_connection_is_told(number: int, told: str) -> None:
    """It is deep within the error of the HTTP client."""
    request = httpx2.Request("GET", "https://core.example")
    passage = Passage(request.url, {})
    request.extensions = {"trace": passage}
    await passage("connection.connect_tcp.started", {"host": "core.example", "port": 443})
    error = httpx2.ConnectError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("several", [OSError(number, "hush")])
    cause = cause_of(error, request)
    assert cause
    assert cause.what == f"no connection to core.example could be made: {told}"


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ((10, 0x800B0101, -67818), "this machine's clock"),
        ((9, -67819), "this machine's clock"),
        ((62, 64, 0x800B010F, -67602), "something else answers there"),
        ((20, 0x800B0109, -67843), "set SSL_CERT_FILE"),
        ((None,), "set SSL_CERT_FILE"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_known_of_every_system(codes: tuple[int | None], told: str) -> None:
    """Windows and macOS have numbers of their own."""
    request = httpx2.Request("GET", "https://core.example")
    passage = Passage(request.url, {})
    request.extensions = {"trace": passage}
    await passage("connection.start_tls.started", {"server_hostname": "core.example"})
    for code in codes:
        error = ssl.SSLCertVerificationError("hush")
        if code is not None:
            error.verify_code, error.verify_message = code, "the system's words"
        cause = cause_of(error, request)
        assert cause
        assert told in cause.next_step, code
        assert ("the system's words" if code else "none was shown") in cause.what


def test_a_proxy_that_no_variable_names_is_the_system_s() -> None:
    """As Windows and macOS keep it."""
    assert Passage(httpx2.URL("https://core.example"), {}).proxy_setting == "the proxy settings of the system"
