"""Fields nobody knows in advance, shown without their secrets.

What may be a secret is told by its surroundings, and every doubt masks:

- a key that names a credential, or is `variables` or `config`, hides all that it holds;
- a record that is marked as secret, or whose label (`key`, `name`, ...) names a credential, hides all but its labels;
  at the top, where Patchworks merges a variable into the deployment, related records are taken on their own;
- a list in which a text names a credential, as in `["password", "x"]`, hides all its texts and numbers;
- a text that holds JSON is read as JSON, however often encoded; other text that names a credential, or holds
  `user:password@`, hides as a whole.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from patchworks_deployments.model.text import clean_text

MASKED = "[masked]"

_CREDENTIAL = re.compile(
    r"""secret | token | pwd | pass(?:w|phrase|code|key|(?![a-z])) | credential | auth | private | cookie | session
      | signature | bearer | basic\s | jwt | hook | dsn | connection[-_\s]?string | keys?(?![a-z])
      | (?<![a-z])(?:pin|otp|pem|psk|sig|sas)(?![a-z])
      | (?<![a-z])eyj
      | :[^\s:@]*@""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words that speak of credentials, the beginning of a JWT, and the user and password of a URL."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PLAIN_NAME = re.compile(r"[\w.-]{1,64}")

_ALWAYS_MASKED = {"variables", "config"}
_MARKS = {"secret", "is_secret", "sensitive", "is_sensitive", "encrypted", "is_encrypted"}
_SHOWN_LABELS = {"id", "key", "name"}
_LABELS = _SHOWN_LABELS | {"label", "field", "code", "slug", "type", "title", "header"}
_VALUES = {"value", "values", "default", "content", "data"}

_MAX_FIELDS = 100
_MAX_ENTRIES = 20
_MAX_LEVELS = 4
_MAX_CHARACTERS = 500
_MAX_SEARCHED_CHARACTERS = 4 * _MAX_CHARACTERS
"""Text is cut to four times its bound before it is cleaned, so none of what lies behind is ever shown."""


def masked(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON came in goes out, bounded
    """A copy of the JSON value that is safe to show: secrets masked, size and depth bounded, text on one line."""
    if isinstance(value, dict):
        return dict(_masked_fields(value, depth)) if depth < _MAX_LEVELS else f"[{len(value)} fields]"
    if isinstance(value, list):
        return _masked_list(value, depth) if depth < _MAX_LEVELS else f"[{len(value)} items]"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _masked_text(value, depth) if isinstance(value, str) else value


def _masked_fields(record: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    is_secret = _is_secret(record)
    has_value = any(key.casefold() in _VALUES for key in record)
    for key, value in list(record.items())[:_MAX_FIELDS]:
        name = key.casefold()
        is_relation = depth == 0 and isinstance(value, dict) and name not in _VALUES
        # A key without a value is no label but a credential.
        if name in _SHOWN_LABELS and (name != "key" or has_value) and isinstance(value, str | int):
            yield _label(key), _label(value) if isinstance(value, str) else value
        elif (is_secret and not is_relation) or name in _ALWAYS_MASKED or _names_credential(key):
            yield _label(key), _hidden(value)
        else:
            yield _label(key), masked(value, depth + 1)


def _is_secret(record: dict[str, Any]) -> bool:
    """Whether the record is marked as secret, or labelled with the name of a credential."""
    return any(
        (value and key.casefold() in _MARKS) or (key.casefold() in _LABELS and _names_credential(value))
        for key, value in record.items()
    )


def _masked_list(entries: list[Any], depth: int) -> list[Any]:
    first = entries[:_MAX_ENTRIES]
    is_secret = any(_names_credential(entry) for entry in first)
    shown = [
        _hidden(entry) if is_secret and not isinstance(entry, dict | list) else masked(entry, depth + 1)
        for entry in first
    ]
    return shown if len(entries) <= _MAX_ENTRIES else [*shown, f"[{len(entries) - _MAX_ENTRIES} more]"]


def _masked_text(text: str, depth: int) -> Any:  # noqa: ANN401 - text that holds JSON is masked as JSON
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            return masked(json.loads(text), depth + 1) if depth < _MAX_LEVELS else MASKED
        except (ValueError, RecursionError):
            return MASKED
    return MASKED if _names_credential(text) else clean_text(text, _MAX_CHARACTERS)


def _label(text: str) -> str:
    """A key or label: a plain name is shown even if it names a credential, anything else is masked like text."""
    return text if _PLAIN_NAME.fullmatch(text) else str(_masked_text(text, _MAX_LEVELS) or "")


def _hidden(value: object) -> object:
    """What stands for a secret: emptiness and a yes or no give nothing away and are shown."""
    return value if value in (None, "", [], {}) or isinstance(value, bool) else MASKED


def _names_credential(value: object) -> bool:
    if not isinstance(value, str):
        return False
    words = _WORD_START.sub("_", value[:_MAX_SEARCHED_CHARACTERS])
    return _CREDENTIAL.search(words) is not None
