"""The pages that people read, cut into what tests can hold true: code blocks, code spans, links and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = "```"
_LINK = re.compile(r"(?<!!)\[[^]]+]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of text."""

    page: Path
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _cut(page: Path) -> tuple[list[Block], list[str]]:
    """The page's blocks, and its other lines."""
    blocks: list[Block] = []
    prose: list[str] = []
    start: int | None = None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.startswith(_FENCE) and start is None:
            start = number
        elif line == _FENCE and start is not None:
            language = lines[start].removeprefix(_FENCE)
            blocks.append(Block(page, start + 2, language, tuple(lines[start + 1 : number])))
            start = None
        elif start is None:
            assert not line.lstrip().startswith(_FENCE), f"{page}: line {number + 1} hides a block from the tests"
            prose.append(line)
    assert start is None, f"{page}: the block that begins on line {start} has no end"
    return blocks, prose


def blocks(*languages: str) -> list[Block]:
    """Every block in one of these languages, or in any, of every page."""
    return [block for page in PAGES for block in _cut(page)[0] if not languages or block.language in languages]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return "\n".join(_cut(page)[1])


def spans(page: Path) -> list[str]:
    """What stands between backticks in the prose; a span may be broken over two lines."""
    return [" ".join(span.split()) for span in _SPAN.findall(re.sub(r"\n(?=\S)", " ", prose(page)))]


def links(page: Path) -> list[str]:
    """Where the page's links lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The fragments that the page's headings answer to, as GitHub makes them."""
    headings = [line.lstrip("#").strip() for line in _cut(page)[1] if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def rows(page: Path, header: str) -> Iterator[list[str]]:
    """The cells of the table whose header row begins with the cell `header`."""
    inside = False
    for line in _cut(page)[1]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif inside and not set(line) <= set("|-: "):
            yield cells
        inside = inside or cells[:1] == [header]


def code(cell: str) -> str:
    """The text of a cell that is one code span; anything else is no code."""
    found = _SPAN.fullmatch(cell)
    return found[1] if found else ""
