"""The command line: which arguments and commands there are, and how a command ends."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from stamina.instrumentation import set_on_retry_hooks

from patchworks_deployments import __version__
from patchworks_deployments.commands.arguments import Parser, add_settings, count, port, refuse_unknown_flags, word
from patchworks_deployments.commands.output import (
    BROKEN_PIPE,
    INTERRUPTED,
    UNWRITTEN,
    USAGE_ERROR,
    Unwritten,
    end,
    writing,
)
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import PROGRAM


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name (the process's own by default); without one, serve MCP over stdio."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what it cannot show is no reason to end
    try:
        try:
            sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
        finally:
            with writing():
                if sys.stdout:
                    sys.stdout.flush()
    except SettingsError as error:
        end(USAGE_ERROR, str(error))
    except KeyboardInterrupt:
        end(INTERRUPTED)
    except Unwritten as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        end(BROKEN_PIPE if error.is_broken_pipe else UNWRITTEN, str(error))


def _run(arguments: Sequence[str]) -> int | None:
    known = parser()
    refuse_unknown_flags(known, arguments)
    options = vars(known.parse_args(arguments))
    module, function = options.pop("run")
    set_on_retry_hooks(())  # a retry is no news: one that is in vain ends in an error that says so
    # Who serves imports no other command: the start is as fast as what it imports.
    run: Callable[[dict[str, Any]], int | None] = getattr(import_module(f"{__package__}.{module}"), function)
    return run(options)


_STATUSES = (
    "Exit status: 0 all is fine, 1 something else failed, 2 settings, 3 not reached, 4 credentials or rights, "
    "5 strange answers, 6 throttled or down."
)


def parser() -> Parser:
    """The flags and commands; each names the module here, and the function in it, that runs it."""
    known = Parser(
        prog=PROGRAM,
        description="An MCP server over Patchworks flow version deployments. Without a command it serves stdio.",
        epilog="Credentials come from the environment only: PATCHWORKS_API_KEY, or PATCHWORKS_BEARER_TOKEN, "
        "or PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD. Each flag has a variable too: --read-only is "
        "PATCHWORKS_READ_ONLY.",
    )
    known.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    known.set_defaults(run=("serve", "run"))
    add_settings(known)
    commands = known.add_subparsers(metavar="command")
    demo = commands.add_parser("demo", help="play a short conversation with the server on the sandbox")
    demo.set_defaults(run=("demo", "run"))
    check = commands.add_parser("check", help="try the settings, line by line; changes nothing", epilog=_STATUSES)
    check.set_defaults(run=("doctor.command", "run"))
    add_settings(check)
    schemas = commands.add_parser("schemas", help="write one JSON file per tool")
    schemas.set_defaults(run=("publishing", "schemas"))
    schemas.add_argument("--directory", type=Path, default=Path("tool_schemas"), help="default: %(default)s")
    sandbox = commands.add_parser("sandbox", help="serve the stand-in for Patchworks over HTTP, on loopback")
    sandbox.set_defaults(run=("serve", "sandbox"))
    sandbox.add_argument("--port", type=port, default=8080, help="default: %(default)s; 0 takes a free one")
    sandbox.add_argument("--deployments", type=count, default=60, help="how many to make up; default: %(default)s")
    sandbox.add_argument(
        "--no-virtual-environments",
        dest="virtual_environments",
        action="store_false",
        help="play an account that lacks them: a flow is deployed once",
    )
    token = commands.add_parser("token", help="make a bearer token and its line for PATCHWORKS_TOKENS_FILE")
    token.set_defaults(run=("serve", "token"))
    token.add_argument("name", type=word, help="whose it is, one word without #")
    token.add_argument("--write", action="store_true", help="allow changes too")
    _add_what_is_for_hosts(commands.add_parser)
    return known


def _add_what_is_for_hosts(add: Callable[..., Parser]) -> None:
    install = add("install", help="put the server into a host's configuration, or show what would change")
    install.set_defaults(run=("install", "run"))
    install.add_argument("host", nargs="?", help="which host; without it they are listed")
    install.add_argument("--name", help="the server's name there; default: patchworks, or patchworks-sandbox")
    install.add_argument("--project", action="store_true", help="only for the project in this folder")
    install.add_argument("--write", action="store_true", help="write it; without this flag nothing is written")
    add_settings(install)
    bundle = add("bundle", help="write the bundle (MCPB) that a host installs by a click")
    bundle.set_defaults(run=("publishing", "bundle"))
    bundle.add_argument("--output", type=Path, default=Path(f"{PROGRAM}.mcpb"), help="default: %(default)s")
    registry = add("server-json", help="write the server.json of the MCP registry")
    registry.set_defaults(run=("publishing", "server_json"))
    registry.add_argument("--output", type=Path, default=Path("server.json"), help="default: %(default)s")
