"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`; HTTP workers start here too."""

import gc

# Imports make hundreds of thousands of objects and no garbage, and calls make little: Python's own 700 would cost a
# tenth of the start.
gc.set_threshold(20_000, 20, 20)

from patchworks_deployments.cli import main  # noqa: E402 - after the line above, which speeds it up

if __name__ == "__main__":
    main()
