"""The tables that turn every exception and status into our errors, the reading of answers, and what is tried again."""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

import httpx2
from pydantic_core import from_json

from patchworks_deployments.api.scrubbing import Scrubber, scrubber
from patchworks_deployments.errors import (
    Conflict,
    Forbidden,
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
from patchworks_deployments.model.text import inert
from patchworks_deployments.model.tokens import without_tokens

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

_TRANSPORT_ERRORS: dict[type[Exception], tuple[type[Unreachable | NoAnswer | UnexpectedResponse], str]] = {
    httpx2.ConnectTimeout: (Unreachable, "Patchworks could not be reached in time."),
    httpx2.ConnectError: (Unreachable, "Patchworks could not be reached."),
    httpx2.PoolTimeout: (Unreachable, "All connections to Patchworks were busy for too long."),
    httpx2.ProxyError: (Unreachable, "The proxy on the way to Patchworks failed."),
    httpx2.UnsupportedProtocol: (Unreachable, "The address of Patchworks has an unknown scheme."),
    httpx2.LocalProtocolError: (Unreachable, "The request could not be written as HTTP."),
    httpx2.InvalidURL: (Unreachable, "The address of Patchworks is not a URL."),
    httpx2.TimeoutException: (NoAnswer, "Patchworks did not answer in time."),
    TimeoutError: (NoAnswer, "Patchworks did not answer in time."),
    httpx2.TransportError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
    httpx2.DecodingError: (UnexpectedResponse, "Patchworks' answer could not be decompressed."),
    httpx2.RequestError: (UnexpectedResponse, "Patchworks' answer could not be followed."),
    httpx2.StreamError: (NoAnswer, "The connection to Patchworks broke before the answer was complete."),
}

_STATUS_ERRORS: dict[int, tuple[type[UpstreamError], str]] = {
    401: (Unauthenticated, "Patchworks does not accept the credentials (401)."),
    403: (Forbidden, "Patchworks does not allow this with these credentials (403)."),
    404: (NotFound, "Patchworks knows no such flow version or deployment (404)."),
    409: (Conflict, "Patchworks says that this conflicts with the present state (409)."),
    413: (TooLarge, "The request is too large for Patchworks (413)."),
}


def translate(error: Exception) -> UpstreamError:
    """Our error for the HTTP client's: the entry of the nearest class in the table."""
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
        asked = error.request.url if isinstance(error, httpx2.RequestError) else request.url
        is_under_way = asked == request.url and request.extensions.get(IS_SENT, True)
        # Not from the error: its text quotes what came, a key that was echoed too, and would reach logs and spans.
        raise (translate(error) if is_under_way else Unreachable("The login at Patchworks failed.")) from None


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
        raise error_for(response, _said(response, own))
    if response.status_code == httpx2.codes.NO_CONTENT:
        return None
    if not response.content or response.content.strip() == b"null":
        raise UnexpectedResponse(f"Patchworks answered with nothing (status {response.status_code}).")
    try:
        return own.scrub(_parse(response.content))
    except (ValueError, RecursionError):
        kind = own.scrub_text(response.headers.get("Content-Type", "no content type")).partition(";")[0]
        raise UnexpectedResponse(
            f"Patchworks answered {response.status_code} with a body that is not JSON ({_quoted(kind, 40)})."
        ) from None


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


def _said(response: httpx2.Response, own: Scrubber) -> dict[str, Any]:
    """The error's JSON object, if it is one, without the secrets."""
    try:
        said = own.scrub(_parse(response.content))
    except (ValueError, RecursionError, UnexpectedResponse):
        return {}
    return said if isinstance(said, dict) else {}


def error_for(response: httpx2.Response, said: Mapping[str, Any]) -> UpstreamError:
    """Our error for an answer that is no success; `said` is its JSON, `{message, errors}` in Laravel's way."""
    status = response.status_code
    message = said.get("message")
    remark = (
        f' Patchworks says: "{_quoted(message, _MAX_TEXT_CHARACTERS)}"' if isinstance(message, str) and message else ""
    )
    if status == httpx2.codes.NOT_FOUND and not said:
        return UnexpectedResponse("Something answered 404 that is not the Patchworks Core API.")
    if status in _STATUS_ERRORS:
        kind, what = _STATUS_ERRORS[status]
        return kind(what + remark)
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        return Throttled("Patchworks is throttling this account (429).", retry_after=_seconds(response))
    if response.is_server_error:
        return Unavailable(
            f"Patchworks failed (status {status}).{remark}", status=status, retry_after=_seconds(response)
        )
    if response.is_client_error:
        return Rejected(f"Patchworks refused the request ({status}).{remark}{_field_errors(said.get('errors'))}")
    return UnexpectedResponse(f"Patchworks answered with status {status}, which is not followed.")


def _field_errors(errors: object) -> str:
    """Laravel's `{field: [text, ...]}` in words, bounded, whatever came."""
    if not isinstance(errors, dict):
        return ""
    words = ""
    for field, texts in list(errors.items())[:_MAX_FIELDS]:
        said = (texts if isinstance(texts, list) else [texts])[:_MAX_TEXTS_PER_FIELD]
        # Objects are no words: they may hold what was sent.
        told = (_quoted(text, _MAX_TEXT_CHARACTERS) if isinstance(text, str) else "" for text in said)
        words += f" {_quoted(field, _MAX_FIELD_CHARACTERS) or '?'}: {'; '.join(text or '?' for text in told)}"
    return words


def _quoted(text: str, limit: int) -> str:
    return inert(without_tokens(text, limit) or "", limit)


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
    return isinstance(error, Unreachable) or (
        is_read and isinstance(error, NoAnswer | Unavailable | UnexpectedResponse)
    )


def throttle_wait(error: Throttled | Unavailable, max_seconds: float) -> bool | float:
    """The pause that Patchworks asked for in seconds, False where it is too long, True where it did not say."""
    if error.retry_after is None:
        return True
    return error.retry_after <= max_seconds and max(error.retry_after, MIN_PAUSE_SECONDS)
