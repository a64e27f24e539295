"""The page of this server in hosts that show MCP Apps: the board, a deployment, and a change with its two buttons."""
