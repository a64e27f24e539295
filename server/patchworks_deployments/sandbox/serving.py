"""The sandbox over HTTP, on loopback only."""

import socket
from collections.abc import Callable

import uvicorn

from patchworks_deployments.sandbox.access import API_KEY
from patchworks_deployments.sandbox.app import Sandbox


def serve(port: int, deployments: int, announce: Callable[[str], object]) -> None:
    """Serve until interrupted; `announce` gets the address once it accepts connections. Port 0 takes a free one."""
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        announce(f"sandbox with {deployments} deployments on {address} (API key: {API_KEY})")
        server = uvicorn.Server(uvicorn.Config(Sandbox(deployments).app, log_level="warning", lifespan="off"))
        server.run(sockets=[listener])
