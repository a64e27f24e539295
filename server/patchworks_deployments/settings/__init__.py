"""Settings from the environment (`PATCHWORKS_*`) and flags, in one model that refuses what it cannot be sure of."""

import csv
import difflib
import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import keys, pasted

PREFIX = "PATCHWORKS_"
BASE_URL = pasted.API_ADDRESS
LOGIN_URL = f"https://{pasted.DASHBOARD}{pasted.LOGIN_PATH}"

AuthenticationMethod = Literal["sandbox", "api_key", "bearer_token", "login", "caller"]


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _split_names(value: object) -> object:
    """Comma-separated names; one that holds a comma stands in double quotes, as in CSV."""
    if not isinstance(value, str):
        return value
    try:
        names = [name.strip() for row in csv.reader([value], skipinitialspace=True, strict=True) for name in row]
    except csv.Error:
        raise ValueError('must be comma-separated, and what holds a comma in "double quotes"') from None
    return [name for name in names if name]


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a web address such as " + BASE_URL)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must have no user name, password, query or fragment")
    return url


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Secret = Annotated[SecretStr, AfterValidator(pasted.one_line)]
HeaderSecret = Annotated[Secret, AfterValidator(pasted.fits_a_header)]
StateKeys = Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(_split), AfterValidator(keys.long_enough)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
Issuer = Annotated[str, BeforeValidator(pasted.address), AfterValidator(_web_address)]
"""Compared letter by letter, so a slash at its end stays."""

WebAddress = Annotated[Issuer, AfterValidator(lambda url: url.rstrip("/"))]
ApiAddress = Annotated[WebAddress, AfterValidator(pasted.address_of_api)]
LoginAddress = Annotated[WebAddress, AfterValidator(pasted.address_of_login)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]
Scopes = Annotated[tuple[Scope, ...], NoDecode, BeforeValidator(_words)]
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path that may begin with `~`, which hosts do not expand for the servers that they start."""


class Settings(BaseSettings):
    """How this server reaches Patchworks and what it may do there."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    sandbox: Annotated[bool, Field(description="use the embedded stand-in for Patchworks, no account needed")] = False
    base_url: Annotated[ApiAddress, Field(description="address of the Patchworks Core API")] = BASE_URL
    allow_http: Annotated[bool, Field(description="allow plain http to other machines")] = False
    timeout: Annotated[float, Field(gt=0, le=30, description="seconds to wait for an answer")] = 12.0

    api_key: Annotated[HeaderSecret | None, BeforeValidator(pasted.api_key)] = None
    bearer_token: Annotated[HeaderSecret | None, BeforeValidator(pasted.bearer_token)] = None
    username: Annotated[str | None, Field(description="user of a login; its password is PATCHWORKS_PASSWORD")] = None
    password: Secret | None = None
    login_url: Annotated[LoginAddress, Field(description="where user name and password are exchanged")] = LOGIN_URL
    login_user_field: Annotated[str, Field(description="name of the user field at login")] = "username"

    read_only: Annotated[bool, Field(description="offer no tool that changes anything")] = False
    confirm: Annotated[Literal["destructive", "all"], Field(description="which writes ask: 'destructive' or 'all'")] = (
        "destructive"
    )
    confirm_by: Annotated[
        Literal["auto", "human", "code"], Field(description="who is asked: 'auto', 'human' or 'code'")
    ] = "auto"
    protected_environments: Annotated[
        Names,
        Field(
            description='environments, best by id, where every write asks a person; comma-separated, "a, b" in quotes'
        ),
    ] = ()
    state_keys: StateKeys = ()
    audit_log: Annotated[HomePath | None, Field(description="file that gets one JSON line per attempted write")] = None

    http: Annotated[str | None, Field(description="[HOST:]PORT to serve streamable HTTP on, instead of stdio")] = None
    workers: Annotated[int, Field(ge=1, le=64, description="processes that serve HTTP")] = 1
    allowed_hosts: Annotated[
        Names, Field(description="host names that HTTP requests may be addressed to; comma-separated")
    ] = ()
    allowed_origins: Annotated[Names, Field(description="origins that browsers may call from; comma-separated")] = ()
    public_url: Annotated[
        WebAddress | None, Field(description="the endpoint's address as clients see it, for OAuth")
    ] = None
    oauth_issuer: Annotated[Issuer | None, Field(description="issuer of the access tokens, letter by letter")] = None
    oauth_audience: Annotated[str | None, Field(description="audience of the access tokens; default: public URL")] = (
        None
    )
    oauth_scopes: Annotated[
        Scopes, Field(description="scopes that hosts are told to ask for; default: read and, unless read-only, write")
    ] = ()
    oauth_jwks_url: Annotated[WebAddress | None, Field(description="where the issuer publishes its keys")] = None
    tokens_file: Annotated[HomePath | None, Field(description="file of static bearer tokens, as hashes")] = None
    credentials: Annotated[
        Literal["server", "caller"],
        Field(description="whose Patchworks key is used: the 'server's, or each 'caller's own"),
    ] = "server"
    rate_limit: Annotated[int, Field(ge=0, description="requests per minute and caller over HTTP; 0: no limit")] = 600
    redis_url: Secret | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_unexpanded(cls, given: dict[str, Any]) -> dict[str, Any]:
        names = ", ".join(PREFIX + name.upper() for name, value in given.items() if pasted.is_unexpanded(value))
        if names:
            raise ValueError(
                f"{names}: holds a placeholder such as ${{NAME}}, in whose place nobody has put a value: set that "
                "variable where the host starts, or write the value itself"
            )
        return given

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        sandbox, login = "--sandbox (PATCHWORKS_SANDBOX)", "PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD"
        given = {
            sandbox: self.sandbox,
            "PATCHWORKS_API_KEY": self.api_key,
            "PATCHWORKS_BEARER_TOKEN": self.bearer_token,
            login: self.username or self.password,
        }
        ways = [way for way, value in given.items() if value]
        if self.credentials == "caller":
            for way in ways:
                if way != sandbox:
                    raise ValueError(
                        f"with PATCHWORKS_CREDENTIALS=caller the server has no key of its own: unset {way}"
                    )
            return self
        if not ways:
            raise ValueError(
                "no way to authenticate: set PATCHWORKS_API_KEY, or PATCHWORKS_BEARER_TOKEN, or both "
                "PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD; or try without an account: --sandbox"
            )
        if len(ways) > 1:
            raise ValueError(f"set only one of {', '.join(ways)}; now they contradict each other")
        if ways == [login] and not (self.username and self.password):
            missing = "PATCHWORKS_PASSWORD" if self.username else "PATCHWORKS_USERNAME"
            raise ValueError(f"{missing} is missing: a login needs both user name and password")
        if self.sandbox and self.base_url != BASE_URL:
            raise ValueError(f"{sandbox} does not use PATCHWORKS_BASE_URL: remove one of the two")
        return self

    @model_validator(mode="after")
    def _whole_authorization(self) -> Self:
        oauth = {
            "PATCHWORKS_OAUTH_ISSUER": self.oauth_issuer,
            "PATCHWORKS_OAUTH_JWKS_URL": self.oauth_jwks_url,
            "PATCHWORKS_PUBLIC_URL": self.public_url,
        }
        missing = [name for name, value in oauth.items() if not value]
        if (self.oauth_issuer or self.oauth_jwks_url or self.oauth_audience or self.oauth_scopes) and missing:
            raise ValueError(f"OAuth also needs {', '.join(missing)}")
        if self.oauth_issuer and self.tokens_file:
            raise ValueError("set only one of PATCHWORKS_OAUTH_ISSUER and PATCHWORKS_TOKENS_FILE")
        return self

    @model_validator(mode="after")
    def _safely_served(self) -> Self:
        if self.workers > 1 and not self.has_shared_keys:
            raise ValueError(keys.NO_SHARED_KEY)
        if not self.http:
            return self
        host, port = split_address(self.http)
        if not port.isdigit() or int(port) >= 2**16:
            raise ValueError("PATCHWORKS_HTTP (--http) must be PORT or HOST:PORT")
        needed = {
            "authorization (PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER)": self.is_authorized,
            "PATCHWORKS_ALLOWED_HOSTS, the names clients use for this server": self.allowed_hosts,
        }
        missing = [what for what, value in needed.items() if not value]
        if missing and not _is_loopback(host):
            raise ValueError(f"serving other machines ({host}) needs {' and '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        urls = {"BASE_URL": self.base_url, "LOGIN_URL": self.login_url, "OAUTH_JWKS_URL": self.oauth_jwks_url or ""}
        for name, url in urls.items():
            parts = urlsplit(url)
            if parts.scheme == "http" and not self.allow_http and not _is_loopback(parts.hostname or ""):
                raise ValueError(
                    f"{PREFIX}{name} is plain http to another machine, which would show the credentials to the "
                    f"network: use https, or set {PREFIX}ALLOW_HTTP=true if that is really meant"
                )
        return self

    @property
    def is_authorized(self) -> bool:
        """Whether callers have to prove who they are."""
        return bool(self.tokens_file or self.oauth_issuer)

    @property
    def authentication(self) -> AuthenticationMethod:
        """The one way to authenticate that is set."""
        if self.credentials == "caller":
            return "caller"
        if self.sandbox:
            return "sandbox"
        if self.api_key:
            return "api_key"
        return "bearer_token" if self.bearer_token else "login"

    @property
    def shared_secret(self) -> SecretStr | None:
        """What all processes of this account have and nobody can guess; for the sandbox its key, which is public.

        It is never a password, which people choose, and none of the callers' own keys.
        """
        own = {"sandbox": SecretStr(keys.SANDBOX_KEY), "api_key": self.api_key, "bearer_token": self.bearer_token}
        secret = own.get(self.authentication)
        return secret if secret and keys.can_make_a_key(secret) else None

    @property
    def has_shared_keys(self) -> bool:
        """Whether other processes with these settings take the codes and the answers of this one."""
        return bool(self.state_keys or self.shared_secret)


def load_settings(environment: Mapping[str, str] | None = None, **flags: object) -> Settings:
    """Settings from the process's environment, overridden by `flags` that are not None.

    `environment` is only looked at for misspelt names; the default is the process's own.
    Raises `SettingsError` with one line per fault, never with a secret.
    """
    faults = list(_misspelt(os.environ if environment is None else environment))
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        faults.extend(_fault(details["loc"], details["msg"]) for details in error.errors(include_input=False))
    if faults:
        raise not_started(faults)
    return settings


def not_started(faults: Iterable[str]) -> SettingsError:
    """The error that tells all the faults, a line for each."""
    lines = ["The server was not started, because its settings are not right:", *(f"- {fault}" for fault in faults)]
    return SettingsError("\n".join(lines))


def _misspelt(names: Iterable[str]) -> Iterator[str]:
    known = [field.upper() for field in Settings.model_fields]
    for name in sorted(names):
        own = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and own not in known:
            nearest = difflib.get_close_matches(own, known, n=1)
            hint = f"did you mean {PREFIX}{nearest[0]}?" if nearest else f"known are {PREFIX}… {', '.join(known)}."
            yield f"{name} is not a setting: {hint}"


def _fault(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{PREFIX}{str(location[0]).upper()}: {text}" if location else text[:1].upper() + text[1:]


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
