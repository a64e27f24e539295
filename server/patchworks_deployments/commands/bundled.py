"""The server as a bundle (MCPB) starts it: with what a person has filled into the host's form, or on the sandbox."""

import os

from patchworks_deployments.commands.cli import main as run
from patchworks_deployments.settings import PREFIX
from patchworks_deployments.settings.pasted import is_left_blank

ACCOUNT = ("API_KEY", "BEARER_TOKEN", "USERNAME", "PASSWORD")


def main() -> None:
    """Serve; on the sandbox, where the form has no account."""
    values = [os.environ.get(PREFIX + name, "").strip() for name in ACCOUNT]
    if all(not value or is_left_blank(value) for value in values):
        os.environ[PREFIX + "SANDBOX"] = "true"
    run([])
