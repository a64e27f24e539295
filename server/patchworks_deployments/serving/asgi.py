"""Serving a team: the ASGI application, and uvicorn to run it.

For an ASGI server of your own: `uvicorn --factory patchworks_deployments.serving.asgi:create_app`, with settings from
the environment.
"""

import logging
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from stamina.instrumentation import set_on_retry_hooks
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from uvicorn.supervisors import Multiprocess

from patchworks_deployments.api.query import DeploymentQuery
from patchworks_deployments.errors import DeploymentsError, SettingsError
from patchworks_deployments.network.routes import ensure_usable
from patchworks_deployments.serving.addresses import door
from patchworks_deployments.serving.challenges import Challenges, discovery
from patchworks_deployments.serving.connections import WholeStreams, connection, draining
from patchworks_deployments.serving.limits import MAX_BODY_BYTES, MAX_SESSIONS, CallerLimits, PromptBody
from patchworks_deployments.serving.server import DeploymentsServer, create_server
from patchworks_deployments.serving.tokens import UntilRevoked
from patchworks_deployments.settings import Settings, load_settings
from patchworks_deployments.settings.keys import NO_SHARED_KEY
from patchworks_deployments.settings.rules import split_address
from patchworks_deployments.startup import BACKLOG_CONNECTIONS, exit_in_order, listen, raise_file_limit


def create_app(settings: Settings | None = None, *, owns_process: bool = False) -> Starlette:
    """The ASGI application: `/mcp` (or `/mcp/`) for both protocol eras, `/health` and `/ready`.

    Without `settings` they come from the environment, and authorization is required, because whoever runs this
    may bind it anywhere. Where the process has no other purpose, it ends in time once told to stop, whatever hangs.
    Raises `SettingsError`.
    """
    settings = settings or _settings_for_anywhere()
    server = create_server(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with draining(server, owns_process=owns_process), server.session_manager.run():
            yield

    app = WholeStreams(_mcp_app(server, settings), server.stop)
    # Around all of it, so that a page can read failures, too.
    endpoint = door(PromptBody(app, server.stop), settings)
    return Starlette(routes=[Route("/mcp", endpoint), Route("/mcp/", endpoint), Mount("/", app)], lifespan=lifespan)


def _settings_for_anywhere() -> Settings:
    settings = load_settings()
    ensure_usable(settings)  # else the HTTP client's error would show part of a proxy's password
    if not settings.is_authorized:
        raise SettingsError(
            "The ASGI application needs authorization: set PATCHWORKS_TOKENS_FILE or PATCHWORKS_OAUTH_ISSUER. "
            "On this machine alone, --http PORT does without."
        )
    if int(os.environ.get("WEB_CONCURRENCY") or 1) > 1 and not settings.has_shared_keys:
        raise SettingsError(f"WEB_CONCURRENCY: {NO_SHARED_KEY}")
    return settings


class _ShortSessionIds(logging.Filter):
    """Leaves only the beginning of each session's id in a log: the whole of it lets in whoever needs no token."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24}\b", r"\1…", record.getMessage()), ()
        return True


_SHORT_SESSION_IDS = _ShortSessionIds()


def _mcp_app(server: DeploymentsServer, settings: Settings) -> Starlette:
    """The SDK's application, whose endpoint challenges callers for the token or scope that they lack."""
    _add_probes(server, settings)
    app = server.streamable_http_app(
        max_request_body_size=MAX_BODY_BYTES,
        max_sessions=MAX_SESSIONS,
        # The door stands before all of it, refuses more, and says why.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    for name in ("mcp.server.streamable_http", "mcp.server.streamable_http_manager"):
        logging.getLogger(name).addFilter(_SHORT_SESSION_IDS)
    # The SDK authenticates in the application's own middleware, around the routes: what has to know the caller
    # without verifying the token once more can only stand around a route.
    endpoint = next(route for route in app.routes if isinstance(route, Route) and route.path == "/mcp")
    if server.tokens:
        endpoint.app = UntilRevoked(endpoint.app, server.tokens)
    challenging = Challenges(endpoint.app, server.attempts, settings)
    endpoint.app = CallerLimits(challenging, server.sessions, settings.rate_limit)
    app.routes.extend([Route("/mcp/", endpoint.app), *discovery(settings)])
    app.router.redirect_slashes = False  # a redirect would lead to wherever the caller's Host says
    return app


READY_CACHE_SECONDS = 5.0
"""Seconds for which an answer of `/ready` is kept, so that probes do not load Patchworks."""

READY_SECONDS = 5.0
"""Seconds that Patchworks has to show that it can be used."""


def _add_probes(server: DeploymentsServer, settings: Settings) -> None:
    """Health says that the process lives; ready says that Patchworks can be used; neither asks who wants to know."""
    is_ready, checked, asking = False, float("-inf"), anyio.Lock()

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def ready(_: Request) -> JSONResponse:
        nonlocal is_ready, checked
        async with asking:  # one asks Patchworks, and the others wait for its answer
            if time.monotonic() - checked > READY_CACHE_SECONDS:
                is_ready = False
                with anyio.move_on_after(READY_SECONDS):
                    is_ready = await _is_usable(server, settings)
                checked = time.monotonic()
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


SHUTDOWN_SECONDS = 8
"""Seconds that running requests get to finish once the server is to stop."""

KEEP_ALIVE_SECONDS = 30
"""Seconds for which an idle connection is kept."""


def serve(settings: Settings, announce: Callable[[str], object]) -> None:
    """Serve until told to stop, then let running requests finish; `announce` gets the address once it is bound."""
    host, port = split_address(settings.http or "")
    if settings.workers > 1 and sys.platform == "win32":
        raise SettingsError(
            "PATCHWORKS_WORKERS: on Windows processes cannot share a port well. Start several with a port each, behind "
            "a proxy."
        )
    app = create_app(settings, owns_process=True)
    raise_file_limit()
    config = uvicorn.Config(
        app if settings.workers == 1 else "patchworks_deployments.serving.asgi:create_worker",
        factory=settings.workers > 1,
        workers=settings.workers,
        http=cast("Any", connection),  # called like the class that uvicorn expects
        backlog=BACKLOG_CONNECTIONS,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    with listen(host, int(port)) as listener:
        listener.set_inheritable(True)
        host, port = listener.getsockname()[:2]
        exit_in_order()
        announce(f"serving MCP on http://{f'[{host}]' if ':' in host else host}:{port}/mcp")
        if settings.workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            Multiprocess(config, sockets=[listener]).run()


def create_worker() -> Starlette:
    """One of several workers: the settings, flags too, reach it through the environment."""
    set_on_retry_hooks(())  # as the command line does for its own process
    return create_app(load_settings(), owns_process=True)
