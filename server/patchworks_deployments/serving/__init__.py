"""The server, and serving it to a team over HTTP."""
