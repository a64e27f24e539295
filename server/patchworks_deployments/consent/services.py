"""What is opened once for the process and used by every call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.server.mcpserver import Context

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.consent.codes import Codes
from patchworks_deployments.consent.once import Once
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.startup import Stop


@dataclass(frozen=True)
class Services:
    """What is opened once for the process and used by every call."""

    client: DeploymentsClient
    policy: Policy
    audit: AuditLog
    codes: Codes
    once: Once
    stop: Stop
    own_only: bool
    """Whether callers bring their own Patchworks credentials, so that each sees only the changes of its own account."""
    read_only: bool
    """Whether nobody may change anything."""
    watch: Callable[[], float]
    """Seconds since anything: how long an answer took."""


def services(ctx: Context[Services, Any]) -> Services:
    """The process's services, from any call."""
    return ctx.request_context.lifespan_context
