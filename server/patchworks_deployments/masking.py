"""Fields nobody knows in advance, shown without their secrets."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from patchworks_deployments.texts import clean_text

MASKED = "[masked]"


_CREDENTIAL = re.compile(
    r"secret|token|passw|pwd|credential|api[-_ ]?key|auth|private|cookie|session|signature|bearer|jwt|access[-_ ]?key",
    re.IGNORECASE,
)
_ALWAYS_MASKED = {"variables", "config"}
_LONGEST_VALUE, _LONGEST_LIST, _DEEPEST = 500, 20, 4


def masked(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - whatever JSON came in goes out, bounded
    """A copy that is safe to show: secrets masked, size and depth bounded, text on one line."""
    if isinstance(value, dict):
        return dict(_masked_items(value, depth)) if depth < _DEEPEST else f"[{len(value)} fields]"
    if isinstance(value, list):
        items = [masked(item, depth + 1) for item in value[:_LONGEST_LIST]]
        return items if len(value) <= _LONGEST_LIST else [*items, f"[{len(value) - _LONGEST_LIST} more]"]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _masked_text(value, depth) if isinstance(value, str) else value


def _masked_items(record: dict[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    key_names_secret = bool(record.get("secret")) or _CREDENTIAL.search(str(record.get("key") or ""))
    for key, value in list(record.items())[: _LONGEST_LIST * 5]:
        hidden = key in _ALWAYS_MASKED or _CREDENTIAL.search(key) or (key_names_secret and key == "value")
        shown = MASKED if hidden and value not in (None, "", [], {}) else masked(value, depth + 1)
        yield clean_text(key) or "", shown


def _masked_text(text: str, depth: int) -> Any:  # noqa: ANN401 - text that holds JSON is masked as JSON
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return masked(json.loads(text), depth + 1)
        except (ValueError, RecursionError):
            return MASKED if _CREDENTIAL.search(text) else clean_text(text, _LONGEST_VALUE)
    return clean_text(text, _LONGEST_VALUE)
