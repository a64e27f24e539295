"""The tolerant reading of what Patchworks answers.

The API's description was generated and is wrong about types, so nothing here trusts it: a field of an odd
type is left out and named, a record without an id is left out and counted, and only an answer that is no
deployment at all is an error.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from patchworks_deployments.errors import UnexpectedResponse
from patchworks_deployments.model.deployment import Deployment, DeploymentPage
from patchworks_deployments.model.text import CACHE_ENTRIES, inert
from patchworks_deployments.model.tokens import without_tokens

MAX_TIME_CHARACTERS = 64
"""Characters; ISO 8601 with microseconds and an offset has at most 42, and what was parsed stays in a cache."""

_IDENTIFIER = re.compile(r"[1-9][0-9]{0,18}")
"""The one way to write an id: a positive number without leading zeros, as in the contract.

Databases read "01", "+1", "1abc" and "1e0" as 1, so that what is compared here would not be what is meant there.
"""

_ID_BOUND = 10**19
"""Ids below this have at most 19 digits; Python refuses to write out far larger numbers."""

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)
NUMBER_BOUND = 10**18
"""Numbers below this have at most 18 digits, as those in text; a caller may set no others, so that one is seen set."""

_ABOUT_THE_VERSION = {"status", "is_deployed"}
"""Fields that speak of the flow version, and read "Deployed" on a disabled deployment."""

_NEEDED_BY_WRITES = {"virtual_environment_id", "enabled_at", "priority"}
"""Fields whose null means something to a write, so that a missing one must not pass for null."""

T = TypeVar("T")


def read_deployment(answer: object, *, with_other: bool = False) -> Deployment:
    """The deployment in a single-record answer: `{"data": {...}}` or the bare record, flat or JSON:API.

    Raises `UnexpectedResponse` when there is none.
    """
    record = answer.get("data", answer) if isinstance(answer, dict) else answer
    deployment = _read_record(record, with_other=with_other)
    if deployment is None:
        raise UnexpectedResponse(f"Patchworks answered with {_kind(record)} where a deployment belongs.")
    return deployment


def read_id(answer: object) -> str | None:
    """The id of the record in an answer, None where it has none."""
    record = answer.get("data", answer) if isinstance(answer, dict) else None
    return _identifier(record.get("id")) if isinstance(record, dict) else None


def read_page(answer: object, *, page: int) -> DeploymentPage:
    """The page in a list answer, `{"data": [...], "meta": {...}}`; `page` is what was asked for.

    Raises `UnexpectedResponse` when the answer has no list of records.
    """
    records = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(records, list):
        raise UnexpectedResponse(f"Patchworks answered with {_kind(answer)} where a page of deployments belongs.")
    readable = [deployment for record in records if (deployment := _read_record(record))]
    meta = answer.get("meta")
    paging = meta if isinstance(meta, dict) else answer
    number = _count(paging.get("current_page")) or page
    return DeploymentPage.model_construct(
        deployments=readable,
        page=number,
        per_page=_count(paging.get("per_page")),
        pages=_count(paging.get("last_page")) or _pages_by_links(answer, number),
        total=_count(paging.get("total")),
        unreadable=len(records) - len(readable) or None,
    )


def _pages_by_links(answer: Mapping[str, Any], number: int) -> int | None:
    """How many pages there are at least: Laravel links the next one in `links` or at the top; null ends them."""
    for place, name in ((answer.get("links"), "next"), (answer, "next_page_url")):
        if isinstance(place, dict) and name in place:
            return number + 1 if place[name] else number
    return None


def _read_record(record: object, *, with_other: bool = False) -> Deployment | None:
    if not isinstance(record, dict):
        return None
    raw = _flat(record)
    if (identifier := _identifier(raw.get("id"))) is None:
        return None
    version, environment = _related(raw, "flow_version"), _related(raw, "virtual_environment")
    flow, package = _related(version, "flow"), _related(raw, "package")
    values: dict[str, Any] = {
        "id": identifier,
        "flow_version_id": _first(_identifier, raw.get("flow_version_id"), version.get("id")),
        "flow_id": _first(_identifier, raw.get("flow_id"), version.get("flow_id") or None, flow.get("id")),
        "flow_name": _first(_name, raw.get("flow_name"), version.get("flow_name"), flow.get("name")),
        "iteration": _first(_number, raw.get("iteration"), version.get("iteration"), raw.get("flow_version_iteration")),
        "flow_version_status": _first(_name, raw.get("status"), version.get("status")),
        "virtual_environment_id": _first(_identifier, raw.get("virtual_environment_id"), environment.get("id")),
        "virtual_environment_name": _first(_name, environment.get("name"), raw.get("virtual_environment_name")),
        "package_id": _first(_identifier, raw.get("package_id"), package.get("id")),
        "package_name": _first(_name, package.get("name"), raw.get("package_name")),
        "priority": _number(raw.get("priority")),
        "enabled": bool(raw["enabled_at"]) if "enabled_at" in raw else None,
        "enabled_at": read_time(raw.get("enabled_at")),
        "enabled_by": _person(raw.get("enabled_by")),
        "deployed_at": _first(read_time, raw.get("deployed_at"), version.get("deployed_at")),
        "deployed_by": _first(_person, raw.get("user"), raw.get("deployed_by"), version.get("deployed_by")),
        "created_at": read_time(raw.get("created_at")),
        "updated_at": read_time(raw.get("updated_at")),
    }
    unread = [field for field, value in values.items() if value is None and _is_unknown(field, raw)]
    return Deployment(**values, unreadable=unread or None, other=_other(raw) if with_other else None)


def _is_unknown(field: str, raw: Mapping[str, Any]) -> bool:
    """Whether a field that was read as None was sent as something odd, or is missing though a write relies on it.

    A relation without an id that can be read tells that there is something, whatever stands beside it.
    """
    if raw.get(field) is not None:
        return True
    relation = field.removesuffix("_id")
    return field in _NEEDED_BY_WRITES and (bool(raw.get(relation)) or (field not in raw and relation not in raw))


def _other(raw: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever JSON came in goes out, bounded
    """What the record holds beyond the fields of `Deployment`, without nulls and without its secrets."""
    from patchworks_deployments.model.masking import masked  # noqa: PLC0415 - seldom asked for, and a start is short

    read = Deployment.model_fields.keys() | _ABOUT_THE_VERSION
    return masked({key: value for key, value in raw.items() if key not in read and value is not None})


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


def _related(raw: Mapping[str, Any], relation: str) -> dict[str, Any]:
    value = raw.get(relation)
    return _flat(value) if isinstance(value, dict) else {}


def _first(read: Callable[[object], T | None], *values: object) -> T | None:
    """What `read` makes of the first value that it can read."""
    for value in values:
        if (found := read(value)) is not None:
            return found
    return None


def _name(value: object) -> str | None:
    return without_tokens(value) if isinstance(value, str) else None


def _person(value: object) -> str | None:
    """A user given as an object, a name, or an id."""
    if isinstance(value, dict):
        user = _flat(value)
        return _name(user.get("name")) or _name(user.get("email")) or _identifier(user.get("id"))
    return _name(value) or _identifier(value)


def is_identifier(text: str) -> bool:
    """Whether the text is an id as Patchworks writes them: 1 to 19 digits, the first no zero."""
    return _IDENTIFIER.fullmatch(text) is not None


def _identifier(value: object) -> str | None:
    """An id as text; the API sends integers in one place and strings in another."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value < _ID_BOUND else None
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None


def _number(value: object) -> int | None:
    """A whole number, whether it was sent as an integer, a float or text."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return None
    if isinstance(value, int | float):
        return int(value) if abs(value) < NUMBER_BOUND else None
    return int(value) if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value) else None


def _count(value: object) -> int | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def read_time(value: object) -> str | None:
    """An ISO 8601 time in UTC, as exact as it was told; the API also sends `{"date": ...}` objects."""
    if isinstance(value, dict):
        value = value.get("date")
    return _parse_time(value) if isinstance(value, str) and len(value) <= MAX_TIME_CHARACTERS else None


@lru_cache(CACHE_ENTRIES)
def _parse_time(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    return in_utc.replace(tzinfo=None).isoformat() + "Z"


def _kind(value: object) -> str:
    if isinstance(value, dict) and isinstance(said := value.get("message"), str) and (said := without_tokens(said)):
        return f'an object that says "{inert(said)}"'
    kinds = {dict: "another object", list: "a list", str: "text", type(None): "nothing"}
    return kinds.get(type(value), "something else")
