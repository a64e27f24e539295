"""The first three lines of a question are the whole deed, for hosts that show no more of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ElicitRequestFormParams, ElicitResult
from support.cases import CASES, HOSTILE, ids_of, replaceable, target
from support.clients import IDS, Era, Person, both_eras, connected, data, no, text
from support.examples import examples

from patchworks_deployments.api.selection import Selection
from patchworks_deployments.consent.question import ask
from patchworks_deployments.model.deployment import Deployment
from patchworks_deployments.model.text import inert
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.writes.beside import Place
from patchworks_deployments.writes.operations import Create, Delete, Disable, Enable, Update
from patchworks_deployments.writes.plan import AnyPlan
from patchworks_deployments.writes.replacement import Replace, Replacement
from patchworks_deployments.writes.switching import Switch, SwitchPlan

SHOWN = 110
"""Characters of a line that are read here; three lines of them."""

MARKUP = re.compile(r"[<>`*\[\]|\x00-\x09\x0b-\x1f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

Arguments = dict[str, Any]
Preparing = Callable[[Sandbox], Arguments]

LOST = "Protected environment: ", "ost for good: its id, its history"
KEPT = "Protected environment: ", "othing is lost"
STOPS = "Protected environment: ", "Patchworks does not say if runs under way finish"


def _switch(sandbox: Sandbox) -> Arguments:
    row = target(sandbox)
    rows = [d for d in sandbox.account.deployments.values() if d.virtual_environment_id == row.virtual_environment_id]
    return {"enabled": False, "deployments": [str(d.id) for d in rows if d.enabled_at][:2]}


def _replace(*, known: bool) -> Preparing:
    return lambda sandbox: replaceable(sandbox, seen_elsewhere=known)[1]


@dataclass(frozen=True)
class Deed:
    """A write: the tool, its arguments, and what each of the three lines has to say, in this order."""

    tool: str
    arguments: Preparing
    what: tuple[str, ...]
    change: tuple[str, ...]
    at_stake: tuple[str, ...] = KEPT


MOVE = {**IDS, "virtual_environment_id": "12", "priority": 9, "deploy_disabled": True}
PLACE = "(10): iteration 2 of flow 100 "
CREATE, UPDATE, DELETE, _, DISABLE = (case.arguments for case in CASES)

DEEDS = {
    "create": Deed(
        "create_deployment",
        CREATE,
        ("Deploy flow version 1001 in ", "(11): iteration 2 of flow 100 "),
        ("From not deployed there to enabled: its triggers start runs by themselves; queue priority inherited",),
    ),
    "update": Deed(
        "update_deployment",
        UPDATE,
        ("Update deployment 500 in ", PLACE),
        ("Queue priority from 1 to 42; stays enabled since 2026-02-28 19:37 UTC, flow version 1001",),
    ),
    "move": Deed(
        "update_deployment",
        lambda _: MOVE,
        ("Update deployment 500 in ", PLACE),
        ("From ", "(10) to ", "(12); from enabled to disabled; queue priority from 1 to 9"),
        ("2 protected environments: ", "(10), ", "(12); and 2 more below"),
    ),
    "delete": Deed(
        "delete_deployment",
        DELETE,
        ("Delete deployment 500 in ", PLACE),
        ("From enabled since 2026-02-28 19:37 UTC to deleted; queue priority 1, flow version 1001",),
        LOST,
    ),
    "enable": Deed(
        "enable_deployment",
        lambda sandbox: ids_of(target(sandbox, enabled=False)),
        ("Enable deployment 504 in ", "(13): iteration 5 of flow 111 "),
        ("From disabled to enabled, its triggers start runs by themselves; ", "flow version 1052"),
    ),
    "disable": Deed(
        "disable_deployment",
        DISABLE,
        ("Disable deployment 500 in ", PLACE),
        ("From enabled since 2026-02-28 19:37 UTC to disabled; queue priority 1, flow version 1001",),
        STOPS,
    ),
    "two": Deed(
        "set_deployments_enabled",
        _switch,
        ("Disable 2 deployments in ", "(10)"),
        ("From enabled to disabled: 500, 517; 2 flows: ", "(100)"),
        STOPS,
    ),
    "replace": Deed(
        "replace_deployment",
        _replace(known=True),
        ("Replace deployment 500 in ", "(10): flow 100 "),
        ("From iteration 2 (version 1001) to iteration 1 (version 1000); stays enabled, queue priority 1",),
        LOST,
    ),
    "unknown": Deed(
        "replace_deployment",
        _replace(known=False),
        ("Replace deployment 500 in ", "(10): flow 100 "),
        ("From iteration 2 (version 1001) to version 1000, whose flow is not known; stays enabled, ",),
        LOST,
    ),
}


def _call_everything(sandbox: Sandbox, name: str) -> Sandbox:
    account = sandbox.account
    account.flows = {id_: replace(flow, name=name) for id_, flow in account.flows.items()}
    account.virtual_environments = {id_: replace(e, name=name) for id_, e in account.virtual_environments.items()}
    return sandbox


@pytest.mark.parametrize("name", ["Orders", "Shopify orders " * 8, "注文" * 60, *HOSTILE], ids=range(len(HOSTILE) + 3))
@pytest.mark.parametrize("deed", DEEDS)
async def test_three_lines_are_the_whole_deed(deed: str, name: str) -> None:
    """Whoever sees them alone, each cut, knows what is done to what, from what to what, what is lost and protected."""
    done = DEEDS[deed]
    sandbox, person = Sandbox(), Person(no)
    arguments = done.arguments(sandbox)
    protected = ",".join(map(str, sandbox.account.virtual_environments))
    async with connected(_call_everything(sandbox, name), person=person, protected_environments=protected) as client:
        await client.call_tool(done.tool, arguments)
    shown = [line[:SHOWN] for line in person.asked[0].split("\n")[:3]]
    for line, said in zip(shown, (done.what, done.change, done.at_stake), strict=True):
        assert re.search(".*".join(map(re.escape, said)), line), (said, line)
    assert all(person.asked[0].split("\n"))
    assert MARKUP.search(person.asked[0] + person.titles[0]) is None
    assert len(person.titles[0]) <= 76


NAMES = st.none() | st.text(min_size=1, max_size=130)
NUMBERS = st.integers(1, 10**19 - 1).map(str)
TELLS = ("virtual_environment_id", "priority", "enabled", "enabled_at", "package_id")


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    """One in any state, called anything, of which some fields are not known."""
    unreadable = draw(st.lists(st.sampled_from(TELLS), unique=True))
    enabled = draw(st.booleans())
    told = {
        "id": draw(NUMBERS),
        "flow_version_id": draw(NUMBERS),
        "flow_id": draw(st.none() | NUMBERS),
        "flow_name": draw(NAMES),
        "iteration": draw(st.none() | st.integers(1, 10**6)),
        "virtual_environment_id": draw(st.none() | NUMBERS),
        "virtual_environment_name": draw(NAMES),
        "package_id": draw(st.none() | NUMBERS),
        "priority": draw(st.none() | st.integers(-9, 10**4)),
        "enabled": enabled,
        "enabled_at": "2026-02-28T19:37:11Z" if enabled else None,
        "created_at": "2026-02-28T19:37:11Z",
        "updated_at": draw(st.none() | st.just("2026-02-28T19:37:11Z")),
        "unreadable": unreadable or None,
    }
    return Deployment(**(told | dict.fromkeys(unreadable)))


@st.composite
def plans(draw: st.DrawFn) -> tuple[AnyPlan, list[str]]:
    """A write that may be asked about, and the ids that its three lines have to show."""
    old, other = draw(deployments()), draw(deployments())
    ids: dict[str, Any] = {"flow_version_id": str(old.flow_version_id), "deployment_id": old.id}
    where = [shown for shown in (old.virtual_environment_id, old.flow_id) if shown]
    kind = draw(st.sampled_from(["disable", "enable", "delete", "update", "create", "switch", "replace"]))
    place = Place(wanted=old, flow_id=draw(st.none() | NUMBERS), holds=(other,) if draw(st.booleans()) else ())
    if kind == "create":
        create_here = Create(flow_version_id=ids["flow_version_id"]).change((old, other))
        assert create_here.after
        new_place = replace(place, wanted=create_here.after)
        return create_here.at(new_place), [ids["flow_version_id"]]
    if kind == "replace":
        delete, new = Delete(**ids), draw(NUMBERS)
        write = Replace(**ids, new_flow_version_id=new)
        create = Create.like(new, draw(deployments()))
        lost, basis = delete.change(old).lost, (old, other)[: draw(st.integers(1, 2))]
        plan = Replacement(write=write, basis=basis, delete=delete, create=create, lost=lost, beside=place.beside)
        return plan, [old.id, *where, ids["flow_version_id"], new]
    if kind == "switch":
        some = [d.model_copy(update={"enabled": True}) for d in draw(st.lists(deployments(), max_size=8))]
        first = old.model_copy(update={"enabled": True})
        return SwitchPlan(write=Switch(enabled=False, selection=Selection()), basis=(first, *some)), []
    moved = {"virtual_environment_id": draw(NUMBERS), "priority": draw(st.integers(1, 9)), "deploy_disabled": True}
    given: dict[str, Any] = {name: value for name, value in moved.items() if draw(st.booleans())}
    writes: dict[str, type[Enable | Disable | Delete]] = {"disable": Disable, "enable": Enable, "delete": Delete}
    change = (writes[kind](**ids) if kind in writes else Update(**ids, **given)).change(old)
    return (change.at(place) if kind == "enable" else change), [old.id, *where]


@pytest.mark.slow
@examples(100)
@given(plans(), st.lists(st.tuples(st.none() | NUMBERS, st.none() | st.text(max_size=60)), max_size=9))
def test_no_name_and_no_id_makes_the_three_lines_longer_or_more(
    planned: tuple[AnyPlan, list[str]], protected: list[tuple[str | None, str | None]]
) -> None:
    """Each has at most 110 characters and shows its ids whole, no line is blank, and nothing in it is markup."""
    plan, ids = planned
    question = ask(plan, protected, "acme")
    lines = question.text.split("\n")
    title = _title(plan)
    assert all(lines)
    assert "othing is lost" not in question.text or not re.search("(?i)runs under way|lost for good", question.text)
    assert not re.search(r"(?i)\bnothing is lost.*; and \d+ more below$", lines[2])
    assert [line for line in lines[:3] if len(line) > SHOWN] == []
    assert len(title) <= 76
    assert not [id_ for id_ in ids if not re.search(rf"\b{id_}\b", "\n".join(lines[:3]))]
    assert not [inert(name) for _, name in protected if name and inert(name) and inert(name) not in question.text]
    assert not [id_ for id_, _ in protected if id_ and not re.search(rf"\b{id_}\b", question.text)]
    assert MARKUP.search(question.text + title) is None
    assert question.text.count('"') % 2 == 0
    assert lines[-2] == "Account: acme"


@both_eras
@pytest.mark.parametrize("tool", ["disable_deployment", "delete_deployment"])
async def test_the_form_has_no_other_keys_at_its_root_than_codex_takes(tool: str, era: Era) -> None:
    """And its one field speaks for itself; a box is not ticked beforehand."""
    schemas: list[dict[str, Any]] = []

    def read(question: ElicitRequestFormParams) -> ElicitResult:
        schemas.append(question.requested_schema)
        return no(question)

    async with connected(person=Person(read), era=era) as client:
        await client.call_tool(tool, IDS)
    box = {
        "type": "boolean",
        "title": 'Yes, disable 500 in "UK Live" (10)',
        "description": "Without a tick nothing is changed.",
        "default": False,
    }
    typed = {
        "type": "string",
        "title": 'Type 500 to delete deployment 500 in "UK Live" (10)',
        "description": "Anything but this id changes nothing.",
    }
    name, field = ("agree", box) if tool == "disable_deployment" else ("typed_id", typed)
    assert schemas == [{"type": "object", "properties": {name: field}, "required": [name]}]


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_preview_holds_the_question_that_a_person_would_be_asked(deed: str) -> None:
    """Word for word, in its text and in its data, whether it is a dry run or comes with a code."""
    tool, sandbox, person = DEEDS[deed].tool, Sandbox(), Person(no)
    arguments = DEEDS[deed].arguments(sandbox)
    async with connected(sandbox, person=person, confirm="all") as client:
        dry = await client.call_tool(tool, {**arguments, "dry_run": True})
        await client.call_tool(tool, arguments)
    async with connected(sandbox, confirm="all") as client:
        coded = await client.call_tool(tool, arguments)
    assert data(dry)["status"] == "preview"
    assert data(coded)["status"] == "confirmation_required"
    for preview in (dry, coded):
        assert data(preview)["question"] == person.asked[0]
        assert f"\n{person.asked[0]}" in text(preview)


ON = "2026-03-01T00:00:00Z"
EVERYTHING: Arguments = {"virtual_environment_id": "12", "priority": 9}
UK, DE = '"UK Live" (10)', '"DE Live, disabled" (12)'


@pytest.mark.parametrize(
    ("is_on", "given", "title"),
    [
        (True, {"priority": 9}, f"in {UK}: queue priority 9"),
        (True, {"clear": ("priority",)}, f"in {UK}: queue priority inherited"),
        (True, {"clear": ("enabled_at",)}, f"in {UK}: disabled"),
        (True, {"enabled_at": ON}, f"in {UK}: enabled since 2026-03-01 00:00 UTC"),
        (False, {"enabled_at": ON, "priority": 9}, ": enabled since 2026-03-01 00:00 UTC, queue priority 9"),
        (True, {"virtual_environment_id": "12"}, f"from {UK} to {DE}"),
        (True, {**EVERYTHING, "deploy_disabled": True}, f"to {DE}: disabled, queue priority 9"),
        (False, {**EVERYTHING, "enabled_at": ON}, f"to {DE}: enabled, queue priority 9"),
        (True, {"clear": ("virtual_environment_id",)}, f"from {UK} to no environment"),
        (
            True,
            {"clear": ("virtual_environment_id", "priority", "enabled_at")},
            "to no environment: disabled, queue priority inherited",
        ),
    ],
    ids=str,
)
def test_what_an_update_sets_stands_beside_its_box(
    is_on: bool,  # noqa: FBT001 - a case's state
    given: Arguments,
    title: str,
) -> None:
    """However much it is, and an environment's name is in quotation marks, whatever it says."""
    before = Deployment(
        id="500",
        virtual_environment_id="10",
        virtual_environment_name="UK Live",
        priority=1,
        enabled=is_on,
        enabled_at="2026-02-28T19:37:00Z" if is_on else None,
    )
    change = Update(flow_version_id="1001", deployment_id="500", **given).change(before)
    assert change.after
    name = "DE Live, disabled" if "virtual_environment_id" in given else None
    plan = change.at(Place(wanted=change.after, flow_id="100", name=name)) if change.comes else change
    said = _title(plan)
    assert said.removeprefix("Yes, update 500").removeprefix(" ") == title
    assert len(said) <= 76


def test_a_deployment_that_comes_enabled_is_not_called_disabled_by_its_environment() -> None:
    """The form puts what Patchworks names apart from what it says itself."""
    for disabled, said in ((None, ""), (True, ", disabled")):
        change = Create(flow_version_id="1001", virtual_environment_id="12", deploy_disabled=disabled).change(())
        assert change.after
        plan = change.at(Place(wanted=change.after, flow_id=None, name="DE Live, disabled"))
        assert _title(plan) == f"Yes, deploy version 1001 in {DE}{said}"


def test_what_comes_disabled_by_a_replacement_is_called_so_beside_its_box() -> None:
    """Whoever reads the form alone must not think that the work goes on."""
    delete = Delete(flow_version_id="1001", deployment_id="500")
    old = Deployment(id="500", flow_version_id="1001", flow_id="100", enabled=True, virtual_environment_id="10")
    write = Replace(flow_version_id="1001", deployment_id="500", new_flow_version_id="1003", enabled=False)
    create = Create(flow_version_id="1003", virtual_environment_id="10", deploy_disabled=True)
    plan = Replacement(write=write, basis=(old,), delete=delete, create=create, lost=("id 500",))
    assert _title(plan) == "Type 1003 to replace 500 in environment 10 by version 1003, disabled"


def _title(plan: AnyPlan) -> str:
    title: str = next(iter(ask(plan, [], "acme").form.published["properties"].values()))["title"]
    return title


CONTENTS = [{}, {"agree": 7}, {"agree": "true"}, {"agree": None}, {"agree": ["x"]}, {"typed_id": ""}, {"typed_id": 500}]


@pytest.mark.parametrize("content", [*CONTENTS, {"agree": {"nested": [1]}, "more": 1}, {"typed_id": "  "}], ids=str)
def test_what_is_of_another_type_has_not_been_filled_in(content: dict[str, Any]) -> None:
    """Whatever a client sends is taken, and agrees to nothing."""
    before = Deployment(id="500", flow_version_id="1001", enabled=True)
    ids = {"flow_version_id": "1001", "deployment_id": "500"}
    for plan in (Disable(**ids).change(before), Delete(**ids).change(before)):
        form = ask(plan, [], "acme").form.model_validate(content)
        assert (form.is_filled_in, form.agrees_to(plan)) == (False, False)


@pytest.mark.parametrize(
    ("write", "content", "agrees"),
    [
        (Disable, {"agree": True, "more": {"a": 1}}, True),
        (Disable, {"agree": False}, False),
        (Delete, {"typed_id": " 500 "}, True),
        (Delete, {"typed_id": "501"}, False),
        (Delete, {"typed_id": "5" * 10_000}, False),
    ],
)
def test_what_is_filled_in_agrees_or_not(
    write: type[Disable | Delete],
    content: dict[str, Any],
    agrees: bool,  # noqa: FBT001 - a case's answer
) -> None:
    """A box that is not ticked and another id are answers, too."""
    plan = write(flow_version_id="1001", deployment_id="500").change(
        Deployment(id="500", flow_version_id="1001", enabled=True)
    )
    form = ask(plan, [], "acme").form.model_validate(content)
    assert (form.is_filled_in, form.agrees_to(plan)) == (True, agrees)
