"""The server over stdio and HTTP: wiring, tokens, scopes, limits, stopping."""
