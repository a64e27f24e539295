"""What settings that are each well-formed must not say together."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from patchworks_deployments.settings import keys, pasted

if TYPE_CHECKING:
    from patchworks_deployments.settings import Settings

SANDBOX, LOGIN = "--sandbox (PATCHWORKS_SANDBOX)", "PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD"


def contradictions(settings: "Settings") -> Iterator[str]:
    """A clause for each thing that is missing or contradicts another."""
    yield from _of_authentication(settings)
    yield from _of_authorization(settings)
    yield from _of_serving(settings)
    yield from _of_encryption(settings)


def _of_authentication(settings: "Settings") -> Iterator[str]:
    given = {
        SANDBOX: settings.sandbox,
        "PATCHWORKS_API_KEY": settings.api_key,
        "PATCHWORKS_BEARER_TOKEN": settings.bearer_token,
        LOGIN: settings.username or settings.password,
    }
    ways = [way for way, value in given.items() if value]
    if settings.credentials == "caller":
        for way in ways:
            if way != SANDBOX:
                yield f"with PATCHWORKS_CREDENTIALS=caller the server has no key of its own: unset {way}"
        return
    if not ways:
        yield (
            "no way to authenticate: set PATCHWORKS_API_KEY, or PATCHWORKS_BEARER_TOKEN, or both "
            "PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD; or try without an account: --sandbox"
        )
    if len(ways) > 1:
        yield f"set only one of {', '.join(ways)}; now they contradict each other"
    if ways == [LOGIN] and not (settings.username and settings.password):
        missing = "PATCHWORKS_PASSWORD" if settings.username else "PATCHWORKS_USERNAME"
        yield f"{missing} is missing: a login needs both user name and password"
    if settings.sandbox and settings.base_url != pasted.API_ADDRESS:
        yield f"{SANDBOX} does not use PATCHWORKS_BASE_URL: remove one of the two"


def _of_authorization(settings: "Settings") -> Iterator[str]:
    oauth = {
        "PATCHWORKS_OAUTH_ISSUER": settings.oauth_issuer,
        "PATCHWORKS_OAUTH_JWKS_URL": settings.oauth_jwks_url,
        "PATCHWORKS_PUBLIC_URL": settings.public_url,
    }
    missing = [name for name, value in oauth.items() if not value]
    is_wanted = settings.oauth_issuer or settings.oauth_jwks_url or settings.oauth_audience or settings.oauth_scopes
    if is_wanted and missing:
        yield f"OAuth also needs {', '.join(missing)}"
    if settings.oauth_issuer and settings.tokens_file:
        yield "set only one of PATCHWORKS_OAUTH_ISSUER and PATCHWORKS_TOKENS_FILE"


def _of_serving(settings: "Settings") -> Iterator[str]:
    if settings.workers > 1 and not settings.has_shared_keys:
        yield keys.NO_SHARED_KEY
    if not settings.http:
        return
    host, port = split_address(settings.http)
    if not port.isdigit() or int(port) >= 2**16:
        yield "PATCHWORKS_HTTP (--http) must be PORT or HOST:PORT"
        return
    needed = {
        "authorization (PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER)": settings.is_authorized,
        "PATCHWORKS_ALLOWED_HOSTS, the names clients use for this server": settings.allowed_hosts,
    }
    missing = [what for what, value in needed.items() if not value]
    if missing and not _is_loopback(host):
        yield f"serving other machines ({host}) needs {' and '.join(missing)}"


def _of_encryption(settings: "Settings") -> Iterator[str]:
    urls = {
        "PATCHWORKS_BASE_URL": settings.base_url,
        "PATCHWORKS_LOGIN_URL": settings.login_url,
        "PATCHWORKS_OAUTH_JWKS_URL": settings.oauth_jwks_url or "",
    }
    for name, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme == "http" and not settings.allow_http and not _is_loopback(parts.hostname or ""):
            yield (
                f"{name} is plain http to another machine, which would show the credentials to the "
                "network: use https, or set PATCHWORKS_ALLOW_HTTP=true if that is really meant"
            )


def split_address(address: str) -> tuple[str, str]:
    """Host and port of `[HOST:]PORT`; without a host it is this machine alone."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", port


def _is_loopback(host: str) -> bool:
    """Whether the host is this machine; a name that only looks like an address of it is not."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
