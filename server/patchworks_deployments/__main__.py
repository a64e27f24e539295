"""`python -m patchworks_deployments`: the same as the command `patchworks-deployments-mcp`."""

from patchworks_deployments.cli import main

main()
