"""Text from elsewhere, made safe to show: the one way on which all of it goes."""

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

MAX_NAME_CHARACTERS = 120
"""Characters of a name that are passed on; Patchworks' own forms take far fewer."""

CACHE_ENTRIES = 4096
"""Cleaned names and parsed times that are kept: the same ones come again with every page."""

MAX_MARKS = 4
"""Combining marks that one letter keeps; Hebrew, Thai and Tibetan need as many, towers of them cover other lines."""

_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Unicode categories: control, format, unassigned, private and surrogate characters, line and paragraph separators."""

_MARKS = {"Mn", "Me"}
"""Unicode categories of marks that are drawn over what stands before them."""

_IGNORABLE = frozenset("\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f\U00016fe4").union(
    map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
)
"""The marks that Unicode lists as Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the Khitan filler.

The rest of that list is of `_INVISIBLE_CATEGORIES`, but for the fillers in `_BLANK`.
"""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159")
"""Letters and symbols that look like a space: fillers of Hangul and hieroglyphs, the empty Braille cell and note."""

_DOUBLE_QUOTES = '"“”„‟″‶❝❞〝〞〟＂ʺ˝״'
"""What may be read as the end of a name, which stands between double quotation marks; the last is Hebrew's."""

_LOOK_ALIKES = str.maketrans("|`<>[]*~#\\" + _DOUBLE_QUOTES, "¦'‹›()∗∼＃⧵" + "'" * len(_DOUBLE_QUOTES))
"""Each character that may be read as markup, and the harmless one that is shown in its place."""

SHOWN_OTHERWISE = "".join(map(chr, [*_LOOK_ALIKES, *set(_LOOK_ALIKES.values())]))
"""All of these characters: of each, a name that is shown does not tell which of several it holds."""


def is_invisible(char: str) -> bool:
    """Whether the character shows nothing. White space counts only where it is a control, like a line feed.

    That is Unicode's Default_Ignorable_Code_Point in whole, what is not assigned or private, and the blanks.
    """
    return unicodedata.category(char) in _INVISIBLE_CATEGORIES or char in _IGNORABLE or char in _BLANK


def visible(text: str) -> str:
    """The text on one line, in Unicode's form NFC, without what shows nothing, and with `MAX_MARKS` on each letter.

    What looks like a space or ends a line becomes a space, runs of them one, and none is left at the ends.
    """
    if not (text.isascii() and text.isprintable()):
        seen = (" " if _separates(char) else "" if is_invisible(char) else char for char in text)
        text = "".join(_with_few_marks(unicodedata.normalize("NFC", "".join(seen))))
    return " ".join(text.split())


def _separates(char: str) -> bool:
    return char.isspace() or char in _BLANK


def _with_few_marks(text: Iterable[str]) -> Iterator[str]:
    # A mark that follows no letter would be drawn over the quotation mark before it.
    marks = MAX_MARKS
    for char in text:
        if unicodedata.category(char) in _MARKS:
            marks += 1
        else:
            marks = MAX_MARKS if char == " " else 0
        if marks <= MAX_MARKS:
            yield char


_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\u\{([0-9a-fA-F]{1,5})\}|\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL)
_MAX_ROUNDS = 4
"""Escapes within escapes that are undone."""


def decoded(text: str) -> str:
    """The text with the escapes of URLs, HTML, JSON and program code undone, in Unicode's form NFKC."""
    return decodings(text)[-1]


def decodings(text: str) -> list[str]:
    """The text, and what it reads as after each round of undoing escapes, as far as a round changes anything."""
    forms = [text]
    while len(forms) <= _MAX_ROUNDS and (text := _decoded_once(text)) != forms[-1]:
        forms.append(text)
    return forms


def _decoded_once(text: str) -> str:
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = html.unescape(text)
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKC", "".join(char for char in text if not is_invisible(char)))
    return text


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else escape[4]


def clean_text(text: str, limit: int = MAX_NAME_CHARACTERS) -> str | None:
    """What is `visible` of the text, at most `limit` characters; None where nothing is left."""
    # It is cut before it is cleaned, or a name of megabytes would cost time and, in the cache, memory.
    return _one_line(text[: limit * 4], limit)


@lru_cache(CACHE_ENTRIES)
def _one_line(text: str, limit: int) -> str | None:
    words = visible(text)
    return (words if len(words) <= limit else f"{words[: limit - 1].rstrip()}…") or None


def inert(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    """Clean text without any character that could end a table cell, start a line, or be read as markup."""
    return _without_markup(clean_text(text, limit) or "")


@lru_cache(CACHE_ENTRIES)
def _without_markup(line: str) -> str:
    return line.translate(_LOOK_ALIKES).replace("://", ":∕∕")


@lru_cache(CACHE_ENTRIES)
def folded(name: str) -> str:
    """The name as people compare names: as it is shown, in one case and one normal form."""
    return unicodedata.normalize("NFC", inert(name).casefold())


MAX_LABEL_CHARACTERS = 40
"""Characters of a name where it only helps to recognise what its id tells."""


def label(name: str | None, identifier: str | None) -> str:
    """`UK Live (10)`, or the one of the two that is known; `?` for none."""
    known = [inert(name, MAX_LABEL_CHARACTERS)] if name else []
    known += [f"({identifier})" if known else identifier] if identifier else []
    return " ".join(known) or "?"
