"""What a start needs: a port, and no garbage collection meanwhile."""

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from patchworks_deployments.errors import SettingsError

BACKLOG = 2048
"""Connections that may wait to be accepted; uvicorn's own default."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises `SettingsError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # without Python's repetition of the address
        raise SettingsError(
            f"The server was not started: it cannot listen on port {port} of {host} ({reason}). "
            "Choose another port, or stop what uses this one."
        ) from None


THRESHOLDS = (20_000, 20, 20)
"""A call makes few cycles, and looking for them more often was a tenth of its time."""


@contextmanager
def uncollected() -> Iterator[None]:
    """What is made inside lives as long as the process: no collection meanwhile, and none looks at it later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.enable()
