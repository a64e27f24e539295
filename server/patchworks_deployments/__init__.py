"""An MCP server over the flow version deployments of the Patchworks Core API.

The rooms of the package. Each imports only what stands above it in this list:

    errors, settings, startup, caller, sdk   what every room may use: the errors and their words, the settings, what a
                start needs, who calls and what their client can, the SDK's private names
    model       what a deployment is: reading odd answers, comparing, rendering, masking; no requests, no MCP
    network     the way out of this machine: proxies, certificates, the bound on an answer, and why a connection could
                not be made
    api         the Patchworks Core API over one HTTP client: requests, failures, what answers in its place,
                credentials and their scrubbing, pacing, selections
    audit       what is recorded of each attempt to change something, and how no line of it is lost
    writes      a write from plan to result: plan, send, read back, judge
    history     what was changed, as the audit log has it: what became of it, what still stands, and how it is undone
    consent     who must agree to a write, how a person is asked, codes, and that one agreement lets one write
                happen
    resources   what a host reads, completes and subscribes to
    app         the page that a host shows beside results (MCP Apps), and the data that it gets with them
    tools       the tools as an assistant sees them, each with its arguments
    sandbox     the stand-in for Patchworks; it imports nothing of the others, and only serving and the commands
                import it
    hosts       the programs that start this server: where each keeps its configuration, how an entry is put in, and
                what is published for them
    serving     the server over stdio and HTTP: wiring, tokens, scopes, limits, stopping
    commands    what a person types, from the arguments to the exit status; doctor is the command check
"""

__version__ = "0.1.0"
