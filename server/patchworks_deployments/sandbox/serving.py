"""The sandbox over HTTP."""

import socket
from collections.abc import Callable

import uvicorn

from patchworks_deployments.sandbox.access import API_KEY
from patchworks_deployments.sandbox.app import Sandbox


def serve(listener: socket.socket, sandbox: Sandbox, announce: Callable[[str], object]) -> None:
    """Serve on a loopback socket that listens, until interrupted; `announce` gets the address."""
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    announce(f"sandbox with {len(sandbox.account.deployments)} deployments on {address} (API key: {API_KEY})")
    server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="warning", lifespan="off"))
    server.run(sockets=[listener])
