"""A host, the server that it starts, and an account to look at afterwards."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings
from support.clients import Clock
from support.hosts import Host, Told, Visit
from support.wire import NEWER, Json, Version, Wire, in_process

VERSIONS: tuple[Version, ...] = ("2025-11-25", NEWER)

POLICIES: Mapping[str, dict[str, Any]] = {
    "auto": {},
    "human": {"confirm_by": "human"},
    "protected": {"protected_environments": "10"},
    "code": {"confirm_by": "code"},
}
"""Who must agree: the settings, by their short name. UK Live is the environment 10."""

in_both_eras = pytest.mark.parametrize("version", VERSIONS)
under_each_policy = pytest.mark.parametrize("policy", POLICIES)


@dataclass
class Stage:
    """A host that works on a sandbox, through servers that run in this process."""

    host: Host
    version: Version
    settings: dict[str, Any]
    sandbox: Sandbox = field(default_factory=Sandbox)
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def of(cls, host: Host, version: Version, policy: str, log: Path, **settings: Any) -> Self:
        """Under that policy, with that audit log."""
        return cls(host, version, {**POLICIES[policy], "audit_log": log, **settings})

    def __post_init__(self) -> None:
        self.visit = Visit(self.host, self.version, self.clock)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A wire to a server that has just been started."""
        settings = load_settings({}, **{"sandbox": True, **self.settings})
        server = create_server(settings, httpx2.ASGITransport(app=self.sandbox.app), self.clock, self.clock)
        async with in_process(server) as wire:
            await self.visit.open(wire)
            yield wire

    async def call(self, tool: str, arguments: Json) -> Told:
        """What comes of a call; a host that starts a process for each sends the answer to another one."""
        async with self.wire() as wire:
            if not self.host.is_new_each_time:
                return await self.visit.call(wire, tool, arguments)
            async with self.wire() as again:
                return await self.visit.call(wire, tool, arguments, again)
