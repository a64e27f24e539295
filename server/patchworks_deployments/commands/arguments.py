"""What the command line may hold: the flags of the settings, and the kinds of values of the other ones."""

import argparse
import difflib
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from patchworks_deployments.commands.output import USAGE_ERROR, say
from patchworks_deployments.settings import PROGRAM, Settings, flag_of


class Parser(argparse.ArgumentParser):
    """Refuses in one line instead of a page of usage, and does not pass over a help that could not be written."""

    flags: ClassVar[set[str]] = set()
    """Those of all commands."""

    def add_argument(self, *names: Any, **kind: Any) -> argparse.Action:  # noqa: ANN401 - argparse's own
        """Take an argument, and remember its flags."""
        self.flags.update(name for name in names if name.startswith("-"))
        return super().add_argument(*names, **kind)

    def print_help(self, file: Any = None) -> None:  # noqa: ANN401 - argparse's own, which nobody gives
        """Print what `--help` asks for."""
        del file
        say(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the arguments, and exit."""
        self.exit(USAGE_ERROR, f"{message}. Nothing was started. All flags and commands: {PROGRAM} --help\n")


_SETTINGS = {flag_of(name): field for name, field in Settings.model_fields.items() if field.description}
"""A flag for each setting that has a description; secrets have none, as flags show in process lists."""


def refuse_unknown_flags(parser: Parser, arguments: Sequence[str]) -> None:
    """Exit on the first flag that no command knows, abbreviated ones too.

    argparse would complain of the value behind it instead.
    """
    for argument in itertools.takewhile("--".__ne__, arguments):
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in parser.flags:
            nearest = difflib.get_close_matches(flag, parser.flags, n=1)
            parser.error(f"{flag} is not a flag{f' (did you mean {nearest[0]}?)' if nearest else ''}")


def port(text: str) -> int:
    """A port; 0 is for a free one."""
    if not text.isdecimal() or int(text) >= 2**16:
        raise argparse.ArgumentTypeError("must be a port from 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """A number of things."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def word(text: str) -> str:
    """The name of a token's holder: the file has one word for it, and `#` starts a comment there."""
    if text.split() != [text] or "#" in text or not text.isprintable():
        raise argparse.ArgumentTypeError("must be one word without #")
    return text


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Let the parser take a flag for each setting that is no secret."""
    for flag, field in _SETTINGS.items():
        kind: dict[str, Any] = {"action": "store_true"} if field.annotation is bool else {"metavar": "VALUE"}
        # SUPPRESS lets a flag stand before or after the command without one parser's default undoing the other's value.
        parser.add_argument(flag, default=argparse.SUPPRESS, help=field.description, **kind)
