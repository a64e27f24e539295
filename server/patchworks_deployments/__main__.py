"""`python -m patchworks_deployments`, and the command `patchworks-deployments-mcp`."""

import gc
import signal

# Nothing that is imported is garbage, and looking through it would be a tenth of the start. What serves collects again:
# see `startup.collect_rarely`.
gc.disable()

# Ctrl-C ends the process without a word until a command handles it. Amid the imports an exception would be a traceback,
# and some libraries make another error of it.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from patchworks_deployments.commands.cli import main  # noqa: E402 - it is the imports that this is for

if __name__ == "__main__":
    main()
