"""How the sandbox says no: one exception, rendered the way Laravel renders errors."""

import html
import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import HTMLResponse, Response

Errors = dict[str, list[str]]
"""What is wrong with each field, in words."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{status} | {title}</h1></body>
</html>
"""


class Refusal(Exception):
    """A request that is answered with an error: `status`, `message`, and for a 422 the `errors` by field."""

    def __init__(
        self, status: int, message: str, *, errors: Errors | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})


def invalid(errors: Errors) -> Refusal:
    """The 422 for these errors; like Laravel, its message is the first of them and a count of the others."""
    texts = [text for field in errors.values() for text in field]
    more = len(texts) - 1
    suffix = f" (and {more} more error{'s' * (more > 1)})" if more else ""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, texts[0] + suffix, errors=errors)


def json_response(content: Mapping[str, object], status: int = HTTPStatus.OK) -> Response:
    """A JSON answer in ASCII, as PHP writes it; a lone surrogate that a client sent survives that too."""
    return Response(json.dumps(content), int(status), media_type="application/json")


def refusal_response(refusal: Refusal, accept: str) -> Response:
    """The error as JSON, or as an HTML page for a client that did not ask for JSON."""
    if "/json" not in accept and "+json" not in accept:
        title = html.escape(HTTPStatus(refusal.status).phrase)
        return HTMLResponse(_PAGE.format(status=refusal.status, title=title), refusal.status, refusal.headers)
    body: dict[str, object] = {"message": refusal.message}
    if refusal.errors is not None:
        body["errors"] = refusal.errors
    response = json_response(body, refusal.status)
    response.headers.update(refusal.headers)
    return response
