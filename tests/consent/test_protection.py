"""Protected environments: what counts as one, by id and by name, whatever somebody calls it in Patchworks."""

import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import IDS, Era, Person, both_eras, connected, data, no, text
from support.examples import examples
from support.faults import Upstream
from support.processes import run_here

from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.model.names import look_alike
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import VirtualEnvironment


async def is_protected(name: str, setting: str, era: Era = "auto") -> bool:
    """Whether disabling a deployment in the environment with this name is refused to who cannot ask a person."""
    sandbox = Sandbox()
    environment = sandbox.account.virtual_environments[10]
    object.__setattr__(environment, "name", name)
    async with connected(sandbox, era=era, protected_environments=setting) as client:
        return str(data(await client.call_tool("disable_deployment", IDS))["status"]) == "refused"


@both_eras
@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("2024", "2024"),
        ("2024", "11,2024"),
        ("UK, Live", '11,"UK, Live"'),
        ("UK Live\ufe0f", "UK Live"),
        ("UK\u3164Live", "UK Live"),
        ("UK L\u034five", "UK Live"),
        ("\U000e0041UK Live", "UK Live"),
        ("UK Live\u2800", "UK Live"),
        ("U\u041a Live", "UK Live"),
        ("UK L\u0456ve", "UK Live"),
        ("UK Iive", "UK Live"),
        ("UK \uff2c\uff49\uff56\uff45", "uk live"),
        ("UK  LIVE", "UK Live"),
        ("UK L\u0323ive", "UK Live"),
        ("Norrnandy", "Normandy"),
        ("L0ndo\u03bd", "Londov"),
        ("IJK \u0391I\u03bd", "ijk aiv"),
    ],
)
async def test_an_environment_that_looks_like_a_protected_one_is_protected(name: str, setting: str, era: Era) -> None:
    """A person would take it for the one in the setting."""
    assert await is_protected(name, setting, era)


@pytest.mark.parametrize(
    ("name", "setting"), [("UK Live", "DE Live"), ("UK Live", "11"), ("UK Live 2", "UK Live"), ("UK Sandbox", "1,0,UK")]
)
async def test_an_environment_that_is_another_is_not(name: str, setting: str) -> None:
    """A part of a name is not the name, nor a digit of an id the id."""
    assert not await is_protected(name, setting)


INVISIBLE = [chr(code) for code in (0xAD, 0x34F, 0x61C, 0x115F, 0x17B4, 0x180B, 0x200B, 0x200D, 0x202E, 0x2060, 0x2800)]
INVISIBLE += [
    chr(code) for code in (0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0x1BCA0, 0x1D173, 0xE0001, 0xE0041, 0xE0100)
]
LOOK_ALIKES = {
    "a": "a\u0430\uff41\U0001d41a",
    "e": "e\u0435\uff45\u212e",
    "i": "i\u0456\uff49\u2170",
    "o": "o\u043e\u03bf0",
    "l": "l1I\u217c\u0399",
    "k": "k\uff4b\U0001d424",
    "u": "u\uff55\U0001d42e",
    "v": "v\u03bd\u2174\uff56",
    "n": "n\uff4e\U0001d427",
    "d": "d\u217e\uff44",
}


@given(
    name=st.lists(st.sampled_from([*LOOK_ALIKES, " ", "2", "7", "x"]), min_size=1, max_size=12).map("".join),
    data=st.data(),
)
@examples(200)
def test_no_disguise_takes_a_name_out_of_protection(name: str, data: st.DataObject) -> None:
    """Look-alikes, case, marks and characters without a glyph, anywhere in the name, alone and together."""
    disguised = ""
    for char in name:
        shown = data.draw(st.sampled_from(LOOK_ALIKES.get(char, char)))
        disguised += shown + data.draw(st.sampled_from(["", "", "", *INVISIBLE]))
    if data.draw(st.booleans()):
        disguised = unicodedata.normalize("NFD", disguised)
    if name.strip():
        assert look_alike(name, disguised), ascii(disguised)


@given(st.text(max_size=40), st.text(max_size=40))
@examples(200)
def test_comparing_never_fails_and_takes_no_side(one: str, other: str) -> None:
    """Whatever an environment is called, it is compared, with the same outcome both ways."""
    assert look_alike(one, other) == look_alike(other, one)
    assert look_alike(one, one)


@given(first=st.integers(1, 10**6), second=st.integers(1, 10**6))
@examples(200)
def test_different_ids_never_look_alike(first: int, second: int) -> None:
    """An id is compared like a name, and digits stay what they are."""
    assert look_alike(str(first), str(second)) == (first == second)


@both_eras
async def test_moving_into_a_protected_environment_asks_even_if_its_name_is_unknown(era: Era) -> None:
    """Where any environment is protected, one whose name nobody knows may be it."""
    person = Person(no)
    sandbox = Sandbox()
    for row in [d for d in sandbox.account.deployments.values() if d.virtual_environment_id == 13]:
        del sandbox.account.deployments[row.id]
    async with connected(sandbox, person=person, era=era, protected_environments="US Live") as client:
        await client.call_tool("update_deployment", {**IDS, "virtual_environment_id": "13"})
    assert person.asked[0].splitlines()[2].startswith("Protected environment: 13; ")


@both_eras
@pytest.mark.parametrize("told", [{}, {"virtual_environment_id": None}], ids=["without id", "with null"])
@pytest.mark.parametrize("odd", ["UK Live", 10, [{"id": 10}], {"id": 10.0}, {"id": "010"}, {"uuid": "10"}], ids=str)
async def test_an_environment_whose_id_cannot_be_read_may_be_the_protected_one(
    odd: object, told: dict[str, None], era: Era
) -> None:
    """A relation of an odd type tells that there is an environment, and so it is not taken for none."""

    def without_id(_: object, answer: dict[str, Any]) -> dict[str, Any]:
        record = answer["data"]
        del record["virtual_environment_id"]
        return {"data": {**record, **told, "virtual_environment": odd}}

    transport = Upstream().alter(without_id)
    async with connected(transport=transport, era=era, protected_environments="10") as client:
        result = data(await client.call_tool("disable_deployment", IDS))
    assert (result["status"], result["before"]["unreadable"]) == ("refused", ["virtual_environment_id"])


def test_check_names_the_entries_that_match_no_environment_on_any_page() -> None:
    """An entry that matches nothing protects nothing, and check says so; one on a later page is found."""
    outcome = run_here("check", "--sandbox", "--protected-environments", "10,99,UK Lvie,uk live")
    lines = [line for line in outcome.stdout.splitlines() if "protected environment " in line]
    told = "no deployment is in an environment with this id or name, so it protects nothing"
    assert lines == [
        "ok   protected environment 10: found",
        f"FAIL protected environment 99: {told}",
        f"FAIL protected environment UK Lvie: {told}",
        "ok   protected environment uk live: found",
    ]


def test_a_quotation_mark_that_is_never_closed_stops_the_start() -> None:
    """Nobody can say which environments were meant."""
    outcome = run_here("--sandbox", "--protected-environments", '10,"UK Live')
    assert outcome.returncode == 2
    assert "must be comma-separated, and what holds a comma in" in outcome.stderr


def test_where_nothing_is_protected_nothing_unknown_is() -> None:
    """The rule about what is unknown counts only where something is protected."""
    policy = Policy("destructive", "auto", ())
    assert policy.unmatched([("10", "UK Live")]) == []


@both_eras
async def test_a_question_that_cannot_name_all_protected_environments_is_not_asked(era: Era) -> None:
    """Nobody can agree to what is not on the screen; the refusal says how to split it."""
    person, sandbox = Person(no), Sandbox()
    account, row = sandbox.account, sandbox.account.deployments[500]
    account.deployments = {}
    for n in range(30):
        name = f"Shop {n} " + "with a long name " * 5
        account.virtual_environments[5000 + n] = VirtualEnvironment(5000 + n, name)
        account.deployments[900 + n] = replace(row, id=900 + n, virtual_environment_id=5000 + n)
    ids = ",".join(str(5000 + n) for n in range(30))
    async with connected(sandbox, person=person, era=era, protected_environments=ids) as client:
        refused = await client.call_tool("set_deployments_enabled", {"enabled": False, "flow": "Shopify"})
    assert refused.is_error
    assert text(refused) == (
        "This touches more than a person can be shown in one question. Nothing was changed. "
        "Go environment by environment (environment=...), or name fewer deployments."
    )
    assert person.asked == []
    assert sandbox.writes == []
