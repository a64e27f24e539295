"""Lines of a question that stay short: names are cut, ids and numbers never.

A host may show three lines of a question and no more, each cut at the width of its window. So these are the whole deed,
and what matters most stands first in each.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from patchworks_deployments.model.text import inert

LINE_COLUMNS = 110
"""Columns of each of the three lines; a letter of Chinese takes two."""

TITLE_COLUMNS = 76
"""Columns of what a form says, which in a window of 80 leave room for its box."""

NARROW_COLUMNS = 80
"""Columns of a narrow window, in which everything but the last name of the first line is to be seen."""

NAME_COLUMNS = 12
"""Columns that each name keeps at the least while something else of its line can be left out."""

MAX_LISTED = 6
"""Things of one kind that a line names at the most."""

MORE = "more below"
"""What a count of things that are not shown ends with."""

JOINT = "; "
"""What stands between two things in a line."""


class Name(str):
    """A name as Patchworks has it, without markup: all that may be cut of a line."""

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        """Make it of a name that may hold anything."""
        return super().__new__(cls, inert(name))


Line: TypeAlias = tuple[str, ...]
"""The parts of a line, of which a `Name` may be cut."""


def joined(lines: Sequence[Line], joint: str = JOINT) -> Line:
    """One line of several."""
    return tuple(part for line in lines for part in (joint, *line))[1:]


def whole(line: Line) -> str:
    """The line with all that it says, as a sentence begins."""
    text = "".join(line)
    return text[:1].upper() + text[1:]


def more_below(count: int, joint: str = " ") -> Line:
    """How many are not shown, where some are not."""
    return (f"{joint}and {count} {MORE}",) if count else ()


def listed(items: Sequence[Line], most: int = MAX_LISTED) -> Iterator[Line]:
    """The items as one line: as many as may be, then fewer and fewer, of which the rest is counted."""
    for shown in range(min(len(items), most), 0, -1):
        yield (*joined(items[:shown], ", "), *more_below(len(items) - shown))


def fit(*ways: Line, columns: int = LINE_COLUMNS) -> str:
    """The line by the first of the ways that has room with names that can still be recognised.

    Where none has, the names in the last way are cut as far as it takes. It is longer only by what is no name.
    """
    for way in ways:
        if line := _cut(way, columns, NAME_COLUMNS):
            return line
    return _cut(ways[-1], columns, 1) or whole(tuple(_cut_name(part, 1) for part in ways[-1]))


def _cut(line: Line, columns: int, least: int) -> str | None:
    """The line whose longest names are cut until it has room; None where they would keep less than the least."""
    share = _share(line, columns)
    cut = tuple(_cut_name(part, share) for part in line)
    longest = max((width(part) for part in line if isinstance(part, Name)), default=0)
    return whole(cut) if share >= min(least, longest) and width("".join(cut)) <= columns else None


def _share(line: Line, columns: int) -> int:
    """The most columns that each name can take, so that short ones leave room for the others."""
    names = sorted(width(part) for part in line if isinstance(part, Name))
    room = columns - sum(width(part) for part in line if not isinstance(part, Name))
    for n, name in enumerate(names):
        if name * (len(names) - n) > room:
            return max(room // (len(names) - n), 0)
        room -= name
    return names[-1] if names else 0


def _early(line: Line) -> Line:
    """The line whose names are cut, but for the last, until what stands before that one is seen in a narrow window."""
    last = max((n for n, part in enumerate(line) if isinstance(part, Name)), default=0)
    if width("".join(line[:last])) <= NARROW_COLUMNS:
        return line
    share = _share(line[:last], NARROW_COLUMNS)
    return (*(_cut_name(part, max(share, NAME_COLUMNS)) for part in line[:last]), *line[last:])


def _cut_name(part: str, columns: int) -> str:
    """The part of a line, which is only cut where it is a name."""
    if not isinstance(part, Name) or width(part) <= columns:
        return part
    kept = part[: max(columns - 1, 0)]
    while kept and width(kept) > columns - 1:
        kept = kept[:-1]
    return Name(f"{kept.rstrip()}…")


def width(text: str) -> int:
    """Columns that a terminal needs for the text, at the most."""
    return len(text) if text.isascii() else len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


@dataclass(frozen=True)
class Stake:
    """One thing that is at stake, or is to be known, in several ways: from the fullest to the shortest.

    `told` is what stands below in any case, because no way holds it; else what the third line has no room for does.
    What `is_harmless` comes last.
    """

    ways: tuple[Line, ...]
    told: tuple[str, ...] = ()
    is_harmless: bool = False

    def below(self, *, is_shown: bool) -> tuple[str, ...]:
        """What stands below."""
        return self.told or (() if is_shown else (whole(self.ways[0]),))


def stake(*parts: str) -> Stake:
    """What is said in one way."""
    return Stake((parts,))


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a question says of a write: its three lines, what stands below them, and the deed in a few words.

    `deed`: what is done to which deployment, where. `change`: from what to what. Both in several ways, the fullest
    first. `stakes`: what is lost, what runs beside it, what is not known; the most dangerous first, and never none.
    `agreed` is what a form says beside its box, after "Yes, ", in several ways, too.
    """

    deed: tuple[Line, ...]
    change: tuple[Line, ...]
    stakes: tuple[Stake, ...]
    details: tuple[str, ...]
    agreed: tuple[Line, ...]

    def lines(self, first: Iterable[Stake] = ()) -> list[str]:
        """The lines of the question; `first` is what is even more dangerous than the stakes."""
        stakes = sorted((*first, *self.stakes), key=lambda held: held.is_harmless)
        at_stake, shown = _by_danger(stakes)
        head = [fit(*map(_early, self.deed)), fit(*self.change), at_stake]
        told = [line for n, held in enumerate(stakes) for line in held.below(is_shown=n < shown)]
        # Nothing is said twice.
        below = [*self.details, *(line for line in dict.fromkeys(told) if line[1:] not in at_stake)]
        return [*head, *self._in_full(stakes, "\n".join([*head, *below])), *below]

    def _in_full(self, stakes: Sequence[Stake], said: str) -> list[str]:
        """The names that were cut everywhere."""
        lines = [self.deed[0], self.change[0], *(held.ways[0] for held in stakes)]
        names = dict.fromkeys(part for line in lines for part in line if isinstance(part, Name))
        cut = [f'"{name}"' for name in names if name not in said]
        return [f"In full: {', '.join(cut)}"] if cut else []


def _by_danger(stakes: Sequence[Stake]) -> tuple[str, int]:
    """The third line, and how many of the stakes it shows."""
    for shown in range(len(stakes), 0, -1):
        more = more_below(len(stakes) - shown, JOINT)
        for way in range(max(len(held.ways) for held in stakes)):
            line = (*joined([held.ways[: way + 1][-1] for held in stakes[:shown]]), *more)
            if told := _cut(line, LINE_COLUMNS, NAME_COLUMNS):
                return told, shown
    return fit((*stakes[0].ways[-1], *more_below(len(stakes) - 1, JOINT))), 1
