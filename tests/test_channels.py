"""Text and structured content of a write say the same, of every tool and with every status that it can end with.

A host hands its model the one or the other. `support.channels` says what is compared; the tests of what is read hold
its two channels to more (`support.read_back`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any, get_args

import httpx2
import pytest
from mcp_types import CallToolResult, TextContent
from support.cases import CASES, HOSTILE, replaceable
from support.channels import missing_in_data, missing_in_text
from support.clients import READING, TOOLS, Answer, Era, Person, connected, data, newer_era_first, no, text, yes
from support.faults import Upstream, lost, reply, write
from support.showing import telling

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.writes.outcome import Status

Arguments = dict[str, Any]

SWITCH, REPLACE = "set_deployments_enabled", "replace_deployment"

WRITES: Mapping[str, Callable[[Sandbox], Arguments]] = {
    **{case.tool: case.arguments for case in CASES},
    SWITCH: lambda _: {"enabled": False, "environment": "UK Live"},
    REPLACE: lambda sandbox: replaceable(sandbox)[1],
}
"""Arguments with which each tool that writes changes something."""

SINGLE = frozenset(WRITES) - {SWITCH, REPLACE}

NO = reply(403, {"message": "No."})


def _is_so(sandbox: Sandbox, tool: str, arguments: Arguments) -> None:
    """Somebody else has done it."""
    if case := next((case for case in CASES if case.tool == tool), None):
        assert case.make_done
        case.make_done(sandbox, arguments)
    else:
        for row in sandbox.account.deployments.values():
            row.enabled_at = None


@dataclass(frozen=True)
class Situation:
    """What a call meets, and how it ends; `tools` are those that can meet it."""

    status: Status
    person: Answer | None = yes
    pages: bool = False
    takes: float = 3.0
    given: Arguments = field(default_factory=dict)
    settings: Arguments = field(default_factory=dict)
    is_so: bool = False
    with_code: bool = False
    meets: Callable[[Upstream], object] = lambda _: None
    tools: frozenset[str] = frozenset(WRITES)


def _each_fate(upstream: Upstream) -> None:
    """One is refused, of one nothing is known, one changes before its turn, and one cannot be read back."""
    sandbox = upstream.behind
    assert isinstance(sandbox, Sandbox)
    rows = [d for d in sandbox.account.deployments.values() if d.virtual_environment_id == 10 and d.enabled_at]
    refused, unknown, touched, blind = rows[:4]

    def of(row: Any, method: str) -> Callable[[httpx2.Request], bool]:
        return lambda request: request.method == method and f"/{row.id}" in request.url.path

    def touch(_: httpx2.Request) -> None:
        touched.updated_at = datetime(2027, 1, 1, tzinfo=UTC)

    upstream.always(of(refused, "POST"), reply(422)).always(of(unknown, "POST"), httpx2.ReadTimeout)
    upstream.always(of(touched, "GET"), touch).on(of(blind, "GET"), None).always(of(blind, "GET"), reply(500))


SITUATIONS = {
    "a dry run": Situation("preview", given={"dry_run": True}),
    "a host that shows no questions": Situation("confirmation_required", person=None),
    "a code that is mistyped": Situation(
        "confirmation_required", person=None, given={"confirmation_code": "6b49d458-ghetrpo27kfcevzefzt7"}
    ),
    "a host that shows pages": Situation("waiting_for_person", person=None, pages=True),
    "a no that nobody gave": Situation("confirmation_required", person=no, takes=0),
    "a person's no": Situation("declined", person=no),
    "nobody who may agree": Situation("refused", person=None, settings={"confirm_by": "human"}),
    "a person's yes": Situation("done"),
    "a code": Situation("done", person=None, with_code=True),
    "what is so already": Situation("unchanged", is_so=True, tools=SINGLE - {"delete_deployment"} | {SWITCH}),
    "a refusal of Patchworks": Situation("failed", meets=lambda upstream: upstream.always(write, NO)),
    "a loss of the answer": Situation("done", meets=lambda upstream: upstream.on(write, lost), tools=SINGLE),
    "a write that nobody can read back": Situation(
        "done", meets=lambda upstream: upstream.reading_back(reply(500)), tools=SINGLE
    ),
    "a loss of the answer, and nothing to read back": Situation(
        "unknown", meets=lambda upstream: upstream.always(write, lost).reading_back(reply(500))
    ),
    "an answer that shows what was before": Situation(
        "unknown", meets=lambda upstream: upstream.always(write, reply(200, {"message": "ok"}))
    ),
    "a refusal of one of several": Situation(
        "partial", meets=lambda up: up.on(write, reply(422)), tools=frozenset({SWITCH})
    ),
    "one of each fate": Situation("partial", meets=_each_fate, tools=frozenset({SWITCH})),
    "a second step that fails, and is taken back": Situation(
        "failed", meets=lambda upstream: upstream.on(write, None, NO), tools=frozenset({REPLACE})
    ),
    "a second step that fails, and cannot be taken back": Situation(
        "partial", meets=lambda upstream: upstream.on(write, None, NO, NO), tools=frozenset({REPLACE})
    ),
}
"""What happens, by how it is said behind "with"."""


WALK = [(tool, name) for name, situation in SITUATIONS.items() for tool in sorted(situation.tools)]


async def _result(tool: str, situation: Situation, era: Era, sandbox: Sandbox, upstream: Upstream) -> CallToolResult:
    arguments = {**WRITES[tool](sandbox), **situation.given}
    if situation.is_so:
        _is_so(sandbox, tool, arguments)
    situation.meets(upstream)
    person = Person(situation.person, takes=situation.takes) if situation.person else None
    settings = {"confirm": "all", **situation.settings}
    async with connected(transport=upstream, person=person, era=era, pages=situation.pages, **settings) as client:
        result = await client.call_tool(tool, arguments)
        if situation.with_code:
            arguments["confirmation_code"] = data(result)["confirmation_code"]
            result = await client.call_tool(tool, arguments)
    return result


def _assert_whole(result: CallToolResult) -> None:
    """Nothing stands in one channel alone."""
    only_in_data, only_in_text = missing_in_text(result), missing_in_data(result)
    assert not only_in_data, f"only the data has {only_in_data}:\n{text(result)}"
    assert not only_in_text, f"only the text has {only_in_text}:\n{data(result)}"


@newer_era_first
@pytest.mark.parametrize(("tool", "name"), WALK)
async def test_a_write_says_the_same_in_both_channels_with(tool: str, name: str, era: Era) -> None:
    """However it ends: each id, name, call, code, question and remark of one channel is in the other."""
    sandbox = Sandbox()
    result = await _result(tool, SITUATIONS[name], era, sandbox, Upstream(sandbox))
    assert data(result)["status"] == SITUATIONS[name].status, text(result)
    _assert_whole(result)


@newer_era_first
@pytest.mark.slow
@pytest.mark.parametrize("hostile", range(len(HOSTILE)))
@pytest.mark.parametrize(
    ("tool", "name"),
    [*product(WRITES, ["a dry run", "a host that shows no questions", "a host that shows pages", "a code"])],
)
async def test_a_write_says_the_same_of_hostile_names(tool: str, name: str, hostile: int, era: Era) -> None:
    """Whatever a flow, an environment or a package is called, it has one name in both channels."""
    sandbox = Sandbox()
    upstream = telling(sandbox, lambda told: f"{told} {HOSTILE[hostile]}")
    _assert_whole(await _result(tool, SITUATIONS[name], era, sandbox, upstream))


def test_the_walk_reaches_every_tool_that_writes_and_every_status() -> None:
    """A new tool or status has to be met, too."""
    assert WRITES.keys() | READING == TOOLS
    assert {situation.status for situation in SITUATIONS.values()} == set(get_args(Status))
    for tool in WRITES:
        met = {SITUATIONS[name].status for walked, name in WALK if walked == tool}
        assert met >= {
            "preview",
            "confirmation_required",
            "waiting_for_person",
            "declined",
            "refused",
            "done",
            "failed",
            "unknown",
        }, tool


# The comparison itself ----------------------------------------------------------------------------


def _told(said: str, **structured: Any) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content=structured)


@pytest.mark.parametrize(
    ("said", "structured", "alone"),
    [
        ("Deployment 501", {"id": "500"}, ["id: 500"]),
        ("Deployment 5001", {"id": "500"}, ["id: 500"]),
        ("3 of them", {"rows": [{"total": 4}]}, ["rows[0].total: 4"]),
        ("In UK", {"environment": "UK Live"}, ["environment: UK Live"]),
        ("One\nThree", {"question": "One\nTwo\nThree"}, ["question: One\nTwo\nThree"]),
        ("enable {}", {"undo": {"tool": "enable_one", "arguments": {}}}, ["undo: enable_one {}"]),
        (
            'enable_one {"id": "1"}',
            {"undo": {"tool": "enable_one", "arguments": {"id": "2"}}},
            ['undo: enable_one {"id": "2"}'],
        ),
        ("| one ¦ two |", {"name": "one | two"}, []),
        ("since 2026-03-02 09:00 UTC", {"at": "2026-03-02T09:00:00Z"}, []),
        ("since 2026-03-02 09:01 UTC", {"at": "2026-03-02T09:00:00Z"}, ["at: 2026-03-02T09:00:00Z"]),
        ("", {"is_so": True, "zero": 0, "after": {"id": "new"}}, []),
    ],
)
def test_what_the_text_lacks_is_found(said: str, structured: Arguments, alone: list[str]) -> None:
    """Ids are found as whole words, texts line by line, times in one form."""
    assert missing_in_text(_told(said, **structured)) == alone


@pytest.mark.parametrize(
    ("said", "structured", "alone"),
    [
        ("Deployment 500", {"id": "501"}, ["id: 500"]),
        ("UK (10)", {"name": "UK"}, ["id: 10"]),
        ('In "UK Live"', {"name": "UK"}, ["name: UK Live"]),
        ('Undo: enable_one {"id": "500"}', {"id": "500"}, ['call: enable_one {"id": "500"}']),
        ("code: 6b49d458-ghetrpo27k", {}, ["code: 6b49d458-ghetrpo27k"]),
        ("(state 7e871a0bfabf)", {}, ["code: 7e871a0bfabf"]),
        ("Done. Look again.", {"message": "Done."}, ["sentence: Look again."]),
        ("message: Done.", {"message": "Done."}, []),
    ],
)
def test_what_the_data_lacks_is_found(said: str, structured: Arguments, alone: list[str]) -> None:
    """Ids, quoted names, codes, calls and sentences are looked for."""
    assert missing_in_data(_told(said, **structured)) == alone


def test_an_error_has_one_channel() -> None:
    """Nothing is compared where a result has a text alone."""
    error = CallToolResult(content=[TextContent(type="text", text="Deployment 500 is gone.")], is_error=True)
    assert (missing_in_text(error), missing_in_data(error)) == ([], [])
