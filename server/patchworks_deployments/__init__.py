"""An MCP server over the flow version deployments of the Patchworks Core API.

The rooms of the package. Each imports only what stands above it in this list:

    errors, settings, startup, caller, sdk   what every room may use
    model       what a deployment is: reading odd answers, comparing, rendering, masking; no requests, no MCP
    api         the Patchworks Core API over one HTTP client: requests, failures, credentials, pacing, selections
    writes      a write from plan to result: plan, consent, send, read back, judge, record
    resources   what a host reads, completes and subscribes to
    tools       the tools as a model sees them, each with its arguments
    sandbox     the stand-in for Patchworks; it imports nothing of the others, and only serving imports it
    serving     the server over stdio and HTTP: wiring, tokens, scopes, limits, draining
    cli, check, demo   the commands
"""

__version__ = "0.1.0"
