"""Which names look alike to a person, so that a renamed environment stays recognisable.

The names are compared by their skeletons, as in Unicode Technical Standard 39: without what has no glyph, and with each
character replaced by one that stands for all that look like it.
"""

import unicodedata
from functools import lru_cache

from patchworks_deployments.model.text import CACHE_ENTRIES, clean_text


@lru_cache(CACHE_ENTRIES)
def look_alike(one: str, other: str) -> bool:
    """Whether a person may take one name for the other, without regard to case, spaces and marks on letters.

    Each letter is compared by itself, because one may look alike as it is and its neighbour only as a capital.
    """
    first, second = _letters(one), _letters(other)
    # How many letters of each are read, and the text by which one of both is ahead of the other.
    ways = [(0, "", 0, "")]
    tried = set(ways)
    while ways:
        i, ahead, j, behind = ways.pop()
        if (i, ahead, j, behind) == (len(first), "", len(second), ""):
            return True
        if behind or (not ahead and i < len(first)):
            further = [(i + 1, form, j, behind) for forms in first[i : i + 1] for form in forms]
        else:
            further = [(i, ahead, j + 1, form) for forms in second[j : j + 1] for form in forms]
        for i, ahead, j, behind in further:
            shared = min(len(ahead), len(behind))
            way = i, ahead[shared:], j, behind[shared:]
            if ahead[:shared] == behind[:shared] and way not in tried:
                tried.add(way)
                ways.append(way)
    return False


@lru_cache(CACHE_ENTRIES)
def _letters(name: str) -> tuple[frozenset[str], ...]:
    """The forms of each letter of a name, of which look-alikes share one."""
    shown = unicodedata.normalize("NFKC", clean_text(name) or "")
    return tuple(_forms(char) for char in unicodedata.normalize("NFD", shown) if not _is_overlooked(char))


@lru_cache(CACHE_ENTRIES)
def _forms(char: str) -> frozenset[str]:
    """The skeletons of a letter in both cases: a capital I looks like a small l, and is also the capital of i."""
    cases = char, char.casefold(), char.upper()
    return frozenset(_skeleton(_skeleton(case).casefold()) for case in cases)


def _is_overlooked(char: str) -> bool:
    """Whether it is a space or a mark on a letter: a dot or a stroke more is easily overlooked."""
    return char == " " or unicodedata.combining(char) != 0


def _skeleton(text: str) -> str:
    letters = unicodedata.normalize("NFD", text)
    return "".join(_prototype(char) for char in letters if not _is_overlooked(char))


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
