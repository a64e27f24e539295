"""Prompts: what people do with deployments, told to a model together with the tools to use.

Each demands that a person agrees before anything changes, and takes as arguments what completions offer. A function's
docstring is its prompt's description.
"""

from mcp.server.mcpserver import MCPServer

from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.consent.services import Services
from patchworks_deployments.model.text import inert
from patchworks_deployments.resources.uris import id_or_name

ASK_FIRST = (
    "Before any change, tell me exactly what will happen and wait for my yes. If the server gives you a preview and a "
    "confirmation_code instead of asking me, show me the preview and use the code only after I agreed. Report status "
    "and verified as they are, and keep the undo of every change."
)

NO_OTHER = "If none, more than one, or one of another name fits, stop and ask me which I mean. "


def _quoted(argument: str) -> str:
    """The argument as quoted data on one line, without markup: the id where one was chosen, else what was typed."""
    return f'"{inert(id_or_name(argument.strip()))}"'


def _meant(argument: str) -> str:
    """The same, and whether that is an id or a name, so that nobody takes the beginning of a name for an id."""
    identifier, _, name = argument.strip().partition(" [")
    kind = "a name, or a part of one"
    if ids_in(identifier):
        kind = f'an id, chosen as "{inert(name.removesuffix("]"))}"' if name else "an id"
    return f"{_quoted(argument)} ({kind})"


def audit_deployments(environment: str = "", flow: str = "") -> str:
    """Audit what runs where: disabled, duplicate and stale deployments."""
    filters = {"environment": environment, "flow": flow}
    given = ", ".join(f"{name} {_meant(value)}" for name, value in filters.items() if value)
    return (
        f"Audit our Patchworks deployments{f' for {given}' if given else ''}. Call deployment_overview"
        f"{' with these filters' if given else ''}, then tell me: what is disabled and since when it was last changed, "
        "which flows have several enabled versions in one environment, which are missing where their siblings are, and "
        "which have no environment. Use get_deployment for details. Group it by urgency, "
        "give flow ids where a name means two flows, and change nothing. " + ASK_FIRST
    )


def move_version(flow_version_id: str, environment: str = "") -> str:
    """Move a flow version into an environment."""
    where = f"environment {_meant(environment)}" if environment else "the environment I name; ask me which"
    return (
        f"Put flow version {_meant(flow_version_id)} into {where}. {NO_OTHER}First call "
        "list_flow_version_deployments to learn its flow, and deployment_overview with that flow to see what holds its "
        "place. If another version of the flow is there, use replace_deployment, which "
        "carries queue priority and state over; else use create_deployment, asking me whether to deploy it disabled. "
        "Show me what goes and what comes. " + ASK_FIRST
    )


def stop_environment(environment: str) -> str:
    """Stop everything in an environment during an incident, and how to restart it."""
    return (
        f"We have an incident: stop all flows in environment {_meant(environment)}. {NO_OTHER}Call deployment_overview "
        f"with environment {_quoted(environment)} and tell me what runs there and what is already disabled. Then call "
        "set_deployments_enabled with enabled=false, the id of that environment and a reason. Keep the undo from its "
        "result: it restarts exactly what this stopped; show it to me and offer to run it when the incident is over. "
        "If some failed, call it again. " + ASK_FIRST
    )


def explain_deployment(deployment_id: str) -> str:
    """Explain one deployment: what it is, whether it works, and since when."""
    return (
        f"Explain deployment {_meant(deployment_id)}. Find it with deployment_overview by its deployment_id, read "
        "it with get_deployment and detail=full, and compare it with the other deployments of its flow. Tell me in "
        "plain words which flow and iteration it is, where it runs, whether it is enabled and since when, who enabled "
        "it, and anything odd. Change nothing. " + ASK_FIRST
    )


def register_prompts(server: MCPServer[Services]) -> None:
    """Register the four prompts."""
    server.prompt(title="Audit what runs where")(audit_deployments)
    server.prompt(title="Move a version into an environment")(move_version)
    server.prompt(title="Stop an environment")(stop_environment)
    server.prompt(title="Explain a deployment")(explain_deployment)
