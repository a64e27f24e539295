"""A network that lets nothing out but through a proxy, which is a real squid; the API behind it is the sandbox."""

import re
import shutil
import subprocess
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from support.clients import IDS, Person, data, yes
from support.issuer import Issuer
from support.operations import WRITES
from support.processes import over_stdio, run
from support.squid import CORE, FORBIDDEN, KEYS, LOGIN, PASSWORD, USER, Squid, running_squid
from support.team import on_loopback

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.errors import NoAnswer, Unavailable, Unreachable
from patchworks_deployments.network.routes import proxy_to
from patchworks_deployments.sandbox import Sandbox, access
from patchworks_deployments.serving.jwt import JwksKeys
from patchworks_deployments.settings import load_settings

pytestmark = pytest.mark.slow

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

KEY = {"api_key": access.API_KEY}


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    with running_squid() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def patchworks(squid: Squid, *, is_plain: bool = False) -> AsyncIterator[int]:
    """The sandbox, where only squid finds it; yields its port."""
    certificate = None if is_plain else squid.origin.vouch_for(CORE, LOGIN)
    async with on_loopback(Sandbox().app, certificate) as url:
        yield int(url.rpartition(":")[2])


@asynccontextmanager
async def client_of(port: int, scheme: str = "https", **settings: Any) -> AsyncIterator[DeploymentsClient]:
    given = {"base_url": f"{scheme}://{CORE}:{port}", "allow_http": True, **(settings or KEY)}
    async with open_client(load_settings({}, **given)) as client:
        yield client


async def _read(client: DeploymentsClient) -> None:
    assert (await client.list_deployments(DeploymentQuery())).deployments


def with_password(url: str, password: str = PASSWORD) -> str:
    return url.replace("://", f"://{USER}:{password.replace('#', '%23')}@")


def trusted_folder(folder: Path, certificate: Path) -> Path:
    """A folder as SSL_CERT_DIR wants it."""
    (folder / "corp.pem").write_bytes(certificate.read_bytes())
    program = shutil.which("openssl")
    assert program, "openssl is not installed: the package ca-certificates needs it, too"
    command = [program, "x509", "-hash", "-noout", "-in", str(folder / "corp.pem")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - found above
    (folder / f"{found.stdout.strip()}.0").symlink_to("corp.pem")
    return folder


@pytest.mark.parametrize("kind", ["a tunnel", "opened by its own CA"])
async def test_a_server_reads_and_writes_through_the_only_way_out(kind: str, squid: Squid) -> None:
    """A host sets two variables for the server that it starts, and everything works."""
    proxy, authority = (squid.open, squid.origin) if kind == "a tunnel" else (squid.opening, squid.own)
    async with patchworks(squid) as port:
        env = {
            "HTTPS_PROXY": proxy,
            "SSL_CERT_FILE": str(authority.path),
            "PATCHWORKS_API_KEY": access.API_KEY,
            "PATCHWORKS_BASE_URL": f"https://{CORE}:{port}/api/v1/",
        }
        async with over_stdio(era="auto", person=Person(yes), env=env) as client:
            assert data(await client.call_tool("get_deployment", IDS))["enabled"]
            result = data(await client.call_tool("disable_deployment", IDS))
    assert (result["status"], result["verified"]) == ("done", True)
    assert f"CONNECT {CORE}:{port}" in squid.log()


async def test_check_shows_the_way_and_whom_it_trusts(squid: Squid) -> None:
    """And no password."""
    async with patchworks(squid) as port:
        certificates = str(squid.origin.path)
        env = {"PATCHWORKS_API_KEY": access.API_KEY, "PATCHWORKS_BASE_URL": f"https://{CORE}:{port}"}
        proxy = with_password(squid.locked)
        ended = await to_thread(run, "check", HTTPS_PROXY=proxy, SSL_CERT_FILE=certificates, **env)
    assert f"ok   network: {CORE} through the proxy {squid.locked}; trusted CAs: those in SSL_CERT_FILE" in ended.stdout
    assert certificates in ended.stdout
    assert "hush" not in ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_each_variable_counts(variable: str, squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """In capitals and in small letters, as everywhere else; and a password travels in the address."""
    monkeypatch.setenv(variable, with_password(squid.locked))
    monkeypatch.setenv("SSL_CERT_FILE", str(squid.origin.path))
    async with patchworks(squid) as port, client_of(port) as client:
        await _read(client)


async def test_a_folder_of_cas_counts(squid: Squid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_DIR, with certificates named by their hash."""
    monkeypatch.setenv("HTTPS_PROXY", squid.opening)
    monkeypatch.setenv("SSL_CERT_DIR", str(trusted_folder(tmp_path, squid.own.path)))
    async with patchworks(squid) as port, client_of(port) as client:
        await _read(client)


async def test_a_login_goes_through_it_too(squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another host, and as far away."""
    monkeypatch.setenv("HTTPS_PROXY", squid.open)
    monkeypatch.setenv("SSL_CERT_FILE", str(squid.origin.path))
    login = {"username": access.USERNAME, "password": access.PASSWORD}
    async with patchworks(squid) as port:
        url = f"https://{LOGIN}:{port}/fabric/api/login"
        async with client_of(port, login_url=url, **login) as client:
            await _read(client)
    assert f"CONNECT {LOGIN}:{port}" in squid.log()


async def test_the_key_server_is_asked_through_it_too(
    squid: Squid, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And where that fails the log says why."""
    issuer = Issuer()
    issuer.add_key("one")
    monkeypatch.setenv("HTTPS_PROXY", squid.open)
    async with on_loopback(issuer.app, squid.origin.vouch_for(KEYS)) as url:
        jwks = f"https://{KEYS}:{url.rpartition(':')[2]}/"
        assert await JwksKeys(jwks).get("one", "RS256") is None
        assert f"the certificate shown for {KEYS}" in caplog.text
        assert "SSL_CERT_FILE" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(squid.origin.path))
        assert await JwksKeys(jwks).get("one", "RS256")


# What goes wrong on the way ------------------------------------------------------------------------


WRONG: dict[str, tuple[Callable[[Squid], dict[str, str]], str, str]] = {
    "no proxy": (lambda _: {}, CORE, rf"the name of {CORE} could not be found \(DNS\).*set HTTPS_PROXY"),
    "a name for which there is no proxy": (
        lambda s: {"HTTPS_PROXY": s.open, "NO_PROXY": ".patchworks.test"},
        CORE,
        rf"the name of {CORE} could not be found",
    ),
    "a proxy without a name": (
        lambda _: {"HTTPS_PROXY": "http://proxy.corp.test:3128"},
        CORE,
        r"the name of the proxy http://proxy.corp.test:3128 could not be found",
    ),
    "a proxy that is down": (
        lambda _: {"HTTPS_PROXY": with_password("http://127.0.0.1:9")},
        CORE,
        r"the proxy http://127.0.0.1:9 refused the connection",
    ),
    "no CA": (lambda s: {"HTTPS_PROXY": s.open}, CORE, rf"certificate shown for {CORE}.* set SSL_CERT_FILE to a PEM"),
    "the wrong CA": (
        lambda s: {"HTTPS_PROXY": s.opening, "SSL_CERT_FILE": str(s.origin.path)},
        CORE,
        r"not trusted \(self-signed certificate in certificate chain\).*those in SSL_CERT_FILE \(.*origin.pem\)",
    ),
    "a certificate for another": (
        lambda s: {"HTTPS_PROXY": s.open, "SSL_CERT_FILE": str(s.origin.path)},
        KEYS,
        r"not trusted \(Hostname mismatch.*something else answers there",
    ),
    "no password": (lambda s: {"HTTPS_PROXY": s.locked}, CORE, r"the right user name and password \(407\)"),
    "a wrong password": (
        lambda s: {"HTTPS_PROXY": with_password(s.locked, "hush-wrong")},
        CORE,
        r"the right user name and password \(407\).*HTTPS_PROXY",
    ),
    "a refusal": (lambda s: {"HTTPS_PROXY": s.open}, FORBIDDEN, rf"refuses the way to {FORBIDDEN} \(403\)"),
    "a host that it does not know": (
        lambda s: {"HTTPS_PROXY": s.open},
        "elsewhere.test",
        r"cannot reach elsewhere.test \(50\d\)",
    ),
    "https where there is none": (
        lambda _: {"HTTPS_PROXY": "https://127.0.0.1:{port}"},
        CORE,
        r"the proxy https://127.0.0.1:\d+ speaks no TLS",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_named_and_nothing_was_changed(
    wrong: str, squid: Squid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write whose connection could not be made has not been sent, and no password is shown."""
    given, host, said = WRONG[wrong]
    async with patchworks(squid) as port, patchworks(squid, is_plain=True) as plain:
        for name, value in given(squid).items():
            monkeypatch.setenv(name, value.replace("{port}", str(plain)))
        async with client_of(port, base_url=f"https://{host}:{port}", **KEY) as client:
            with pytest.raises(Unreachable) as caught:
                await WRITES["disable"](client)
            with pytest.raises(Unreachable) as while_reading:
                await _read(client)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "Nothing was changed." in str(caught.value)
    assert "hush" not in str(caught.value) + str(while_reading.value)


async def _be_silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the request, and answer only when nobody waits any more."""
    del scope, send
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("way", ["a tunnel", "opened by its own CA", "none in between"])
async def test_a_write_that_has_left_may_have_arrived(way: str, squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the connection stands, its end says nothing of the fate of what was sent on it."""
    host = "localhost" if way == "none in between" else CORE
    monkeypatch.setenv("HTTPS_PROXY", squid.open if way == "a tunnel" else squid.opening)
    monkeypatch.setenv("SSL_CERT_FILE", str((squid.own if way == "opened by its own CA" else squid.origin).path))
    async with on_loopback(_be_silent, squid.origin.vouch_for(host)) as url:
        base_url = url.replace("127.0.0.1", host)
        async with client_of(0, base_url=base_url, timeout=2, **KEY) as client:
            with pytest.raises(NoAnswer) as caught:
                await WRITES["disable"](client)
    assert caught.value.may_still_arrive


async def test_plain_http_goes_through_it_too(squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy sees everything then, and has an answer of its own to everything."""
    monkeypatch.setenv("HTTP_PROXY", squid.open)
    async with patchworks(squid, is_plain=True) as port:
        async with client_of(port, "http") as client:
            await _read(client)
            await client.disable(**IDS)
        assert f"GET http://{CORE}:{port}/" in squid.log()
        monkeypatch.setenv("HTTP_PROXY", squid.locked)
        async with client_of(port, "http") as client:
            with pytest.raises(Unreachable, match=r"the right user name and password \(407\), through the proxy"):
                await WRITES["disable"](client)


async def test_a_page_of_the_proxy_is_no_answer_of_patchworks(squid: Squid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote it may have passed the write on: its fate is not known."""
    monkeypatch.setenv("HTTP_PROXY", squid.open)
    async with client_of(9, "http") as client:
        with pytest.raises(Unavailable) as caught:
            await WRITES["disable"](client)
    assert caught.value.may_still_arrive
    said = r'503 that is not the Patchworks Core API: a web page titled "ERROR: .*" \(server: squid.*through the proxy'
    assert re.search(said, str(caught.value)), str(caught.value)


async def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.com")
    async with on_loopback(Sandbox().app) as url:
        for host in ("127.0.0.1", "localhost", "127.8.8.8", "[::1]", "[0:0:0:0:0:0:0:1]"):
            assert await proxy_to(url.replace("127.0.0.1", host)) == ""
        async with open_client(load_settings({}, base_url=url, **KEY)) as client:
            await _read(client)
    assert await proxy_to("http://core.patchworks.test") == "http://127.0.0.1:9"
