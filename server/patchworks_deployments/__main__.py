"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`."""

from patchworks_deployments.startup import uncollected


def main() -> None:
    """Run the command line. Collecting garbage would be a tenth of the time that its imports take."""
    with uncollected():
        from patchworks_deployments import cli  # noqa: PLC0415 - the slow part
    cli.main()


if __name__ == "__main__":
    main()
