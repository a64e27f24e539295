"""The HTTP client that everything shares, and the bound on what an answer may hold."""

from collections.abc import AsyncIterator

import httpx2

from patchworks_deployments.errors import UnexpectedResponse

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Bytes; Patchworks itself takes no more than 8 MB either way, and a page of 100 is far below 1 MB."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Stops reading an answer at `MAX_ANSWER_BYTES` bytes, counted when decompressed; the login's answer too."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on; the answer comes back decompressed."""
        response = await self._inner.handle_async_request(request)
        response.request = request
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_ENCODING]
        return httpx2.Response(
            response.status_code, headers=headers, stream=_BoundedStream(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


_OF_THE_ENCODING = {"content-encoding", "content-length"}


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
