"""Text from elsewhere, made safe to show."""

import unicodedata
from functools import lru_cache

MAX_NAME_CHARACTERS = 120
"""Characters of a name that are passed on; Patchworks' own forms take far fewer."""

CACHE_ENTRIES = 4096
"""Cleaned names and parsed times that are kept: the same ones come again with every page."""

_INVISIBLE = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
"""Unicode categories: control, format, private, unassigned and surrogate characters, line and paragraph separators."""

_LOOK_ALIKES = str.maketrans('|`"<>[]*~#\\', "¦''‹›()∗∼＃⧵")
"""Each character that may be read as markup, and the harmless one that is shown in its place."""


def clean_text(text: str, limit: int = MAX_NAME_CHARACTERS) -> str | None:
    """Text on one line of at most `limit` characters, without invisible ones; None where nothing is left."""
    # It is cut before it is cleaned, or a name of megabytes would cost time and, in the cache, memory.
    return _one_line(text[: limit * 4], limit)


@lru_cache(CACHE_ENTRIES)
def _one_line(text: str, limit: int) -> str | None:
    line = "".join(" " if unicodedata.category(char) in _INVISIBLE or char.isspace() else char for char in text)
    words = " ".join(line.split())
    return (words if len(words) <= limit else words[: limit - 1] + "…") or None


def inert(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    """Clean text without any character that could end a table cell, start a line, or be read as markup."""
    return _without_markup(clean_text(text, limit) or "")


@lru_cache(CACHE_ENTRIES)
def _without_markup(line: str) -> str:
    return line.translate(_LOOK_ALIKES).replace("://", ":∕∕")
