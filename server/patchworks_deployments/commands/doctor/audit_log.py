"""Looks at the audit log without writing to it, and at what it tells of the clients that were asked."""

import os
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from patchworks_deployments.audit.reading import blocks_backwards, lines_of
from patchworks_deployments.commands.doctor.findings import Finding, fail, note
from patchworks_deployments.consent.answers import UNREAD_SECONDS
from patchworks_deployments.history.record import Record, read_record
from patchworks_deployments.model.text import inert

MAX_LINES = 20_000
"""Lines that are looked at for what clients have answered, the newest first."""

MAX_CLIENTS = 10
"""Clients that are told, the ones seen last first."""

MIN_FREE_BYTES = 1024 * 1024
"""Bytes that must be free: a change needs some kilobytes for its lines."""

_IS_ASKED = b'"answer": "'
"""What a line holds that tells an answer."""


def look(path: Path, free_bytes: int = MIN_FREE_BYTES) -> Iterator[Finding]:
    """Whether lines can be appended and read, and what is known of the clients. Nothing is made and nothing written.

    So many bytes must be free on its disk.
    """
    try:
        yield from _look(path, Path(os.path.realpath(path)), free_bytes)
    except OSError as error:
        yield fail(f"audit log: {path} cannot be looked at ({error.strerror})", _LET)


_LET = "Let the user who runs this server write and read the file, or name another one in PATCHWORKS_AUDIT_LOG."


def _look(path: Path, real: Path, free_bytes: int) -> Iterator[Finding]:
    if problem := next(_problems(real, free_bytes), None):
        what, next_step = problem
        yield fail(f"audit log: {path} {what}", next_step)
        return
    if not real.exists():
        yield Finding(f"audit log: {path} is not there yet, and can be made")
    elif not real.is_file():
        yield note(f"audit log: {path} is no file but takes lines", "What was changed cannot be read again from it.")
        return
    else:
        yield Finding(f"audit log: {path} can be written and read")
        yield from _readers(real)
        yield from _clients(path)
    if not any(_may(folder, os.W_OK | os.X_OK) for folder in (real.parent, Path(tempfile.gettempdir()))):
        yield note(
            "audit log: no folder takes the small file by which a process shows that it runs",
            "What a process leaves unfinished that is killed in the middle of a change will not be found out.",
        )


def _problems(real: Path, free_bytes: int) -> Iterator[tuple[str, str]]:
    """Why no line could be appended or read, as far as looking tells, and what to do; the first is the one to tell."""
    folder = real.parent
    if not folder.is_dir():
        yield f"cannot be made: there is no folder {folder}", "Make that folder, or name another file."
    elif real.is_dir() or real.is_socket() or real.is_symlink():
        kind = "folder" if real.is_dir() else "socket" if real.is_socket() else "link to itself"
        yield f"is a {kind}", "Name a file in PATCHWORKS_AUDIT_LOG."
    elif not real.exists() and not _may(folder, os.W_OK | os.X_OK):
        yield "cannot be made", f"Let the user who runs this server write to {folder}, or name another file."
    elif real.exists() and not _may(real, os.W_OK):
        yield "cannot be written", _LET
    elif real.is_file() and not _may(real, os.R_OK):
        yield "cannot be read", _LET
    elif shutil.disk_usage(folder).free < free_bytes:
        yield "has no room: its disk is full", "Make room on the disk, or name a file on another one."


def _may(path: Path, access: int) -> bool:
    """Whether this process may; as whoever it acts for, where the system tells the two apart."""
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)


def _readers(real: Path) -> Iterator[Finding]:
    if os.name == "posix" and real.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
        yield note(
            "audit log: other users of this machine may read or write it",
            f"If they should not: chmod 600 {real}",
        )


def _clients(path: Path) -> Iterator[Finding]:
    """What the clients that were asked have answered, as far back as `MAX_LINES`."""
    told = list(_asked(path))
    for client in islice(dict.fromkeys(record.client for record in told), MAX_CLIENTS):
        yield _of_client(client, [record for record in told if record.client == client])
    if not told:
        yield Finding("clients: the audit log tells of no question yet")


def _asked(path: Path) -> Iterator[Record]:
    lines = (line for block in blocks_backwards(path) for line in lines_of(block))
    for line in islice(lines, MAX_LINES):
        if _IS_ASKED in line and (record := read_record(line)) and record.answer:
            yield record


def _of_client(client: str | None, told: Iterable[Record]) -> Finding:
    records = list(told)
    counted = Counter("by a person" if _is_persons(record) else "unseen" for record in records)
    name = f'"{inert(client)}"' if client else "a client without a name"
    answers = " and ".join(f"{number} {how}" for how, number in sorted(counted.items()))
    what = f"client {name}: questions answered {answers}, last on {records[0].time[:10]}"
    if not counted["unseen"]:
        return Finding(what)
    return note(what, "An answer within half a second, an error or an empty form counts as nobody's.")


def _is_persons(record: Record) -> bool:
    """Whether a person can have seen the question: what an answer counts as, read from its line."""
    if record.confirmed_by in {"human", "person_in_app"}:
        return True
    milliseconds = record.answer_milliseconds
    is_slow = milliseconds is None or milliseconds >= UNREAD_SECONDS * 1000
    return record.answer in {"accept", "decline", "cancel"} and is_slow
