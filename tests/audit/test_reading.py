"""Reading the audit log backwards: whole lines, newest first, through the files that it was rotated to."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.audit.reading import (
    CHUNK_BYTES,
    LONGEST_LINE_BYTES,
    blocks_backwards,
    has_packed,
    lines_of,
)

LENGTHS = st.one_of(
    st.integers(0, 40), st.integers(LONGEST_LINE_BYTES - 9, LONGEST_LINE_BYTES - 2), st.integers(0, 9_000)
)


def lines_backwards(log: Path) -> Iterator[bytes]:
    return (line for block in blocks_backwards(log) for line in lines_of(block))


@given(st.lists(LENGTHS, max_size=30), st.sampled_from([b"", b"\n"]))
def test_every_line_comes_once_and_the_newest_first(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], end: bytes
) -> None:
    """However long the lines are and wherever the parts end that are read at once; a torn end is a line as well."""
    log = tmp_path_factory.mktemp("log") / "log"
    lines = [f"{number}{'x' * length}".encode() for number, length in enumerate(lengths)]
    log.write_bytes(b"\n".join(lines) + end)
    assert [*lines_backwards(log)] == lines[::-1]


@pytest.mark.parametrize("size", [3 * LONGEST_LINE_BYTES, 10_000_000])
def test_a_line_that_is_much_too_long_costs_itself_alone(size: int, tmp_path: Path) -> None:
    """It is never held whole, wherever it stands."""
    log = tmp_path / "log"
    log.write_bytes(b"x" * size + b"\nfirst\n" + b"\xff" * size + b"\nlast\n" + b"y" * size)
    assert [*lines_backwards(log)] == [b"last", b"first"]
    assert max(map(len, blocks_backwards(log))) <= CHUNK_BYTES + LONGEST_LINE_BYTES


def test_rotated_files_are_read_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    """By when they were written last; packed ones are not read, and neither is what only looks alike."""
    log = tmp_path / "a[1].log"
    names = ["a[1].log", "a[1].log.1", "a[1].log-20261128", "a[1].log.2.gz", "a[1].logs", "a1.log.1"]
    for age, name in enumerate(names):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
        os.utime(tmp_path / name, (1_000_000 - age,) * 2)
    (tmp_path / "a[1].log.d").mkdir()
    assert [*lines_backwards(log)] == [name.encode() for name in names[:3]]
    assert has_packed(log)
    (tmp_path / "a[1].log.2.gz").unlink()
    assert not has_packed(log)


def _rotate(log: Path) -> None:
    log.rename(log.with_name("log.1"))
    log.write_bytes(b"newer\n")


@pytest.mark.parametrize("meanwhile", [_rotate, Path.unlink])
def test_a_file_that_is_rotated_meanwhile_is_read_once(meanwhile: Callable[[Path], None], tmp_path: Path) -> None:
    """Under its old name, from which it was begun to be read; what came after that is not told."""
    log, lines = tmp_path / "log", [f"{number}{'x' * 100}".encode() for number in range(2_000)]
    log.write_bytes(b"\n".join(lines) + b"\n")
    reading = lines_backwards(log)
    first = next(reading)
    meanwhile(log)
    read = [line for line in [first, *reading] if line != b"newer"]
    assert read == lines[::-1]


def test_where_there_is_no_file_there_are_no_lines(tmp_path: Path) -> None:
    """Nor where its folder does not exist; a pipe cannot be read again, and is an error at once."""
    assert [*lines_backwards(tmp_path / "log")] == []
    assert [*lines_backwards(tmp_path / "none" / "log")] == []
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file that can be read again"):
        next(lines_backwards(tmp_path / "pipe"))


async def test_reading_ends_once_nobody_waits_for_it(tmp_path: Path) -> None:
    """Else calls that are called off at once could pile up threads, each of which reads to the end."""
    (tmp_path / "log").write_bytes(b"line\n" * 100_000)
    log, read = AuditLog(tmp_path / "log"), list[bytes]()
    is_called_off, has_ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            for block in log.blocks_backwards():
                read.append(block)
                is_called_off.wait(5)
        finally:
            has_ended.set()

    with anyio.move_on_after(0.05):
        await log.read(work)
    is_called_off.set()
    assert await anyio.to_thread.run_sync(has_ended.wait, 5)
    assert len(read) <= 1
