"""The server as a bundle (MCPB) starts it: with what a person has filled into the host's form, and nothing else."""

import os

from patchworks_deployments.commands.cli import main as run
from patchworks_deployments.settings import PREFIX

ACCOUNT = ("API_KEY", "BEARER_TOKEN", "USERNAME", "PASSWORD")


def main() -> None:
    """Serve; on the sandbox, where the form has no account."""
    for name, value in list(os.environ.items()):
        # A field that is left empty arrives as nothing, or as its own unexpanded name.
        if name.startswith(PREFIX) and (not value.strip() or value.startswith("${user_config.")):
            del os.environ[name]
    if not any(PREFIX + name in os.environ for name in ACCOUNT):
        os.environ[PREFIX + "SANDBOX"] = "true"
    run([])
