"""The writes of the matrix: what each is asked for, and what the sandbox holds once it is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Account, Deployment
from support.cases import Arguments, ids_of, replaceable, target
from support.passages import Rows

PRIORITY = 42
"""What an update sets; nothing in the sandbox has it."""

MANY = 3
"""Deployments that are switched at once."""


@dataclass(frozen=True)
class Scene:
    """A write, ready to be made: the arguments, the deployments that it is about, and the account they are in.

    `place` is the environment that it fills or empties.
    """

    arguments: Arguments
    targets: tuple[int, ...]
    account: Account
    place: int | None = None

    def flow_of(self, row: Deployment) -> int:
        return self.account.flow_versions[row.flow_version_id].flow_id


@dataclass(frozen=True)
class MatrixWrite:
    """One line of the matrix.

    `is_achieved` compares what the sandbox held before with what it holds now. `asks` is whether somebody has to agree.
    """

    name: str
    tool: str
    prepare: Callable[[Sandbox], Scene]
    is_achieved: Callable[[Scene, Rows, Rows], bool]
    asks: bool = True
    sandbox: Callable[[], Sandbox] = Sandbox


def _on_one(sandbox: Sandbox, *, enabled: bool = True, **more: Any) -> Scene:
    row = target(sandbox, enabled=enabled)
    return Scene({**ids_of(row), **more}, (row.id,), sandbox.account, row.virtual_environment_id)


def free_environment(account: Account, version: int) -> int:
    """One that holds no version of that flow."""
    flow = account.flow_versions[version].flow_id
    taken = {d.virtual_environment_id for d in account.deployments.values() if account.flow_of(d).id == flow}
    return next(id_ for id_ in account.virtual_environments if id_ not in taken)


def _to_create(sandbox: Sandbox) -> Scene:
    version = target(sandbox).flow_version_id
    place = free_environment(sandbox.account, version)
    arguments = {"flow_version_id": str(version), "virtual_environment_id": str(place), "priority": PRIORITY}
    return Scene(arguments, (), sandbox.account, place)


def _to_create_nowhere(sandbox: Sandbox) -> Scene:
    version = target(sandbox).flow_version_id
    return Scene({"flow_version_id": str(version), "deploy_disabled": True}, (), sandbox.account)


def _to_update(sandbox: Sandbox) -> Scene:
    place = free_environment(sandbox.account, target(sandbox).flow_version_id)
    return _on_one(sandbox, priority=PRIORITY, virtual_environment_id=str(place))


def _to_switch(sandbox: Sandbox) -> Scene:
    rows = [d for d in sandbox.account.deployments.values() if d.enabled_at and d.virtual_environment_id][:MANY]
    named = [f"{row.flow_version_id}/{row.id}" for row in rows]
    return Scene({"enabled": False, "deployments": named}, tuple(row.id for row in rows), sandbox.account)


def _to_replace(sandbox: Sandbox, *, seen_elsewhere: bool) -> Scene:
    old, arguments = replaceable(sandbox, seen_elsewhere=seen_elsewhere)
    return Scene(arguments, (old.id,), sandbox.account, old.virtual_environment_id)


def _to_replace_nowhere(sandbox: Sandbox) -> Scene:
    scene = _to_replace(sandbox, seen_elsewhere=True)
    sandbox.account.deployments[scene.targets[0]].virtual_environment_id = None
    return replace(scene, place=None)


def _to_replace_without_environments(sandbox: Sandbox) -> Scene:
    account = sandbox.account
    old = next(d for d in account.deployments.values() if d.enabled_at and d.priority)
    flow = account.flow_of(old).id
    new = next(v for v in account.flow_versions.values() if v.flow_id == flow and v.id != old.flow_version_id)
    return Scene({**ids_of(old), "new_flow_version_id": str(new.id)}, (old.id,), account)


# What is so once it is done -----------------------------------------------------------------------


def made(scene: Scene, before: Rows, now: Rows) -> list[Deployment]:
    """The new deployments of the wanted version in the wanted place."""
    version = int(scene.arguments.get("new_flow_version_id") or scene.arguments["flow_version_id"])
    return [
        row
        for id_, row in now.items()
        if id_ not in before and (row.flow_version_id, row.virtual_environment_id) == (version, scene.place)
    ]


def _is_created(scene: Scene, before: Rows, now: Rows) -> bool:
    wanted = (scene.arguments.get("priority"), not scene.arguments.get("deploy_disabled"))
    return any((row.priority, row.enabled_at is not None) == wanted for row in made(scene, before, now))


def _is_updated(scene: Scene, _: Rows, now: Rows) -> bool:
    wanted = (PRIORITY, int(scene.arguments["virtual_environment_id"]))
    return any(
        (row.priority, row.virtual_environment_id) == wanted for id_, row in now.items() if id_ == scene.targets[0]
    )


def _is_gone(scene: Scene, _: Rows, now: Rows) -> bool:
    return scene.targets[0] not in now


def is_switched(scene: Scene, now: Rows, target_id: int, *, enabled: bool) -> bool:
    """Whether this one is there, in that state."""
    del scene
    return target_id in now and (now[target_id].enabled_at is not None) is enabled


def _is_enabled(scene: Scene, _: Rows, now: Rows) -> bool:
    return is_switched(scene, now, scene.targets[0], enabled=True)


def _are_disabled(scene: Scene, _: Rows, now: Rows) -> bool:
    return all(is_switched(scene, now, id_, enabled=False) for id_ in scene.targets)


def _is_replaced(scene: Scene, before: Rows, now: Rows) -> bool:
    old = before[scene.targets[0]]
    kept = (old.priority, old.enabled_at is not None)
    is_there = any((row.priority, row.enabled_at is not None) == kept for row in made(scene, before, now))
    return is_there and old.id not in now


WRITES = (
    MatrixWrite("create", "create_deployment", _to_create, _is_created, asks=False),
    MatrixWrite("create nowhere", "create_deployment", _to_create_nowhere, _is_created, asks=False),
    MatrixWrite("update", "update_deployment", _to_update, _is_updated),
    MatrixWrite("delete", "delete_deployment", _on_one, _is_gone),
    MatrixWrite("enable", "enable_deployment", lambda s: _on_one(s, enabled=False), _is_enabled, asks=False),
    MatrixWrite("disable", "disable_deployment", _on_one, _are_disabled),
    MatrixWrite("switch", "set_deployments_enabled", _to_switch, _are_disabled),
    MatrixWrite("replace nowhere", "replace_deployment", _to_replace_nowhere, _is_replaced),
    MatrixWrite("replace", "replace_deployment", lambda s: _to_replace(s, seen_elsewhere=True), _is_replaced),
    MatrixWrite("replace unseen", "replace_deployment", lambda s: _to_replace(s, seen_elsewhere=False), _is_replaced),
    MatrixWrite(
        "replace alone",
        "replace_deployment",
        _to_replace_without_environments,
        _is_replaced,
        sandbox=partial(Sandbox, virtual_environments=False),
    ),
)
