"""Who makes the call that is being served, what they may do, and what their client can."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mcp.server.apps import client_supports_apps
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types.version import is_version_at_least

READ_SCOPE = "deployments:read"
WRITE_SCOPE = "deployments:write"


@dataclass(frozen=True)
class Who:
    """The caller's identity, and the client program's own name for itself."""

    caller: str
    client: str | None


def caller() -> str:
    """Who calls: the subject or client of the access token, "local" where there is none (stdio)."""
    token = get_access_token()
    return (token.subject or token.client_id) if token else "local"


def may_write() -> bool:
    """Whether the caller may change anything; without authorization there is nobody to forbid it."""
    token = get_access_token()
    return token is None or WRITE_SCOPE in token.scopes


def client_name(session: ServerSession) -> str | None:
    """The client program's own name for itself, as far as it gave one."""
    params = session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params and params.client_info else None


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client can put a form before a person."""
    if not is_stateless(ctx) and not ctx.session.can_send_request:
        return False
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty capability object means form elicitation, as it did before modes existed.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def shows_pages(ctx: Context[Any, Any] | ServerRequestContext[Any, Any]) -> bool:
    """Whether the client shows a page beside a result (MCP Apps)."""
    return client_supports_apps(ctx)


def is_stateless(ctx: Context[Any, Any]) -> bool:
    """Whether the connection is of the era that answers a question by calling again (2026-07-28 on)."""
    version = ctx.protocol_version
    return version is not None and is_version_at_least(version, "2026-07-28")


TOO_MUCH = -32_000
"""The JSON-RPC error code for a caller who asks for more than its share."""


@dataclass
class Shares:
    """How many of one thing the callers hold, with a maximum for each caller and for all together."""

    what: str
    for_one: int
    for_all: int
    next_step: str
    _held: Counter[str] = field(default_factory=Counter)
    _in_all: int = 0

    def take(self, who: str, number: int = 1) -> Callable[[], None]:
        """Hold so many more until the returned function is called. Raises `MCPError` over a maximum."""
        if self._held[who] + number > self.for_one:
            self.refuse()
        if self._in_all + number > self.for_all:
            self._refuse(f"this server has {self.for_all:,} for all callers together, and these are in use")
        self._held[who] += number
        self._in_all += number

        def give_back() -> None:
            self._in_all -= number
            self._held[who] -= number
            if not self._held[who]:
                del self._held[who]

        return give_back

    def refuse(self) -> NoReturn:
        """Raise the `MCPError` for more than one caller may have."""
        self._refuse(f"one caller may have {self.for_one:,} at once")

    def _refuse(self, why: str) -> NoReturn:
        raise MCPError(code=TOO_MUCH, message=f"Too many {self.what}: {why}. Nothing was changed. {self.next_step}")
