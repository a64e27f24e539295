"""The server's own credentials, taken out of whatever Patchworks answers.

An API may echo the credentials of a request: in an error, as a name, in a header; whole or cut, and in any encoding.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from patchworks_deployments.errors import UnexpectedResponse
from patchworks_deployments.model.text import CACHE_ENTRIES, decodings

HOLE = "(secret)"
"""What stands where a credential stood."""

MIN_SECRET_CHARACTERS = 8
"""Credentials below this are not looked for: they may be a word, and the holes in names would tell which."""

MAX_PART_CHARACTERS = 12
"""A part of a credential counts from half its length on, within this and `MIN_SECRET_CHARACTERS`, if it has a digit."""

MAX_WORDS_CHARACTERS = 16
"""A part without any digit, which may be words, counts from this length on."""

MAX_TEXT_CHARACTERS = 2_000
"""Characters of one text that are searched: `model` shows nothing of what lies behind them."""

MAX_ANSWER_CHARACTERS = 2_000_000
"""Characters of one answer that are searched, which may take a second; a page of 100 has some 20,000."""

MAX_KEPT_CHARACTERS = 500
"""Characters of a text that is remembered as clean; with `CACHE_ENTRIES` that is two megabytes at most."""

_HINT_CHARACTERS = 6
_MAX_SCRUBBERS = 16
"""Those of the callers whose keys came last; each holds some kilobytes, with a long token a megabyte."""

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
        parts: defaultdict[int, set[str]] = defaultdict(set)
        for secret in secrets:
            for needle, size, needs_digit in _needles(secret):
                parts[size].update(p for p in _windows(needle, size) if not needs_digit or _DIGIT.search(p))
        self._parts = {size: frozenset(found) for size, found in parts.items() if found}
        """What is looked for, by its length."""
        self._hints = frozenset(
            hint for found in self._parts.values() for part in found for hint in _windows(part, _HINT_CHARACTERS)
        )
        self._step = min(self._parts, default=0) - _HINT_CHARACTERS + 1
        self._clean: set[str] = set()
        """Texts that were found clean: the same ones come again with every page."""

    def scrub(self, value: Any) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
        """The JSON value with a `HOLE` for each credential, in keys, texts and whole numbers.

        Raises `UnexpectedResponse` for more text than can be searched.
        """
        if not self._parts:
            return value
        found: set[str] = set()
        _collect([value], found)
        texts = [text[:MAX_TEXT_CHARACTERS] for text in found - self._clean]
        if sum(map(len, texts)) > MAX_ANSWER_CHARACTERS:
            raise UnexpectedResponse(
                f"Patchworks sent more than {MAX_ANSWER_CHARACTERS:,} characters of text, which is no answer to this."
            )
        # Nearly always nothing is found in all of them together, which is much faster than looking into each.
        if texts and self._may_be_in(" ".join(texts)):
            return _told(value, {text: self.scrub_text(text) for text in found})
        kept = [text for text in texts if len(text) <= MAX_KEPT_CHARACTERS][:CACHE_ENTRIES]
        if len(self._clean) + len(kept) > CACHE_ENTRIES:
            self._clean.clear()
        self._clean.update(kept)
        return value

    def scrub_text(self, text: str) -> str:
        """The text with a `HOLE` for each credential. Where one was encoded, the rest comes decoded, too."""
        text = text[:MAX_TEXT_CHARACTERS]
        forms = reversed(decodings(text))
        return next((holed for form in forms if (holed := self._with_holes(form)) is not None), text)

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
        for size, parts in self._parts.items():
            for start, part in enumerate(_windows(lower, size)):
                if part in parts:
                    hidden[start : start + size] = b"\1" * size
        if not any(hidden):
            return None
        runs = re.finditer(b"\1+|\0+", hidden)
        return "".join(HOLE if run[0][0] else shown[run.start() : run.end()] for run in runs)


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


def _told(value: Any, texts: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
    """The JSON value with other texts for its own, and for long numbers."""
    if isinstance(value, dict):
        return {texts[key]: _told(entry, texts) for key, entry in value.items()}
    if isinstance(value, list):
        return [_told(entry, texts) for entry in value]
    if isinstance(value, str):
        return texts[value]
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
    return value if texts.get(text, text) == text else texts[text]


def _windows(text: str, size: int, step: int = 1) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text) - size + 1, step)]


def _needles(secret: str) -> Iterator[tuple[str, int, bool]]:
    """Texts to look for, each with the length from which a part of it counts, and whether that needs a digit."""
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
