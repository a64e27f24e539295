"""A program that writes as fast as it can through a server of its own, and notes each write that leaves it.

python load.py LOG SENT CALLS: each call switches fifty deployments; the file SENT gets a line for each request.
"""

import os
import sys
from pathlib import Path

import anyio
import httpx2

from patchworks_deployments.sandbox import Sandbox
from support.clients import Person, connected, data, text, yes

AT_ONCE = 50
"""Deployments that a call switches."""


class Noting(httpx2.ASGITransport):
    """The way to the sandbox, on which each write is noted before it goes on."""

    def __init__(self, sandbox: Sandbox, sent: Path) -> None:
        super().__init__(app=sandbox.app)
        self._sent = os.open(sent, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "GET":
            os.write(self._sent, f"{request.url.path.split('/')[-2]}\n".encode())
        return await super().handle_async_request(request)


async def main(log: Path, sent: Path, calls: int) -> None:
    """Switch all deployments on and off in turn, and make sure that all are."""
    sandbox = Sandbox(AT_ONCE)
    every = [f"{d.flow_version_id}/{d.id}" for d in sandbox.account.deployments.values()]
    async with connected(transport=Noting(sandbox, sent), person=Person(yes), audit_log=log) as client:
        for turn in range(calls):
            result = await client.call_tool("set_deployments_enabled", {"enabled": not turn % 2, "deployments": every})
            assert data(result)["status"] == "done", text(result)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
