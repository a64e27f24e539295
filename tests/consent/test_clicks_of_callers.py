"""Clicks over HTTP: of whom, in whose account, and who may not change anything."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.clicks import click, confirm_of, for_page
from support.clients import CONFIRM, IDS, READING, TOOLS, Era, audit_lines, both_eras, data
from support.team import ALICE, BOB, READER, accounts, calling, on_loopback, serving, tokens_file, tool_call

from patchworks_deployments.sandbox import Sandbox

pytestmark = pytest.mark.slow

OTHER = "The question was about something else: "


@both_eras
async def test_a_click_belongs_to_one_caller_and_one_account(era: Era, tmp_path: Path) -> None:
    """Nobody else's page can use its code, not even in the same account, nor the same caller's in another one."""
    mine, other, log = Sandbox(), Sandbox(), tmp_path / "audit"
    arguments = ("--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}", f"--audit-log={log}")
    async with on_loopback(accounts(mine=mine, other=other)) as upstream:
        with serving(*arguments, PATCHWORKS_BASE_URL=upstream) as served:

            def page(token: str, key: str) -> Any:
                return calling(served.url, token, key=key, pages=True, era=era)

            async with page(ALICE, "mine") as client:
                waiting = await client.call_tool("disable_deployment", IDS)
            for token, key in ((BOB, "mine"), (ALICE, "other")):
                async with page(token, key) as client:
                    refused = data(await click(client, waiting))
                    assert (refused["status"], refused["message"].startswith(OTHER)) == ("refused", True)
            assert mine.writes == other.writes == []
            async with page(ALICE, "mine") as client:
                done = data(await click(client, waiting))
    assert (done["status"], done["confirmed_by"], len(mine.writes), other.writes) == ("done", "person_in_app", 1, [])
    assert [(line["caller"], line["outcome"]) for line in audit_lines(log)] == [
        ("alice", "waiting_for_person"),
        ("bob", "refused"),
        ("alice", "refused"),
        ("alice", "done"),
    ]


@both_eras
async def test_who_may_only_read_has_nothing_to_click(era: Era, tmp_path: Path) -> None:
    """The tool is not offered, the board has no actions, and calling it is challenged like a write and recorded."""
    log = tmp_path / "audit"
    with serving("--sandbox", f"--tokens-file={tokens_file(tmp_path)}", f"--audit-log={log}") as served:
        async with calling(served.url, ALICE, era=era, pages=True) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS | {CONFIRM}
            assert for_page(await client.call_tool("deployment_overview", {}))["board"]["may_change"] is True
            confirm = confirm_of(await client.call_tool("disable_deployment", IDS))
        async with calling(served.url, READER, era=era, pages=True) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == READING
            assert for_page(await client.call_tool("deployment_overview", {}))["board"]["may_change"] is False
        async with httpx2.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {READER}"}) as http:
            for tool_name in ("disable_deployment", "get_deployment", CONFIRM, 5):
                call = tool_call(CONFIRM)
                call["params"]["arguments"] = {**confirm, "agree": True, "tool_name": tool_name}
                answer = await http.post(served.url, json=call)
                assert answer.status_code == 403
                assert 'scope="deployments:read deployments:write"' in answer.headers["WWW-Authenticate"]
    refused = audit_lines(log)[1:]
    assert {(line["caller"], line["outcome"]) for line in refused} == {("reader", "refused")}
    assert [line["tool"] for line in refused] == ["disable_deployment", CONFIRM, CONFIRM, CONFIRM]
    assert confirm["code"] not in log.read_text(encoding="utf-8")
