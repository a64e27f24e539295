"""Every write tool in every situation, in both protocol eras; the grid is made, not typed out."""

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitResult
from support.cases import CASES, Arguments, Case, disturb, ids_of, row_of, target
from support.clients import ERAS, Clock, Era, Person, connected, data, in_turn, newer_era_first, no, text, yes

from patchworks_deployments.sandbox import Sandbox


@dataclass
class World:
    """A sandbox, the case's arguments on it, and what the server is set to."""

    case: Case
    era: Era
    sandbox: Sandbox
    arguments: Arguments
    clock: Clock

    async def call(
        self, person: Person | None = None, *, tool: str = "", settings: dict[str, Any] | None = None, **more: Any
    ) -> CallToolResult:
        """One call on a fresh connection; every write asks."""
        settings = {"confirm": "all", "state_keys": "k" * 32, **(settings or {})}
        async with connected(self.sandbox, person=person, era=self.era, clock=self.clock, **settings) as client:
            return await client.call_tool(tool or self.case.tool, {**self.arguments, **more})

    @property
    def reads(self) -> int:
        """The requests of a plan: what comes or starts to run looks what is beside it, too."""
        return 2 if self.case.tool in {"create_deployment", "enable_deployment"} else 1

    def assert_done(self, result: CallToolResult, confirmed_by: str) -> None:
        outcome = data(result)
        assert (outcome["status"], outcome["verified"], outcome["confirmed_by"]) == ("done", True, confirmed_by)
        assert self.case.is_done(self.sandbox, self.arguments)
        assert len(self.sandbox.writes) == 1
        assert not result.is_error

    def assert_nothing_sent(self, result: CallToolResult, status: str) -> None:
        assert data(result)["status"] == status, text(result)
        assert self.sandbox.writes == []
        assert not self.case.is_done(self.sandbox, self.arguments)


Scenario = Callable[[World], Awaitable[None]]


async def human_yes(world: World) -> None:
    """A human who agrees is asked once, for a delete to type; the write is done, and nothing beside it."""
    person = Person(yes)
    result = await world.call(person)
    world.assert_done(result, "human")
    done = f"{world.case.tool.removesuffix('_deployment').capitalize()}d"
    assert data(result)["message"] == f"{done}, and verified by reading back."
    assert "also_changed" not in data(result)
    assert len(person.asked) == 1
    assert person.titles[0].startswith("Type " if world.case.tool == "delete_deployment" else "Yes, ")
    assert len(world.sandbox.requests) == 2 * world.reads + 2


async def human_no(world: World) -> None:
    """A human who declines stops the write."""
    result = await world.call(Person(no))
    world.assert_nothing_sent(result, "declined")
    assert not {"after", "lost", "undo"} & data(result).keys()


async def human_cancels(world: World) -> None:
    """A human who closes the question stops the write."""
    world.assert_nothing_sent(await world.call(Person(lambda _: ElicitResult(action="cancel"))), "declined")


async def human_sends_empty_form(world: World) -> None:
    """A form that is sent without the box ticked, or with another id, is no agreement."""

    def careless(question: ElicitRequestFormParams) -> ElicitResult:
        is_box = "agree" in question.requested_schema["properties"]
        return ElicitResult(action="accept", content={"agree": False} if is_box else {"typed_id": "1"})

    world.assert_nothing_sent(await world.call(Person(careless)), "declined")


async def cannot_ask(world: World) -> None:
    """Where only a human will do, a client that cannot ask is refused and told what to do instead."""
    result = await world.call(settings={"confirm_by": "human"})
    world.assert_nothing_sent(result, "refused")
    assert result.is_error
    assert "PATCHWORKS_CONFIRM_BY" in text(result)


async def code_right(world: World) -> None:
    """A client that cannot ask gets a preview and a code, and the code carries the very same call out."""
    preview = await world.call()
    world.assert_nothing_sent(preview, "confirmation_required")
    assert len(world.sandbox.requests) == world.reads
    code = data(preview)["confirmation_code"]
    assert code in text(preview)
    world.assert_done(await world.call(confirmation_code=code), "code")
    assert len(world.sandbox.requests) == 2 * world.reads + 2


async def code_wrong(world: World) -> None:
    """A tampered code gets a fresh preview instead of the write."""
    code = data(await world.call())["confirmation_code"]
    tampered = code[:-1] + ("a" if code[-1] != "a" else "b")
    result = await world.call(confirmation_code=tampered)
    world.assert_nothing_sent(result, "confirmation_required")
    assert data(result)["confirmation_code"] != tampered


async def code_stretched(world: World) -> None:
    """A code whose expiry was moved is worthless."""
    expiry, _, mac = data(await world.call())["confirmation_code"].partition("-")
    later = f"{int(expiry, 16) + 600:x}-{mac}"
    world.assert_nothing_sent(await world.call(confirmation_code=later), "confirmation_required")


async def code_expired(world: World) -> None:
    """A code dies after ten minutes."""
    code = data(await world.call())["confirmation_code"]
    world.clock.now += 600
    world.assert_nothing_sent(await world.call(confirmation_code=code), "confirmation_required")


async def code_replayed(world: World) -> None:
    """A used code is dead even when the target comes back to the very same state."""
    async with connected(world.sandbox, era=world.era, confirm="all") as client:
        frozen = {key: dataclasses.replace(row) for key, row in world.sandbox.account.deployments.items()}
        preview = await client.call_tool(world.case.tool, world.arguments)
        agreed = {**world.arguments, "confirmation_code": data(preview)["confirmation_code"]}
        assert data(await client.call_tool(world.case.tool, agreed))["status"] == "done"
        world.sandbox.account.deployments = frozen
        again = await client.call_tool(world.case.tool, agreed)
    assert data(again)["status"] == "confirmation_required"
    assert len(world.sandbox.writes) == 1


async def code_of_another_target(world: World) -> None:
    """A code for one target does not open another."""
    code = data(await world.call())["confirmation_code"]
    others = [
        d for d in world.sandbox.account.deployments.values() if str(d.id) != world.arguments.get("deployment_id")
    ]
    if world.case.tool == "create_deployment":
        world.arguments["priority"] = 3
    else:
        wants_disabled = world.case.tool == "enable_deployment"
        world.arguments |= ids_of(next(d for d in others if (d.enabled_at is None) is wants_disabled))
    world.assert_nothing_sent(await world.call(confirmation_code=code), "confirmation_required")


async def code_of_another_tool(world: World) -> None:
    """A code for one tool does not open another."""
    code = data(await world.call())["confirmation_code"]
    other = "delete_deployment" if world.case.tool != "delete_deployment" else "disable_deployment"
    arguments = ids_of(target(world.sandbox, enabled=world.case.tool != "enable_deployment"))
    async with connected(world.sandbox, era=world.era, clock=world.clock, state_keys="k" * 32) as client:
        result = await client.call_tool(other, {**arguments, "confirmation_code": code})
    assert data(result)["status"] == "confirmation_required"
    assert world.sandbox.writes == []


async def code_after_change(world: World) -> None:
    """A code dies as soon as its target changes."""
    code = data(await world.call())["confirmation_code"]
    disturb(world.sandbox, world.arguments)
    world.assert_nothing_sent(await world.call(confirmation_code=code), "confirmation_required")


async def dry_run(world: World) -> None:
    """A dry run shows what would change, asks nobody, and reads no more than it has to."""
    person = Person(yes)
    result = await world.call(person, dry_run=True)
    world.assert_nothing_sent(result, "preview")
    is_delete = world.case.tool == "delete_deployment"
    assert ("after" in data(result), "lost" in data(result)) == (not is_delete, is_delete)
    assert person.asked == []
    assert len(world.sandbox.requests) == world.reads


async def no_op(world: World) -> None:
    """What is already as wanted is recognised with one read before anybody is asked."""
    if world.case.make_done is None:
        return
    world.case.make_done(world.sandbox, world.arguments)
    person = Person(yes)
    result = await world.call(person)
    assert data(result)["status"] == "unchanged"
    assert person.asked == []
    assert len(world.sandbox.requests) == 1


async def changed_meanwhile(world: World) -> None:
    """What changed while the human thought is never overwritten: the old era is refused, the new one asks again."""
    person = Person(in_turn(yes, no), meanwhile=lambda: disturb(world.sandbox, world.arguments))
    result = await world.call(person)
    world.assert_nothing_sent(result, "refused" if world.era == "legacy" else "declined")
    assert len(person.asked) == (1 if world.era == "legacy" else 2)


async def vanished_meanwhile(world: World) -> None:
    """A target that vanished while the human thought is reported, and nothing is sent."""
    if world.case.tool == "create_deployment":
        return
    person = Person(yes, meanwhile=lambda: world.sandbox.account.deployments.pop(int(world.arguments["deployment_id"])))
    result = await world.call(person)
    assert result.is_error
    assert "404" in text(result)
    assert "Nothing was changed" in text(result)
    assert world.sandbox.writes == []


def _protect(world: World) -> dict[str, Any]:
    row = row_of(world.sandbox, world.arguments) if "deployment_id" in world.arguments else None
    environment = row.virtual_environment_id if row else int(world.arguments["virtual_environment_id"])
    assert environment
    return {"protected_environments": world.sandbox.account.virtual_environments[environment].name.upper()}


async def protected_with_human(world: World) -> None:
    """In a protected environment a human is asked for every write, whatever the other settings say."""
    settings = {**_protect(world), "confirm": "destructive", "confirm_by": "code"}
    person = Person(yes)
    world.assert_done(await world.call(person, settings=settings), "human")
    assert len(person.asked) == 1


async def protected_without_human(world: World) -> None:
    """In a protected environment a client that cannot ask is refused: no code will do."""
    settings = {**_protect(world), "confirm": "destructive", "confirm_by": "auto"}
    result = await world.call(settings=settings)
    world.assert_nothing_sent(result, "refused")
    assert "protected" in text(result)


async def read_only(world: World) -> None:
    """A read-only server neither lists nor runs a write tool."""
    async with connected(world.sandbox, person=Person(yes), era=world.era, read_only=True) as client:
        assert world.case.tool not in {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool(world.case.tool, world.arguments)
    assert result.is_error
    assert world.sandbox.requests == type(world.sandbox.requests)()


SCENARIOS: tuple[Scenario, ...] = (
    human_yes,
    human_no,
    human_cancels,
    human_sends_empty_form,
    cannot_ask,
    code_right,
    code_wrong,
    code_stretched,
    code_expired,
    code_replayed,
    code_of_another_target,
    code_of_another_tool,
    code_after_change,
    dry_run,
    no_op,
    changed_meanwhile,
    vanished_meanwhile,
    protected_with_human,
    protected_without_human,
    read_only,
)


@pytest.mark.parametrize(
    ("scenario", "case", "era"),
    list(product(SCENARIOS, CASES, ERAS)),
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_a_write_in_every_situation(scenario: Scenario, case: Case, era: Era) -> None:
    """Each scenario holds for each write tool in each era; the scenario's own docstring says what it is."""
    sandbox = Sandbox()
    await scenario(World(case, era, sandbox, case.arguments(sandbox), Clock()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.tool)
@newer_era_first
async def test_by_default_exactly_the_destructive_writes_ask(case: Case, era: Era) -> None:
    """Update, delete and disable need consent; create and enable go through with two reads, the write and a read."""
    sandbox = Sandbox()
    arguments = case.arguments(sandbox)
    async with connected(sandbox, era=era) as client:
        before = len(sandbox.requests)
        result = data(await client.call_tool(case.tool, arguments))
        requests = list(sandbox.requests)[before:]
    if case.tool in {"create_deployment", "enable_deployment"}:
        assert (result["status"], result["confirmed_by"]) == ("done", "not_required")
        assert [request.method for request in requests] == ["GET", "GET", "POST", "GET"]
    else:
        assert result["status"] == "confirmation_required"
        assert sandbox.writes == []
