"""The command line: arguments and commands; the only place that prints or exits."""

import argparse
import contextlib
import difflib
import itertools
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import anyio
from stamina.instrumentation import set_on_retry_hooks

from patchworks_deployments import __version__
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings, load_settings
from patchworks_deployments.startup import alone, collect_rarely, exit_in_order, listen

PROGRAM = "patchworks-deployments-mcp"

UNWRITTEN, USAGE_ERROR, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
"""Exit statuses, as shells have them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name (the process's own by default); without one, serve MCP over stdio."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what it cannot show is no reason to end
    try:
        try:
            sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
        finally:
            with _writing():
                if sys.stdout:
                    sys.stdout.flush()
    except SettingsError as error:
        _end(USAGE_ERROR, str(error))
    except KeyboardInterrupt:
        _end(INTERRUPTED)
    except Unwritten as error:
        # What is left in the buffer would fail once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(BROKEN_PIPE if error.is_broken_pipe else UNWRITTEN, str(error))


def _end(status: int, why: str = "") -> NoReturn:
    with contextlib.suppress(OSError):  # stderr may be no better
        print(why, end="\n" if why else "", file=sys.stderr, flush=True)
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int | None:
    parser = _parser()
    _refuse_unknown_flags(parser, arguments)
    options = vars(parser.parse_args(arguments))
    run: Callable[[dict[str, Any]], int | None] = options.pop("run")
    set_on_retry_hooks(())  # a retry is no news: one that is in vain ends in an error that says so
    return run(options)


class Unwritten(Exception):
    """stdout takes nothing any more. No line says so where a reader, such as `head`, has only seen enough."""

    def __init__(self, error: OSError) -> None:
        self.is_broken_pipe = isinstance(error, BrokenPipeError)
        super().__init__("" if self.is_broken_pipe else f"The output could not be written: {error.strerror}.")


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritten(error) from None


def say(line: object) -> None:
    """Print the line at once. Raises `Unwritten`."""
    with _writing():
        print(line, flush=True)


class _Parser(argparse.ArgumentParser):
    """Refuses in one line instead of a page of usage, and does not pass over a help that could not be written."""

    def print_help(self, file: Any = None) -> None:  # noqa: ANN401 - argparse's own, which nobody gives
        """Print what `--help` asks for."""
        del file
        say(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the arguments, and exit."""
        self.exit(USAGE_ERROR, f"{message}. Nothing was started. All flags and commands: {PROGRAM} --help\n")


_SETTINGS = {"--" + name.replace("_", "-"): field for name, field in Settings.model_fields.items() if field.description}
"""A flag for each setting that has a description; secrets have none, as flags show in process lists."""

_FLAGS = {*_SETTINGS, "-h", "--help", "--version", "--directory", "--write"}
_FLAGS |= {"--port", "--deployments", "--no-virtual-environments"}


def _refuse_unknown_flags(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Exit on the first flag that no command knows, abbreviated ones too.

    argparse would complain of the value behind it instead.
    """
    for argument in itertools.takewhile("--".__ne__, arguments):
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in _FLAGS:
            nearest = difflib.get_close_matches(flag, _FLAGS, n=1)
            parser.error(f"{flag} is not a flag{f' (did you mean {nearest[0]}?)' if nearest else ''}")


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM,
        description="An MCP server over Patchworks flow version deployments. Without a command it serves stdio.",
        epilog="Credentials come from the environment only: PATCHWORKS_API_KEY, or PATCHWORKS_BEARER_TOKEN, "
        "or PATCHWORKS_USERNAME and PATCHWORKS_PASSWORD. Each flag has a variable too: --read-only is "
        "PATCHWORKS_READ_ONLY.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(run=_serve)
    _add_settings(parser)
    commands = parser.add_subparsers(metavar="command")
    demo = commands.add_parser("demo", help="play a short conversation with the server on the sandbox")
    demo.set_defaults(run=_demo)
    check = commands.add_parser("check", help="try the settings against the API, line by line")
    check.set_defaults(run=lambda options: anyio.run(_check, options))
    _add_settings(check)
    schemas = commands.add_parser("schemas", help="write one JSON file per tool")
    schemas.set_defaults(run=_schemas)
    schemas.add_argument("--directory", type=Path, default=Path("tool_schemas"), help="default: %(default)s")
    sandbox = commands.add_parser("sandbox", help="serve the stand-in for Patchworks over HTTP, on loopback")
    sandbox.set_defaults(run=_sandbox)
    sandbox.add_argument("--port", type=_port, default=8080, help="default: %(default)s; 0 takes a free one")
    sandbox.add_argument("--deployments", type=_count, default=60, help="how many to make up; default: %(default)s")
    sandbox.add_argument(
        "--no-virtual-environments",
        dest="virtual_environments",
        action="store_false",
        help="play an account that lacks them: a flow is deployed once",
    )
    token = commands.add_parser("token", help="make a bearer token and its line for PATCHWORKS_TOKENS_FILE")
    token.set_defaults(run=_token)
    token.add_argument("name", type=_word, help="whose it is, one word without #")
    token.add_argument("--write", action="store_true", help="allow changes too")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**16:
        raise argparse.ArgumentTypeError("must be a port from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _word(text: str) -> str:
    """The name of a token's holder: the file has one word for it, and `#` starts a comment there."""
    if text.split() != [text] or "#" in text or not text.isprintable():
        raise argparse.ArgumentTypeError("must be one word without #")
    return text


def _add_settings(parser: argparse.ArgumentParser) -> None:
    for flag, field in _SETTINGS.items():
        kind: dict[str, Any] = {"action": "store_true"} if field.annotation is bool else {"metavar": "VALUE"}
        # SUPPRESS lets a flag stand before or after the command without one parser's default undoing the other's value.
        parser.add_argument(flag, default=argparse.SUPPRESS, help=field.description, **kind)


def _settings(options: dict[str, Any]) -> Settings:
    """The settings, where the environment has a way to the network too. Raises `SettingsError`."""
    from patchworks_deployments.network.routes import ensure_usable  # noqa: PLC0415 - slow: after the settings

    settings = load_settings(None, **options)
    ensure_usable(settings)
    return settings


def _serve(options: dict[str, Any]) -> int:
    settings = _settings(options)
    if settings.http:
        from patchworks_deployments.serving.asgi import serve  # noqa: PLC0415 - not for who serves stdio

        # Workers are processes of their own and read their settings from the environment.
        os.environ.update({f"PATCHWORKS_{name.upper()}": str(value) for name, value in options.items()})
        serve(settings, announce=say)
    elif settings.credentials == "caller":
        raise SettingsError("PATCHWORKS_CREDENTIALS=caller works over HTTP only: add --http PORT")
    else:
        from patchworks_deployments.serving.server import create_server  # noqa: PLC0415 - slow: after the settings
        from patchworks_deployments.serving.stdio import serve as serve_stdio  # noqa: PLC0415 - the same

        try:
            return serve_stdio(create_server(settings))
        except OSError as error:
            _end(UNWRITTEN, f"The server has ended: its host takes nothing from stdout any more ({error.strerror}).")
    return 0


def _token(options: dict[str, Any]) -> None:
    from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE  # noqa: PLC0415 - not for who serves
    from patchworks_deployments.serving.tokens import hash_token  # noqa: PLC0415 - not for who serves

    token = secrets.token_urlsafe(32)
    scopes = f"{READ_SCOPE},{WRITE_SCOPE}" if options["write"] else READ_SCOPE
    print(f"token, to be given to {options['name']} and shown only now: {token}", file=sys.stderr)
    say(f"{options['name']} {scopes} {hash_token(token)}")


def _demo(_: dict[str, Any]) -> None:
    from patchworks_deployments.demo import converse  # noqa: PLC0415 - not for who serves

    with alone():
        anyio.run(converse, say)


async def _check(options: dict[str, Any]) -> int:
    from patchworks_deployments.check import findings  # noqa: PLC0415 - not for who serves
    from patchworks_deployments.serving.server import transport_for  # noqa: PLC0415 - not for who serves

    settings, failures = _settings(options), 0
    async for is_fine, line in findings(settings, transport_for(settings)):
        say(f"{'ok  ' if is_fine else 'FAIL'} {line}")
        failures += not is_fine
    return min(failures, 1)


def _schemas(options: dict[str, Any]) -> None:
    directory: Path = options["directory"]
    directory.mkdir(parents=True, exist_ok=True)
    for name, definition in anyio.run(tool_definitions).items():
        (directory / f"{name}.json").write_text(json.dumps(definition, indent=2) + "\n", encoding="utf-8")
        say(directory / f"{name}.json")


async def tool_definitions() -> dict[str, dict[str, Any]]:
    """The tools as a host sees them, by name: title, description, schemas and annotations."""
    from patchworks_deployments.serving.server import create_server  # noqa: PLC0415 - not for who serves

    tools = await create_server(load_settings({}, sandbox=True)).list_tools()
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools}


def _sandbox(options: dict[str, Any]) -> None:
    from patchworks_deployments.sandbox import Sandbox  # noqa: PLC0415 - not for who serves MCP
    from patchworks_deployments.sandbox.serving import serve  # noqa: PLC0415 - the same

    collect_rarely()
    exit_in_order()
    with listen("127.0.0.1", options["port"]) as listener:
        sandbox = Sandbox(options["deployments"], virtual_environments=options["virtual_environments"])
        serve(listener, sandbox, announce=say)
