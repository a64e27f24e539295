"""What became of the requests that came to the sandbox, and what it held then."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

import httpx2

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Account, Deployment

Rows: TypeAlias = Mapping[int, Deployment]


def rows_of(sandbox: Sandbox) -> Rows:
    """The deployments as they are now."""
    return {id_: replace(row) for id_, row in sandbox.account.deployments.items()}


def frozen(sandbox: Sandbox) -> Sandbox:
    """A sandbox in which time has stopped."""
    past = Sandbox(0)
    for part in fields(Account):
        value = getattr(sandbox.account, part.name)
        copy = {id_: replace(row) for id_, row in value.items()} if isinstance(value, dict) else value
        setattr(past.account, part.name, copy)
    return past


@dataclass
class Passage:
    """What became of a request, and what the sandbox held `before` and `after` a write.

    `answer` is that of the sandbox, `told` what the caller heard: None where it heard nothing, and `is_told` is whether
    it heard all of it. `ended` is when the caller had the answer or had given up. Times are the loop's.
    """

    request: httpx2.Request
    came: float
    is_stale: bool = False
    is_under_way: bool = False
    answer: httpx2.Response | None = None
    told: httpx2.Response | None = None
    is_told: bool = True
    ended: float = math.inf
    carried_out: float = math.inf
    before: Rows = field(default_factory=dict)
    after: Rows = field(default_factory=dict)

    @property
    def changed(self) -> set[int]:
        """The deployments that it has changed."""
        return {id_ for id_ in {*self.before, *self.after} if self.before.get(id_) != self.after.get(id_)}
