"""The eight operations of the client, each ready to be carried out."""

from collections.abc import Awaitable, Callable
from typing import Any

from patchworks_deployments.api.client import DeploymentsClient, open_client
from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.settings import load_settings
from support.faults import Upstream

KEY = "the-api-key"

Operation = Callable[[DeploymentsClient], Awaitable[object]]

RECORD = {"data": {"id": 2, "flow_version_id": 1, "enabled_at": None}}

NAMES = "include=flowVersion%2CvirtualEnvironment%2Cpackage"

READS: dict[str, Operation] = {
    "list": lambda c: c.list_deployments(DeploymentQuery()),
    "list for version": lambda c: c.list_for_flow_version("1"),
    "get": lambda c: c.get("1", "2"),
}

WRITES: dict[str, Operation] = {
    "create": lambda c: c.create("1", {}),
    "update": lambda c: c.update("1", "2", {"priority": 1}),
    "delete": lambda c: c.delete("1", "2"),
    "enable": lambda c: c.enable("1", "2"),
    "disable": lambda c: c.disable("1", "2"),
}


async def operate(upstream: Upstream, operation: Operation) -> Any:
    async with open_client(load_settings({}, api_key=KEY), upstream) as client:
        return await operation(client)
