"""Settings from the environment (`PATCHWORKS_*`) and flags, in one model that refuses what it cannot be sure of."""

import difflib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import keys, pasted
from patchworks_deployments.settings.kinds import (
    ApiAddress,
    HeaderSecret,
    HomePath,
    Issuer,
    LoginAddress,
    Names,
    Scopes,
    Secret,
    StateKeys,
    WebAddress,
)
from patchworks_deployments.settings.rules import contradictions

PROGRAM = "patchworks-deployments-mcp"
PREFIX = "PATCHWORKS_"
BASE_URL = pasted.API_ADDRESS
LOGIN_URL = f"https://{pasted.DASHBOARD}{pasted.LOGIN_PATH}"

MAX_TIMEOUT_SECONDS = 30

AuthenticationMethod = Literal["sandbox", "api_key", "bearer_token", "login", "caller"]


_OWN_WORDS = {
    "bool_parsing": "must be true or false",
    "float_parsing": "must be a number alone, without a unit",
    "int_parsing": "must be a whole number alone",
    "string_pattern_mismatch": "holds a character that a scope cannot have",
}


def variable_of(setting: str) -> str:
    """The environment's variable of the setting."""
    return PREFIX + setting.upper()


def flag_of(setting: str) -> str:
    """The flag of the setting on the command line, which takes none for secrets."""
    return "--" + setting.replace("_", "-")


class _FaultsError(Exception):
    """All that is wrong with the settings, a line for each."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(*told)
        self.told = told


class Settings(BaseSettings):
    """How this server reaches Patchworks and what it may do there."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    sandbox: Annotated[bool, Field(description="use the embedded stand-in for Patchworks, no account needed")] = False
    base_url: Annotated[ApiAddress, Field(description="address of the Patchworks Core API")] = BASE_URL
    allow_http: Annotated[bool, Field(description="allow plain http to other machines")] = False
    timeout: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_SECONDS, description="seconds to wait for an answer")] = 12.0

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

    @model_validator(mode="wrap")
    @classmethod
    def _told_whole(cls, given: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        """The settings. Raises `_FaultsError`: what is wrong with one hides nothing that is wrong with others."""
        filled_in = {name: value for name, value in given.items() if not pasted.is_left_blank(value)}
        faults: dict[str, list[str]] = {}
        try:
            made = handler(filled_in)
        except ValidationError as error:
            for details in error.errors(include_input=False):
                message = _OWN_WORDS.get(details["type"], details["msg"]).removeprefix("Value error, ")
                # Without a colon: Claude Code takes what follows `API_KEY: ` for a secret, and cuts it.
                told = f"{variable_of(str(details['loc'][0]))} {message.replace('Input should be', 'must be')}"
                faults.setdefault(str(details["loc"][0]), []).append(told)
            made = handler({name: value for name, value in filled_in.items() if name.lower() not in faults})
        names = [name for field in faults for name in (variable_of(field), flag_of(field))]
        # What is said of a setting that is wrong by itself would be said of its default.
        others = [told for told in contradictions(made) if not any(name in told for name in names)]
        if faults or others:
            raise _FaultsError([*itertools.chain(*faults.values()), *(told[:1].upper() + told[1:] for told in others)])
        return made

    @field_validator("*", mode="before")
    @classmethod
    def _value_itself(cls, value: object) -> object:
        return pasted.value_itself(value)

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
    # Here, too: what is left blank among the flags must not take the place of a variable.
    given: dict[str, Any] = {
        name: value for name, value in flags.items() if value is not None and not pasted.is_left_blank(value)
    }
    try:
        settings = Settings(**given)
    except _FaultsError as error:
        faults.extend(error.told)
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
