"""An MCP server over the flow version deployments of the Patchworks Core API."""

__version__ = "0.1.0"
