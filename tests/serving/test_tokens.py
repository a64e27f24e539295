"""The tokens file, and the command that makes its lines."""

from pathlib import Path

import pytest
from support.processes import run
from support.team import ALICE, BOB, READ, WRITE, tokens_file

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.serving.tokens import StaticTokens, hash_token


@pytest.mark.parametrize(
    "content",
    ["", "# nobody", "alice", "alice deployments:read", f"alice {READ} plain-token", f"alice admin {hash_token('x')}"],
)
def test_a_tokens_file_that_is_not_right_stops_the_start(content: str, tmp_path: Path) -> None:
    """The message names the line and its form, and repeats nothing of it."""
    path = tmp_path / "tokens"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match="PATCHWORKS_TOKENS_FILE") as caught:
        StaticTokens(path)
    assert "plain-token" not in str(caught.value)


@pytest.mark.slow
def test_a_tokens_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    """A server that was meant to be closed does not start open."""
    outcome = run("--sandbox", "--http", "0", "--tokens-file", str(tmp_path / "nowhere"))
    assert outcome.returncode == 2
    assert "PATCHWORKS_TOKENS_FILE cannot be read" in outcome.stderr


@pytest.mark.slow
async def test_the_token_command_makes_a_line_that_lets_its_token_in(tmp_path: Path) -> None:
    """The token goes to the person, and only its hash into the file."""
    outcome = run("token", "carol", "--write")
    token = outcome.stderr.split()[-1]
    assert token not in outcome.stdout
    path = tmp_path / "tokens"
    path.write_text(outcome.stdout, encoding="utf-8")
    access = await StaticTokens(path).verify_token(token)
    assert access
    assert (access.client_id, access.scopes) == ("carol", [READ, WRITE])
    assert await StaticTokens(path).verify_token(token + "x") is None


async def test_a_changed_tokens_file_counts_at_once_and_a_broken_one_not_at_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A revoked token is refused without a restart; while the file is broken or away, what was read before counts."""
    path = Path(tokens_file(tmp_path))
    tokens = StaticTokens(path)
    assert await tokens.verify_token(ALICE)
    _let_in_only("carol", "token-of-carol", path)
    assert await tokens.verify_token(ALICE) is None
    assert await tokens.verify_token("token-of-carol")
    for spoil in (lambda: path.write_text("carol is-no-more", encoding="utf-8"), path.unlink):
        caplog.clear()
        spoil()
        for _ in range(3):
            assert await tokens.verify_token("token-of-carol")
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "The tokens that were read before still count." in caplog.text
    _let_in_only("bob", BOB, path)
    assert await tokens.verify_token("token-of-carol") is None
    assert await tokens.verify_token(BOB)


def _let_in_only(name: str, token: str, path: Path) -> None:
    path.write_text(f"{name} {READ} {hash_token(token)}\n", encoding="utf-8")
