"""`check` on the audit log: whether it could be written, found out without writing."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.clients import IDS, Person, connected, yes
from support.doctor import lines, looked_at

from patchworks_deployments.commands.doctor.findings import Exit

posix = pytest.mark.skipif(os.name != "posix", reason="Windows keeps rights elsewhere")


@contextmanager
def as_somebody_without_rights() -> Iterator[None]:
    """Root may do everything, so the test goes on as nobody."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, as pytest's is for its user alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_log_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    """Looking at it leaves no file, no lock and no folder behind."""
    told, ended = looked_at(tmp_path / "audit.jsonl")
    assert "audit.jsonl is not there yet, and can be made" in lines(told, "ok")
    assert ended is Exit.FINE
    assert not list(tmp_path.iterdir())


def test_a_log_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """Neither its bytes nor its times change."""
    log = tmp_path / "audit.jsonl"
    log.write_bytes(b"a stump without an end")
    log.chmod(0o600)
    before = log.stat()
    told, ended = looked_at(log)
    assert "audit.jsonl can be written and read" in lines(told, "ok")
    assert ended is Exit.FINE
    assert (log.read_bytes(), log.stat().st_mtime_ns) == (b"a stump without an end", before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize(
    ("path", "what", "next_step"),
    [
        ("absent/audit.jsonl", "there is no folder", "Make that folder"),
        ("", "is a folder", "Name a file in PATCHWORKS_AUDIT_LOG"),
        ("file/audit.jsonl", "there is no folder", "Make that folder"),
        ("leads-nowhere", "there is no folder", "Make that folder"),
        ("circle", "is a link to itself", "Name a file in PATCHWORKS_AUDIT_LOG"),
        ("socket", "is a socket", "Name a file in PATCHWORKS_AUDIT_LOG"),
    ],
)
def test_what_can_be_no_log_is_named(path: str, what: str, next_step: str, tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "leads-nowhere").symlink_to(tmp_path / "absent" / "audit.jsonl")
    (tmp_path / "circle").symlink_to("circle")
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(tmp_path / "socket"))
    told, ended = looked_at(tmp_path / path)
    assert ended is Exit.OTHER
    assert what in lines(told, "FAIL")
    assert next_step in lines(told, "FAIL")


@posix
@pytest.mark.parametrize(
    ("mode", "folder_mode", "what"),
    [(0o444, 0o755, "cannot be written"), (0o222, 0o755, "cannot be read"), (None, 0o555, "cannot be made")],
)
def test_a_right_that_lacks_is_named(mode: int | None, folder_mode: int, what: str, open_folder: Path) -> None:
    """As whoever runs this, without trying."""
    log = open_folder / "audit.jsonl"
    if mode is not None:
        log.touch()
        log.chmod(mode)
    open_folder.chmod(folder_mode)
    with as_somebody_without_rights():
        told, ended = looked_at(log)
    assert ended is Exit.OTHER
    assert f"audit.jsonl {what}" in lines(told, "FAIL")
    assert "the user who runs this server" in lines(told, "FAIL")


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    """Where the lines would not fit, nothing could be changed."""
    told, ended = looked_at(tmp_path / "audit.jsonl", free_bytes=2**80)
    assert ended is Exit.OTHER
    assert "has no room: its disk is full" in lines(told, "FAIL")


@posix
def test_a_log_that_others_may_read_is_told(tmp_path: Path) -> None:
    """It says who changed what, and why."""
    log = tmp_path / "audit.jsonl"
    log.touch()
    log.chmod(0o644)
    told, ended = looked_at(log)
    assert "other users of this machine" in lines(told, "note")
    assert ended is Exit.FINE


@posix
def test_a_pipe_takes_lines_that_nobody_reads_again(tmp_path: Path) -> None:
    """And looking at one does not wait."""
    os.mkfifo(tmp_path / "pipe")
    told, _ = looked_at(tmp_path / "pipe")
    assert "is no file but takes lines" in lines(told, "note")


async def test_the_clients_that_asked_a_person_are_told(tmp_path: Path) -> None:
    """By their own names, with how the questions were answered."""
    log = tmp_path / "audit.jsonl"
    async with connected(person=Person(yes), audit_log=log) as client:
        await client.call_tool("disable_deployment", IDS)
    told, _ = looked_at(log)
    assert "questions answered 1 by a person, last on 20" in lines(told, "ok")


def _line(client: str | None, **more: Any) -> str:
    fields = {"event": "attempt", "id": "0a" * 5, "time": "2026-03-02T09:30:00.000+00:00", "tool": "delete_deployment"}
    return json.dumps({**fields, "outcome": "declined", "client": client, **more}) + "\n"


def test_a_client_that_answers_unseen_is_told_from_a_person(tmp_path: Path) -> None:
    """Within half a second, by an error, or with an empty form; what is no line of ours is passed over."""
    log = tmp_path / "audit.jsonl"
    log.write_text(
        "no line\n"
        + _line("slow 1", answer="decline", answer_milliseconds=2_000)
        + _line("quick 1", answer="cancel", answer_milliseconds=4)
        + _line("quick 1", answer="error -32601", answer_milliseconds=900)
        + _line("quick 1", answer="accept", answer_milliseconds=900, confirmed_by="human")
        + _line("quick 1", answer="unfit", answer_milliseconds=900)
        + _line("never asked 1")
        + _line("evil\n| x\u202e", answer="accept", answer_milliseconds=9, confirmed_by="human"),
        encoding="utf-8",
    )
    told, _ = looked_at(log)
    assert 'client "slow 1": questions answered 1 by a person, last on 2026-03-02' in lines(told, "ok")
    assert 'client "quick 1": questions answered 1 by a person and 3 unseen' in lines(told, "note")
    assert "never asked" not in lines(told, "ok")
    assert len([line for line in lines(told, "ok").splitlines() if "evil" in line]) == 1
    assert not set("\u202e|") & set(lines(told, "ok"))


def test_a_log_without_questions_says_so(tmp_path: Path) -> None:
    """No client is made up."""
    (tmp_path / "audit.jsonl").write_text(_line("a 1"), encoding="utf-8")
    told, _ = looked_at(tmp_path / "audit.jsonl")
    assert "the audit log tells of no question yet" in lines(told, "ok")
