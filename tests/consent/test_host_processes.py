"""The same hosts with real processes: one that is killed, answers in real time, and a server over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cases import ids_of
from support.clients import IDS, Clock, audit_lines
from support.hosts import HOSTS, NO_ANSWER, Visit, agree
from support.processes import COMMAND, clean_environment
from support.stage import in_both_eras
from support.team import ALICE, on_loopback, serving, tokens_file
from support.wire import NEWER, Piped, Version, over_http, over_pipes

from patchworks_deployments.sandbox import API_KEY, Sandbox

pytestmark = pytest.mark.slow

BY_NAME = {host.name: host for host in HOSTS}
AGREES = BY_NAME["shows all, and the person agrees"]
CANCELS = BY_NAME["cancels unseen"]


@dataclass
class Account:
    """A sandbox at an address, and servers of it, each in a process of its own."""

    url: str
    log: Path
    sandbox: Sandbox

    @asynccontextmanager
    async def started(self, visit: Visit, **environment: str) -> AsyncIterator[Piped]:
        told = {"PATCHWORKS_BASE_URL": self.url, "PATCHWORKS_API_KEY": API_KEY, "PATCHWORKS_AUDIT_LOG": str(self.log)}
        async with over_pipes(COMMAND, clean_environment(**told, **environment)) as wire:
            await visit.open(wire)
            yield wire


@asynccontextmanager
async def _account(folder: Path) -> AsyncIterator[Account]:
    sandbox = Sandbox()
    async with on_loopback(sandbox.app) as url:
        yield Account(url, folder / "log", sandbox)


@in_both_eras
async def test_a_server_killed_while_its_question_is_open_has_changed_nothing(version: Version, tmp_path: Path) -> None:
    """A yes finds nobody any more in the older era; in the newer one the next process takes it, once."""
    async with _account(tmp_path) as account:
        visit = Visit(AGREES, version, Clock())
        async with account.started(visit) as wire:
            question = await visit.ask(wire, "disable_deployment", IDS)
            wire.process.kill()
            await wire.process.wait()
        assert not account.sandbox.writes
        assert not (tmp_path / "log").exists()
        async with account.started(visit) as anew:
            if version == NEWER:
                told = await visit.go_on(anew, question)
                assert told.status == "done", told
            else:
                await anew.answer(question, agree(visit.asked[0]))
                told = await visit.call(anew, "get_deployment", IDS)
                assert told.data["enabled"]
        assert len(account.sandbox.writes) == (version == NEWER)


@in_both_eras
async def test_the_time_of_an_answer_is_measured_in_real_time(version: Version, tmp_path: Path) -> None:
    """A no at once is nobody's, and the same no after most of a second a person's."""
    async with _account(tmp_path) as account:
        visit = Visit(CANCELS, version, Clock())
        async with account.started(visit) as wire:
            at_once = await visit.call(wire, "disable_deployment", IDS)
            visit.pause = 0.8
            later = await visit.call(wire, "disable_deployment", IDS)
        assert (at_once.status, later.status) == ("confirmation_required", "declined")
        assert "without showing the question" in at_once.text
        assert "closed the question" in later.text
        assert not account.sandbox.writes
    first, second = (line["answer_milliseconds"] for line in audit_lines(tmp_path / "log"))
    assert first < 500
    assert 800 <= second < 5_000


async def test_an_answer_that_is_no_message_is_nobody_s(tmp_path: Path) -> None:
    """What is no JSON-RPC ends the question at once, and the result says that it was no answer to it."""
    async with _account(tmp_path) as account:
        visit = Visit(AGREES, "2025-06-18", Clock())
        async with account.started(visit) as wire:
            for odd in ({"result": "cancel"}, {"result": ["accept"]}, {"result": None}, {"error": {"code": -1}}):
                question = await visit.ask(wire, "disable_deployment", IDS)
                await wire.answer(question, odd)
                async for message in wire.until_answered(question["call"]):
                    told = message
                assert told["result"]["structuredContent"]["status"] == "confirmation_required"
                assert NO_ANSWER in told["result"]["structuredContent"]["message"]
        assert not account.sandbox.writes


@in_both_eras
async def test_hosts_over_http_get_the_same(version: Version, tmp_path: Path) -> None:
    """Over a real connection, with a token: a yes is done, and a no unseen is told with a code that works."""
    log = tmp_path / "log"
    rows = (row for row in Sandbox().account.deployments.values() if row.enabled_at)
    with serving("--sandbox", "--tokens-file", tokens_file(tmp_path), "--audit-log", str(log)) as served:
        for host, row in zip((AGREES, CANCELS, BY_NAME["has no handler"]), rows, strict=False):
            visit, ids = Visit(host, version, Clock()), ids_of(row)
            async with over_http(served.url, ALICE) as wire:
                await visit.open(wire)
                told = await visit.call(wire, "disable_deployment", ids)
                if host is not AGREES:
                    assert told.status == "confirmation_required", told
                    code = {"confirmation_code": told.data["confirmation_code"]}
                    told = await visit.call(wire, "disable_deployment", ids | code)
            assert told.status == "done", told
    lines = [(line["outcome"], line["confirmed_by"]) for line in audit_lines(log)]
    unseen = [("confirmation_required", None), ("done", "code")]
    assert lines == [("done", "human"), *unseen, *unseen]
