"""The HTTP client for Patchworks, and the bound on what an answer may hold."""

import logging
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from patchworks_deployments.errors import UnexpectedResponse
from patchworks_deployments.network.routes import DIRECT, Routes, trust
from patchworks_deployments.settings import Settings

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes; Patchworks itself takes no more than 8 MB either way, and a page of 100 is far below 1 MB."""

MAX_CONNECTIONS = 20
MAX_CONNECT_SECONDS = 5.0


def open_http(settings: Settings, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    """An HTTP client for Patchworks; `transport` replaces the network.

    It follows no redirect, and keeps no cookies: a session that Patchworks opens for one caller must not go out
    with another's request.
    """
    logging.getLogger("httpx2").addFilter(_with_standard_words)
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    login = settings.login_url if settings.authentication == "login" else ""
    return httpx2.AsyncClient(
        base_url=settings.base_url,
        transport=transport,
        mounts=DIRECT,
        verify=True if transport else trust(settings.base_url, login),
        event_hooks={"request": [Routes()], "response": [_bound]},
        limits=limits,
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=httpx2.Timeout(settings.timeout, connect=min(MAX_CONNECT_SECONDS, settings.timeout)),
        follow_redirects=False,
    )


def _with_standard_words(record: logging.LogRecord) -> bool:
    """Take out of the client's line what stands behind the status: words of the answer's own choice."""
    if isinstance(record.args, tuple) and str(record.msg).startswith("HTTP Request"):
        record.args = (*record.args[:-1], "")
    return True


async def _bound(response: httpx2.Response) -> None:
    """Stop reading an answer at `MAX_ANSWER_BYTES` bytes, counted when decompressed; the login's and a proxy's too."""
    response.stream = _BoundedStream(httpx2.Response(200, headers=response.headers, stream=response.stream))
    # What comes from now on is decompressed.
    response.headers = httpx2.Headers(
        [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    )


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        # The HTTP client decompresses at most a mebibyte at a time.
        async for chunk in self._response.aiter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise UnexpectedResponse(
                    f"Patchworks sent more than {MAX_ANSWER_BYTES // 2**20} MiB, which is no answer to this."
                )
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
