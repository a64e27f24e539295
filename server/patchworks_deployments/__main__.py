"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`."""

from patchworks_deployments.cli import main
from patchworks_deployments.startup import collect_rarely

collect_rarely()


if __name__ == "__main__":
    main()
