"""The server's own credentials, taken out of whatever Patchworks answers.

An API may echo the credentials of a request: in an error, as a name, in a header; whole or cut, and in any encoding.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from patchworks_deployments.model.text import CACHE_ENTRIES, decodings

HOLE = "(secret)"
"""What stands where a credential stood."""

MIN_SECRET_CHARACTERS = 8
"""Credentials below this are not looked for: they may be a word, and the holes in names would tell which."""

MAX_PART_CHARACTERS = 12
"""A part of a credential counts from half its length on, within this and `MIN_SECRET_CHARACTERS`, if it has a digit."""

MAX_WORDS_CHARACTERS = 16
"""A part without any digit, which may be words, counts from this length on."""

MAX_TEXT_CHARACTERS = 20_000
"""Characters of one text that are kept; no text is shown in such length, and JSON that was cut is masked as a whole."""

_HINT_CHARACTERS = 6
_MAX_SCRUBBERS = 16
"""Those of the callers whose keys came last; each holds some kilobytes, with a long token half a megabyte."""

_LONG_NUMBER = 10 ** (MIN_SECRET_CHARACTERS - 1)
_DIGIT = re.compile("[0-9]")


@lru_cache(_MAX_SCRUBBERS)
def scrubber(secrets: Sequence[str]) -> "Scrubber":
    """What takes these credentials out, a tuple of them; the same one for the same credentials."""
    return Scrubber(secrets)


class Scrubber:
    """Takes credentials out of JSON that was read, and out of single texts.

    It finds them in upper and lower case, in base64 and hex, behind escapes of URLs, HTML and JSON, and in parts.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._needles = [needle for secret in secrets for needle in _needles(secret)]
        """Texts to look for, each with the length from which a part of it counts, and whether that needs a digit."""
        self._hints = frozenset(hint for needle, _, _ in self._needles for hint in _windows(needle, _HINT_CHARACTERS))
        self._step = min((size for _, size, _ in self._needles), default=0) - _HINT_CHARACTERS + 1
        self._clean: set[str] = set()
        """Texts that were found clean: the same ones come again with every page."""

    def scrub(self, value: Any) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
        """The JSON value with a `HOLE` for each credential, in keys, texts and whole numbers."""
        if not self._needles:
            return value
        texts: set[str] = set()
        _collect([value], texts)
        texts -= self._clean
        # Nearly always nothing is found in all of them together, which is much faster than looking into each.
        if texts and self._may_be_in(" ".join(texts)):
            return self._scrubbed(value)
        if len(self._clean) > CACHE_ENTRIES:
            self._clean.clear()
        self._clean.update(text for text in texts if len(text) <= MAX_WORDS_CHARACTERS * 4)
        return value

    def scrub_text(self, text: str) -> str:
        """The text with a `HOLE` for each credential. Where one was encoded, the rest comes decoded, too."""
        text = text[:MAX_TEXT_CHARACTERS]
        forms = reversed(decodings(text))
        return next((holed for form in forms if (holed := self._with_holes(form)) is not None), text)

    def _scrubbed(self, value: Any) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
        if isinstance(value, dict):
            return {self.scrub_text(key): self._scrubbed(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._scrubbed(entry) for entry in value]
        if isinstance(value, str):
            return self.scrub_text(value)
        if isinstance(value, int) and not isinstance(value, bool) and self._with_holes(str(value)) is not None:
            return HOLE
        return value

    def _may_be_in(self, text: str) -> bool:
        return any(
            not self._hints.isdisjoint(_windows(form.lower(), _HINT_CHARACTERS, self._step)) for form in decodings(text)
        )

    def _with_holes(self, text: str) -> str | None:
        """The text with holes, None where there is nothing to hide."""
        lower = text.lower()
        if self._hints.isdisjoint(_windows(lower, _HINT_CHARACTERS, self._step)):
            return None
        shown = text if len(text) == len(lower) else lower
        hidden = bytearray(len(lower))
        for needle, size, needs_digit in self._needles:
            for start, part in enumerate(_windows(lower, size)):
                if part in needle and (not needs_digit or _DIGIT.search(part)):
                    hidden[start : start + size] = b"\1" * size
        if not any(hidden):
            return None
        parts = re.finditer(b"\1+|\0+", hidden)
        return "".join(HOLE if part[0][0] else shown[part.start() : part.end()] for part in parts)


def _collect(values: Any, texts: set[str]) -> None:  # noqa: ANN401 - the values of an object or a list
    """Add all texts and long numbers within to `texts`. It is on the way of every answer, so it is fast."""
    for value in values:
        kind = type(value)
        if kind is str:
            texts.add(value)
        elif kind is dict:
            texts.update(value)
            _collect(value.values(), texts)
        elif kind is list:
            _collect(value, texts)
        elif kind is int and value >= _LONG_NUMBER:
            texts.add(str(value))


def _windows(text: str, size: int, step: int = 1) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text) - size + 1, step)]


def _needles(secret: str) -> Iterator[tuple[str, int, bool]]:
    if len(secret) < MIN_SECRET_CHARACTERS:
        return
    part = max(MIN_SECRET_CHARACTERS, min(MAX_PART_CHARACTERS, len(secret) // 2))
    forms = {form.lower() for form in (*decodings(secret), secret.replace(" ", "+"))}
    for form in (form for form in forms if len(form) >= MIN_SECRET_CHARACTERS):
        yield form, min(len(form), MAX_WORDS_CHARACTERS), False
        yield form, min(len(form), part), True
    data = secret.encode()
    yield data.hex(), 2 * part, False
    for shift in range(3):
        # What stands before and behind shares the first and the last characters, which are left out.
        encoded = base64.b64encode(bytes(shift) + data).rstrip(b"=").decode().lower()[(0, 2, 3)[shift] :]
        encoded = encoded if (shift + len(data)) % 3 == 0 else encoded[:-1]
        for form in {encoded, encoded.translate(_URL_SAFE)}:
            yield form, (4 * part - 2) // 3, False


_URL_SAFE = str.maketrans("+/", "-_")
