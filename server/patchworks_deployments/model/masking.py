"""Fields nobody knows in advance, shown without their secrets.

What may be a secret is told by its surroundings and by its looks, and every doubt masks. Names are compared in one
form: `isSecret`, `is-secret` and `Is Secret` are `is_secret`.

- a key that names a credential, or is `variables` or `config`, hides all that it holds;
- a record that is marked as secret, or in which any short text names a credential (`{"header": "Authorization",
  "content": "..."}`), hides all but its labels; at the top, where Patchworks merges a variable into the deployment,
  related records are taken on their own;
- a list in which a text names a credential, as in `["password", "x"]`, hides all its texts and numbers;
- a text that holds JSON is read as JSON, however often encoded; other text that names a credential, or in which
  something looks like one (`tokens.holds_token`), hides as a whole. Escapes are undone before either is looked for.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from patchworks_deployments.model.text import clean_text, decoded
from patchworks_deployments.model.tokens import MASKED, holds_token, is_uuid

_CREDENTIAL = re.compile(
    r"""secret | token | pwd | credential | auth(?!or(?:s|ed|ship)?(?![a-z])) | private | cookie | session | signature
      | bearer | basic\s | jwt | dsn | connection[-_\s]?string
      | (?<!mon)(?<!tur)keys?(?![a-z]) | key_?(?:store|file|pair|ring)
      | pass_?(?:w|phrase|code|key) | (?<!by)(?<!com)(?<!tres)pass(?![a-z]) | pws?(?![a-z])
      | (?<!sa)creds?(?![a-z]) | kennwort | contrase | senha | mot_?de_?pass
      | (?<![a-z])(?:pin|otp|totp|pem|psk|pfx|sig|sas|hmac|salt|cvv|cvc)(?![a-z])
      | :[^\s:@]*@""",
    re.VERBOSE,
)
"""Words that speak of credentials, in lower case, and the user and password of a URL."""

_HOOK = "hook"
"""A webhook's address opens it. As no label, the word says nothing of its neighbours: a flow's trigger may be one."""

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_PLAIN_NAME = re.compile(r"[\w.-]{1,64}")
_FEW_WORDS = re.compile(r"[\w.:-]{1,64}(?: [\w.:-]{1,64}){0,2}")

_HOLD_SECRETS = {"variable", "variables", "config", "configs", "configuration", "configurations"}
"""Words in a key that hide what it holds."""

_MARKS = {"secret", "sensitive", "encrypted", "confidential", "masked", "redacted"}
"""Keys, also after `is` or `has`, that mark a record as secret unless they say no."""

_NO = {"", "0", "n", "no", "off", "false", "none", "null"}

_NAMES = {"id", "name"}
"""Last words of keys of which a secret record shows plain names and numbers."""

_LABELS = _NAMES | {"key", "label", "field", "code", "slug", "type", "title", "header", "parameter", "param", "k"}
"""Last words of keys that say what a record is about; a secret one shows plain names of credentials under them."""

_VALUES = {"value", "values", "val", "vals", "v", "default", "content", "contents", "data", "rows"}
"""Last words of keys that hold what a label beside them names."""

_MAX_FIELDS = 100
_MAX_ENTRIES = 20
_MAX_LEVELS = 4
_MAX_CHARACTERS = 500
_MAX_SEARCHED_CHARACTERS = 4 * _MAX_CHARACTERS
"""Text is cut to four times its bound before it is cleaned, so none of what lies behind is ever shown; nor is JSON in
a longer text, which was not searched for our own credentials."""


def masked(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON came in goes out, bounded
    """A copy of the JSON value that is safe to show: secrets masked, size and depth bounded, text on one line."""
    if isinstance(value, dict):
        return dict(_masked_fields(value, depth)) if depth < _MAX_LEVELS else f"({len(value)} fields)"
    if isinstance(value, list):
        return _masked_list(value, depth) if depth < _MAX_LEVELS else f"({len(value)} items)"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _masked_text(value, depth) if isinstance(value, str) else value


def _masked_fields(record: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    is_secret, has_value = _is_secret(record, is_top=depth == 0), _has_value(record)
    for key, value in list(record.items())[:_MAX_FIELDS]:
        *before, last = _words(key)
        is_relation = depth == 0 and isinstance(value, dict) and last not in _VALUES
        # A key without a value is no label but a credential.
        is_key = last == "key" and not before and has_value
        is_name = (is_key or last in _NAMES) and not _names_credential("_".join(before)) and _is_scalar(value)
        is_label = is_secret and last in _LABELS - {"key"} and _is_name_of_credential(value)
        if is_name or is_label or (last in {"uuid", "guid"} and isinstance(value, str) and is_uuid(value)):
            yield _label(key), _label(value) if isinstance(value, str) else value
        elif (is_secret and not is_relation) or _HOLD_SECRETS & {*_words(key)} or _names_credential(key, is_key=True):
            yield _label(key), _hidden(value)
        else:
            yield _label(key), masked(value, depth + 1)


def _is_secret(record: dict[str, Any], *, is_top: bool = False, looks_inside: bool = True) -> bool:
    """Whether the record is marked as secret, or something in it says that it is about a credential."""
    has_value = _has_value(record)
    for key, value in record.items():
        words = _words(key)
        rest = words[1:] if words[0] in {"is", "has"} else words
        if "_".join(rest) in _MARKS and str(value).casefold() not in _NO:
            return True
        if words[0] in {"is", "has"} and value is True and _names_credential(key, is_key=True):
            return True
        is_label = words[-1] in _LABELS
        texts = value[:_MAX_ENTRIES] if isinstance(value, list) and has_value else [value]
        told = [text for text in texts if isinstance(text, str) and (is_label or _is_short(text))]
        and_hooks = has_value or (is_label and not is_top)
        if (is_label or not is_top) and any(_names_credential(text, and_hooks=and_hooks) for text in told):
            return True
        if isinstance(value, dict) and has_value and looks_inside and _is_secret(value, looks_inside=False):
            return True
    return False


def _has_value(record: dict[str, Any]) -> bool:
    return any(_words(key)[-1] in _VALUES for key in record)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_short(text: str) -> bool:
    return len(text) <= _MAX_CHARACTERS and _FEW_WORDS.fullmatch(decoded(text).strip()) is not None


def _is_name_of_credential(value: object) -> bool:
    return isinstance(value, str) and _PLAIN_NAME.fullmatch(value) is not None and _names_credential(value)


def _masked_list(entries: list[Any], depth: int) -> list[Any]:
    first = entries[:_MAX_ENTRIES]
    is_secret = any(isinstance(entry, str) and _names_credential(entry) for entry in first)
    shown = [
        _hidden(entry) if is_secret and not isinstance(entry, dict | list) else masked(entry, depth + 1)
        for entry in first
    ]
    return shown if len(entries) <= _MAX_ENTRIES else [*shown, f"({len(entries) - _MAX_ENTRIES} more)"]


def _masked_text(text: str, depth: int) -> Any:  # noqa: ANN401 - text that holds JSON is masked as JSON
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            is_readable = depth < _MAX_LEVELS and len(text) <= _MAX_SEARCHED_CHARACTERS
            return masked(json.loads(text), depth + 1) if is_readable else MASKED
        except (ValueError, RecursionError):
            return MASKED
    searched = text[:_MAX_SEARCHED_CHARACTERS]
    if _names_credential(searched) or any(holds_token(form) for form in {searched, decoded(searched)}):
        return MASKED
    return clean_text(text, _MAX_CHARACTERS)


def _label(text: str) -> str:
    """A key or label: a plain name is shown even if it names a credential, anything else is masked like text."""
    if _PLAIN_NAME.fullmatch(text) and (is_uuid(text) or not holds_token(text)):
        return clean_text(text) or ""
    return str(_masked_text(text, _MAX_LEVELS) or "")


def _hidden(value: object) -> object:
    """What stands for a secret: emptiness and a yes or no give nothing away and are shown."""
    return value if value in (None, "", [], {}) or isinstance(value, bool) else MASKED


def _names_credential(text: str, *, is_key: bool = False, and_hooks: bool = True) -> bool:
    plain = decoded(text[:_MAX_SEARCHED_CHARACTERS])
    forms = {plain.lower(), _WORD_START.sub("_", plain).lower()}
    if is_key:
        forms.add("".join(_words(plain)))
    return any(_CREDENTIAL.search(form) or (and_hooks and _HOOK in form) for form in forms)


def _words(key: str) -> list[str]:
    """The words of a key in lower case, however they are put together; at least one."""
    return _BETWEEN_WORDS.sub(" ", _WORD_START.sub(" ", key[:_MAX_SEARCHED_CHARACTERS])).lower().split() or [""]
