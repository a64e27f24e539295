"""What a process leaves that is killed in the middle of a write, and the start after it."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.audit.attempt import Attempt
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who
from patchworks_deployments.history.unfinished.settling import settle
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.sandbox import API_KEY, Sandbox
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import Settings, load_settings
from patchworks_deployments.startup import Stop
from patchworks_deployments.writes.change import DeploymentWrite
from patchworks_deployments.writes.plan import Acting

ADDRESS = "http://127.0.0.1:9"
"""Where Patchworks is, as far as the account goes; nothing is ever sent there."""

SETTLED_SECONDS = 20
"""Seconds within which all has to be settled."""


def later() -> float:
    """The time, a minute from now: what was sent has come by then, or never comes."""
    return time.time() + 60


async def _tell(flow_version_id: str, *states: Deployment | None) -> None:
    del flow_version_id, states


def upstream(sandbox: Sandbox) -> httpx2.ASGITransport:
    return httpx2.ASGITransport(app=sandbox.app)


async def leave(  # noqa: PLR0913 - each is one thing that a process can leave otherwise
    log: Path,
    write: DeploymentWrite,
    sandbox: Sandbox,
    *,
    is_sent: bool,
    has_outcome: bool = False,
    tool: str | None = None,
    number: str | None = None,
    key: str = API_KEY,
) -> str:
    """Let a process end between the intent of a write, which was sent or not, and its outcome; the change's id.

    Nothing is left of a write that is not needed; it has no id.
    """
    audit = AuditLog(log)
    async with reaching(upstream(sandbox)) as client, audit.served():
        change = await write.plan(client)
        if not change.is_needed:
            return ""
        asked = {**write.arguments, "reason": "stocktake"}
        attempt = Attempt(audit, tool or write.name, asked, Who("alice", "a host 1"))
        attempt.id = number or attempt.id
        async with reaching(upstream(sandbox), key) as own:
            acting = Acting(client=own, attempt=attempt, stop=Stop(), reason="stocktake", agreed="human", tell=_tell)
            await acting.intend(write, change.before, change.basis)
        if is_sent:
            await write.send(client)
        if has_outcome:
            undo = write.undo(change.before, change.after)
            before = change.before.to_json() if change.before else None
            await attempt.end({"status": "done", "before": before, "undo": undo.to_json() if undo else None})
    if has_outcome:
        (log.parent / f".{log.name}.{audit.process}").touch()  # it has ended in order, as far as it knows
    return attempt.id


def held(log: Path) -> list[Path]:
    """The files of processes beside the log."""
    return sorted(log.parent.glob(f".{log.name}.*"))


@asynccontextmanager
async def reaching(transport: httpx2.AsyncBaseTransport, key: str = API_KEY) -> AsyncIterator[DeploymentsClient]:
    """A client of Patchworks there."""
    async with open_client(_settings(key), transport) as client:
        yield client


@cache
def _settings(key: str) -> Settings:
    return load_settings({}, base_url=ADDRESS, api_key=key)


@asynccontextmanager
async def started(
    log: Path, transport: httpx2.AsyncBaseTransport, address: str = ADDRESS, **settings: Any
) -> AsyncIterator[Client]:
    """A client of a server that has just been started, a minute later."""
    given = {"base_url": address, "api_key": API_KEY, "audit_log": log, **settings}
    server = create_server(load_settings({}, **given), transport, later)
    async with Client(server) as client:
        yield client


async def settled(
    log: Path, transport: httpx2.AsyncBaseTransport, clock: Callable[[], float] = later, key: str = API_KEY
) -> None:
    """Settle what can be, as a start does; return when that is over."""
    async with reaching(transport, key) as client:
        await settle(AuditLog(log, clock), client)


async def until_settled(log: Path) -> None:
    """Wait until nothing is left to settle."""
    with anyio.fail_after(SETTLED_SECONDS):
        while held(log):  # noqa: ASYNC110 - files tell nobody
            await anyio.sleep(0.005)


async def restart(log: Path, transport: httpx2.AsyncBaseTransport, address: str = ADDRESS) -> None:
    """Start a server, and stop it when nothing is left to settle."""
    async with started(log, transport, address):
        await until_settled(log)


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Its lines; one that was cut short is none."""
    lines: list[dict[str, Any]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def outcomes(log: Path) -> Mapping[str, dict[str, Any]]:
    """The outcome of each change, by its id; none has two."""
    ended = [line for line in lines_of(log) if line["event"] == "outcome"]
    twice = [of for of, times in Counter(line["id"] for line in ended).items() if times > 1]
    assert not twice, f"settled twice: {twice}"
    return {line["id"]: line for line in ended}
