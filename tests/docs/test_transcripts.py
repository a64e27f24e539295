"""Every transcript on the pages is what the server says today."""

from pathlib import Path

import pytest
from docs.pages import Block, blocks
from docs.transcripts import agrees, is_transcript, play

TRANSCRIPTS = blocks("text")


@pytest.mark.slow
@pytest.mark.parametrize("block", TRANSCRIPTS, ids=str)
async def test_a_transcript_is_what_the_server_says(block: Block, tmp_path: Path) -> None:
    """Played against a fresh sandbox, it differs in digests and durations only."""
    assert is_transcript(block.lines)
    played = await play(block.lines, tmp_path / "audit.jsonl")
    assert agrees(block.lines, played), "the page is wrong; the server says today:\n\n" + "\n".join(played)


def test_the_readme_shows_a_question_and_its_outcome() -> None:
    """And a code, a delete, a change that is told and a prompt stand on other pages."""
    said = {line.split(" ")[1] for block in TRANSCRIPTS for line in block.lines if line.startswith("> ")}
    assert {"disable_deployment", "delete_deployment", "replace_deployment", "/stop_environment"} <= said
    assert {"/undo_changes", "list_changes"} <= said
    assert any("The person ticks the box." in block.text for block in TRANSCRIPTS if block.page.name == "README.md")


@pytest.mark.parametrize(
    ("written", "played", "same"),
    [
        (["a b", "c"], ["a b", "c"], True),
        (["a", "b c"], ["a b c"], True),
        (["a ...", "c"], ["a b", "c"], True),
        (["a", "...", "d"], ["a", "b", "c", "d"], True),
        (["a", "...", "d"], ["a", "d"], True),
        (["state def8f9f36729"], ["state 0123456789ab"], True),
        (["for 14 ms"], ["for 3 ms"], True),
        (
            ["confirmation_code: 6b49d458-xzuxvij7mrg3nkp7kq4d"],
            ["confirmation_code: 00000000-aaaaaaaaaaaaaaaaaaaa"],
            True,
        ),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
        (["a ...", "d"], ["a b", "c", "d"], False),
        (["a.c"], ["abc"], False),
        (["2026-03-02 09:30 UTC"], ["2026-03-02 09:31 UTC"], False),
    ],
)
def test_what_counts_as_the_same(written: list[str], played: list[str], same: bool) -> None:  # noqa: FBT001 - a case's answer
    """Lines may be broken and left out, digests and durations differ, and nothing else."""
    assert agrees(written, played) is same
