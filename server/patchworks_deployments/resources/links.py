"""Links from tool results to resources: a host can follow them or pin them."""

from mcp_types import ResourceLink

from patchworks_deployments.resources.uris import deployment_uri


def deployment_link(flow_version_id: str, deployment_id: str) -> ResourceLink:
    """The link to one deployment's resource, by the ids that it was reached by: a record may lack its version's."""
    return ResourceLink(
        type="resource_link",
        uri=deployment_uri(flow_version_id, deployment_id),
        name=f"deployment {deployment_id}",
        mime_type="application/json",
    )
