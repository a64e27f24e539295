"""A hundred thousand lines, a hundred megabytes: looking back takes little time and memory, and holds up nobody."""

import json
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.clients import IDS, Person, connected, yes
from support.histories import START, changes, rows

pytestmark = pytest.mark.slow

LINES = 100_000

MAX_SECONDS = 0.3

MAX_BYTES = 20 * 2**20

NEEDLE = "00000000abcd"
"""The id of a change that is far back."""


OF_ONE = {
    b'"caller": "local"': b'"caller": "bob"',
    b'"flow_id": "100"': b'"flow_id": "77"',
    b"Shopify orders": b"Unusual orders",
    b'"outcome": "done"': b'"outcome": "failed"',
}
"""What is different in that change."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As the server writes it, a change a minute; one of the first was another caller's, and failed."""
    path = tmp_path_factory.mktemp("large") / "log"
    anyio.run(_disable, path)
    intent, outcome = (line.strip() for line in path.read_bytes().splitlines())
    pair = intent + b"\n" + outcome + b"\n"
    for told in (json.loads(intent), json.loads(outcome)):
        pair = pair.replace(told["id"].encode(), b"%(of)b").replace(told["time"].encode(), b"%(time)b")
    with path.open("wb") as file:
        for number in range(LINES // 2):
            of = NEEDLE.encode() if number == 100 else b"%012x" % (2**40 + number)
            moment = (START + timedelta(minutes=number)).isoformat(timespec="milliseconds")
            both = pair % {b"of": of, b"time": moment.encode()}
            for was, is_ in OF_ONE.items() if number == 100 else ():
                both = both.replace(was, is_)
            file.write(both)
    assert path.stat().st_size > 100_000_000
    yield path
    path.unlink()


async def _disable(path: Path) -> None:
    async with connected(person=Person(yes), audit_log=path) as client:
        await client.call_tool("disable_deployment", IDS)


FILTERS: list[tuple[dict[str, Any], int]] = [
    ({}, 25),
    ({"caller": "bob"}, 1),
    ({"outcome": "failed"}, 1),
    ({"outcome": "unfinished"}, 0),
    ({"tool_name": "delete_deployment"}, 0),
    ({"flow": "unusual"}, 1),
    ({"flow": "no such flow"}, 0),
    ({"environment": "uk live", "caller": "bob"}, 1),
    ({"change": NEEDLE}, 1),
    ({"since": "2026-03-20"}, 25),
    ({"since": "2026-03-01", "caller": "bob"}, 1),
]


@pytest.mark.parametrize(("filters", "found"), FILTERS)
async def test_an_answer_takes_little_time_and_memory(filters: dict[str, Any], found: int, log: Path) -> None:
    """Also where few lines or none match; on a busy machine, less than reading the file fifteen times takes there.

    Reading every line as JSON takes more than twenty times.
    """
    async with connected(audit_log=log) as client:
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            told = await changes(client, **filters)
            seconds.append(time.perf_counter() - began)
        tracemalloc.start()
        try:
            assert rows(await changes(client, **filters)) == rows(told)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(rows(told)) == found
    assert peak <= MAX_BYTES
    assert min(seconds) <= max(MAX_SECONDS, 15 * _seconds_to_read(log)), seconds


def _seconds_to_read(log: Path) -> float:
    """How long this machine takes at present to look for a text in the file."""
    began = time.perf_counter()
    with log.open("rb", buffering=0) as file:
        while part := file.read(65_536):
            assert b"no such text" not in part
    return time.perf_counter() - began


async def test_meanwhile_others_are_served(log: Path) -> None:
    """The log is read in a thread, so that they wait for moments only."""
    async with connected(audit_log=log) as client, connected() as other:
        took: list[float] = []

        async def look() -> None:
            assert rows(await changes(client, caller="nobody")) == []
            has_ended.set()

        has_ended = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(look)
            while not has_ended.is_set():
                began = time.perf_counter()
                await other.call_tool("get_deployment", IDS)
                took.append(time.perf_counter() - began)
                await anyio.sleep(0.01)
    assert len(took) > 2
