"""Whose rights: with PATCHWORKS_CREDENTIALS=caller each request acts with its caller's own Patchworks key."""

import json
from pathlib import Path

import anyio
import httpx2
import pytest
from support import ERAS, Era, Person, data, text, yes
from team import ALICE, BOB, calling, serving, tokens_file
from test_stdio import sandbox_over_http

IDS = {"flow_version_id": "1001", "deployment_id": "500"}
HEADER = "X-Patchworks-Authorization"


@pytest.mark.parametrize("era", ERAS)
async def test_each_request_acts_with_its_caller_s_own_key(era: Era, tmp_path: Path) -> None:
    """Alice's key may write and Bob's may not; a third caller without a key is told what to send."""
    log = tmp_path / "audit.jsonl"
    with (
        sandbox_over_http() as upstream,
        serving(
            "--credentials=caller",
            f"--tokens-file={tokens_file(tmp_path)}",
            f"--audit-log={log}",
            PATCHWORKS_BASE_URL=upstream,
        ) as served,
    ):
        async with (
            calling(served.url, ALICE, era=era, person=Person(yes), **{HEADER: "sandbox-key"}) as alice,
            calling(served.url, BOB, era=era, person=Person(yes), **{HEADER: "sandbox-read-only-key"}) as bob,
            calling(served.url, BOB, era=era, person=Person(yes)) as keyless,
            calling(served.url, ALICE, era=era, person=Person(yes), **{HEADER: "wrong-key-s3cr3t"}) as mistaken,
        ):
            refused = await bob.call_tool("disable_deployment", IDS)
            done = await alice.call_tool("disable_deployment", IDS)
            without = await keyless.call_tool("list_deployments", {})
            wrong = await mistaken.call_tool("list_deployments", {})
    assert data(refused)["status"] == "failed"
    assert "403" in text(refused)
    assert data(done)["status"] == "done"
    assert HEADER in text(without)
    assert "does not accept the credentials" in text(wrong)
    assert "s3cr3t" not in text(wrong)
    written = log.read_text(encoding="utf-8")
    assert [json.loads(line)["caller"] for line in written.splitlines()] == ["bob", "alice"]
    assert "sandbox-key" not in written


async def test_callers_at_the_same_time_never_use_each_other_s_key(tmp_path: Path) -> None:
    """Fifty interleaved calls of two callers over shared connections: each one has its own caller's rights."""
    with (
        sandbox_over_http() as upstream,
        serving(
            "--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}", PATCHWORKS_BASE_URL=upstream
        ) as served,
    ):
        outcomes: dict[str, list[bool]] = {"sandbox-key": [], "wrong-key": []}

        async def call(key: str) -> None:
            async with calling(served.url, ALICE, era="auto", person=None, **{HEADER: key}) as client:
                for _ in range(25):
                    outcomes[key].append((await client.call_tool("list_deployments", {"per_page": 1})).is_error is True)

        async with anyio.create_task_group() as group:
            for key in outcomes:
                group.start_soon(call, key)
    assert outcomes == {"sandbox-key": [False] * 25, "wrong-key": [True] * 25}


async def test_a_caller_s_key_is_no_identity(tmp_path: Path) -> None:
    """A Patchworks key without a token does not open the door."""
    with sandbox_over_http() as upstream:
        arguments = ("--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}")
        with serving(*arguments, PATCHWORKS_BASE_URL=upstream) as served:
            async with httpx2.AsyncClient(trust_env=False, headers={HEADER: "sandbox-key"}) as http:
                assert (await http.post(served.url, json={})).status_code == 401
