"""The tool with which the page carries out a person's click; no model is offered it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mcp_types import CallToolResult

from patchworks_deployments.consent.clicks import Click, clicked
from patchworks_deployments.errors import InvalidArgument
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.model.values import OptionalText, given
from patchworks_deployments.tools.base import Ctx, DeploymentTool

CONFIRM = "confirm_change"
"""The name of the tool."""


async def confirm_change(
    ctx: Ctx,
    tool_name: str,
    arguments: dict[str, Any],
    agree: bool,
    code: OptionalText = None,
    typed_id: OptionalText = None,
) -> CallToolResult:
    """For the page alone: carry out, or decline, what a person was asked there. It needs a code that no model gets."""
    if tool_name not in WRITES:
        raise InvalidArgument("tool_name: no tool of that name changes anything.", next_step="Take the question's own.")
    with clicked(Click(code=code, agree=agree, typed_id=typed_id)):
        result = await ctx.mcp_server.call_tool(tool_name, given(arguments), ctx)
    assert isinstance(result, CallToolResult), "a click is never asked about"
    return result


def behind(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of the call that a click carries out; those of any other call as they are."""
    inner = call.get("arguments") if call.get("name") == CONFIRM else None
    if isinstance(inner, Mapping) and isinstance(inner.get("tool_name"), str):
        return {**call, "name": inner["tool_name"], "arguments": inner.get("arguments")}
    return call


@cache
def confirming_tool() -> DeploymentTool:
    """The tool that a read-only server leaves out, and that clients without pages do not see."""
    return DeploymentTool.confirming(confirm_change, "Confirm a change")
