"""Whatever has happened by the next start, and whatever Patchworks tells of it: what is recorded is true."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from support.examples import examples
from support.faults import Upstream
from support.leftovers import leave, outcomes, reaching, settled, upstream
from support.passages import Rows, rows_of

from patchworks_deployments.errors import UpstreamError
from patchworks_deployments.model.deployment import Clearable
from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.sandbox.account import Deployment
from patchworks_deployments.writes.change import DeploymentWrite
from patchworks_deployments.writes.operations import Create, Delete, Disable, Enable, Update

IDS = {"flow_version_id": "1019", "deployment_id": "511"}
"""Enabled, in no environment, so that any number of the same version can be beside it."""

places = st.sampled_from([None, "12", "13"])


@st.composite
def updates(draw: st.DrawFn) -> Update:
    """One that sets or clears what it names, and at least something."""
    place, priority = draw(places), draw(st.sampled_from([None, 7, 8]))
    clear: tuple[Clearable, ...] = () if priority is not None else ("priority",)
    disables = draw(st.sampled_from([None, True]))
    return Update(**IDS, virtual_environment_id=place, priority=priority, clear=clear, deploy_disabled=disables)


creates = st.builds(
    Create,
    flow_version_id=st.just("1019"),
    virtual_environment_id=places,
    priority=st.sampled_from([None, 7]),
    deploy_disabled=st.sampled_from([None, True]),
)
writes = st.one_of(st.just(Enable(**IDS)), st.just(Disable(**IDS)), st.just(Delete(**IDS)), updates(), creates)


HIDDEN = (("priority",), ("enabled_at",), ("updated_at",), ("virtual_environment_id", "virtual_environment"))
"""What Patchworks may leave out, each with all that tells the same."""


def _without(fields: set[str], answer: Any) -> Any:
    if isinstance(answer, list):
        return [_without(fields, each) for each in answer]
    if isinstance(answer, dict):
        return {name: _without(fields, value) for name, value in answer.items() if name not in fields}
    return answer


def _is_as_wanted(write: Create | Update | Enable | Disable, row: Deployment) -> bool:
    """Whether the row has all that was asked for."""
    wanted: dict[str, Any] = {"is_enabled": True}
    match write:
        case Disable():
            wanted = {"is_enabled": False}
        case Create():
            wanted = {"is_enabled": not write.deploy_disabled, "place": write.virtual_environment_id}
            wanted |= {} if write.priority is None else {"priority": write.priority}
        case Update():
            wanted = {"is_enabled": False} if write.deploy_disabled else {}
            wanted |= {"priority": write.priority} if write.priority is not None or "priority" in write.clear else {}
            wanted |= {"place": write.virtual_environment_id} if write.virtual_environment_id else {}
    place = str(row.virtual_environment_id) if row.virtual_environment_id else None
    told = {"is_enabled": row.enabled_at is not None, "place": place, "priority": row.priority}
    return all(told[name] == value for name, value in wanted.items())


def _state(row: Deployment) -> tuple[object, ...]:
    return row.virtual_environment_id, row.priority, row.enabled_at


def _require_truth(write: DeploymentWrite, outcome: str, before: Rows, now: Rows) -> None:
    """What the outcome says is what the account is like."""
    if isinstance(write, Create):
        place = int(write.virtual_environment_id) if write.virtual_environment_id else None
        new = [row for id_, row in now.items() if id_ not in before and row.flow_version_id == 1019]
        new = [row for row in new if row.virtual_environment_id == place]
        assert outcome != "found_done" or (len(new) == 1 and _is_as_wanted(write, new[0]))
        assert outcome != "found_not_done" or not new
    elif isinstance(write, Delete):
        assert outcome == ("found_not_done" if 511 in now else "found_done")
    else:
        assert isinstance(write, Enable | Disable | Update)
        assert outcome != "found_done" or (511 in now and _is_as_wanted(write, now[511]))
        assert outcome != "found_not_done" or _state(now[511]) == _state(before[511])


@examples(100)
@given(
    write=writes,
    is_enabled=st.booleans(),
    is_sent=st.booleans(),
    others=st.lists(writes, max_size=2),
    hidden=st.sets(st.sampled_from(HIDDEN), max_size=2).map(
        lambda groups: {name for group in groups for name in group}
    ),
)
async def test_what_is_recorded_is_true(
    write: DeploymentWrite, *, is_enabled: bool, is_sent: bool, others: list[DeploymentWrite], hidden: set[str]
) -> None:
    """Done only where it is as wanted, not done only where it is as before; and known where nobody has meddled."""
    sandbox = Sandbox()
    if not is_enabled:
        sandbox.account.deployments[511].enabled_at = None
    before = rows_of(sandbox)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        change = await leave(log, write, sandbox, is_sent=is_sent)
        assume(change)
        async with reaching(upstream(sandbox)) as somebody:
            for other in others:
                with contextlib.suppress(UpstreamError):
                    await other.send(somebody)
        await settled(log, Upstream(sandbox).alter(lambda _, answer: _without(hidden, answer)))
        outcome = outcomes(log)[change]["outcome"]
    now = rows_of(sandbox)
    _require_truth(write, outcome, before, now)
    if outcome == "found_not_done" and "updated_at" not in hidden and 511 in now:
        assert now[511].updated_at == before[511].updated_at or isinstance(write, Create | Delete)
    if not (others or hidden):
        assert outcome == ("found_done" if is_sent else "found_not_done")
    if is_sent and not others:
        assert outcome != "found_not_done"
