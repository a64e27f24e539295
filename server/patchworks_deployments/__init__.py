"""An MCP server over the flow version deployments of the Patchworks Core API."""
