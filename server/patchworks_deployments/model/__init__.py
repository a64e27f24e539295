"""What a deployment is: reading it, comparing it, and showing it. No requests and no MCP."""
