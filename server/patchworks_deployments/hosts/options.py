"""The settings as hosts and registries ask for them: read from `Settings`, so that nothing is said twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from patchworks_deployments.settings import Settings, variable_of

OVER_HTTP = frozenset(
    {
        "http", "workers", "allowed_hosts", "allowed_origins", "public_url", "tokens_file", "credentials", "rate_limit",
        "oauth_issuer", "oauth_audience", "oauth_scopes", "oauth_jwks_url", "redis_url", "state_keys",
    }
)  # fmt: skip
"""The settings of a server for several people, which no host starts by itself."""

SECRETS = {
    "api_key": "API key of your Patchworks account, as Patchworks shows it",
    "bearer_token": "token from a login, in place of the API key; it ends after a day",
    "password": "password of that user",
}
"""What is said of the settings that have no flag, and so no words in `Settings`."""

FIRST = ("api_key", "sandbox", "read_only", "protected_environments", "audit_log")

Kind = Literal["string", "number", "boolean", "path"]


@dataclass(frozen=True)
class Option:
    """One setting, in words that each format has a place for."""

    name: str
    kind: Kind
    description: str
    default: str | float | bool | None
    choices: tuple[str, ...] = ()
    is_secret: bool = False
    minimum: float | None = None
    maximum: float | None = None

    @property
    def variable(self) -> str:
        """The variable of the environment."""
        return variable_of(self.name)

    @property
    def title(self) -> str:
        """The name for people: `API key`."""
        return title_of(self.name)


def title_of(setting: str) -> str:
    """The setting's name for people: `API key`."""
    words = setting.replace("_", " ")
    return (words[:1].upper() + words[1:]).replace("Api", "API").replace("url", "URL").replace(" http", " HTTP")


def options() -> Iterator[Option]:
    """Each setting of a server that a host starts, those first that most people need."""
    names = dict.fromkeys([*FIRST, *Settings.model_fields])
    return (_option(name, Settings.model_fields[name]) for name in names if name not in OVER_HTTP)


def _option(name: str, field: FieldInfo) -> Option:
    types = _types(field.annotation)
    is_secret = SecretStr in types
    return Option(
        name,
        kind=_kind(types),
        description=SECRETS[name] if is_secret else field.description or "",
        default=_default(field.default),
        choices=tuple(str(each) for each in types if isinstance(each, str)),
        is_secret=is_secret,
        minimum=_bound(field, "ge"),
        maximum=_bound(field, "le"),
    )


def _default(value: object) -> str | float | bool | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float) else None


def _bound(field: FieldInfo, name: str) -> float | None:
    """What pydantic keeps of `Field(ge=...)` and `Field(le=...)`."""
    found = (getattr(each, name, None) for each in field.metadata)
    return next((each for each in found if isinstance(each, int | float)), None)


def _types(annotation: Any) -> list[Any]:  # noqa: ANN401 - any annotation
    """What the annotation is made of: types, and the words of a `Literal`."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [annotation, *(inner for each in get_args(annotation) for inner in _types(each))]


def _kind(types: list[Any]) -> Kind:
    if bool in types:
        return "boolean"
    if int in types or float in types:
        return "number"
    return "path" if Path in types else "string"
