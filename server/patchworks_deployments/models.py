"""What the tools take and return, and the tolerant reading of what Patchworks answers.

The API's description was generated and is wrong about types, so nothing here trusts it: a field of an odd
type is left out and named, a record without an id is left out and counted, and only an answer that is no
deployment at all is an error.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from patchworks_deployments.errors import UnexpectedResponse

NAME_LIMIT = 120
"""Longest name, in characters, that is passed on; Patchworks' own forms take far fewer."""

MASKED = "[masked]"

T = TypeVar("T")

Maybe: TypeAlias = T | SkipJsonSchema[None]
"""Optional, with a schema that hosts accept: the type alone, without `anyOf` null."""

Include = Literal["enabledBy", "flowVersion", "virtualEnvironment", "package", "user"]


def _drop_titles(schema: dict[str, Any]) -> None:
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class _Output(BaseModel):
    """Data that leaves in a result: immutable, and schemas without the noise of titles."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_drop_titles)

    def to_json(self) -> dict[str, Any]:
        """The JSON object without nulls."""
        return self.model_dump(mode="json", exclude_none=True)


class Deployment(_Output):
    """One flow version deployment, flat and named for people. Times are ISO 8601 in UTC.

    Whether it works is `enabled` alone; `flow_version_status` speaks of the version, not of this deployment.
    """

    id: str
    flow_version_id: Maybe[str] = None
    flow_id: Maybe[str] = None
    flow_name: Maybe[str] = None
    iteration: Maybe[int] = None
    flow_version_status: Maybe[str] = None
    virtual_environment_id: Maybe[str] = None
    virtual_environment_name: Maybe[str] = None
    package_id: Maybe[str] = None
    package_name: Maybe[str] = None
    priority: Maybe[int] = None
    enabled: Maybe[bool] = None
    enabled_at: Maybe[str] = None
    enabled_by: Maybe[str] = None
    deployed_at: Maybe[str] = None
    deployed_by: Maybe[str] = None
    created_at: Maybe[str] = None
    updated_at: Maybe[str] = None
    unreadable: Annotated[Maybe[list[str]], Field(description="Fields that could not be read.")] = None
    other: Annotated[
        Maybe[dict[str, Any]], Field(description="Further fields as Patchworks sent them, secrets masked.")
    ] = None


class DeploymentPage(_Output):
    """One page of deployments. `total` and `pages` are missing when Patchworks did not say."""

    deployments: list[Deployment]
    page: int
    per_page: Maybe[int] = None
    pages: Maybe[int] = None
    total: Maybe[int] = None
    unreadable: Annotated[Maybe[int], Field(description="Records that could not be read.")] = None

    def to_summary(self, extra: Sequence[str] = ()) -> dict[str, Any]:
        """The JSON object with just the fields that a listing shows, and `extra` ones."""
        shown = {*LISTED, *extra}
        rows = [row.model_dump(mode="json", exclude_none=True, include=shown) for row in self.deployments]
        return {"deployments": rows} | self.model_dump(mode="json", exclude_none=True, exclude={"deployments"})


LISTED = frozenset(
    {
        "id",
        "flow_version_id",
        "flow_id",
        "flow_name",
        "iteration",
        "virtual_environment_id",
        "virtual_environment_name",
        "package_id",
        "package_name",
        "priority",
        "enabled",
        "enabled_at",
        "unreadable",
    }
)
"""What a listing shows of each deployment unless asked for more."""


class ToolCall(_Output):
    """A tool and the exact arguments to call it with."""

    tool: str
    arguments: dict[str, Any]


Status = Literal["done", "unchanged", "preview", "confirmation_required", "declined", "refused", "failed", "unknown"]
ConfirmedBy = Literal["human", "code", "not_required"]


class WriteResult(_Output):
    """What became of one attempt to change a deployment.

    `before` and `after` are states as read from Patchworks; in a preview `after` is what would be.
    """

    status: Status
    message: str
    before: Maybe[Deployment] = None
    after: Maybe[Deployment] = None
    verified: Annotated[Maybe[bool], Field(description="Read back and found as wanted.")] = None
    confirmed_by: Maybe[ConfirmedBy] = None
    also_changed: Annotated[Maybe[list[str]], Field(description="What changed without being asked.")] = None
    lost: Annotated[Maybe[list[str]], Field(description="What undo cannot bring back.")] = None
    undo: Maybe[ToolCall] = None
    confirmation_code: Maybe[str] = None


# Reading ------------------------------------------------------------------------------------------


def read_deployment(answer: object, *, with_other: bool = False) -> Deployment:
    """The deployment in a single-record answer: `{"data": {...}}` or the bare record, flat or JSON:API.

    Raises `UnexpectedResponse` when there is none.
    """
    record = answer.get("data", answer) if isinstance(answer, dict) else answer
    deployment = _read_record(record, with_other=with_other)
    if deployment is None:
        raise UnexpectedResponse(f"Patchworks answered with {_kind(record)} where a deployment belongs.")
    return deployment


def read_page(answer: object, *, page: int) -> DeploymentPage:
    """The page in a list answer, `{"data": [...], "meta": {...}}`; `page` is what was asked for.

    Raises `UnexpectedResponse` when the answer has no list of records.
    """
    records = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(records, list):
        raise UnexpectedResponse(f"Patchworks answered with {_kind(answer)} where a page of deployments belongs.")
    readable = [deployment for record in records if (deployment := _read_record(record))]
    meta = answer.get("meta")
    numbers = {key: _count(value) for key, value in meta.items()} if isinstance(meta, dict) else {}
    return DeploymentPage.model_construct(
        deployments=readable,
        page=numbers.get("current_page") or page,
        per_page=numbers.get("per_page"),
        pages=numbers.get("last_page"),
        total=numbers.get("total"),
        unreadable=len(records) - len(readable) or None,
    )


def _read_record(record: object, *, with_other: bool = False) -> Deployment | None:
    if not isinstance(record, dict):
        return None
    fields = _Fields(_flat(record))
    identifier = fields.identifier("id")
    if identifier is None:
        return None
    version, environment = fields.relation("flow_version"), fields.relation("virtual_environment")
    package, flow = fields.relation("package"), version.relation("flow")
    enabled_at = fields.time("enabled_at")
    values: dict[str, Any] = {
        "id": identifier,
        "flow_version_id": fields.identifier("flow_version_id") or version.identifier("id"),
        "flow_id": fields.identifier("flow_id") or version.identifier("flow_id") or flow.identifier("id"),
        "flow_name": fields.name("flow_name") or version.name("flow_name") or flow.name("name"),
        "iteration": _first(
            fields.number("iteration"), version.number("iteration"), fields.number("flow_version_iteration")
        ),
        "flow_version_status": fields.name("status") or version.name("status"),
        "virtual_environment_id": fields.identifier("virtual_environment_id") or environment.identifier("id"),
        "virtual_environment_name": environment.name("name") or fields.name("virtual_environment_name"),
        "package_id": fields.identifier("package_id") or package.identifier("id"),
        "package_name": package.name("name") or fields.name("package_name"),
        "priority": fields.number("priority"),
        "enabled": bool(fields.raw["enabled_at"]) if "enabled_at" in fields.raw else None,
        "enabled_at": enabled_at,
        "enabled_by": fields.person("enabled_by"),
        "deployed_at": fields.time("deployed_at") or version.time("deployed_at"),
        "deployed_by": fields.person("user") or fields.person("deployed_by") or version.person("deployed_by"),
        "created_at": fields.time("created_at"),
        "updated_at": fields.time("updated_at"),
    }
    unreadable = sorted(field for field in fields.odd if values.get(field) is None)
    other = _masked(_unread(fields.raw)) if with_other else None
    # Every value has just been read into its type, so validating it again would only cost time.
    return Deployment.model_construct(**values, unreadable=unreadable or None, other=other)


class _Fields:
    """A record's fields, read leniently; names of non-null fields of an unusable type collect in `odd`."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.odd: set[str] = set()

    def _read(self, field: str, value: T | None) -> T | None:
        if value is None and self.raw.get(field) is not None:
            self.odd.add(field)
        return value

    def identifier(self, field: str) -> str | None:
        return self._read(field, _identifier(self.raw.get(field)))

    def number(self, field: str) -> int | None:
        return self._read(field, _number(self.raw.get(field)))

    def name(self, field: str) -> str | None:
        value = self.raw.get(field)
        return self._read(field, clean_text(value) if isinstance(value, str) else None)

    def time(self, field: str) -> str | None:
        return self._read(field, read_time(self.raw.get(field)))

    def person(self, field: str) -> str | None:
        """A user given as an object, a name, or an id."""
        value = self.raw.get(field)
        if isinstance(value, dict):
            someone = _Fields(_flat(value))
            return someone.name("name") or someone.name("email") or someone.identifier("id")
        return self._read(field, clean_text(value) if isinstance(value, str) else _identifier(value))

    def relation(self, field: str) -> "_Fields":
        value = self.raw.get(field)
        return _Fields(_flat(value) if isinstance(value, dict) else {})


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record with JSON:API's `attributes` and `relationships` lifted to the top; others as they are."""
    attributes = record.get("attributes")
    if not isinstance(attributes, dict):
        return record
    relationships = record.get("relationships")
    related = relationships if isinstance(relationships, dict) else {}
    return {
        "id": record.get("id"),
        **attributes,
        **{name: value["data"] for name, value in related.items() if isinstance(value, dict) and "data" in value},
    }


def _first(*values: T | None) -> T | None:
    return next((value for value in values if value is not None), None)


_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _identifier(value: object) -> str | None:
    """An id as text; the API sends integers in one place and strings in another."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else None


_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:  # noqa: PLR2004 - digits as in text
        return int(value)
    return value if isinstance(value, int) and abs(value) < 10**18 else None


def _count(value: object) -> int | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def read_time(value: object) -> str | None:
    """An ISO 8601 time in UTC, to the second; the API also sends `{"date": ...}` objects."""
    if isinstance(value, dict):
        value = value.get("date")
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        in_utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return in_utc.strftime("%Y-%m-%dT%H:%M:%SZ") if in_utc.year >= 1000 else None  # noqa: PLR2004 - strftime pads no year


_INVISIBLE = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}


def clean_text(text: str, limit: int = NAME_LIMIT) -> str | None:
    """Text from the API on one line: no control, direction or invisible characters, bounded; None if empty."""
    if len(text) <= limit and text.isprintable() and text == " ".join(text.split()):
        return text or None
    # Cut before cleaning: a name of megabytes must not cost time.
    kept = text[: limit * 4]
    line = "".join(" " if unicodedata.category(char) in _INVISIBLE or char.isspace() else char for char in kept)
    words = " ".join(line.split())
    return (words if len(words) <= limit else words[: limit - 1] + "…") or None


def _kind(value: object) -> str:
    kinds = {dict: "an object without an id", list: "a list", str: "text", type(None): "nothing"}
    return kinds.get(type(value), "something else")


# Masking ------------------------------------------------------------------------------------------

_CREDENTIAL = re.compile(
    r"secret|token|passw|pwd|credential|api[-_ ]?key|auth|private|cookie|session|signature|bearer|jwt|access[-_ ]?key",
    re.IGNORECASE,
)
_ALWAYS_MASKED = {"variables", "config"}
_LONGEST_VALUE, _LONGEST_LIST, _DEEPEST = 500, 20, 4


def _unread(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the record holds beyond the fields of `Deployment`, without nulls."""
    return {key: value for key, value in record.items() if key not in Deployment.model_fields and value is not None}


def _masked(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON came in goes out, bounded
    """A copy that is safe to show: secrets masked, size and depth bounded, text on one line."""
    if isinstance(value, dict):
        return dict(_masked_items(value, depth)) if depth < _DEEPEST else f"[{len(value)} fields]"
    if isinstance(value, list):
        items = [_masked(item, depth + 1) for item in value[:_LONGEST_LIST]]
        return items if len(value) <= _LONGEST_LIST else [*items, f"[{len(value) - _LONGEST_LIST} more]"]
    return _masked_text(value, depth) if isinstance(value, str) else value


def _masked_items(record: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    key_names_secret = bool(record.get("secret")) or _CREDENTIAL.search(str(record.get("key") or ""))
    for key, value in list(record.items())[: _LONGEST_LIST * 5]:
        hidden = key in _ALWAYS_MASKED or _CREDENTIAL.search(key) or (key_names_secret and key == "value")
        shown = MASKED if hidden and value not in (None, "", [], {}) else _masked(value, depth + 1)
        yield clean_text(key) or "", shown


def _masked_text(text: str, depth: int) -> Any:  # noqa: ANN401 - text that holds JSON is masked as JSON
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return _masked(json.loads(text), depth + 1)
        except (ValueError, RecursionError):
            return MASKED if _CREDENTIAL.search(text) else clean_text(text, _LONGEST_VALUE)
    return clean_text(text, _LONGEST_VALUE)
