"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`."""

from patchworks_deployments.startup import collect_rarely

collect_rarely()

from patchworks_deployments.cli import main  # noqa: E402 - imports are a good part of what it speeds up

if __name__ == "__main__":
    main()
