"""Where a case is played, and what somebody else does there."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

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
    known: frozenset[int] = frozenset()
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
        made = sorted(rows.keys() - self.known - {STRANGERS_ID}, reverse=True)
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
    scene, account = stage.scene, stage.sandbox.account
    arguments = scene.arguments
    version = int(arguments.get("new_flow_version_id") or arguments.get("flow_version_id") or 0)
    place = int(arguments.get("virtual_environment_id") or 0) or scene.place
    flow = account.flow_versions[version].flow_id if version else 0
    is_taken = any((d.virtual_environment_id, scene.flow_of(d)) == (place, flow) for d in account.deployments.values())
    if version and not is_taken:
        like = next(iter(account.deployments.values()))
        account.deployments[STRANGERS_ID] = dataclasses.replace(
            like, id=STRANGERS_ID, flow_version_id=version, virtual_environment_id=place, priority=STRANGERS_PRIORITY
        )


MEDDLINGS: dict[str, Callable[[Stage], None]] = {
    "switches it": switches,
    "reprioritises it": reprioritises,
    "deletes it": deletes,
    "deploys there": deploys,
}
