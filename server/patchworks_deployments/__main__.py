"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`."""

import gc

# Nothing that is imported is garbage, and looking through it would be a tenth of the start. What serves collects again:
# see `startup.collect_rarely`.
gc.disable()

from patchworks_deployments.commands.cli import main  # noqa: E402 - it is the imports that this makes faster

if __name__ == "__main__":
    main()
