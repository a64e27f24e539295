"""A process that has imported the server, and forks one for each order: a kill then costs milliseconds, not a start.

Run as a script, with a socket as its stdin. An order is a JSON object with `arguments` and `env`, and comes with three
files: what is to be stdin, stdout and stderr of the new process, whose id is the answer.
"""

import gc

gc.disable()

import json  # noqa: E402 - as the server's own start has it
import os  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from typing import NoReturn  # noqa: E402

import anyio  # noqa: E402
from mcp import Client  # noqa: E402

from patchworks_deployments.commands import cli  # noqa: E402
from patchworks_deployments.sandbox import API_KEY  # noqa: E402
from patchworks_deployments.serving import asgi, stdio  # noqa: E402, F401 - what a server imports late
from patchworks_deployments.serving.server import create_server  # noqa: E402
from patchworks_deployments.settings import load_settings  # noqa: E402

MAX_ORDER_BYTES = 1 << 16


def _serve(order: bytes, files: list[int]) -> NoReturn:
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (open(n, "rw"[n > 0], 1, closefd=False) for n in range(3))  # noqa: SIM115
    asked = json.loads(order)
    os.environ.clear()
    os.environ.update(asked["env"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        cli.main(asked["arguments"])
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - it is the end of the process
        traceback.print_exc()
    finally:
        os._exit(status)


async def _warm_up() -> None:
    """Import what a server imports at its start and its first call."""
    asgi.create_app(load_settings({}, api_key=API_KEY, http="0", base_url="http://127.0.0.1:9"))
    for settings in (load_settings({}, api_key=API_KEY), load_settings({}, sandbox=True)):
        async with Client(create_server(settings)) as client:
            await client.list_tools()
    async with Client(create_server(settings)) as client:
        await client.call_tool("disable_deployment", {"flow_version_id": "1001", "deployment_id": "500"})


def main() -> None:
    """Fork until nobody orders any more. Who has died leaves no trace."""
    anyio.run(_warm_up)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as control:
        while True:
            order, files, *_ = socket.recv_fds(control, MAX_ORDER_BYTES, 3)
            if not order:
                return
            child = os.fork()
            if not child:
                control.close()
                _serve(order, files)
            for file in files:
                os.close(file)
            control.send(str(child).encode())


if __name__ == "__main__":
    main()
