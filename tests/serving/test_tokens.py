"""The tokens file, and the command that makes its lines."""

import codecs
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import virtual_time
from support.clients import Era, both_eras
from support.processes import run
from support.team import ALICE, BOB, READ, WRITE, on_loopback

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.serving.asgi import create_app
from patchworks_deployments.serving.tokens import RECHECK_SECONDS, StaticTokens, hash_token
from patchworks_deployments.settings import load_settings

ALICE_S = f"alice {READ},{WRITE} {hash_token(ALICE)}"
BOB_S = f"bob {READ} {hash_token(BOB)}"

WRONG_LINES = {
    "one word": "alice",
    "no token": "alice deployments:read",
    "the token itself": f"alice {READ} plain-token",
    "the token for the name": f"plain-token {READ}",
    "another scope": f"alice admin {hash_token('x')}",
    "a hash that is cut off": f"alice {READ} {hash_token('x')[:-1]}",
    "a hash that is too long": f"alice {READ} {hash_token('x')}0",
    "a name with a character that nobody sees": f"al\u200bice {READ} {hash_token('x')}",
    "a name that is no UTF-8": f"al\udcffice {READ} {hash_token('x')}",
}

CONTRADICTIONS = {
    "more rights for a name, further down": f"bob {READ},{WRITE} {hash_token('another')}",
    "the same token with more rights": f"bob {READ},{WRITE} {hash_token(BOB)}",
    "the same token under another name": f"carol {READ},{WRITE} {hash_token(BOB)}",
}


def write(path: Path, *lines: str) -> None:
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "utf-8"),
    ],
)
async def test_a_tokens_file_is_read_as_windows_writes_it(mark: bytes, encoding: str, end: str, tmp_path: Path) -> None:
    """PowerShell writes UTF-16 with a mark in front, and lines end in two characters."""
    path = tmp_path / "tokens"
    zoe = f"zoë {READ} {hash_token('token-of-zoë')}"
    path.write_bytes(mark + end.join(("# who may call", ALICE_S, BOB_S, zoe, "")).encode(encoding))
    tokens = StaticTokens(path)
    found = [await tokens.verify_token(token) for token in (ALICE, BOB, "token-of-zoë")]
    assert [holder.client_id for holder in found if holder] == ["alice", "bob", "zoë"]


def test_a_tokens_file_that_is_cut_off_in_a_character_lets_in_nobody_new(tmp_path: Path) -> None:
    """And is refused with the line that is wrong."""
    path = tmp_path / "tokens"
    path.write_bytes(codecs.BOM_UTF16_LE + f"{ALICE_S}\n{BOB_S}".encode("utf-16-le")[:-1])
    with pytest.raises(SettingsError, match="line 2 must be"):
        StaticTokens(path)


@pytest.mark.parametrize("line", ["", "# nobody", *WRONG_LINES.values()])
def test_a_tokens_file_that_is_not_right_stops_the_start(line: str, tmp_path: Path) -> None:
    """The message says what is wrong, in which line, and repeats nothing of it."""
    path = tmp_path / "tokens"
    write(path, line)
    with pytest.raises(SettingsError, match="PATCHWORKS_TOKENS_FILE") as caught:
        StaticTokens(path)
    assert "plain-token" not in str(caught.value)
    assert ("line 1 must be" in str(caught.value)) == (line in WRONG_LINES.values())
    assert "holds no token" in str(caught.value)


@pytest.mark.parametrize("line", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_tokens_file_that_contradicts_itself_stops_the_start(line: str, tmp_path: Path) -> None:
    """The line that is not like one before it is named."""
    path = tmp_path / "tokens"
    write(path, ALICE_S, BOB_S, line)
    with pytest.raises(SettingsError, match="line 3 repeats"):
        StaticTokens(path)


def test_of_many_wrong_lines_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    """A file of something else fills no log."""
    path = tmp_path / "tokens"
    write(path, *["something else"] * 10_000)
    with pytest.raises(SettingsError, match=r"and 9991 more\.$") as caught:
        StaticTokens(path)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "too much"])
def test_what_is_no_tokens_file_stops_the_start(kind: str, tmp_path: Path) -> None:
    """Nothing is waited for, and nothing without end is read."""
    path = tmp_path / "tokens"
    match kind:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case _:
            write(path, ALICE_S, "# " * 2**20)
    with pytest.raises(SettingsError, match="PATCHWORKS_TOKENS_FILE cannot be read"):
        StaticTokens(path)


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a token of Alice's and one of Bob's."""
    path = tmp_path / "tokens"
    write(path, ALICE_S, BOB_S)
    return path


def let_in(tokens: StaticTokens, *brought: str) -> dict[str, list[str]]:
    """The scopes of those who are let in, by the names they are let in under."""
    found = [anyio.run(tokens.verify_token, token) for token in brought or (ALICE, BOB)]
    return {access.client_id: access.scopes for access in found if access}


EVERYBODY = {"alice": [READ, WRITE], "bob": [READ]}


@pytest.mark.parametrize("how", ["emptied", "deleted", "commented out", "a folder"])
def test_a_tokens_file_that_holds_no_token_lets_nobody_in(
    how: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it held before; the log says so once, and what is put back counts again."""
    tokens = StaticTokens(path)
    assert let_in(tokens) == EVERYBODY
    path.unlink()
    match how:
        case "emptied":
            path.touch()
        case "commented out":
            write(path, "#" + ALICE_S, "#" + BOB_S)
        case "a folder":
            path.mkdir()
    for _ in range(3):
        assert let_in(tokens) == {}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "Nobody is let in." in caplog.text
    if how == "a folder":
        path.rmdir()
    write(path, ALICE_S, BOB_S)
    assert let_in(tokens) == EVERYBODY


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES)
def test_a_wrong_line_loses_that_line_only(line: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who was revoked beside it stays out, the others stay in, and the log names the line without what it holds."""
    tokens = StaticTokens(path)
    write(path, line, BOB_S)
    for _ in range(3):
        assert let_in(tokens) == {"bob": [READ]}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "PATCHWORKS_TOKENS_FILE line 1 must be" in caplog.text
    assert "The other lines count." in caplog.text
    assert "plain-token" not in caplog.text
    assert hash_token("x")[:-1] not in caplog.text


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("line", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_itself_gives_the_least(
    line: str, path: Path, caplog: pytest.LogCaptureFixture, *, turned: bool
) -> None:
    """Whichever line comes first, a name has no right that one of its lines withholds, and a token no second name."""
    tokens = StaticTokens(path)
    write(path, ALICE_S, *((line, BOB_S) if turned else (BOB_S, line)))
    held = {} if "carol" in line else {"bob": [READ]}
    assert let_in(tokens) == {"alice": [READ, WRITE], **held}
    assert "line 3 repeats" in caplog.text


def test_two_tokens_of_one_name_with_the_same_scopes_both_count(path: Path) -> None:
    """So a token is renewed without a moment in which neither is let in."""
    write(path, f"alice {READ},{WRITE} {hash_token('new')}", ALICE_S, ALICE_S)
    tokens = StaticTokens(path)
    assert let_in(tokens, "new") == let_in(tokens, ALICE) == {"alice": [READ, WRITE]}


def test_a_change_that_leaves_time_and_size_as_they_were_counts(path: Path) -> None:
    """Nothing but the content tells on every file system."""
    tokens = StaticTokens(path)
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"alice", b"#lice"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
    assert let_in(tokens) == {"bob": [READ]}


def test_what_an_editor_of_windows_adds_is_no_part_of_a_line(path: Path) -> None:
    """A byte order mark, and line ends of two characters."""
    path.write_bytes(codecs.BOM_UTF8 + f"{ALICE_S}\r\n{BOB_S}\r\n".encode())
    assert let_in(StaticTokens(path)) == EVERYBODY


@given(st.data())
def test_a_file_that_is_being_written_lets_in_only_whose_line_is_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut off anywhere, it gives nobody more than the whole of it, and no one who stands before the cut less."""
    path = tmp_path_factory.mktemp("written") / "tokens"
    content = f"# who may call\n{ALICE_S}\n{BOB_S}  # the other one\n"
    path.write_text(content, encoding="utf-8")
    tokens = StaticTokens(path)
    cut = data.draw(st.integers(0, len(content)))
    path.write_text(content[:cut], encoding="utf-8")
    whole = {name: line for name, line in (("alice", ALICE_S), ("bob", BOB_S)) if line in content[:cut]}
    assert let_in(tokens) == {name: EVERYBODY[name] for name in whole}


# Streams ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def an_open_stream(url: str, era: Era, token: str) -> AsyncIterator[httpx2.Response]:
    """What a client of this era hears of changes on."""
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=3_600) as http:
        if era == "legacy":
            opened = await http.post(url, json=asking("initialize", **HANDSHAKE))
            session = {"Mcp-Session-Id": opened.headers["Mcp-Session-Id"]}
            request = http.build_request("GET", url, headers=session)
        else:
            named = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
            wanted = {"notifications": {"resourceSubscriptions": ["patchworks://deployments"]}, "_meta": ENVELOPE}
            request = http.build_request("POST", url, headers=named, json=asking("subscriptions/listen", **wanted))
        answer = await http.send(request, stream=True)
        yield answer
        await answer.aclose()


def asking(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


HANDSHAKE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "left",
    [(ALICE_S,), (BOB_S,), (ALICE_S.replace(f"{READ},", ""),), ()],
    ids=["this one", "others", "another right", "none"],
)
@both_eras
def test_the_stream_of_a_revoked_token_ends_within_a_minute(era: Era, left: tuple[str, ...], path: Path) -> None:
    """As one does that the server ends on purpose; the stream of a token that still counts goes on."""

    async def scenario() -> None:
        app = create_app(load_settings({}, sandbox=True, tokens_file=path))
        async with (
            app.router.lifespan_context(app),
            on_loopback(app) as base,
            an_open_stream(f"{base}/mcp", era, ALICE) as answer,
        ):
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            arriving = answer.aiter_bytes()
            with anyio.fail_after(20):
                await anext(arriving)
            write(path, *left)
            with anyio.move_on_after(RECHECK_SECONDS + 1) as waiting:
                async for _ in arriving:
                    pass
            assert waiting.cancelled_caught == (ALICE_S in left)

    virtual_time.run(scenario())
