"""What the doctor finds: a line each, what to do about it, and the exit status that all of them come to."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from patchworks_deployments.errors import (
    DeploymentsError,
    Forbidden,
    LoginFailed,
    NoAnswer,
    OutOfTime,
    SettingsError,
    Throttled,
    Unauthenticated,
    Unavailable,
    Unreachable,
)


class Exit(IntEnum):
    """The exit statuses of `check`, for scripts."""

    FINE = 0
    OTHER = 1
    """Something failed that is none of the following, such as an audit log that cannot be written."""
    SETTINGS = 2
    """The server does not start with these settings."""
    UNREACHED = 3
    """Patchworks could not be reached, or did not answer in time."""
    REFUSED = 4
    """Patchworks refuses the credentials, or they lack a right."""
    STRANGE = 5
    """What answers is not the Patchworks Core API, or not as it should be."""
    LATER = 6
    """Patchworks throttles or is down: the same may work later."""


@dataclass(frozen=True)
class Finding:
    """A line about one thing: it works, it works and somebody should know more, or it fails."""

    what: str
    next_step: str = ""
    mark: str = "ok"
    status: Exit = Exit.FINE

    def __str__(self) -> str:
        """The line, and below it what to do."""
        return f"{self.mark:4} {self.what}" + (f"\n     {self.next_step}" if self.next_step else "")


def note(what: str, next_step: str = "") -> Finding:
    """What works, with something to know about it."""
    return Finding(what, next_step, "note")


def fail(what: str, next_step: str, status: Exit = Exit.OTHER) -> Finding:
    """What does not work."""
    return Finding(what, next_step, "FAIL", status)


def failed(subject: str, error: DeploymentsError) -> Finding:
    """What met an error, in its words."""
    return fail(f"{subject}: {error.what}", error.next_step, status_of(error))


def status_of(error: DeploymentsError) -> Exit:
    """What an error comes to for a script."""
    match error:
        case SettingsError():
            return Exit.SETTINGS
        case LoginFailed() | Throttled() | Unavailable():
            return Exit.LATER
        case Unreachable() | NoAnswer() | OutOfTime():
            return Exit.UNREACHED
        case Unauthenticated() | Forbidden():
            return Exit.REFUSED
    return Exit.STRANGE


def status_of_all(found: Collection[Exit]) -> Exit:
    """What all findings come to: the first of the named statuses, in their order, before any other failure."""
    named = [status for status in found if status > Exit.OTHER]
    return min(named) if named else max(found, default=Exit.FINE)
