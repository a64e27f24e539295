"""The headers that say which server a request is meant for, and which page sent it."""

import re

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(rf"null|[a-z][a-z\d+.-]*://{_HOST.pattern}", re.ASCII | re.IGNORECASE)

_REFUSALS = {
    "host": (_HOST, PlainTextResponse("Invalid Host header", status_code=421)),
    "origin": (_ORIGIN, PlainTextResponse("Invalid Origin header", status_code=403)),
}
"""The form of each header, and the answer where it has another, which is the SDK's to one that it does not allow."""


class PlainAddresses:
    """ASGI middleware: refuses a Host or an Origin that is no plain address, or that stands there more than once.

    Which of the others are allowed the SDK says, but it takes whatever follows an allowed name and a colon for a port.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            for name, (form, refusal) in _REFUSALS.items():
                given = Headers(scope=scope).getlist(name)
                if len(given) > 1 or not all(map(form.fullmatch, given)):
                    await refusal(scope, receive, send)
                    return
        await self.app(scope, receive, send)
