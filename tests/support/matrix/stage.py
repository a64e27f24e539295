"""Where a case is played, and what somebody else does there."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment
from support.faults import Upstream
from support.matrix.writes import Scene
from support.passages import Rows, rows_of
from support.proxy import Front

LOGIN_PATH = "/fabric/api/login"

STRANGERS_ID, STRANGERS_PRIORITY = 9_000, 77
"""Of what somebody else makes."""


@dataclass
class Meddling:
    """What somebody else has done, and when by the loop's time."""

    when: float
    before: Rows
    after: Rows


@dataclass
class Stage:
    """Where a case is played."""

    scene: Scene
    sandbox: Sandbox
    upstream: Upstream
    front: Front
    meddlings: list[Meddling] = field(default_factory=list)
    known: Rows = field(default_factory=dict)
    """The deployments that were there at first."""

    @property
    def number(self) -> int:
        """Of the request that has just come; logins do not count."""
        return sum(request.url.path != LOGIN_PATH for request in self.upstream.requests)

    def is_nth(self, k: int) -> Callable[[httpx2.Request], bool]:
        return lambda request: request.url.path != LOGIN_PATH and self.number == k

    def is_from_nth(self, k: int) -> Callable[[httpx2.Request], bool]:
        return lambda request: request.url.path != LOGIN_PATH and self.number >= k

    def meddle(self, do: Callable[["Stage"], object]) -> None:
        """Somebody else does it; what changed nothing has not happened."""
        before = rows_of(self.sandbox)
        do(self)
        if before != (after := rows_of(self.sandbox)):
            self.meddlings.append(Meddling(asyncio.get_running_loop().time(), before, after))

    @property
    def target(self) -> Deployment | None:
        """The deployment that the write is about, or the newest that it has made."""
        rows = self.sandbox.account.deployments
        made = sorted(rows.keys() - self.known.keys() - {STRANGERS_ID}, reverse=True)
        return next((rows[id_] for id_ in (*self.scene.targets, *made) if id_ in rows), None)


def switches(stage: Stage) -> None:
    if row := stage.target:
        row.enabled_at = None if row.enabled_at else row.created_at
        row.updated_at += timedelta(minutes=1)


def reprioritises(stage: Stage) -> None:
    if row := stage.target:
        row.priority = STRANGERS_PRIORITY
        row.updated_at += timedelta(minutes=1)


def deletes(stage: Stage) -> None:
    if row := stage.target:
        del stage.sandbox.account.deployments[row.id]


def deploys(stage: Stage) -> None:
    """The version that the call is to bring, into the place that it is for, if there is room."""
    _deploy(stage, priority=STRANGERS_PRIORITY)


def deploys_the_same(stage: Stage) -> None:
    """Just what the call is to bring, with the same queue priority and state."""
    arguments, old = stage.scene.arguments, stage.known.get(next(iter(stage.scene.targets), 0))
    like = old or next(iter(stage.known.values()))
    priority = arguments.get("priority", old.priority if old else None)
    _deploy(stage, priority=priority, enabled_at=None if arguments.get("deploy_disabled") else like.created_at)


def redeploys(stage: Stage) -> None:
    """What was there at first, where it was."""
    old = stage.known[stage.scene.targets[0]]
    stage.sandbox.account.deployments[STRANGERS_ID] = dataclasses.replace(old, id=STRANGERS_ID)


def _deploy(stage: Stage, **fields: Any) -> None:
    scene, account = stage.scene, stage.sandbox.account
    arguments = scene.arguments
    version = int(arguments.get("new_flow_version_id") or arguments.get("flow_version_id") or 0)
    place = int(arguments.get("virtual_environment_id") or 0) or scene.place
    flow = account.flow_versions[version].flow_id if version else 0
    there = [(d.virtual_environment_id, scene.flow_of(d)) for d in account.deployments.values()]
    has_room = (place, flow) not in there or (place is None and account.has_virtual_environments)
    if version and has_room and STRANGERS_ID not in account.deployments:
        like = next(iter(account.deployments.values()))
        account.deployments[STRANGERS_ID] = dataclasses.replace(
            like, id=STRANGERS_ID, flow_version_id=version, virtual_environment_id=place, **fields
        )


def in_the_way(stage: Stage) -> Callable[[Stage], None]:
    """What makes a call back wrong: its target is not as it was, or its place is taken."""
    is_gone = not any(id_ in stage.sandbox.account.deployments for id_ in stage.scene.targets)
    return deploys if stage.scene.targets and is_gone and stage.target is None else reprioritises


MEDDLINGS: dict[str, Callable[[Stage], None]] = {
    "switches it": switches,
    "reprioritises it": reprioritises,
    "deletes it": deletes,
    "deploys there": deploys,
    "deploys the same": deploys_the_same,
}
