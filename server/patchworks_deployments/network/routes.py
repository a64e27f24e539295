"""How requests leave this machine: through the proxy, and with the CAs, that the environment names."""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import httpx2

from patchworks_deployments.settings import Settings, not_started

DIRECT: Mapping[str, None] = dict.fromkeys(
    ("all://*localhost", "all://127.0.0.0/8", "all://[::1]/128", "all://[::ffff:127.0.0.0]/104")
)
"""The client's `mounts` for loopback, which is never reached through a proxy, whatever the environment says.

All else goes as the HTTP client reads it from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
"""

TRACE = "trace"
"""The extension of a request under which the HTTP client reports how its connection is made."""

_PORTS = {"http": 80, "https": 443}


def trust(*urls: str) -> ssl.SSLContext:
    """The CAs of `SSL_CERT_FILE`, `SSL_CERT_DIR` or this machine; nobody where no URL needs any: loading is slow."""
    is_needed = any(url.lower().startswith("https:") for url in urls)
    return httpx2.create_ssl_context() if is_needed else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Routes:
    """The client's hook for requests: has the way of each reported to its `Passage`."""

    def __init__(self) -> None:
        self._proxies: dict[str, str] = {}
        self._passwords = tuple(proxy.auth[1] for _, proxy in _proxies() if proxy.auth and proxy.auth[1])

    async def __call__(self, request: httpx2.Request) -> None:
        """Note that the request sets out."""
        request.extensions = {**request.extensions, TRACE: Passage(request.url, self._proxies, self._passwords)}


class Passage:
    """What is known of the way of one request; the HTTP client reports to it."""

    def __init__(self, url: httpx2.URL, proxies: dict[str, str], passwords: tuple[str, ...] = ()) -> None:
        self.host = url.host
        self._origin = f"{url.scheme}://{url.host}"
        self._place = (url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0))
        self._proxies = proxies
        self.passwords = passwords
        self.tls_host = self.host
        """Whose certificate was looked at last: the host's, or the proxy's."""
        self.is_connected = True
        """False while a connection is being made for it: then it has certainly not left. Others are used again."""

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note what the HTTP client begins to do, by the names of its events (httpcore2 2.16).

        An event that is not known counts as sending: nothing is called unsent that may have been sent.
        """
        step = event.partition(".")[2]
        if step == "connect_tcp.started":
            self._proxies[self._origin] = "" if (info["host"], info["port"]) == self._place else _named(info)
            self.is_connected = False
        elif step == "start_tls.started":
            self.tls_host, self.is_connected = info["server_hostname"], False
        elif step.endswith(".started") and step != "response_closed.started":
            # With a CONNECT a proxy is asked for the connection.
            self.is_connected = getattr(info.get("request"), "method", b"") != b"CONNECT"

    @property
    def proxy(self) -> str:
        """The address of the proxy that it goes through, without credentials; empty where it goes through none."""
        return self._proxies.get(self._origin, "")

    @property
    def proxy_setting(self) -> str:
        """Where that proxy is set: in a variable, or where Windows and macOS keep theirs if no variable is set."""
        set_here = {variable for variable, _ in _addresses()}
        own = f"{self._origin.partition(':')[0].upper()}_PROXY"
        variable = own if own in set_here else "ALL_PROXY"
        return variable if {variable, variable.lower()} & os.environ.keys() else "the proxy settings of the system"


class _KnownError(Exception):
    """The way is known, so that nobody need go it."""


async def proxy_to(url: str) -> str:
    """The proxy through which requests to the URL go, without credentials; empty where there is none."""
    passage = Passage(httpx2.URL(url), {})

    async def stop(event: str, info: Mapping[str, Any]) -> None:
        await passage(event, info)
        if not passage.is_connected:
            raise _KnownError

    async with httpx2.AsyncClient(mounts=DIRECT, verify=trust()) as client:
        with suppress(_KnownError, httpx2.RequestError):
            await client.get(url, extensions={TRACE: stop})
    return passage.proxy


def _named(place: Mapping[str, Any]) -> str:
    host, port = place["host"], place["port"]
    urls = [proxy.url for _, proxy in _proxies()]
    scheme = next((u.scheme for u in urls if (u.host, u.port or _PORTS.get(u.scheme)) == (host, port)), "http")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _proxies() -> Iterator[tuple[str, httpx2.Proxy]]:
    """The proxies that the environment names and that make sense, each with its variable."""
    for variable, address in _addresses():
        with suppress(ValueError, httpx2.InvalidURL):
            yield variable, httpx2.Proxy(address)


def _addresses() -> Iterator[tuple[str, str]]:
    for scheme, address in getproxies().items():
        if scheme in {"http", "https", "all"} and address:
            yield f"{scheme.upper()}_PROXY", address if "://" in address else f"http://{address}"


def passage_of(request: httpx2.Request) -> Passage | None:
    """What is known of the way of a request; None where no network was asked."""
    passage = request.extensions.get(TRACE)
    return passage if isinstance(passage, Passage) else None


def proxy_passwords(request: httpx2.Request) -> tuple[str, ...]:
    """The passwords of the proxies through which it may have gone, which must never be shown."""
    passage = passage_of(request)
    return passage.passwords if passage else ()


def trusted_cas() -> str:
    """Whose certificates are trusted, in words."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(variable):
            return f"those in {variable} ({path})"
    return "those of this machine"


def ensure_usable(settings: Settings) -> None:
    """Raises `SettingsError`, without a secret in it, where the environment's proxies or CAs make no sense.

    Whoever reaches out to nobody, as the sandbox does, needs none.
    """
    if settings.sandbox and not settings.oauth_jwks_url:
        return
    if found := list(_faults()):
        raise not_started(found)


def _faults() -> Iterator[str]:
    wrong = [f"{variable}: {fault}" for variable, address in _addresses() if (fault := _fault_of_proxy(address))]
    yield from wrong
    if not wrong and any(_addresses()):
        try:
            httpx2.AsyncClient(mounts=DIRECT, verify=trust())
        except (ValueError, TypeError, ImportError, httpx2.InvalidURL):
            yield "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY: the HTTP client cannot make sense of them"
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file and (fault := _fault_of_file(file)):
        yield f"SSL_CERT_FILE: {fault}"
    if folders and not file and not any(_has_certificates(Path(folder)) for folder in folders.split(os.pathsep)):
        yield "SSL_CERT_DIR: must be a folder of certificates that are named by their hash, as `openssl rehash` does it"


def _fault_of_proxy(address: str) -> str:
    try:
        url = httpx2.Proxy(address).url
    except (ValueError, httpx2.InvalidURL):
        url = httpx2.URL()
    if not url.host or " " in address or (url.port or 0) >= 2**16:
        return (
            "must be the address of a proxy, http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with %23 for # and "
            "so on in the password"
        )
    if url.path.endswith(".pac"):
        return "must be the proxy itself, http://HOST:PORT, and not the script that names it"
    return ""


def _fault_of_file(path: str) -> str:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return f"{path} holds no certificate that can be read: it must be a PEM file"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return ""


def _has_certificates(folder: Path) -> bool:
    with suppress(OSError):
        return any(re.fullmatch(r"[0-9a-f]{8}\.\d+", entry.name) for entry in folder.iterdir())
    return False
