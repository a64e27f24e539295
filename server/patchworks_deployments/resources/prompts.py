"""Prompts: what people do with deployments, told to a model together with the tools to use.

Each demands that a person agrees before anything changes, and takes as arguments what completions offer. A function's
docstring is its prompt's description. None makes a request: a name is looked up by the call that its prompt begins
with, and what changes something goes on with an id alone.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt as RegisteredPrompt
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Prompt
from pydantic import Field

from patchworks_deployments.api.selection import ids_in
from patchworks_deployments.consent.services import Services
from patchworks_deployments.model import rendering
from patchworks_deployments.model.deployment import ToolCall
from patchworks_deployments.model.reading import is_identifier
from patchworks_deployments.model.text import inert
from patchworks_deployments.resources.uris import id_or_name, leading_id

ASK_FIRST = (
    "Before any change, tell me exactly what will happen and wait for my yes. If the server gives you a preview and a "
    "confirmation_code instead of asking me, show me the preview and use the code only after I agreed. Report status "
    "and verified as they are, and keep the undo of every change."
)

SINCE = re.compile(r"[1-9][0-9]{0,4}[mhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}[0-9TZ:.+-]{0,22}")
"""Periods that `list_changes` takes as they are typed."""

MEANT_SINCE = "48h"
"""Where a period is given in words, what is asked for unless a model knows better; it covers yesterday."""

OTHER_TIMES = (
    ", or another since where my words mean one: a span back such as 7d, or an ISO 8601 time; the result tells the "
    "time now. Rather begin too early, leave out what I did not mean, and tell me the time you took"
)

CUT_AT_A_BLANK = (
    "If nothing matches, ask me whether I meant these, because many a program cuts what I typed at a blank. "
)

MAX_SHOWN_CHARACTERS = 60
"""Characters of what was typed that a refusal repeats."""

Environment = Annotated[str, Field(description="the id of an environment, such as 10, or its name")]
Flow = Annotated[str, Field(description="the id of a flow, such as 100, or its name")]
FlowVersionId = Annotated[str, Field(description="the id of a flow version, such as 1001, which is not its iteration")]
DeploymentId = Annotated[str, Field(description="the id of a deployment, such as 500")]
Period = Annotated[str, Field(description="since when, such as yesterday, 7d or 2026-03-02")]


# Arguments ----------------------------------------------------------------------------------------


def refuse_unfit(prompts: Sequence[Prompt], name: str, given: Mapping[str, str]) -> None:
    """Raise `MCPError` for a prompt that is none of these, and for arguments that it does not know or lacks."""
    prompt = next((prompt for prompt in prompts if prompt.name == name), None)
    if prompt is None:
        raise _refusal(f"There is no prompt {_shown(name)}. There are {', '.join(known.name for known in prompts)}.")
    arguments = {argument.name: argument for argument in prompt.arguments or ()}
    if unknown := next((key for key in given if key not in arguments), None):
        raise _refusal(f"{_shown(unknown)} is not an argument of {name}, which takes {' and '.join(arguments)}.")
    for argument in arguments.values():
        if argument.required and not given.get(argument.name, "").strip():
            raise _refusal(f"{name} needs {argument.name}: give {argument.description}.")


def _refusal(why: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=why)


def _shown(typed: str) -> str:
    return f'"{inert(typed, MAX_SHOWN_CHARACTERS)}"'


def _one_id(name: str, typed: str) -> str:
    """The one id that was chosen or typed, where only an id can stand. Raises `MCPError` for anything else."""
    identifier = leading_id(typed.strip())
    if not is_identifier(identifier):
        raise _refusal(f"{name} must be one id in digits, and {_shown(typed)} is none.")
    return identifier


def _one_place(typed: str) -> str:
    """What was typed for one environment. Raises `MCPError` where that is several ids."""
    if "," in (ids_in(id_or_name(typed.strip())) or ""):
        raise _refusal(f"environment must be one environment, and {_shown(typed)} names several. Give one id or name.")
    return typed


# Words --------------------------------------------------------------------------------------------


def _data(typed: str) -> str:
    """What was typed as data on one line, without markup: the id where one was chosen."""
    return inert(id_or_name(typed.strip()))


def _meant(typed: str) -> str:
    """The same in quotation marks, and whether that is an id, so that nobody takes the beginning of a name for one."""
    identifier, _, name = typed.strip().partition(" [")
    kind = "a name, or a part of one"
    if ids := ids_in(identifier):
        kind = "ids" if "," in ids else "an id"
        kind += f', chosen as "{inert(name.removesuffix("]"))}"' if name else ""
    return f'"{_data(typed)}" ({kind})'


def _call(tool: str, **arguments: str) -> str:
    return rendering.call(ToolCall(tool=tool, arguments=arguments))


def _find_one(environment: str) -> str:
    """How the one environment that is meant is found, by a call that only looks, and what it is called from then on."""
    look = f"Call {_call('deployment_overview', environment=_data(environment))}"
    if ids_in(_data(environment)):
        return f"{look} and tell me the name of this environment. If there is none, or I chose another, stop. "
    return (
        f"{look}: its result begins with the environments that this can mean (matched) and those that only contain it "
        "(left_out), each with its id in brackets. Go on only if exactly one is matched, and no name that is left out "
        "begins with what I typed, because many a program cuts that at a blank. Otherwise stop, change nothing, show "
        "me all of them, and ask me which I mean. From then on go by the id, never by the name. "
    )


def _filters(**typed: str) -> tuple[dict[str, str], str]:
    """Those filters that were given, as a call's arguments and in words."""
    given = {name: value for name, value in typed.items() if value.strip()}
    words = ", ".join(f"{name} {_meant(value)}" for name, value in given.items())
    return {name: _data(value) for name, value in given.items()}, words


def audit_deployments(environment: Environment = "", flow: Flow = "") -> str:
    """Audit what runs where: disabled, duplicate and stale deployments."""
    filters, given = _filters(environment=environment, flow=flow)
    call = _call("deployment_overview", **filters)
    return (
        f"Audit our Patchworks deployments{f' for {given}' if given else ''}. Call "
        f"{call}, then tell me: {'which environments and flows it matched, ' if given else ''}"
        "what is disabled and since when it was last changed, "
        "which flows have several enabled versions in one environment, "
        # The overview of a part does not hold what is missing there.
        f"{'' if given else 'which are missing where their siblings are, '}"
        "and which have no environment. Use get_deployment for details. Group it by urgency, "
        "give flow ids where a name means two flows, and change nothing. " + ASK_FIRST
    )


def move_version(flow_version_id: FlowVersionId, environment: Environment = "") -> str:
    """Move a flow version into an environment."""
    version = _one_id("flow_version_id", flow_version_id)
    is_given = bool(_one_place(environment).strip())
    where = f"environment {_meant(environment)}" if is_given else "the environment I name; ask me which"
    return (
        f"Put flow version {_meant(flow_version_id)} into {where}. {_find_one(environment) if is_given else ''}"
        f"Call {_call('list_flow_version_deployments', flow_version_id=version)} to learn its flow (if it is deployed "
        "nowhere, ask me for the flow's id), and deployment_overview with the flow's id to see what holds its place. "
        "If another version of the flow is there, use replace_deployment, which carries queue priority and state over; "
        "else use create_deployment, asking me whether to deploy it disabled. "
        "Show me what goes and what comes. " + ASK_FIRST
    )


def stop_environment(environment: Environment) -> str:
    """Stop everything in an environment during an incident, and how to restart it."""
    _one_place(environment)
    return (
        f"We have an incident: stop all flows in one environment, and in no other: environment {_meant(environment)}. "
        f"{_find_one(environment)}Tell me what runs there and what is already disabled. Then call "
        "set_deployments_enabled with enabled=false, the id of that one environment and a reason. Keep its "
        "undo: it restarts exactly what this stopped; show it to me and offer to run it once the incident is over. "
        "If some failed, tell me why, and call it again if that can help. " + ASK_FIRST
    )


def explain_deployment(deployment_id: DeploymentId) -> str:
    """Explain one deployment: what it is, whether it works, and since when."""
    call = _call("deployment_overview", deployment_id=_one_id("deployment_id", deployment_id))
    return (
        f"Explain deployment {_meant(deployment_id)}. Find it with {call}, read "
        "it with get_deployment and detail=full, and compare it with the other deployments of its flow. Tell me in "
        "plain words which flow and iteration it is, where it runs, whether it is enabled and since when, who enabled "
        "it, and anything odd. Change nothing. " + ASK_FIRST
    )


def undo_changes(period: Period = "", environment: Environment = "", flow: Flow = "") -> str:
    """See what was changed, by whom and why, and put it back."""
    filters, given = _filters(environment=environment, flow=flow)
    is_told = bool(period.strip())
    when = f'since "{inert(period)}" (my words)' if is_told else "in the last 24 hours"
    is_clear = SINCE.fullmatch(period.strip()) is not None
    since = period.strip() if is_clear else MEANT_SINCE if is_told else "24h"
    call = _call("list_changes", since=since, **filters)
    return (
        f"What did we change {when}{f', for {given}' if given else ''}? Put it back. Call {call}"
        f"{OTHER_TIMES if is_told and not is_clear else ''}. {CUT_AT_A_BLANK if given else ''}Show me each "
        "change, newest first: what was changed, when and by whom, why, how it was agreed to, and what became of it. "
        "Then tell me what can still be put back, by which call, and what cannot, and why. Put back only what I then "
        "choose: make the undo calls exactly as they are given, in their order. For a part of what one call puts back, "
        "take the calls that list_changes gives for each of these changes by its id. Where one is refused because "
        "something changed since, leave it so and tell me. " + ASK_FIRST
    )


@cache
def _prompts() -> tuple[RegisteredPrompt, ...]:
    """The five, which are the same for all servers of a process: their schemas are made once."""
    return tuple(
        RegisteredPrompt.from_function(function, title=title)
        for function, title in (
            (audit_deployments, "Audit what runs where"),
            (move_version, "Move a version into an environment"),
            (stop_environment, "Stop an environment"),
            (explain_deployment, "Explain a deployment"),
            (undo_changes, "Put back what was changed"),
        )
    )


def register_prompts(server: MCPServer[Services]) -> None:
    """Register the five prompts."""
    for prompt in _prompts():
        server.add_prompt(prompt)
