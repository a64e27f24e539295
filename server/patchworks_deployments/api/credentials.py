"""How requests prove who they come from: a raw API key, a bearer token, or a login with one re-login on 401."""

import contextlib
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import anyio
import httpx2
from pydantic import SecretStr

from patchworks_deployments.api.failures import IS_SENT
from patchworks_deployments.api.scrubbing import scrubber
from patchworks_deployments.api.strangers import is_no_json, leads_elsewhere, stranger
from patchworks_deployments.errors import LoginFailed, Unauthenticated, Unreachable
from patchworks_deployments.network.routes import proxy_passwords
from patchworks_deployments.settings import Settings
from patchworks_deployments.settings.keys import SANDBOX_KEY

CALLER_HEADER = "X-Patchworks-Authorization"
"""The header in which a caller sends the Patchworks key of its own, where the settings ask for that."""

LOGIN_PAUSE_SECONDS = 5.0
"""Seconds for which a refused login is not tried again: hammering a login locks accounts."""

EXPIRY_MARGIN_SECONDS = 60.0
"""Seconds before its expiry at which a token is no longer used; each is used for at least as long."""

CHECK_LOGIN = "A person must check PATCHWORKS_USERNAME, PATCHWORKS_PASSWORD and PATCHWORKS_LOGIN_URL."
CHECK_LOGIN_URL = (
    "A person must check PATCHWORKS_LOGIN_URL, and whether a proxy, a firewall or a login page answers in its place."
)

DEFAULT_LIFETIME_SECONDS = 3600.0
"""Seconds for which a token is used when Patchworks did not say how long it lives."""


MARK_CHARACTERS = 12
"""Characters of an account's digest by which the audit log tells it from others."""


SANDBOX = "the sandbox"
"""The name of the account that is none."""


@dataclass(frozen=True)
class Account:
    """Whose deployments a client reads and changes: a name for people, and a digest of address and credentials."""

    name: str
    digest: str

    @property
    def is_sandbox(self) -> bool:
        """Whether all of it is made up."""
        return self.name == SANDBOX

    @property
    def mark(self) -> str:
        """What the audit log calls it."""
        return self.digest[:MARK_CHARACTERS]


_SCHEME = re.compile(r"\s*(?:bearer|basic|token)\s+", re.IGNORECASE)

_caller_key: ContextVar[SecretStr | None] = ContextVar("caller_key", default=None)


@contextlib.contextmanager
def caller_key(key: str | None) -> Iterator[None]:
    """Requests made inside use this caller's own Patchworks key, and only those."""
    token = _caller_key.set(SecretStr(key) if key else None)
    try:
        yield
    finally:
        _caller_key.reset(token)


def caller_tag() -> str | None:
    """A digest that tells one caller's key from another's; None where the request brought no key."""
    key = _caller_key.get()
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest() if key else None


def _key_of_caller() -> str:
    key = _caller_key.get()
    if key is None:
        raise Unauthenticated(
            "The request carries no Patchworks key.",
            next_step=f"Configure the client to send your own Patchworks API key in {CALLER_HEADER}.",
        )
    return key.get_secret_value()


class HeaderAuth(httpx2.Auth):
    """An `Authorization` header, whose value `read_value` gives for each request."""

    def __init__(self, read_value: Callable[[], str]) -> None:
        self._read_value = read_value

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Set the header. Raises `Unauthenticated` when it is the caller's own key and the caller sent none."""
        request.headers["Authorization"] = self._read_value()
        yield request

    def identity(self) -> str:
        """What tells these credentials from others; as secret as they are."""
        return self._read_value()

    def secrets(self) -> list[str]:
        """The text that must never be shown: the header's value without its scheme word."""
        return [_SCHEME.sub("", self._read_value())]


class LoginAuth(httpx2.Auth):
    """User name and password, exchanged for a bearer token that lives for `expires_in` seconds (a day).

    A 401 logs in once more and repeats the request once; requests that meet a 401 together share one login.
    Source: Patchworks' documentation of `POST /fabric/api/login`.
    """

    def __init__(self, login_url: str, user_field: str, username: str, password: SecretStr) -> None:
        self._login_url = login_url
        self._user_field = user_field
        self._username = username
        self._password = password
        self._lock = anyio.Lock()
        self._token: str | None = None
        self._token_before: str | None = None
        self._expires_at = 0.0
        self._refusal: Unauthenticated | None = None
        self._refused_until = 0.0

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send with the current token; after a 401 with a fresh one, once. Raises `Unauthenticated`, `Unreachable`."""
        refused_token = None
        for is_last_try in (False, True):
            request.extensions[IS_SENT] = False
            # The lock lets one request log in while the others wait for its token.
            async with self._lock:
                if self._needs_login(refused_token):
                    answer = yield self._login_request()
                    await answer.aread()
                    self._accept(answer)
                token = self._token
            request.headers["Authorization"] = f"Bearer {token}"
            request.extensions[IS_SENT] = True
            response = yield request
            if response.status_code != httpx2.codes.UNAUTHORIZED or is_last_try:
                return
            # By the time of the next turn another request may have renewed the token: only this one is known as bad.
            refused_token = token

    def _needs_login(self, refused_token: str | None) -> bool:
        if self._refusal and time.monotonic() < self._refused_until:
            raise self._refusal
        return self._token in {None, refused_token} or time.monotonic() >= self._expires_at

    def _login_request(self) -> httpx2.Request:
        return httpx2.Request(
            "POST",
            self._login_url,
            json={self._user_field: self._username, "password": self._password.get_secret_value()},
            headers={"Accept": "application/json"},
        )

    def _accept(self, answer: httpx2.Response) -> None:
        """Keep the token in the login's answer, or remember the refusal and raise it."""
        is_none_of_its = leads_elsewhere(answer) or is_no_json(answer)
        strange = (
            stranger(answer, scrubber((*self.secrets(), *proxy_passwords(answer.request)))) if is_none_of_its else None
        )
        what = f"The login at Patchworks failed{f'. {strange.what}' if strange else f' (status {answer.status_code}).'}"
        if answer.is_server_error or answer.status_code == httpx2.codes.TOO_MANY_REQUESTS:
            raise LoginFailed(what)
        if isinstance(strange, Unreachable):
            raise Unreachable(what, next_step=strange.next_step, is_lasting=True)
        # Answers to requests that went out with the token before are still under way.
        self._token_before = self._token or self._token_before
        self._token, lifetime = _read_login(answer)
        if self._token is None:
            self._refused_until = time.monotonic() + LOGIN_PAUSE_SECONDS
            self._refusal = Unauthenticated(
                what if strange else f"Patchworks refused the login (status {answer.status_code}).",
                next_step=CHECK_LOGIN_URL if strange else CHECK_LOGIN,
            )
            raise self._refusal
        self._refusal = None
        self._expires_at = time.monotonic() + max(lifetime - EXPIRY_MARGIN_SECONDS, EXPIRY_MARGIN_SECONDS)

    def identity(self) -> str:
        """What tells these credentials from others; as secret as they are. The token is not in it, as it changes."""
        return f"{self._login_url}\n{self._username}\n{self._password.get_secret_value()}"

    def secrets(self) -> list[str]:
        """The texts that must never be shown."""
        tokens = (self._token, self._token_before)
        return [self._password.get_secret_value(), *(token for token in tokens if token)]


def _read_login(answer: httpx2.Response) -> tuple[str | None, float]:
    """The token, None if there is none that fits a header, and its lifetime in seconds."""
    try:
        content = answer.json() if answer.is_success else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return None, 0.0
    token, lifetime = content.get("token"), content.get("expires_in")
    is_usable = isinstance(token, str) and token and token.isascii() and token.isprintable()
    return token if is_usable else None, float(lifetime) if isinstance(
        lifetime, int | float
    ) else DEFAULT_LIFETIME_SECONDS


Credentials = HeaderAuth | LoginAuth


def build_credentials(settings: Settings) -> Credentials:
    """The one way to authenticate that the settings name."""
    if settings.credentials == "caller":
        return HeaderAuth(_key_of_caller)
    if settings.api_key:
        # Patchworks takes an API key raw, without a scheme word.
        return HeaderAuth(settings.api_key.get_secret_value)
    if settings.bearer_token:
        value = f"Bearer {settings.bearer_token.get_secret_value()}"
        return HeaderAuth(lambda: value)
    if settings.username and settings.password:
        return LoginAuth(settings.login_url, settings.login_user_field, settings.username, settings.password)
    return HeaderAuth(lambda: SANDBOX_KEY)
