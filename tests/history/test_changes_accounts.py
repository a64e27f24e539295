"""Whose changes list_changes tells: those of its own Patchworks account, and to callers with keys only their own."""

from pathlib import Path

import httpx2
import pytest
from support.clients import IDS, Era, Person, both_eras, connected, yes
from support.histories import changes, column, line, rows, write_log
from support.team import ALICE, BOB, READER, accounts, calling, on_loopback, serving, tokens_file

from patchworks_deployments.sandbox import Sandbox


@both_eras
async def test_changes_of_another_account_are_counted_and_left_out(era: Era, tmp_path: Path) -> None:
    """Two servers share the file; each tells what it or another one has changed with the same credentials."""
    log, app = tmp_path / "log", accounts(alices=Sandbox(), bobs=Sandbox())
    transport = httpx2.ASGITransport(app=app)
    for key in ("alices", "bobs", "bobs"):
        async with connected(transport=transport, api_key=key, audit_log=log, person=Person(yes), era=era) as client:
            await client.call_tool("update_deployment", {**IDS, "priority": 8 if key == "alices" else 9})
            told = await changes(client)
    assert column(told, "change") == ["priority 1 → 9"]
    assert told["remarks"] == ["1 change of other Patchworks accounts is left out."]


@both_eras
async def test_old_lines_are_told_where_the_server_has_its_own_credentials(era: Era, tmp_path: Path) -> None:
    """They have no account, no id and no undo; a replacement hides its steps, a bulk is told by them."""
    log = tmp_path / "log"
    step = {"arguments": {"flow_version_id": "1001", "deployment_id": "500"}}
    replacing = {"flow_version_id": "1001", "deployment_id": "500", "new_flow_version_id": "1002"}
    write_log(
        log,
        [
            line(None, "", 0),
            line(None, "", 1, outcome="declined"),
            line(None, "", 2, tool="set_deployments_enabled: disable", **step),
            line(None, "", 3, tool="set_deployments_enabled", arguments={"enabled": False}, before=None, after=None),
            line(None, "", 4, tool="replace_deployment: delete", after=None, **step),
            line(None, "", 5, tool="replace_deployment: create", before=None, arguments={"flow_version_id": "1002"}),
            line(None, "", 6, tool="replace_deployment", outcome="partial", arguments=replacing),
            line(None, "", 7, tool="delete_deployment", outcome="unknown", after=None),
        ],
    )
    async with connected(audit_log=log, era=era) as client:
        told = await changes(client)
    assert [row["time (UTC)"][-2:] for row in rows(told)] == ["07", "06", "02", "00"]
    assert set(column(told, "id")) == {"-"}
    assert column(told, "undo") == ["not known", "not known", "none", "none"]


@pytest.mark.slow
async def test_callers_with_keys_of_their_own_see_only_their_own_changes(tmp_path: Path) -> None:
    """Over HTTP: neither rows, counts nor times tell of what another key has changed, nor do old lines."""
    log = tmp_path / "log"
    write_log(log, [line(None, "", 0), b'{"event": "outcome", "id": "of somebody else'])
    (tmp_path / "log.1.gz").touch()
    older = ["There may be older changes, which are not read, or not kept."]
    async with on_loopback(accounts(mine=Sandbox(), other=Sandbox())) as upstream:
        arguments = ("--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}", f"--audit-log={log}")
        with serving(*arguments, PATCHWORKS_BASE_URL=upstream) as served:
            async with calling(served.url, ALICE, key="mine", person=Person(yes)) as client:
                await client.call_tool("disable_deployment", IDS)
                told = await changes(client)
                assert (column(told, "caller"), told["remarks"]) == (["alice"], older)
            async with calling(served.url, BOB, key="other", person=Person(yes)) as client:
                told = await changes(client)
                assert (rows(told), told["remarks"]) == ([], [*older, "No change on record matches."])
                found = await client.call_tool("list_changes", {"flow": "Shopify orders"})
                assert "No change on record" in str(found.structured_content)
            async with calling(served.url, READER, key="mine") as client:
                assert column(await changes(client), "caller") == ["alice"]
            async with calling(served.url, READER) as client:
                refused = await client.call_tool("list_changes", {})
                assert refused.is_error
