"""What a listing's query string asks for: filters, includes, sorts and pages.

The conventions are those of spatie/laravel-query-builder and of Laravel's paginator.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from math import ceil
from random import Random
from typing import TypeAlias
from urllib.parse import urlencode

from patchworks_deployments.sandbox.account import Account, Deployment
from patchworks_deployments.sandbox.refusals import Errors, Refusal, invalid

Query: TypeAlias = Mapping[str, str]

INCLUDES = {
    "enabledBy": "enabled_by",
    "flowVersion": "flow_version",
    "virtualEnvironment": "virtual_environment",
    "package": "package",
    "user": "user",
}
"""The name of each relation in the `include` parameter, and in the answer."""

DEFAULT_PER_PAGE = 15
MAX_PER_PAGE = 100

_FILTER = re.compile(r"filter\[(.*)\]", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,18}")
"""Longer ones would overflow the database's integers."""


def read_includes(query: Query) -> list[str]:
    """The relations to add to each record, by their name in the answer."""
    wanted = _values(query.get("include", ""))
    _refuse_unknown("include", wanted, INCLUDES)
    return [name for parameter, name in INCLUDES.items() if parameter in wanted]


def select(account: Account, query: Query, ties: Random | None = None) -> list[Deployment]:
    """The deployments that pass every filter, in the wanted order; `ties` draws that of those that sort alike."""
    filters = _read_filters(query)
    sorts = _read_sorts(account, query)
    found = [
        deployment
        for deployment in account.deployments.values()
        if all(_passes(account, deployment, name, values) for name, values in filters.items())
    ]
    found.sort(key=lambda deployment: deployment.id)
    if ties:
        ties.shuffle(found)
    for key, descending in reversed(sorts):
        found = _sorted_nulls_last(found, key, descending=descending)
    return found


def paginate(found: Sequence[Deployment], query: Query, url: str) -> tuple[Sequence[Deployment], dict[str, object]]:
    """The page of what was found that is asked for, the first when none is, and its `links` and `meta`."""
    errors: Errors = {}
    page = _number(query, "page", 1, None, errors)
    per_page = _number(query, "per_page", DEFAULT_PER_PAGE, MAX_PER_PAGE, errors)
    if errors:
        raise invalid(errors)
    last = max(1, ceil(len(found) / per_page))
    start = (page - 1) * per_page
    rows = found[start : start + per_page]

    def link(number: int) -> str:
        return f"{url}?{urlencode({**query, 'page': number})}"

    links = {
        "first": link(1),
        "last": link(last),
        "prev": link(page - 1) if page > 1 else None,
        "next": link(page + 1) if page < last else None,
    }
    meta = {
        "current_page": page,
        "from": start + 1 if rows else None,
        "last_page": last,
        "path": url,
        "per_page": per_page,
        "to": start + len(rows) if rows else None,
        "total": len(found),
    }
    return rows, {"links": links, "meta": meta}


# Filters ------------------------------------------------------------------------------------------

FILTERS = ("package_id", "virtual_environment_id", "global", "flowVersion.flow", "name", "LIKE")


def _read_filters(query: Query) -> dict[str, list[str]]:
    wanted = {match[1]: _values(text) for key, text in query.items() if (match := _FILTER.fullmatch(key))}
    _refuse_unknown("filter", wanted, FILTERS)
    return {name: values for name, values in wanted.items() if values}


def _passes(account: Account, deployment: Deployment, name: str, values: list[str]) -> bool:
    flow = account.flow_of(deployment)
    match name:
        case "package_id":
            return deployment.package_id is not None and str(deployment.package_id) in values
        case "virtual_environment_id":
            return deployment.virtual_environment_id is not None and str(deployment.virtual_environment_id) in values
        case "flowVersion.flow":
            return str(flow.id) in values
        case "global":
            named = [flow, account.environment_of(deployment), account.package_of(deployment)]
            return any(thing and _contains_any(thing.name, values) for thing in named)
        case _:
            return _contains_any(flow.name, values)


def _contains_any(name: str, parts: list[str]) -> bool:
    return any(part.casefold() in name.casefold() for part in parts)


# Sorts --------------------------------------------------------------------------------------------

_Value: TypeAlias = datetime | str | int | None
_Key: TypeAlias = Callable[[Deployment], _Value]


def _read_sorts(account: Account, query: Query) -> list[tuple[_Key, bool]]:
    keys: dict[str, _Key] = {
        "created_at": lambda deployment: deployment.created_at,
        "enabled_at": lambda deployment: deployment.enabled_at,
        "flow_name": lambda deployment: account.flow_of(deployment).name.casefold(),
        "flow_version_iteration": lambda deployment: account.version_of(deployment).iteration,
    }
    wanted = [(text.removeprefix("-"), text.startswith("-")) for text in _values(query.get("sort", ""))]
    _refuse_unknown("sort", [name for name, _ in wanted], keys)
    return [(keys[name], descending) for name, descending in wanted]


def _sorted_nulls_last(rows: list[Deployment], key: _Key, *, descending: bool) -> list[Deployment]:
    valued = [(value, row) for row in rows if (value := key(row)) is not None]
    valued.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in valued] + [row for row in rows if key(row) is None]


# Reading ------------------------------------------------------------------------------------------


def _values(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]


def _refuse_unknown(kind: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    allowed = list(known)
    unknown = [name for name in wanted if name not in allowed]
    if unknown:
        message = f"Unsupported {kind}(s): `{', '.join(unknown)}`. Supported {kind}(s): `{', '.join(allowed)}`."
        raise Refusal(HTTPStatus.BAD_REQUEST, message)


def _number(query: Query, name: str, default: int, maximum: int | None, errors: Errors) -> int:
    text = query.get(name, "").strip()
    if not text:
        return default
    label = name.replace("_", " ")
    number = int(text) if _NUMBER.fullmatch(text) else None
    if number is None:
        errors[name] = [f"The {label} field must be an integer."]
    elif number < 1:
        errors[name] = [f"The {label} field must be at least 1."]
    elif maximum is not None and number > maximum:
        errors[name] = [f"The {label} field must not be greater than {maximum}."]
    return number or default
