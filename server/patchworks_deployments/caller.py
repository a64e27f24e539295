"""Who makes the call that is being served, what they may do, and what their client can."""

from dataclasses import dataclass
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context
from mcp.server.session import ServerSession
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


def who(ctx: Context[Any, Any]) -> Who:
    """The caller and its client, for the audit log."""
    return Who(caller(), client_name(ctx.session))


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client can put a form before a person."""
    if not is_stateless(ctx) and not ctx.session.can_send_request:
        return False
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty capability object means form elicitation, as it did before modes existed.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def is_stateless(ctx: Context[Any, Any]) -> bool:
    """Whether the connection is of the era that answers a question by calling again (2026-07-28 on)."""
    version = ctx.protocol_version
    return version is not None and is_version_at_least(version, "2026-07-28")
