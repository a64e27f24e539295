"""What comes of a call in hosts that deal with its question in every way that is known, on the wire, in both eras.

Each host is a test double that speaks raw JSON-RPC (`support/hosts.py`). For each it is looked at what reached the API,
what the model reads, in the text and in the structured content by itself, and what the audit log holds.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.cases import CASES, replaceable
from support.clients import IDS, audit_lines
from support.hosts import HOSTS, NEVER_ASKED, CountsAs, Host, Told
from support.stage import POLICIES, VERSIONS, Stage, in_both_eras
from support.wire import NEWER, Json, Version

from patchworks_deployments.sandbox import Sandbox

ENDS: Mapping[CountsAs, Mapping[str, str]] = {
    "yes": {"auto": "done", "human": "done", "protected": "done"},
    "no": {"auto": "declined", "human": "declined", "protected": "declined"},
    "unclear": {"auto": "declined", "human": "declined", "protected": "declined"},
    "nobody": {"auto": "confirmation_required", "human": "refused", "protected": "refused"},
}
"""How a call ends by what the answer counts as, where a question is asked; with `code` nobody is asked."""

unseen = pytest.mark.parametrize("host", [host for host in HOSTS if host.counts_as == "nobody"], ids=str)


def _cases() -> Iterator[Any]:
    """Every host in both eras under each policy; where nobody is asked, a few are enough."""
    for version, policy in itertools.product(VERSIONS, POLICIES):
        hosts = [*HOSTS[:1], *NEVER_ASKED] if policy == "code" else [*HOSTS, *NEVER_ASKED]
        marks = [pytest.mark.slow] if (policy == "human") is (version == NEWER) else []
        yield from (pytest.param(host, version, policy, marks=marks, id=f"{policy}-{version}-{host}") for host in hosts)


@pytest.mark.parametrize(("host", "version", "policy"), [*_cases()])
async def test_what_reaches_the_api_the_model_and_the_log(
    host: Host, version: Version, policy: str, tmp_path: Path
) -> None:
    """A write goes out only after a yes; what happened is told in each channel by itself, and is on record."""
    stage = Stage.of(host, version, policy, tmp_path / "log")
    told = await stage.call("disable_deployment", IDS)
    counts = host.counts(version)
    is_asked = host not in NEVER_ASKED and policy != "code"
    wanted = "confirmation_required" if policy == "code" else ENDS[counts][policy]
    assert told.error is None
    assert (told.status, len(stage.visit.asked)) == (wanted, int(is_asked)), told
    assert len(stage.sandbox.writes) == (wanted == "done")
    # What is an error to its host is told in the text alone.
    for read in (told.text, "" if told.result["isError"] else told.data["message"]):
        assert not read or policy == "code" or host in NEVER_ASKED or host.reading(version) in read
        assert wanted == "done" or "othing was changed" in read or not read
    _assert_there_is_a_next_step(told, counts, policy, is_asked=is_asked)
    (line,) = audit_lines(tmp_path / "log")
    assert (line["outcome"], line["target"]) == (wanted, "500")
    assert line["confirmed_by"] == ("human" if wanted == "done" else None)
    assert line["message"] == told.data["message"]
    is_timed = is_asked and not (host.is_new_each_time and version == NEWER)
    assert line["answer_milliseconds"] == (round(host.takes * 1000) if is_timed else None)


def _assert_there_is_a_next_step(told: Told, counts: CountsAs, policy: str, *, is_asked: bool) -> None:
    """Whoever was not asked gets code and question where a code counts, and the setting wherever it is not set."""
    if told.status == "confirmation_required":
        assert told.data["confirmation_code"] in told.text
        assert told.data["question"] in told.text
        assert all(word in told.data["question"] for word in ("500", "Shopify orders to NetSuite", "UK Live"))
    elif told.status == "refused":
        assert "confirmation_code" not in told.data
    if counts in {"nobody", "unclear"} and policy != "code" and (is_asked or told.status == "refused"):
        assert "PATCHWORKS_CONFIRM_BY=code" in told.text


@unseen
@in_both_eras
async def test_a_code_lets_a_host_go_on_that_answers_unseen(host: Host, version: Version, tmp_path: Path) -> None:
    """Called again with the code it is done, once; the code is good for no second change."""
    stage = Stage.of(host, version, "auto", tmp_path / "log")
    first = await stage.call("disable_deployment", IDS)
    with_code = IDS | {"confirmation_code": first.data["confirmation_code"]}
    done = await stage.call("disable_deployment", with_code)
    assert (done.status, done.data["confirmed_by"]) == ("done", "code"), done.text
    stage.sandbox.account.deployments[500].enabled_at = stage.sandbox.account.deployments[500].created_at
    assert (await stage.call("disable_deployment", with_code)).status != "done"
    assert [write.path.rpartition("/")[2] for write in stage.sandbox.writes] == ["disable"]


@pytest.mark.parametrize("policy", ["human", "protected"])
@in_both_eras
async def test_a_code_from_elsewhere_takes_no_person_s_place(policy: str, version: Version, tmp_path: Path) -> None:
    """A server that lets codes count gives one, and a server of the same account that does not refuses it."""
    host = next(host for host in HOSTS if host.name == "cancels unseen")
    lax = Stage.of(host, version, "auto", tmp_path / "log")
    code = (await lax.call("disable_deployment", IDS)).data["confirmation_code"]
    strict = Stage.of(host, version, policy, tmp_path / "log")
    assert (await strict.call("disable_deployment", IDS | {"confirmation_code": code})).status == "refused"
    assert not lax.sandbox.writes
    assert not strict.sandbox.writes


@pytest.mark.parametrize("host", [host for host in HOSTS if host.counts_as == "no"], ids=str)
@in_both_eras
async def test_there_is_no_way_around_a_person_s_no(host: Host, version: Version, tmp_path: Path) -> None:
    """No code comes with it, and one that is made up, or was for something else, has the person asked once more."""
    stage = Stage.of(host, version, "auto", tmp_path / "log")
    told = await stage.call("disable_deployment", IDS)
    assert "confirmation_code" not in told.data
    unseen = Stage.of(next(host for host in HOSTS if host.name == "cancels unseen"), version, "auto", tmp_path / "log")
    other = (await unseen.call("update_deployment", IDS | {"priority": 9})).data["confirmation_code"]
    for code in ("6b49d458-aaaaaaaaaaaaaaaaaaaa", other):
        again = await stage.call("disable_deployment", IDS | {"confirmation_code": code})
        assert again.status == "declined", again
        assert "confirmation_code" not in again.data
    assert len(stage.visit.asked) == 3
    assert not stage.sandbox.writes


Arguments = Callable[[Sandbox], Json]

WRITES: Mapping[str, Arguments] = {
    **{case.tool: case.arguments for case in CASES},
    "set_deployments_enabled": lambda _: {"enabled": False, "environment": "10"},
    "replace_deployment": lambda sandbox: replaceable(sandbox)[1],
}
"""Arguments for every tool that changes something."""

VERBS = {"set_deployments_enabled": "Disable", "create_deployment": "Deploy"}
"""The first word of the question, where it is not that of the tool."""

every_write = pytest.mark.parametrize("tool", WRITES)

LONG = "Replenishment of the northern warehouses, second attempt after the migration, please do not touch " * 3


def _called_longly(sandbox: Sandbox) -> None:
    """Give everything a name that fills a line by itself."""
    for flow in sandbox.account.flows.values():
        flow.name = f"{LONG}{flow.name}"
    for environment in sandbox.account.virtual_environments.values():
        environment.name = f"{LONG}{environment.name}"


@every_write
@in_both_eras
@pytest.mark.parametrize("is_long", [False, True], ids=["short names", "long names"])
async def test_three_lines_tell_the_deed(tool: str, version: Version, is_long: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of a test
    """Who sees no more than three lines, cut, and the field reads what is done to what, by ids, and where."""
    host = next(host for host in HOSTS if host.name == "the person declines")
    stage = Stage.of(host, version, "auto", tmp_path / "log", confirm="all")
    arguments = WRITES[tool](stage.sandbox)
    if is_long:
        _called_longly(stage.sandbox)
    await stage.call(tool, arguments)
    (question,) = stage.visit.asked
    shown, first = "\n".join(question.three_lines), question.three_lines[0]
    assert first.startswith(f"{VERBS.get(tool, tool.partition('_')[0].title())} "), first
    for name, value in arguments.items():
        if name in {"deployment_id", "new_flow_version_id"} or (name == "flow_version_id" and len(arguments) == 1):
            assert str(value) in shown, (name, question.message)
    if "deployment_id" in arguments:
        row = stage.sandbox.account.deployments[int(arguments["deployment_id"])]
        assert f"({row.virtual_environment_id})" in shown
    assert all(line.strip() for line in question.three_lines)
    assert all(len(line) <= 110 for line in question.message.split("\n")[:3]), question.message
    assert question.is_strict, question.schema
    assert question.field[1].get("default") in {None, False}
    assert not stage.sandbox.writes


@pytest.mark.slow
@every_write
@in_both_eras
async def test_no_host_that_shows_nobody_the_question_changes_anything(
    tool: str, version: Version, tmp_path: Path
) -> None:
    """Whatever is asked for, and however the question is answered unseen, nothing is sent without code or person."""
    names = {"declines unseen", "has no handler", "accepts an empty form", "fills in a number", "knows no action"}
    for host in (host for host in HOSTS if host.name in names):
        stage = Stage.of(host, version, "auto", tmp_path / "log", confirm="all")
        told = await stage.call(tool, WRITES[tool](stage.sandbox))
        assert told.status == "confirmation_required", (host.name, told)
        assert told.data["question"] in told.text
        assert not stage.sandbox.writes, host.name


@in_both_eras
async def test_a_preview_holds_what_a_form_would_show(version: Version, tmp_path: Path) -> None:
    """A dry run tells in text and data what the question says, also in a protected environment."""
    host = next(host for host in HOSTS if host.name == "the person declines")
    for policy in POLICIES:
        stage = Stage.of(host, version, policy, tmp_path / "log")
        preview = await stage.call("delete_deployment", {**IDS, "dry_run": True})
        assert preview.status == "preview"
        assert not stage.visit.asked
        assert preview.data["question"] in preview.text
        if policy != "code":
            await stage.call("delete_deployment", IDS)
            assert stage.visit.asked[0].message == preview.data["question"]
        assert not stage.sandbox.writes
