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

    `is_achieved` compares what the sandbox held before with what it holds now. `asks` is whether somebody has to agree,
    `ends` the status of a call without a fault. A variant differs from another line in what happens after consent:
    it is played with one way of consent.
    """

    name: str
    tool: str
    prepare: Callable[[Sandbox], Scene]
    is_achieved: Callable[[Scene, Rows, Rows], bool]
    asks: bool = True
    sandbox: Callable[[], Sandbox] = Sandbox
    ends: str = "done"
    is_variant: bool = False

    @property
    def is_of_another_flow(self) -> bool:
        """Whether the new version of a replacement turns out to be of another flow."""
        return self.ends != "done"


def _on_one(sandbox: Sandbox, *, enabled: bool = True, **more: Any) -> Scene:
    row = target(sandbox, enabled=enabled)
    return Scene({**ids_of(row), **more}, (row.id,), sandbox.account, row.virtual_environment_id)


def _on_one_nowhere(sandbox: Sandbox) -> Scene:
    row = target(sandbox)
    row.virtual_environment_id = None
    return Scene(ids_of(row), (row.id,), sandbox.account)


def _on_one_without_environments(sandbox: Sandbox) -> Scene:
    row = next(d for d in sandbox.account.deployments.values() if d.enabled_at and d.priority)
    return Scene(ids_of(row), (row.id,), sandbox.account)


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


def _to_create_without_environments(sandbox: Sandbox) -> Scene:
    """Another version of a flow that is deployed, which goes with that."""
    account = sandbox.account
    old = next(d for d in account.deployments.values() if d.enabled_at)
    new = next(
        v for v in account.flow_versions.values() if v.flow_id == account.flow_of(old).id and v.status == "Draft"
    )
    return Scene({"flow_version_id": str(new.id)}, (), account)


def _to_update(sandbox: Sandbox) -> Scene:
    place = free_environment(sandbox.account, target(sandbox).flow_version_id)
    return _on_one(sandbox, priority=PRIORITY, virtual_environment_id=str(place))


def _to_update_clearing(sandbox: Sandbox) -> Scene:
    scene = _to_update(sandbox)
    sandbox.account.deployments[scene.targets[0]].priority = PRIORITY
    arguments = {name: value for name, value in scene.arguments.items() if name != "priority"}
    return replace(scene, arguments={**arguments, "clear": ["priority"]})


def _to_switch(sandbox: Sandbox, *, enabled: bool) -> Scene:
    in_places = [d for d in sandbox.account.deployments.values() if d.virtual_environment_id]
    rows = [d for d in in_places if (d.enabled_at is not None) is not enabled][:MANY]
    named = [f"{row.flow_version_id}/{row.id}" for row in rows]
    return Scene({"enabled": enabled, "deployments": named}, tuple(row.id for row in rows), sandbox.account)


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


def _with_another_flow(scene: Scene) -> Scene:
    """The new version is of another flow, deployed nowhere, and the place holds none of that flow's others."""
    account = scene.account
    old = account.deployments[scene.targets[0]]
    new = next(v for v in account.flow_versions.values() if v.flow_id != scene.flow_of(old) and v.status == "Draft")
    for row in list(account.deployments.values()):
        is_in_the_way = row.virtual_environment_id == scene.place and (scene.place or not account.virtual_environments)
        if scene.flow_of(row) == new.flow_id and is_in_the_way:
            del account.deployments[row.id]
    return replace(scene, arguments={**scene.arguments, "new_flow_version_id": str(new.id)})


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
    wanted = (scene.arguments.get("priority"), int(scene.arguments["virtual_environment_id"]))
    return any(
        (row.priority, row.virtual_environment_id) == wanted for id_, row in now.items() if id_ == scene.targets[0]
    )


def _is_gone(scene: Scene, _: Rows, now: Rows) -> bool:
    return scene.targets[0] not in now


def is_switched(scene: Scene, now: Rows, target_id: int, *, enabled: bool) -> bool:
    """Whether this one is there, in that state."""
    del scene
    return target_id in now and (now[target_id].enabled_at is not None) is enabled


def _are_disabled(scene: Scene, _: Rows, now: Rows) -> bool:
    return all(is_switched(scene, now, id_, enabled=False) for id_ in scene.targets)


def _are_enabled(scene: Scene, _: Rows, now: Rows) -> bool:
    return all(is_switched(scene, now, id_, enabled=True) for id_ in scene.targets)


def _is_replaced(scene: Scene, before: Rows, now: Rows) -> bool:
    old = before[scene.targets[0]]
    kept = (old.priority, old.enabled_at is not None)
    is_there = any((row.priority, row.enabled_at is not None) == kept for row in made(scene, before, now))
    return is_there and old.id not in now


def _never(*_: object) -> bool:
    return False


_ALONE = partial(Sandbox, virtual_environments=False)
"""An account without virtual environments."""

_SINGLE = (
    MatrixWrite("create", "create_deployment", _to_create, _is_created, asks=False),
    MatrixWrite("create nowhere", "create_deployment", _to_create_nowhere, _is_created),
    MatrixWrite(
        "create alone",
        "create_deployment",
        _to_create_without_environments,
        _is_created,
        sandbox=_ALONE,
        is_variant=True,
    ),
    MatrixWrite("update", "update_deployment", _to_update, _is_updated),
    MatrixWrite("update clearing", "update_deployment", _to_update_clearing, _is_updated, is_variant=True),
    MatrixWrite("delete", "delete_deployment", _on_one, _is_gone),
    MatrixWrite("delete nowhere", "delete_deployment", _on_one_nowhere, _is_gone, is_variant=True),
    MatrixWrite(
        "delete alone", "delete_deployment", _on_one_without_environments, _is_gone, sandbox=_ALONE, is_variant=True
    ),
    MatrixWrite("enable", "enable_deployment", lambda s: _on_one(s, enabled=False), _are_enabled, asks=False),
    MatrixWrite("disable", "disable_deployment", _on_one, _are_disabled),
    MatrixWrite("disable nowhere", "disable_deployment", _on_one_nowhere, _are_disabled, is_variant=True),
    MatrixWrite("switch", "set_deployments_enabled", lambda s: _to_switch(s, enabled=False), _are_disabled),
    MatrixWrite(
        "enable many", "set_deployments_enabled", lambda s: _to_switch(s, enabled=True), _are_enabled, asks=False
    ),
)


def _replacing(name: str, prepare: Callable[[Sandbox], Scene], sandbox: Callable[[], Sandbox] = Sandbox) -> MatrixWrite:
    return MatrixWrite(name, "replace_deployment", prepare, _is_replaced, sandbox=sandbox)


_REPLACING = (
    _replacing("replace", lambda s: _to_replace(s, seen_elsewhere=True)),
    _replacing("replace unseen", lambda s: _to_replace(s, seen_elsewhere=False)),
    _replacing("replace nowhere", _to_replace_nowhere),
    _replacing("replace alone", _to_replace_without_environments, _ALONE),
)


def _by_another_flow(write: MatrixWrite) -> MatrixWrite:
    def prepare(sandbox: Sandbox) -> Scene:
        return _with_another_flow(write.prepare(sandbox))

    return replace(write, name=f"mis{write.name}", prepare=prepare, is_achieved=_never, ends="partial", is_variant=True)


WRITES = (
    *_SINGLE,
    *_REPLACING,
    *(_by_another_flow(write) for write in _REPLACING if write.name != "replace unseen"),
)
