"""Text from elsewhere, made safe to show."""

import unicodedata
from functools import lru_cache

MAX_NAME_CHARACTERS = 120
"""Longest name, in characters, that is passed on; Patchworks' own forms take far fewer."""

CACHE_ENTRIES = 4096
"""How many cleaned names and parsed times are kept: the same ones come again with every page."""

_INVISIBLE = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}


def clean_text(text: str, limit: int = MAX_NAME_CHARACTERS) -> str | None:
    """Text from the API on one line: no control, direction or invisible characters, bounded; None if empty."""
    # Cut before cleaning: a name of megabytes must cost neither time nor, remembered, memory.
    return _one_line(text[: limit * 4], limit)


@lru_cache(CACHE_ENTRIES)
def _one_line(text: str, limit: int) -> str | None:
    line = "".join(" " if unicodedata.category(char) in _INVISIBLE or char.isspace() else char for char in text)
    words = " ".join(line.split())
    return (words if len(words) <= limit else words[: limit - 1] + "…") or None


_MARKUP = str.maketrans(
    {
        "|": "¦",
        "`": "'",
        '"': "'",
        "<": "‹",
        ">": "›",
        "[": "(",
        "]": ")",
        "*": "∗",
        "~": "∼",
        "\\": "⧵",
        "#": "＃",
    }
)


def inert(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    """Text from elsewhere as data: without any character that could end a cell, start a line, or be read as markup."""
    return _without_markup(clean_text(text, limit) or "")


@lru_cache(CACHE_ENTRIES)
def _without_markup(line: str) -> str:
    return line.translate(_MARKUP).replace("://", ":∕∕")
