"""The tables that turn every exception and status into our errors, the reading of answers, and what is tried again."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeGuard

import httpx2
from pydantic_core import from_json

from patchworks_deployments.api import paths
from patchworks_deployments.api.scrubbing import Scrubber, scrubber
from patchworks_deployments.api.strangers import IN_ITS_PLACE, leads_elsewhere, quoted, stranger
from patchworks_deployments.errors import (
    Conflict,
    Forbidden,
    LoginFailed,
    NoAnswer,
    NotFound,
    Rejected,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedResponse,
    Unreachable,
    UpstreamError,
)
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import ToolCall
from patchworks_deployments.network.causes import cause_of

MAX_RETRY_AFTER_SECONDS = 20.0
"""Seconds; a longer `Retry-After` is handed to the caller instead of waited for."""

MAX_BELIEVED_SECONDS = 10.0**7
"""Seconds, some months: a longer `Retry-After` counts as not given."""

MIN_PAUSE_SECONDS = 0.1
"""Seconds that are waited at least, also where `Retry-After` is 0."""

IS_SENT = "patchworks_is_sent"
"""The request's extension that says whether it has left, where it may have to wait for a login."""

_MAX_DIGITS = 100
"""Digits of a whole number in an answer; no id is as long, and Python reads thousands slowly or not at all."""

_MAX_FIELDS = 10
_MAX_FIELD_CHARACTERS = 60
_MAX_TEXTS_PER_FIELD = 3
_MAX_TEXT_CHARACTERS = 200

NOT_IN_TIME = "Patchworks did not answer in time."
"""What is said where `PATCHWORKS_TIMEOUT` has passed without an answer."""

_TRANSPORT_ERRORS: dict[type[Exception], tuple[type[Unreachable | NoAnswer | UnexpectedResponse], str]] = {
    httpx2.ConnectTimeout: (Unreachable, "Patchworks could not be reached in time."),
    httpx2.ConnectError: (Unreachable, "Patchworks could not be reached."),
    httpx2.PoolTimeout: (Unreachable, "All connections to Patchworks were busy for too long."),
    httpx2.ProxyError: (Unreachable, "The proxy on the way to Patchworks failed."),
    httpx2.UnsupportedProtocol: (Unreachable, "The address of Patchworks has an unknown scheme."),
    httpx2.LocalProtocolError: (Unreachable, "The request could not be written as HTTP."),
    httpx2.InvalidURL: (Unreachable, "The address of Patchworks is not a URL."),
    httpx2.TimeoutException: (NoAnswer, NOT_IN_TIME),
    TimeoutError: (NoAnswer, NOT_IN_TIME),
    httpx2.TransportError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
    httpx2.DecodingError: (UnexpectedResponse, "Patchworks' answer could not be decompressed."),
    httpx2.RequestError: (UnexpectedResponse, "Patchworks' answer could not be followed."),
    httpx2.StreamError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
}

_STATUS_ERRORS: dict[int, tuple[type[UpstreamError], str]] = {
    401: (Unauthenticated, "Patchworks does not accept the credentials (401)."),
    403: (Forbidden, "Patchworks does not allow this with these credentials (403)."),
    408: (NoAnswer, "A gateway in front of Patchworks waited in vain (408)."),
    409: (Conflict, "This conflicts with the present state in Patchworks (409)."),
    413: (TooLarge, "The request is too large for Patchworks (413)."),
    419: (UnexpectedResponse, "Something answered 419 (page expired), as web pages do and the API does not."),
    499: (NoAnswer, "A gateway in front of Patchworks gave the request up (499)."),
}

_NEVER_SILENT = {403, 404}
"""Statuses for which the API has words, while proxies and firewalls often send them alone."""

_MEANINGS = {
    502: ": a gateway in front of it got no answer",
    503: ": maintenance or too much to do",
    504: ": a gateway in front of it waited in vain",
}
"""What statuses mean that are not Patchworks' own."""


def translate(error: Exception, request: httpx2.Request, whom: str = "Patchworks") -> UpstreamError:
    """Our error for the HTTP client's: why there was no connection, or the entry of the nearest class in the table."""
    if cause := cause_of(error, request):
        what = f"{whom} could not be reached: {cause.what}."
        return Unreachable(what, next_step=cause.next_step, is_lasting=cause.is_lasting)
    known = next(cls for cls in type(error).__mro__ if cls in _TRANSPORT_ERRORS)
    kind, what = _TRANSPORT_ERRORS[known]
    return kind(what)


@contextlib.contextmanager
def translating(request: httpx2.Request) -> Iterator[None]:
    """Turn the HTTP client's errors into ours."""
    try:
        yield
    except tuple(_TRANSPORT_ERRORS) as error:
        # A login goes out before the request that needs it: its failure means that the request has not left.
        asked = error.request if isinstance(error, httpx2.RequestError) else request
        is_under_way = asked.url == request.url and request.extensions.get(IS_SENT, True)
        # Not from the error: its text quotes what came, a key that was echoed too, and would reach logs and spans.
        if is_under_way:
            raise translate(error, request) from None
        told = translate(error, asked, "The login at Patchworks")
        raise (told if isinstance(told, Unreachable) else LoginFailed("The login at Patchworks failed.")) from None


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Say of every error that it has changed nothing, as no read does."""
    try:
        yield
    except UpstreamError as error:
        error.may_have_acted = error.may_still_arrive = False
        raise


def read_answer(response: httpx2.Response, secrets: Sequence[str]) -> object:
    """The answer's JSON, None for a 204. Raises one of `UpstreamError`. In neither stands any of the secrets."""
    own = scrubber(tuple(secrets))
    if not response.is_success:
        raise error_for(response, own)
    if response.status_code == httpx2.codes.NO_CONTENT:
        return None
    if not response.content or response.content.strip() == b"null":
        raise UnexpectedResponse(f"Patchworks answered with nothing (status {response.status_code}).")
    try:
        return own.scrub(_parse(response.content))
    except (ValueError, RecursionError):
        raise stranger(response, own) from None


def _parse(content: bytes) -> Any:  # noqa: ANN401 - whatever JSON came in goes out
    """The JSON; one odd text costs itself alone: what is no Unicode in it is replaced, and control characters stay.

    Raises `ValueError`, or `RecursionError` for hundreds of levels.
    """
    try:
        return from_json(content)
    except ValueError:
        odd = json.loads(content.decode("utf-8-sig", errors="replace"), strict=False, parse_int=_whole_number)
        # In UTF-16 half a pair that stands alone is told from a pair.
        text = json.dumps(odd, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return from_json(text)


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


def _said(response: httpx2.Response, own: Scrubber) -> dict[str, Any] | None:
    """The error's JSON object without the secrets, empty if there is none; None where what came is no JSON."""
    try:
        said = own.scrub(_parse(response.content)) if response.content else {}
    except UnexpectedResponse:
        return {}
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else {}


def error_for(response: httpx2.Response, own: Scrubber) -> UpstreamError:
    """Our error for an answer that is no success; the API's is `{message, errors}` in Laravel's way."""
    status, said = response.status_code, _said(response, own)
    remark = _remark(said or {})
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        return Throttled("Patchworks is throttling this account (429).", retry_after=_seconds(response))
    is_untold = said is None or (not said and status in _NEVER_SILENT)
    if (is_untold or leads_elsewhere(response)) and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return stranger(response, own, _seconds(response))
    if status in _STATUS_ERRORS:
        kind, what = _STATUS_ERRORS[status]
        return kind(what + remark)
    if response.is_server_error:
        what = f"Patchworks failed (status {status}{_MEANINGS.get(status, '')}).{remark}"
        return Unavailable(what, status=status, retry_after=_seconds(response))
    if response.is_client_error:
        refused = Rejected(f"Patchworks refused the request ({status}).{remark}")
        return _not_found(response.request, remark) if status == httpx2.codes.NOT_FOUND else refused
    return UnexpectedResponse(f"Patchworks answered with status {status}, which is not followed.")


def _not_found(request: httpx2.Request, remark: str) -> UpstreamError:
    """What a 404 says that has the API's shape, by the address that was asked for."""
    version, deployment = paths.ids_of(request.url.path)
    if deployment:
        call = rendering.call(ToolCall(tool="deployment_overview", arguments={"deployment_id": deployment}))
        what = f"Patchworks knows no deployment {deployment} of flow version {version} (404).{remark}"
        return NotFound(what, next_step=f"Find the deployment by its id alone with {call}.")
    if version is None:
        what = f"Something answered 404 to the list of all deployments, which the Patchworks Core API has.{remark}"
        return UnexpectedResponse(what, next_step=IN_ITS_PLACE)
    if request.method == "POST":
        # The version was read before, so it may be the environment.
        return NotFound(f"Patchworks does not know flow version {version}, or where to deploy it (404).{remark}")
    return NotFound(f"Patchworks knows no flow version {version} (404).{remark}")


def _remark(said: Mapping[str, Any]) -> str:
    """Patchworks' own words, behind a blank: its message, unless the first field says the same, and the fields."""
    fields = _field_errors(said.get("errors"))
    message = said["message"] if isinstance(said.get("message"), str) else ""
    told = quoted(message, _MAX_TEXT_CHARACTERS)
    first = next((texts[0] for _, texts in fields if texts), "")
    is_new = told and not (first and told.startswith(first))
    words = [f'Patchworks says: "{told}"{_end(told)}'] if is_new else []
    words += [f"{field}: {' '.join(f'{text}{_end(text)}' for text in texts)}" for field, texts in fields]
    return "".join(f" {part}" for part in words)


def _field_errors(errors: object) -> list[tuple[str, list[str]]]:
    """Laravel's `{field: [text, ...]}` in words by field, bounded, whatever came."""
    told: list[tuple[str, list[str]]] = []
    for field, texts in list(errors.items())[:_MAX_FIELDS] if isinstance(errors, dict) else ():
        said = (texts if isinstance(texts, list) else [texts])[:_MAX_TEXTS_PER_FIELD]
        # Objects are no words: they may hold what was sent.
        words = [quoted(text, _MAX_TEXT_CHARACTERS) if isinstance(text, str) else "" for text in said]
        told.append((quoted(field, _MAX_FIELD_CHARACTERS) or "?", [word or "?" for word in words]))
    return told


def _end(text: str) -> str:
    """A full stop where the text has no end of its own, so that another sentence can follow."""
    return "" if text.endswith((".", "!", "?", "…")) else "."


def _seconds(response: httpx2.Response) -> float | None:
    """`Retry-After` in seconds, also where it is a date; None for nonsense and for months.

    A date counts from that of the answer, because clocks differ.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        until, now = (_time(response.headers.get(name, "")) for name in ("Retry-After", "Date"))
        if until is None:
            return None
        seconds = math.ceil(max(until - (time.time() if now is None else now), 0))
    return seconds if seconds < MAX_BELIEVED_SECONDS else None


def _time(date: str) -> float | None:
    """An HTTP date, which is in UTC, in seconds since the epoch; None for nonsense."""
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def asks_to_wait(error: Exception, *, is_read: bool = False) -> TypeGuard[Throttled | Unavailable]:
    """Whether Patchworks wants to be asked later, and nothing was done: by a 429, or by a 503 to a read."""
    if isinstance(error, Unavailable):
        return error.retry_after is not None and (is_read or not error.may_have_acted)
    return isinstance(error, Throttled)


def retry_wait(error: Exception, *, is_read: bool) -> bool | float:
    """Whether to try again, or after how many seconds; a write only when it cannot have arrived."""
    if asks_to_wait(error, is_read=is_read):
        return throttle_wait(error, MAX_RETRY_AFTER_SECONDS)
    return (isinstance(error, Unreachable) and not error.is_lasting) or (
        is_read and isinstance(error, NoAnswer | Unavailable | UnexpectedResponse)
    )


def throttle_wait(error: Throttled | Unavailable, max_seconds: float) -> bool | float:
    """The pause that Patchworks asked for in seconds, False where it is too long, True where it did not say."""
    if error.retry_after is None:
        return True
    return error.retry_after <= max_seconds and max(error.retry_after, MIN_PAUSE_SECONDS)
