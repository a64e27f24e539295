"""What subscribers are told, and whose change it was."""

from dataclasses import dataclass

from mcp.server.subscriptions import ResourceUpdated, ServerEvent


@dataclass(frozen=True)
class DeploymentUpdated(ResourceUpdated):
    """An update of what shows a deployment; `made_by` is the `caller_tag` of who made the change."""

    made_by: str | None = None


def made_by(event: ServerEvent) -> str | None:
    """Whose change it was; None where callers bring no keys of their own."""
    return event.made_by if isinstance(event, DeploymentUpdated) else None
