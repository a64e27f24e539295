"""Links from tool results to resources: a host can follow them or pin them."""

from mcp_types import ResourceLink

from patchworks_deployments.models import Deployment
from patchworks_deployments.uris import deployment_uri


def deployment_link(deployment: Deployment) -> ResourceLink:
    """The link to one deployment's resource."""
    return ResourceLink(
        type="resource_link",
        uri=deployment_uri(deployment.flow_version_id or "", deployment.id),
        name=f"deployment {deployment.id}",
        mime_type="application/json",
    )
