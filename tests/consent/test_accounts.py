"""What somebody agreed to belongs to the Patchworks account that the question named."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult
from support.clients import IDS, Era, Person, agreed, asked, both_eras, connected, data, no, text, yes
from support.team import ALICE, accounts, calling, on_loopback, serving, tokens_file

from patchworks_deployments.sandbox import Sandbox

KEYS = "a-key-that-both-servers-share-000001"


@pytest.mark.parametrize("other", [{"api_key": "bobs"}, {"base_url": "https://other.example"}])
async def test_a_yes_for_one_account_is_none_for_another(other: dict[str, str]) -> None:
    """Two servers share their keys, and their accounts look alike; neither address nor credentials may differ."""
    one, two = Sandbox(), Sandbox()
    transport = httpx2.ASGITransport(app=accounts(alices=two, bobs=two))
    mine: dict[str, Any] = {"api_key": "alices", "state_keys": KEYS, "person": Person(yes)}
    async with connected(transport=httpx2.ASGITransport(app=accounts(alices=one)), **mine) as client:
        question = await asked(client, "disable_deployment", IDS)
    async with connected(transport=transport, **{**mine, **other}) as client:
        refused = await agreed(client, "disable_deployment", IDS, question)
    assert isinstance(refused, CallToolResult)
    assert text(refused).startswith("The answer cannot be taken")
    assert one.writes == two.writes == []


@both_eras
async def test_a_code_for_one_account_is_none_for_another(era: Era) -> None:
    """It is answered with a new preview, of the other account."""
    one, two = Sandbox(), Sandbox()
    app = accounts(alices=one, bobs=two)
    settings: dict[str, Any] = {"transport": httpx2.ASGITransport(app=app), "state_keys": KEYS, "era": era}
    async with connected(api_key="alices", **settings) as client:
        code = data(await client.call_tool("disable_deployment", IDS))["confirmation_code"]
    async with connected(api_key="bobs", **settings) as client:
        result = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert data(result)["status"] == "confirmation_required"
    async with connected(api_key="alices", **settings) as client:
        result = await client.call_tool("disable_deployment", {**IDS, "confirmation_code": code})
    assert data(result)["status"] == "done"
    assert two.writes == []


@pytest.mark.slow
async def test_where_callers_bring_their_keys_a_yes_belongs_to_one_key(tmp_path: Path) -> None:
    """The same caller, asked about one account, cannot answer for another one."""
    mine, other = Sandbox(), Sandbox()
    async with on_loopback(accounts(mine=mine, other=other)) as upstream:
        arguments = ("--credentials=caller", f"--tokens-file={tokens_file(tmp_path)}")
        with serving(*arguments, PATCHWORKS_BASE_URL=upstream) as served:
            async with calling(served.url, ALICE, key="mine", person=Person(yes)) as client:
                question = await asked(client, "disable_deployment", IDS)
            async with calling(served.url, ALICE, key="other", person=Person(yes)) as client:
                refused = await agreed(client, "disable_deployment", IDS, question)
            async with calling(served.url, ALICE, key="mine", person=Person(yes)) as client:
                await agreed(client, "disable_deployment", IDS, question)
    assert isinstance(refused, CallToolResult)
    assert refused.is_error
    assert (len(mine.writes), len(other.writes)) == (1, 0)


@both_eras
async def test_the_question_names_the_account(era: Era) -> None:
    """By its host, or as the sandbox; never by its credentials."""
    person = Person(no)
    async with connected(person=person, era=era) as client:
        await client.call_tool("disable_deployment", IDS)
    app = accounts(**{"the-secret-key": Sandbox()})
    async with connected(
        transport=httpx2.ASGITransport(app=app),
        api_key="the-secret-key",
        base_url="https://core.example",
        person=person,
        era=era,
    ) as client:
        await client.call_tool("disable_deployment", IDS)
    assert "\nAccount: the sandbox\n" in person.asked[0]
    assert "\nAccount: core.example\n" in person.asked[1]
    assert "the-secret-key" not in person.asked[1]
