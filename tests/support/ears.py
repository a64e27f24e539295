"""What a client hears of the resources that it watches, in memory, where faults can be injected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import anyio
import httpx2
from mcp import Client
from mcp_types import ResourceUpdatedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from patchworks_deployments.serving.server import create_server
from patchworks_deployments.settings import load_settings
from support.clients import Era, Person, yes


class Ears:
    """What a client hears, in order."""

    def __init__(self) -> None:
        self._arrives, self._arrived = anyio.create_memory_object_stream[str](100)

    async def __call__(self, message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self._arrives.send_nowait(str(message.params.uri))

    async def until(self, uri: str) -> list[str]:
        """What is heard up to and with this URI."""
        heard: list[str] = []
        with anyio.fail_after(20):
            while uri not in heard:
                heard.append(await self._arrived.receive())
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._arrives.close()
        self._arrived.close()


@asynccontextmanager
async def overheard(
    era: Era, *uris: str, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[tuple[Client, Ears]]:
    """A client with a person who agrees, and what it hears of the URIs that it watches."""
    server = create_server(load_settings({}, sandbox=True), transport)
    with Ears() as ears:
        async with (
            Client(server, mode=era, elicitation_callback=Person(yes), message_handler=ears) as client,
            watching(client, *uris),
        ):
            yield client, ears


@asynccontextmanager
async def watching(client: Client, *uris: str) -> AsyncIterator[None]:
    """In the way of the client's era."""
    if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        async with client.listen(resource_subscriptions=uris):
            yield
    else:
        for uri in uris:
            await client.session.subscribe_resource(uri)
        yield
