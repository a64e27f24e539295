"""Which names look alike to a person, so that a renamed environment stays recognisable.

The names are compared by their skeletons, as in Unicode Technical Standard 39: without what has no glyph, and with each
character replaced by one that stands for all that look like it.
"""

import unicodedata
from functools import lru_cache

from patchworks_deployments.model.text import CACHE_ENTRIES, clean_text


def look_alike(one: str, other: str) -> bool:
    """Whether a person may take one name for the other, without regard to case, spaces and marks on letters."""
    return not _forms(one).isdisjoint(_forms(other))


@lru_cache(CACHE_ENTRIES)
def _forms(name: str) -> frozenset[str]:
    """The forms of a name, of which look-alikes share one.

    There are several, because a capital I looks like a small l, and is also the capital of i.
    """
    shown = unicodedata.normalize("NFKC", clean_text(name) or "")
    cases = shown, shown.casefold(), shown.upper()
    return frozenset(_skeleton(_skeleton(case).casefold()) for case in cases)


def _skeleton(text: str) -> str:
    # A dot or a stroke more is easily overlooked, so marks do not count.
    letters = (char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char) and char != " ")
    return "".join(map(_prototype, letters))


@lru_cache(CACHE_ENTRIES)
def _prototype(char: str) -> str:
    """The text that stands for the character and all that look like it: `rn` for m, the first in Unicode for others."""
    alike = _look_alikes(char)
    # The library tells of each character those with the same prototype, and of most only the prototype.
    alike |= {further for known in alike if len(known) == 1 for further in _look_alikes(known)}
    longer = [text for text in alike if len(text) > 1]
    return min(longer) if longer else min({char} | alike)


def _look_alikes(char: str) -> set[str]:
    # Here, because its table takes 50 ms, and only who protects environments compares names.
    from confusable_homoglyphs import confusables  # type: ignore[import-untyped] # noqa: PLC0415 - untyped; see above

    found = confusables.is_confusable(char, greedy=True) or []
    texts = {glyph["c"].strip("\u200e") for entry in found for glyph in entry["homoglyphs"]}
    return {text for text in texts if text}
