"""The headers that say which server a request is meant for, and which page sent it; and what such a page may read."""

import logging
import re
from collections.abc import Sequence

from mcp_types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings

logger = logging.getLogger(__name__)

_PORT = r":\d{1,5}"
_NAME = r"(?:[\w.-]+|\[[\da-f:.]+\])"
_ORIGIN = rf"[a-z][a-z\d+.-]*://{_NAME}"

_KINDS = {
    "Host": ("PATCHWORKS_ALLOWED_HOSTS", _NAME, "mcp.example.com, localhost:8800 or localhost:*", 421),
    "Origin": ("PATCHWORKS_ALLOWED_ORIGINS", _ORIGIN, "https://app.example.com or http://localhost:*", 403),
}
"""For each header the setting that names the allowed ones, its form without a port, examples, and the refusal."""

_LOOPBACK = ("127.0.0.1:*", "localhost:*", "[::1]:*", "127.0.0.1", "localhost", "[::1]")
_LOOPBACK_ORIGINS = ("http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*")

EXPOSED = ["Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate", "Retry-After"]
"""The headers of an answer that a page may read."""


def door(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application behind a door that only requests to allowed hosts and from allowed pages pass.

    Where the settings name origins, they decide who may call and what a browser shows its page, refusals and failures
    too. Without any, programs of this machine may say that they are a page of it, but no browser lets a page call:
    whatever else is shown on some port of localhost could use a server that asks for no token. Raises `SettingsError`
    for an entry that could never match.
    """
    hosts = settings.allowed_hosts or _LOOPBACK
    origins = settings.allowed_origins or (() if settings.allowed_hosts else _LOOPBACK_ORIGINS)
    pages = CORSMiddleware(
        Allowed(app, "Host", hosts),
        allow_origin_regex=_pattern("Origin", settings.allowed_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],  # whichever the page asks for: an allowed page may send what any other program sends
        allow_private_network=True,
        expose_headers=EXPOSED,
    )
    return Allowed(pages, "Origin", origins)


def _pattern(header: str, allowed: Sequence[str]) -> str:
    """What the header has to be: an entry letter by letter, where `:*` stands for any port."""
    setting, form, examples, _ = _KINDS[header]
    for entry in allowed:
        if not re.fullmatch(rf"{form}(?:{_PORT}|:\*)?", entry, re.ASCII):
            raise SettingsError(f"{setting}: {entry!r} never matches, write it like {examples}")
    exact = (re.escape(entry.removesuffix(":*")) + (_PORT if entry.endswith(":*") else "") for entry in allowed)
    return rf"(?a:{'|'.join(exact) or '(?!)'})"


MAX_TOLD = 100
"""Refused names that are logged, each once."""

MAX_SHOWN = 100
"""Characters of a refused name that are shown."""


class Allowed:
    """ASGI application: refuses a Host or an Origin that is not allowed, no plain address, or there more than once."""

    def __init__(self, app: ASGIApp, header: str, allowed: Sequence[str]) -> None:
        self.app = app
        self._header = header
        self._allowed = re.compile(_pattern(header, allowed))
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it in words that name the setting."""
        sent = Headers(scope=scope).getlist(self._header)
        is_missing = not sent and self._header == "Origin"  # as from every program that is no browser
        if is_missing or (len(sent) == 1 and self._allowed.fullmatch(sent[0])):
            await self.app(scope, receive, send)
            return
        setting, form, _, status = _KINDS[self._header]
        plain = len(sent) == 1 and re.fullmatch(rf"{form}(?:{_PORT})?", sent[0], re.ASCII)
        shown = f"`{sent[0][:MAX_SHOWN]}`" if plain else "that is no plain address or not there once"
        if shown not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(shown)
            logger.warning("requests with the %s %s are refused: %s does not name it", self._header, shown, setting)
        message = (
            f"This server takes no requests with the {self._header} {shown}. Nothing was changed. "
            f"If it should take them, whoever runs it must name that {self._header} in {setting}."
        )
        refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": message}}
        await JSONResponse(refusal, status_code=status)(scope, receive, send)
