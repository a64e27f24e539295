"""The HTTP client that everything shares, and the bound on what an answer may hold."""

from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from patchworks_deployments.errors import UnexpectedResponse
from patchworks_deployments.settings import Settings

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes; Patchworks itself takes no more than 8 MB either way, and a page of 100 is far below 1 MB."""

MAX_CONNECTIONS = 20
MAX_CONNECT_SECONDS = 5.0

_ABOUT_THE_ENCODING = {"content-encoding", "content-length"}
"""Headers that are no longer true of an answer that is passed on decompressed."""

_WORDS_OF_THE_STATUS = "reason_phrase"
"""Behind the status an answer has words of its own choice, which the HTTP client would log."""


def open_http(settings: Settings, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    """An HTTP client for Patchworks; `transport` replaces the network.

    It follows no redirect, and keeps no cookies: a session that Patchworks opens for one caller must not go out
    with another's request.
    """
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
    return httpx2.AsyncClient(
        base_url=settings.base_url,
        transport=BoundedTransport(transport or httpx2.AsyncHTTPTransport(limits=limits)),
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        timeout=httpx2.Timeout(settings.timeout, connect=min(MAX_CONNECT_SECONDS, settings.timeout)),
        follow_redirects=False,
        trust_env=False,
    )


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Stops reading an answer at `MAX_ANSWER_BYTES` bytes, counted when decompressed; the login's answer too."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on; the answer comes back decompressed."""
        response = await self._inner.handle_async_request(request)
        response.request = request
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _ABOUT_THE_ENCODING]
        extensions = {name: value for name, value in response.extensions.items() if name != _WORDS_OF_THE_STATUS}
        return httpx2.Response(
            response.status_code, headers=headers, stream=_BoundedStream(response), extensions=extensions
        )

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


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
