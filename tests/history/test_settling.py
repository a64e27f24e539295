"""What becomes of the writes of a process that was killed: found out by reading, and recorded once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.leftovers import held, later, leave, lines_of, outcomes, restart, started, until_settled, upstream

from patchworks_deployments.sandbox import Sandbox
from patchworks_deployments.writes.change import DeploymentWrite
from patchworks_deployments.writes.operations import Create, Delete, Disable, Enable, Update

IDS = {"flow_version_id": "1001", "deployment_id": "500"}

WRITES: dict[str, DeploymentWrite] = {
    "disable": Disable(**IDS),
    "enable": Enable(flow_version_id="1052", deployment_id="504"),
    "delete": Delete(**IDS),
    "update": Update(**IDS, priority=7, clear=("virtual_environment_id",)),
    "create": Create(flow_version_id="1000", virtual_environment_id="12", priority=3, deploy_disabled=True),
}


@pytest.mark.parametrize("is_sent", [True, False])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_each_write_is_settled_as_it_is_found(write: DeploymentWrite, is_sent: bool, tmp_path: Path) -> None:
    log, sandbox = tmp_path / "log", Sandbox()
    change = await leave(log, write, sandbox, is_sent=is_sent)
    await restart(log, upstream(sandbox))
    assert outcomes(log)[change]["outcome"] == ("found_done" if is_sent else "found_not_done")
