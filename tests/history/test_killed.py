"""SIGKILL at each point of a write, a bulk switch and a replacement: what reached Patchworks is on record, once."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.killed import CARRIERS, Carrier, Killing, Nursery, Point, Stage, call, open_nursery, served, stage
from support.leftovers import lines_of, outcomes, restart, until_settled, upstream
from support.wire import Json

pytestmark = pytest.mark.slow

IDS = {"flow_version_id": "1001", "deployment_id": "500"}

CALLS: dict[str, tuple[str, Json]] = {
    "write": ("disable_deployment", IDS),
    "bulk": ("set_deployments_enabled", {"enabled": False, "deployments": ["1001/500", "1064/501", "1059/502"]}),
    "replacement": ("replace_deployment", {**IDS, "new_flow_version_id": "1000"}),
}

NEVER: Point = ("comes", 10_000)

DELETING = 4
"""The request that deletes, of a replacement."""

POINTS = 20
"""Points of one kind of call from which on each way to carry calls has a half of them."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery() as opened:
        yield opened


def _path_of(intent: dict[str, Any]) -> tuple[str, str]:
    """Method and path of the request that an intent announced."""
    kind, given = intent["tool"].rpartition(": ")[2].removesuffix("_deployment"), intent["arguments"]
    path = f"/api/v1/flow-versions/{given['flow_version_id']}/deployments"
    match kind:
        case "create":
            return "POST", path
        case "delete":
            return "DELETE", f"{path}/{given['deployment_id']}"
    return "POST", f"{path}/{given['deployment_id']}/{kind}"


def _require_truth(killing: Killing) -> None:
    """Each write that was carried out is on record as done, each other one as not done, and none twice."""
    intents = [line for line in lines_of(killing.log) if line["event"] == "intent"]
    ended = outcomes(killing.log)
    assert {intent["id"] for intent in intents} == ended.keys()
    fates = {intent["id"]: ended[intent["id"]]["outcome"] for intent in intents}
    assert set(fates.values()) <= {"done", "found_done", "found_not_done"}, fates
    done = Counter(_path_of(intent) for intent in intents if fates[intent["id"]] != "found_not_done")
    assert done == killing.carried_out, fates


async def _points(on: Stage, carrier: Carrier, log: Path, kind: str) -> list[Point]:
    """`POINTS` of those from the last request on that reads only: another half of them for each way to carry calls."""
    whole = await on.play(carrier, log, CALLS[kind], NEVER)
    first = next(number for number, method in enumerate(whole.methods) if method != "GET")
    requests = range(first - 1, len(whole.methods))
    points: list[Point] = [(when, number) for number in requests for when in ("comes", "carried out", "answered")]
    points += [("line", number) for number in range(2, len(lines_of(log)) + 1)]
    return points[CARRIERS.index(carrier) :: 2] if len(points) > POINTS else points


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("kind", CALLS)
async def test_what_reached_patchworks_is_on_record(
    kind: str, carrier: Carrier, nursery: Nursery, tmp_path: Path
) -> None:
    """After the next start each change that was made is known as done, each other one as not done, and none twice."""
    async with stage(nursery) as on:
        for number, point in enumerate(await _points(on, carrier, tmp_path / "whole", kind)):
            killing = await on.play(carrier, tmp_path / f"{number}", CALLS[kind], point)
            assert killing.has_killed.is_set() or point[0] == "line"
            await restart(killing.log, upstream(killing.sandbox), killing.address)
            _require_truth(killing)


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_next_process_says_on_stderr_what_it_found(
    carrier: Carrier, nursery: Nursery, tmp_path: Path
) -> None:
    """Of a replacement that was killed once the old deployment was gone, it names the call that restores it."""
    log = tmp_path / "log"
    async with stage(nursery) as on:
        await on.play(carrier, log, CALLS["replacement"], ("carried out", DELETING))
        assert on.scene
        async with served(nursery, carrier, on.scene) as wire:
            await call(wire, "list_deployments", {})
            await until_settled(log)
        said = " ".join(log.with_suffix(".stderr").read_text(encoding="utf-8").split())
    (outcome,) = outcomes(log).values()
    assert (outcome["outcome"], outcome["tool"]) == ("found_done", "replace_deployment: delete")
    assert f"Change {outcome['id']}" in said
    assert "environment 10 is empty" in said
    repair = outcome["undo"]["arguments"]
    assert (repair["virtual_environment_id"], repair["if_state"]) == ("10", "empty.100")
    assert json.dumps(repair) in said
