"""Serving a team: the ASGI application, and uvicorn to run it.

For a server of your own: `uvicorn --factory patchworks_deployments.serving.asgi:create_app`, with settings from the
environment.
"""

import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from stamina.instrumentation import set_on_retry_hooks
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from uvicorn.supervisors import Multiprocess

from patchworks_deployments.api.client import DeploymentQuery
from patchworks_deployments.errors import DeploymentsError, SettingsError
from patchworks_deployments.resources.streams import HeldStreams
from patchworks_deployments.serving.draining import Draining
from patchworks_deployments.serving.limits import PromptBody, PromptHead
from patchworks_deployments.serving.scopes import MAX_BODY_BYTES, ScopeChallenge
from patchworks_deployments.serving.server import DeploymentsServer, create_server
from patchworks_deployments.settings import Settings, load_settings, split_address
from patchworks_deployments.startup import listen, uncollected
from patchworks_deployments.tools.base import Refusals

READY_CACHE_SECONDS = 5.0
"""Seconds for which an answer of `/ready` is kept, so that probes do not load Patchworks."""

SHUTDOWN_SECONDS = 30
"""Seconds that running requests get to finish."""

KEEP_ALIVE_SECONDS = 30
"""Seconds for which an idle connection is kept."""

MAX_HTTP_CONNECTIONS = 4_000
"""Open at once; an idle listener costs one."""


def create_app(settings: Settings | None = None) -> Starlette:
    """The ASGI application: `/mcp` for both protocol eras, `/health` and `/ready`.

    Without `settings` they come from the environment, and authorization is required, because whoever runs this
    may bind it anywhere. Raises `SettingsError`.
    """
    if settings is None:
        settings = load_settings()
        if not settings.is_authorized:
            raise SettingsError(
                "The ASGI application needs authorization: set PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER. "
                "On this machine alone, --http PORT does without."
            )
        if int(os.environ.get("WEB_CONCURRENCY") or 1) > 1 and not settings.state_keys:
            raise SettingsError("WEB_CONCURRENCY asks for several workers: they need PATCHWORKS_STATE_KEYS")
    server = create_server(settings)
    _add_probes(server, settings)
    app = server.streamable_http_app(
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[*(settings.allowed_hosts or _LOOPBACK)],
            allowed_origins=[*(settings.allowed_origins or (() if settings.allowed_hosts else _LOOPBACK_ORIGINS))],
        ),
    )
    draining = Draining(server.listeners.finish)
    server.middleware.append(draining)
    app.router.lifespan_context = _around(draining.served, app.router.lifespan_context)
    refusals = Refusals.of(settings, server.every_tool())
    resource_url = settings.public_url if settings.oauth_issuer else None
    # First in the list is outermost, last is innermost: after the SDK's authentication.
    app.user_middleware.insert(0, Middleware(PromptBody))
    app.user_middleware.append(Middleware(ScopeChallenge, refusals=refusals, resource_url=resource_url))
    app.user_middleware.insert(0, Middleware(HeldStreams, listeners=server.listeners))
    return app


def _around(
    outer: Callable[[], AbstractAsyncContextManager[None]],
    inner: Callable[[Starlette], AbstractAsyncContextManager[Any]],
) -> Callable[[Starlette], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Any]:
        async with outer(), inner(app) as state:
            yield state

    return lifespan


_LOOPBACK = ("127.0.0.1:*", "localhost:*", "[::1]:*", "127.0.0.1", "localhost")
_LOOPBACK_ORIGINS = ("http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*")


def _add_probes(server: DeploymentsServer, settings: Settings) -> None:
    kept: dict[str, tuple[float, bool]] = {}

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> JSONResponse:
        then, is_ready = kept.get("ready", (float("-inf"), False))
        if time.monotonic() - then > READY_CACHE_SECONDS:
            is_ready = await _is_usable(server, settings)
            kept["ready"] = (time.monotonic(), is_ready)
        return JSONResponse({"status": "ready" if is_ready else "not ready"}, status_code=200 if is_ready else 503)

    server.custom_route("/health", methods=["GET"])(health)
    server.custom_route("/ready", methods=["GET"])(ready)


async def _is_usable(server: DeploymentsServer, settings: Settings) -> bool:
    """Whether Patchworks answers; with the callers' own keys there is none to try it with."""
    if server.services is None:
        return False
    if settings.credentials == "caller":
        return True
    try:
        await server.services.client.list_deployments(DeploymentQuery(per_page=1))
    except DeploymentsError:
        return False
    return True


def serve(settings: Settings, announce: Callable[[str], object]) -> None:
    """Serve until told to stop, then let running requests finish; `announce` gets the address once it is bound."""
    host, port = split_address(settings.http or "")
    with uncollected():
        app = create_app(settings)
    config = uvicorn.Config(
        app if settings.workers == 1 else "patchworks_deployments.serving.asgi:create_worker",
        factory=settings.workers > 1,
        workers=settings.workers,
        http=PromptHead,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        limit_concurrency=MAX_HTTP_CONNECTIONS,
    )
    with listen(host, int(port)) as listener:
        listener.set_inheritable(True)
        announce(f"serving MCP on http://{_shown(listener)}/mcp")
        if settings.workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            Multiprocess(config, sockets=[listener]).run()


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def create_worker() -> Starlette:
    """One of several workers: the settings, flags too, reach it through the environment."""
    set_on_retry_hooks(())  # as the command line does for its own process
    with uncollected():
        return create_app(load_settings())
