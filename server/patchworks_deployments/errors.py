"""Everything that can go wrong, each with what happened, whether anything changed, and what to do next.

    DeploymentsError
    ├── SettingsError             the settings do not allow a start
    ├── InvalidArgument           the caller's arguments make no sense together
    ├── StateMoved                the target is not in the state that the caller named
    ├── AuditLogUnwritable        a write was not sent because it could not be recorded
    ├── AuditLogUnreadable        what was changed cannot be told, because the record of it cannot be read
    └── UpstreamError             Patchworks, or the way to it
        ├── Unreachable           the request never arrived
        │   └── LoginFailed       because the login before it is down, or throttled
        ├── OutOfTime             it was not sent, as the call had no time left
        ├── NoAnswer              it left; no whole answer came back           (may have acted)
        ├── UnexpectedResponse    an answer came, but not one that can be read (may have acted)
        ├── Incomplete            a listing of which not everything could be read
        ├── Unavailable           5xx                                          (may have acted)
        ├── Unauthenticated       401, or a login that was refused
        ├── Forbidden             403
        ├── NotFound              404
        ├── Conflict              409
        ├── TooLarge              413
        ├── Throttled             429
        └── Rejected              any other 4xx, above all 422 with its field errors

`may_have_acted` tells whether a write that met this error can have been carried out all the same; a read's never has.
`may_still_arrive` tells whether it can even be carried out later: nobody has said that it came to an end.
"""

from http import HTTPStatus
from typing import ClassVar


class DeploymentsError(Exception):
    """A failure in words for a model and a person: `what` happened, and the `next_step`."""

    may_have_acted: bool = False
    may_still_arrive: bool = False
    default_next_step: ClassVar[str] = ""

    def __init__(self, what: str, *, next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step or self.default_next_step

    def __str__(self) -> str:
        return self.said()

    def said(self, *, is_read: bool = False) -> str:
        """All of it in one paragraph. The error of what only reads (`is_read`) does not speak of changes."""
        change = "Nothing was changed."
        if self.may_have_acted:
            change = "Whether anything was changed is not known: read the deployment before you repeat this."
        if is_read:
            change = ""
        return " ".join(part for part in (self.what, change, self.next_step) if part)


class SettingsError(DeploymentsError):
    """The settings are missing, contradictory or misspelt; the message names each."""

    def said(self, *, is_read: bool = False) -> str:
        """What is wrong, line by line."""
        del is_read
        return self.what


class InvalidArgument(DeploymentsError):
    """Arguments that are each well-formed but make no sense together."""


class StateMoved(DeploymentsError):
    """The target changed since the state that the caller named."""

    default_next_step = "Read it with get_deployment and decide anew."


class AuditLogUnwritable(DeploymentsError):
    """The audit log is configured and does not accept a line, so nothing may be sent."""

    default_next_step = "Make the file named by PATCHWORKS_AUDIT_LOG writable, or unset it, then call again."


class AuditLogUnreadable(DeploymentsError):
    """The audit log is configured and cannot be read."""

    default_next_step = "Make the file named by PATCHWORKS_AUDIT_LOG readable for this server, then call again."


def _wait(seconds: float | None) -> str:
    return f"Wait {f'{seconds:.0f} seconds' if seconds else 'a minute'}, then call again."


class UpstreamError(DeploymentsError):
    """Patchworks refused, failed, or could not be reached."""


class Unreachable(UpstreamError):
    """The request never arrived: no connection, no name, no free slot in time, or a proxy that did not pass it on.

    `is_lasting` says that it is in vain to try again at once, as with a certificate that is not trusted.
    """

    default_next_step = "Check PATCHWORKS_BASE_URL and the network, then try again."

    def __init__(self, what: str, *, next_step: str = "", is_lasting: bool = False) -> None:
        super().__init__(what, next_step=next_step)
        self.is_lasting = is_lasting


class LoginFailed(Unreachable):
    """The request never left: it needs a login, which is down, too slow or throttled."""

    default_next_step = "Try again later."


class OutOfTime(UpstreamError):
    """The call has taken so long already that its host would not hear of what came next."""

    default_next_step = "Call again later, or for less at a time."


class NoAnswer(UpstreamError):
    """The request left, and no whole answer came back."""

    may_have_acted = True
    may_still_arrive = True
    default_next_step = "Try again later."


class UnexpectedResponse(UpstreamError):
    """An answer that is no deployment at all: HTML, a cut-off body, a list for an object, a redirect."""

    may_have_acted = True
    may_still_arrive = True
    default_next_step = "Check that PATCHWORKS_BASE_URL points at the Patchworks Core API."


class Incomplete(UpstreamError):
    """A listing of which some could not be read, or that nobody counted, where all of it is needed."""

    default_next_step = "Look with list_deployments and name the deployments that you mean."


class Unavailable(UpstreamError):
    """Patchworks answered with a 5xx status; `retry_after` is in seconds when it said when it will be back."""

    may_have_acted = True
    default_next_step = "Try again later."

    def __init__(self, what: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(what, next_step=_wait(retry_after) if retry_after else "")
        self.retry_after = retry_after
        # 500 is Patchworks' own. The others are said by what stands before it, while Patchworks may still be at work.
        self.may_still_arrive = status != HTTPStatus.INTERNAL_SERVER_ERROR


class Unauthenticated(UpstreamError):
    """401: the key, token or password is missing, wrong, revoked or expired."""

    default_next_step = "A person must check the Patchworks credentials of this server."


class Forbidden(UpstreamError):
    """403: the credentials are good but do not allow this."""

    default_next_step = "A person must give these Patchworks credentials the right, or use others."


class NotFound(UpstreamError):
    """404: no such flow version or deployment, or not this deployment under this flow version."""

    default_next_step = (
        "A flow version's id is not the iteration that people see: deployment_overview shows ids of what is deployed."
    )


class Conflict(UpstreamError):
    """409: the state in Patchworks does not allow this now."""

    default_next_step = "Read the deployment again, then decide."


class TooLarge(UpstreamError):
    """413: Patchworks takes at most 8 MB."""

    default_next_step = "Send less."


class Throttled(UpstreamError):
    """429: too many requests; `retry_after` is in seconds when Patchworks said it."""

    def __init__(self, what: str, *, retry_after: float | None = None) -> None:
        super().__init__(what, next_step=_wait(retry_after))
        self.retry_after = retry_after


class Rejected(UpstreamError):
    """Another 4xx; Laravel's validation errors stand in its words, field by field."""

    default_next_step = "Correct the arguments, then call again."


def crash(error: Exception) -> str:
    """What is said of an error of our own, of whose words nobody knows what is in them."""
    return f"An error inside this server ended it ({type(error).__name__})."
