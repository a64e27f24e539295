"""Playing a case of the matrix: a real server over HTTP in virtual time, and all that can be known of what happened."""

import asyncio
import logging
import math
import random
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import httpx2
import stamina
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import ResourceUpdatedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from patchworks_deployments.sandbox import API_KEY, PASSWORD, USERNAME
from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings
from support.clients import Era, Person, audit_lines, text, yes
from support.faults import Upstream, write
from support.matrix.faults import MatrixFault
from support.matrix.stage import LOGIN_PATH, Meddling, Stage, in_the_way, redeploys
from support.matrix.writes import MatrixWrite, Scene
from support.passages import Passage, Rows, rows_of
from support.proxy import served
from support.virtual_time import run

Consent = Literal["form", "code"]

SETTLING_SECONDS = 120.0
"""Virtual seconds after a result in which everything late arrives."""

MAX_CALL_SECONDS = 3_600.0
"""Virtual seconds after which a call counts as hanging."""


@dataclass(frozen=True)
class Case:
    """One cell: the write, in which era and with whose consent, and the faults with the requests that they strike."""

    write: MatrixWrite
    era: Era
    consent: Consent
    faults: tuple[tuple[int, MatrixFault], ...] = ()

    def __str__(self) -> str:
        struck = "; ".join(f"{k}: {fault.name}" for k, fault in self.faults)
        return f"{self.write.name} | {self.era} | {self.consent} | {struck or 'no fault'}"


@dataclass
class Told:
    """What the caller heard of one call. `crash` is an error of the protocol, or a call that never ended."""

    tool: str
    status: str = "crash"
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    is_error: bool = True
    seconds: float = 0.0
    crash: str = ""


@dataclass
class FollowUp:
    """The result's `undo` or `repair`, made with everything healed, and what somebody else did before it.

    Where it has both, they are made in turn unless somebody did.
    """

    kind: Literal["undo", "repair"]
    meddling: Meddling | None
    told: Told
    writes: list[Passage]
    before: Rows
    after: Rows


@dataclass
class Record:
    """All that is known of a case.

    The sandbox held `before` at first, `then` with the result, and `later` when all that was late had arrived.
    """

    case: Case
    scene: Scene
    told: Told
    passages: list[Passage]
    meddlings: list[Meddling]
    before: Rows
    then: Rows
    later: Rows
    ended: float
    heard: list[str]
    audit: list[dict[str, Any]]
    tracebacks: list[str] = field(default_factory=list)
    follow_up: FollowUp | None = None

    @cached_property
    def writes(self) -> list[Passage]:
        """The requests of the call that were to change something."""
        return [p for p in self.passages if write(p.request) and p.request.url.path != LOGIN_PATH]

    @cached_property
    def reads_after(self) -> list[Passage]:
        """Those after the last write."""
        last = self.passages.index(self.writes[-1]) if self.writes else len(self.passages)
        return [p for p in self.passages[last + 1 :] if not write(p.request)]

    def changed_by(self, until: float = math.inf) -> set[int]:
        """The deployments that the call's own writes have changed by that time."""
        return {id_ for p in self.writes if p.carried_out <= until for id_ in p.changed}

    @property
    def states(self) -> list[Rows]:
        """What the caller may have been told the truth about: the state then, and those before somebody meddled."""
        return self.states_since(max((p.carried_out for p in self.writes if p.carried_out <= self.ended), default=0.0))

    def states_since(self, moment: float) -> list[Rows]:
        """The state with the result, and those since that moment that somebody else or a late write has ended."""
        late = [w.before for w in self.writes if moment < w.carried_out <= self.ended]
        return [self.then, *late, *(m.before for m in self.meddlings if moment <= m.when <= self.ended)]


class _Tracebacks(logging.Handler):
    """Collects what was logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.lines.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@asynccontextmanager
async def _watching(client: Client, *uris: str) -> AsyncIterator[None]:
    """In the way of the client's era."""
    async with AsyncExitStack() as stack:
        if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
            await stack.enter_async_context(client.listen(resource_subscriptions=uris))
        else:
            for uri in uris:
                await client.session.subscribe_resource(uri)
        yield


def _uris(scene: Scene) -> list[str]:
    """The deployments that the write is about; of a create the list of its flow version."""
    rows = [scene.account.deployments[id_] for id_ in scene.targets]
    named = [f"patchworks://flow-versions/{row.flow_version_id}/deployments/{row.id}" for row in rows]
    return named or [f"patchworks://flow-versions/{scene.arguments['flow_version_id']}/deployments"]


async def _call(client: Client, tool: str, arguments: dict[str, Any], consent: Consent) -> Told:
    """Call, and with a code where one is asked for; of the two calls the longer one counts."""
    told = await _call_once(client, tool, arguments)
    code = told.data.get("confirmation_code")
    if told.status != "confirmation_required" or consent != "code" or not code:
        return told
    again = await _call_once(client, tool, {**arguments, "confirmation_code": code})
    again.seconds = max(told.seconds, again.seconds)
    return again


async def _call_once(client: Client, tool: str, arguments: dict[str, Any]) -> Told:
    loop = asyncio.get_running_loop()
    told, began = Told(tool), loop.time()
    try:
        async with asyncio.timeout(MAX_CALL_SECONDS):
            result = await client.call_tool(tool, arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, no call may end with it
        told.crash = repr(error)
    else:
        told.data = result.structured_content or {}
        told.status = told.data.get("status", "error")
        told.text, told.is_error = text(result), bool(result.is_error)
    told.seconds = loop.time() - began
    return told


async def _follow_up(record: Record, client: Client, stage: Stage, *, meddled: bool) -> FollowUp | None:
    """Make the call that leads back."""
    kind: Literal["undo", "repair"] = "undo" if "undo" in record.told.data else "repair"
    if not (call := record.told.data.get(kind)):
        return None
    before, made = rows_of(stage.sandbox), len(stage.meddlings)
    if meddled:
        # Of several, the undo names those that it is about.
        about = call["arguments"]
        names = about.get("deployments") or [about[name] for name in ("deployment_id",) if name in about]
        named = [int(name.rpartition("/")[2]) for name in names]
        stage.scene = replace(stage.scene, targets=tuple(named) or stage.scene.targets)
        is_filling = call["tool"] == "create_deployment" and record.case.write.is_of_another_flow
        stage.meddle(redeploys if is_filling else in_the_way(stage))
    told = await _call(client, call["tool"], call["arguments"], record.case.consent)
    if kind == "undo" and (repair := record.told.data.get("repair")) and not meddled:
        # What came goes, and what went comes back.
        told = await _call(client, repair["tool"], repair["arguments"], record.case.consent)
    writes = [p for p in stage.upstream.passages[len(record.passages) :] if write(p.request)]
    meddling = stage.meddlings[made] if len(stage.meddlings) > made else None
    return FollowUp(kind, meddling, told, writes, before, rows_of(stage.sandbox))


async def _play(case: Case, log: Path, *, meddled: bool) -> Record:
    sandbox = case.write.sandbox()
    scene = case.write.prepare(sandbox)
    upstream, heard, loop = Upstream(sandbox), list[str](), asyncio.get_running_loop()

    async def hear(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.append(str(message.params.uri))

    async with served(upstream) as front:
        stage = Stage(scene, sandbox, upstream, front, known=rows_of(sandbox))
        for k, fault in case.faults:
            fault.strike(stage, k)
        settings = load_settings({}, base_url=front.url, audit_log=log, **_credentials(case, front.url))
        # The transport that the server would open, but for the certificates, which take longer than the case.
        server = create_server(settings, httpx2.AsyncHTTPTransport(verify=False))
        person = Person(yes) if case.consent == "form" else None
        async with (
            Client(server, mode=case.era, elicitation_callback=person, message_handler=hear) as client,
            _watching(client, *_uris(scene)),
        ):
            before = rows_of(sandbox)
            told = await _call(client, case.write.tool, scene.arguments, case.consent)
            ended, then, passages = loop.time(), rows_of(sandbox), list(upstream.passages)
            await asyncio.sleep(SETTLING_SECONDS)
            record = Record(
                case=case,
                scene=scene,
                told=told,
                passages=passages,
                meddlings=stage.meddlings[:],
                before=before,
                then=then,
                later=rows_of(sandbox),
                ended=ended,
                heard=heard[:],
                audit=_recorded(log),
            )
            upstream.heal()
            await front.open()
            record.follow_up = await _follow_up(record, client, stage, meddled=meddled)
            return record


def _recorded(log: Path) -> list[dict[str, Any]]:
    return audit_lines(log) if log.exists() else []


def _credentials(case: Case, url: str) -> dict[str, str]:
    if any(fault.is_login for _, fault in case.faults):
        return {"username": USERNAME, "password": PASSWORD, "login_url": url + LOGIN_PATH}
    return {"api_key": API_KEY}


def play(case: Case, *, meddled: bool | None = None) -> Record:
    """Play the case, with real waits in virtual time.

    Whether somebody meddles before its undo is made, chance decides where it is not given: in a third of the cases.
    """
    random.seed(str(case))
    if meddled is None:
        meddled = random.random() < 1 / 3  # noqa: S311 - not for secrets
    tracebacks, is_testing = _Tracebacks(), stamina.is_testing()
    logging.getLogger().addHandler(tracebacks)
    stamina.set_testing(False)
    try:
        # The SDK's client checks the schemas of results anew for each connection; other tests do that once.
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch("jsonschema.Draft202012Validator.check_schema"),
            warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning),
        ):
            record = run(_play(case, Path(folder) / "audit.jsonl", meddled=meddled))
    finally:
        stamina.set_testing(is_testing)
        logging.getLogger().removeHandler(tracebacks)
    record.tracebacks = tracebacks.lines
    return record


def requests_of(case: Case) -> Sequence[str]:
    """The methods of the requests that the case makes."""
    return [p.request.method for p in play(case).passages]
