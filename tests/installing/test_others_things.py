"""What stands in a host's file already: it stays, it is not shown, and what cannot be read is not touched."""

import json
import os
import re
import resource
from pathlib import Path

import pytest
from installing.conftest import KEY, Install

from patchworks_deployments.hosts.editing.files import MAX_BYTES

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has neither pipes among files nor such owners")

SECRET = "hush-of-somebody-else"
BEFORE = f"""{{
    // what I use
    "mcpServers": {{
        "github": {{"command": "npx", "args": ["--token={SECRET}"], "env": {{"TOKEN": "{SECRET}"}}}}, // {SECRET}
        "patchworks-sandbox": {{
            "disabled": true, /* {SECRET} */
            "command": "old",
            "args": ["--read-only", "{SECRET}"],
            "env": {{"HTTPS_PROXY": "http://u:{SECRET}@proxy", "PATCHWORKS_API_KEY": "{SECRET}"}},
        }},
    }},
    "theme": "dark",
}}
"""


@pytest.fixture
def file(home: Path) -> Path:
    """Cursor's, with servers and comments of a person."""
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(BEFORE, encoding="utf-8")
    return path


def test_everything_that_is_not_ours_stays(install: Install, file: Path) -> None:
    """Other servers, comments, commas and unknown keys; in the entry its proxy, but no old setting of ours."""
    outcome = install("cursor", "--sandbox", "--write")
    assert outcome.returncode == 0, outcome.stderr
    after = file.read_text(encoding="utf-8")
    assert after.splitlines()[:4] == BEFORE.splitlines()[:4]
    assert after.splitlines()[-3:] == BEFORE.splitlines()[-3:]
    entry = json.loads(re.sub(r"//.*|/\*.*\*/|,(?=\s*\})", "", after.replace("http://", "http:")))["mcpServers"]
    assert entry["patchworks-sandbox"]["disabled"] is True
    assert entry["patchworks-sandbox"]["args"] == ["--sandbox"]
    assert entry["patchworks-sandbox"]["env"] == {"HTTPS_PROXY": f"http:u:{SECRET}@proxy"}


@pytest.mark.parametrize("write", [(), ("--write",)])
def test_no_value_of_somebody_else_is_shown(install: Install, file: Path, write: tuple[str, ...]) -> None:
    """Not of another server, not of the old entry, and not in an error."""
    outcome = install("cursor", "--sandbox", *write)
    assert SECRET not in outcome.stdout + outcome.stderr
    assert '-     "command": "•••"' in outcome.stdout
    file.write_text(BEFORE + SECRET, encoding="utf-8")
    outcome = install("cursor", "--sandbox", *write)
    assert outcome.returncode == 2
    assert SECRET not in outcome.stdout + outcome.stderr


def test_a_name_cannot_command_the_terminal(install: Install, file: Path) -> None:
    """Control characters and those that turn the line around are dots, too."""
    names = ["\x1b[2J", "\x9b2J", "\u202e"]
    entry = {"command": "x", "env": dict.fromkeys(names, "1")}
    content = json.dumps({"mcpServers": {"patchworks-sandbox": entry}}, ensure_ascii=False)
    file.write_text(content, encoding="utf-8")
    outcome = install("cursor", "--sandbox", "--write")
    assert outcome.stdout.replace("\n", "").isprintable()
    assert json.loads(file.read_text(encoding="utf-8"))["mcpServers"]["patchworks-sandbox"]["env"] == entry["env"]


def test_the_backup_is_what_was_there(install: Install, file: Path) -> None:
    """With its permissions, beside the file; two in one second do not take each other's place."""
    file.chmod(0o640)
    install("cursor", "--sandbox", "--write")
    between = file.read_bytes()
    install("cursor", "--sandbox", "--read-only", "--write")
    backups = sorted(file.parent.glob("mcp.json.*.backup"), key=lambda path: path.stat().st_mtime_ns)
    assert [path.read_bytes() for path in backups] == [BEFORE.encode(), between]
    assert {path.stat().st_mode & 0o777 for path in [*backups, file]} == {0o640}


def test_a_file_that_others_can_read_is_named_when_it_gets_a_key(install: Install, home: Path) -> None:
    """Its permissions are its owner's business."""
    path = home / ".config" / "zed" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}", encoding="utf-8")
    path.chmod(0o644)
    outcome = install("zed", "--write", PATCHWORKS_API_KEY=KEY)
    assert "Others on this machine can read" in outcome.stdout
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"mcpServers": {"a": 1 "b"}}', "line 1, column 24: a comma or }"),
        (b"[]", "has no object at its root"),
        (b"null", "has no object at its root"),
        (b'{"mcpServers": []}', 'has no object under "mcpServers"'),
        (b'{"mcpServers": {}, "mcpServers": {}}', 'has "mcpServers" twice'),
        (b'{"mcpServers": {"patchworks-sandbox": 1, "patchworks-sandbox": 2}}', "twice"),
        ('{"ü": 1}'.encode("utf-16"), "is not in UTF-8"),
        (b" " * (MAX_BYTES + 1), "has more than 1,048,576 bytes"),
    ],
)
def test_a_file_that_cannot_be_changed_for_sure_stays(install: Install, file: Path, content: bytes, said: str) -> None:
    """The error says what is in the way, and no backup is made."""
    file.write_bytes(content)
    outcome = install("cursor", "--sandbox", "--write")
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert "Nothing was changed." in outcome.stderr
    assert file.read_bytes() == content
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"\xef\xbb\xbf", b'\xef\xbb\xbf{"a": 1}\r\n', b'{"mcpServers": null}']
)
def test_a_file_with_nothing_in_it_is_filled(install: Install, file: Path, content: bytes) -> None:
    """So is one with a byte order mark, which stays."""
    file.write_bytes(content)
    assert install("cursor", "--sandbox", "--write").returncode == 0
    after = file.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf") == content.startswith(b"\xef\xbb\xbf")
    assert "patchworks-sandbox" in json.loads(after.decode("utf-8-sig"))["mcpServers"]
    assert (b"\r\n" in after) == (b"\r\n" in content)


def test_a_link_stays_a_link(install: Install, file: Path, home: Path) -> None:
    """People keep their configuration elsewhere and link to it."""
    kept = home / "dotfiles.json"
    file.replace(kept)
    file.symlink_to(kept)
    assert install("cursor", "--sandbox", "--write").returncode == 0
    assert file.is_symlink()
    assert '"--sandbox"' in kept.read_text(encoding="utf-8")


def test_a_folder_in_the_place_of_the_file_is_named(install: Install, home: Path) -> None:
    """In one line."""
    (home / ".cursor" / "mcp.json").mkdir(parents=True)
    outcome = install("cursor", "--sandbox", "--write")
    assert outcome.returncode == 2
    assert "is a folder, where a file belongs. Nothing was changed." in outcome.stderr


def test_what_cannot_be_written_leaves_everything_as_it_was(install: Install, home: Path) -> None:
    """A file stands where the folder would have to be."""
    (home / ".codex").write_text("a file", encoding="utf-8")
    outcome = install("codex", "--sandbox", "--write")
    assert outcome.returncode == 2
    assert "cannot be" in outcome.stderr
    assert (home / ".codex").read_text(encoding="utf-8") == "a file"
    assert list(home.iterdir()) == [home / ".codex"]


def test_half_a_backup_is_none(install: Install, file: Path) -> None:
    """Where the disk is full, nothing stands beside the file as if it were a copy."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        outcome = install("cursor", "--sandbox", "--write")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome.returncode == 2
    assert "cannot be written (File too large). Nothing was changed." in outcome.stderr
    assert file.read_text(encoding="utf-8") == BEFORE
    assert list(file.parent.iterdir()) == [file]


def test_a_toml_that_is_written_in_another_form_has_to_be_changed_by_hand(install: Install, home: Path) -> None:
    """It stays as it is."""
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text("mcp_servers = {}\n", encoding="utf-8")
    outcome = install("codex", "--sandbox", "--write")
    assert outcome.returncode == 2
    assert "has to be changed by hand" in outcome.stderr
    assert path.read_text(encoding="utf-8") == "mcp_servers = {}\n"


@posix
def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(install: Install, file: Path) -> None:
    """And nothing is put in the place of a device."""
    file.unlink()
    os.mkfifo(file)
    outcome = install("cursor", "--sandbox", "--write")
    assert outcome.returncode == 2
    assert "is no file but a device or a pipe. Nothing was changed." in outcome.stderr
    assert file.is_fifo()


@posix
@pytest.mark.parametrize("room", [100, len(BEFORE.encode()) + 10], ids=["for no backup", "for no new file"])
def test_a_full_disk_leaves_the_file_and_nothing_beside_it(install: Install, file: Path, room: int) -> None:
    """Half a backup would look like a whole one."""
    import resource  # noqa: PLC0415 - Windows has none

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        outcome = install("cursor", "--sandbox", "--protected-environments", "x" * 500, "--write")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert outcome.returncode == 2
    assert "cannot be written (File too large). Nothing was changed." in outcome.stderr
    assert list(file.parent.iterdir()) == [file]
    assert file.read_text(encoding="utf-8") == BEFORE


@posix
def test_a_file_keeps_its_owner(install: Install, file: Path) -> None:
    """As root installs it for somebody, whose host could not read it otherwise; others cannot give a file away."""
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
    file.chmod(0o600)
    owner = file.stat().st_uid, file.stat().st_gid
    assert install("cursor", "--sandbox", "--write").returncode == 0
    for path in file.parent.iterdir():
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (*owner, 0o600)
