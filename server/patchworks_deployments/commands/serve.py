"""The commands that serve: MCP over stdio or HTTP, and the stand-in for Patchworks; and the tokens of callers."""

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Iterable
from typing import Any

from patchworks_deployments.commands.output import UNWRITTEN, end, is_broken_pipe, say, tell
from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings, load_settings, variable_of
from patchworks_deployments.startup import collect_rarely, exit_in_order, listen

IN_A_TERMINAL = (
    "The server waits for messages of MCP on stdin, which a host sends that starts it. In a terminal, try "
    "`patchworks-deployments-mcp demo` or `patchworks-deployments-mcp check`. Ctrl-C ends this."
)

_ACCOUNT = ("base_url", "api_key", "bearer_token", "username", "password", "login_url", "login_user_field")
"""The settings that lead to an account."""


def settings_of(options: dict[str, Any]) -> Settings:
    """The settings, where the environment has a way to the network too. Raises `SettingsError`.

    `--sandbox` wins over an account in the environment: some hosts pass on all that their terminal has set.
    """
    from patchworks_deployments.network.routes import ensure_usable  # noqa: PLC0415 - slow: after the settings

    if options.get("sandbox"):
        unused = _taken_out(name for name in _ACCOUNT if name not in options)
        if unused:
            tell(f"--sandbox needs no account, so this is not used: {', '.join(unused)}")
    settings = load_settings(None, **options)
    ensure_usable(settings)
    return settings


def _taken_out(names: Iterable[str]) -> list[str]:
    """Take these settings out of the environment, in whatever case; the variables that had a value."""
    variables = set(map(variable_of, names))
    return [name for name in list(os.environ) if name.upper() in variables and os.environ.pop(name)]


def run(options: dict[str, Any]) -> int:
    """Serve MCP, over stdio or HTTP, until the host or a signal ends it; the process's exit status."""
    settings = settings_of(options)
    if settings.http:
        from patchworks_deployments.serving.asgi import serve  # noqa: PLC0415 - not for who serves stdio

        # Workers are processes of their own and read their settings from the environment.
        _taken_out(options)
        os.environ.update({variable_of(name): str(value) for name, value in options.items()})
        serve(settings, announce=say)
    elif settings.credentials == "caller":
        raise SettingsError("PATCHWORKS_CREDENTIALS=caller works over HTTP only: add --http PORT")
    else:
        from patchworks_deployments.serving.server import create_server  # noqa: PLC0415 - slow: after the settings
        from patchworks_deployments.serving.stdio import serve as serve_stdio  # noqa: PLC0415 - the same

        server = create_server(settings)
        if sys.stdin and sys.stdin.isatty():
            with contextlib.suppress(OSError):  # stderr may be closed, and is not needed
                tell(IN_A_TERMINAL)
        try:
            return serve_stdio(server)
        except OSError as error:
            why = os.strerror(errno.EPIPE) if is_broken_pipe(error) else error.strerror
            end(UNWRITTEN, f"The server has ended: its host takes nothing from stdout any more ({why}).")
    return 0


def token(options: dict[str, Any]) -> None:
    """Make a token: itself on stderr, and on stdout its line for the file."""
    from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE  # noqa: PLC0415 - not for who serves
    from patchworks_deployments.serving.tokens import hash_token  # noqa: PLC0415 - not for who serves

    made = secrets.token_urlsafe(32)
    scopes = f"{READ_SCOPE},{WRITE_SCOPE}" if options["write"] else READ_SCOPE
    tell(f"token, to be given to {options['name']} and shown only now: {made}")
    say(f"{options['name']} {scopes} {hash_token(made)}")


def sandbox(options: dict[str, Any]) -> None:
    """Serve the stand-in for Patchworks until a signal ends it."""
    from patchworks_deployments.sandbox import Sandbox  # noqa: PLC0415 - not for who serves MCP
    from patchworks_deployments.sandbox.serving import serve  # noqa: PLC0415 - the same

    collect_rarely()
    exit_in_order()
    with listen("127.0.0.1", options["port"]) as listener:
        sandbox = Sandbox(options["deployments"], virtual_environments=options["virtual_environments"])
        serve(listener, sandbox, announce=say)
