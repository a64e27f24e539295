"""Each call of a tool that changes something is an attempt, and leaves a line in the audit log, whoever answers it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from mcp_types.methods import is_input_required
from pydantic import ValidationError

from patchworks_deployments.audit.attempt import Attempt
from patchworks_deployments.audit.log import AuditLog
from patchworks_deployments.caller import Who, caller, client_name
from patchworks_deployments.history.record import WRITES
from patchworks_deployments.model.text import clean_text
from patchworks_deployments.model.values import given
from patchworks_deployments.tools.base import ending
from patchworks_deployments.tools.confirming import CONFIRM, behind
from patchworks_deployments.writes.plan import Write

READ_ONLY = (
    "This server is read-only, so it offers no tool that changes anything. Nothing was changed. "
    "Whoever runs it can start it without PATCHWORKS_READ_ONLY."
)

_STATE = (
    "The answer cannot be taken: it came later than ten minutes after its question, or the question was asked by "
    "another process, of another caller, or about another account, tool or arguments. Nothing was changed. "
    "Call again, so that the person is asked anew."
)
"""What a call is answered with whose request state is not good for it: expired, stolen, altered or forged."""

_NO_OBJECT = "The arguments of the call are no object. Nothing was changed."
_MALFORMED = "The parameters of the call are malformed. Nothing was changed."


def arguments_of(write: type[Write]) -> frozenset[str]:
    """The names of its tool's arguments: an attempt records no others, because nobody asked for them."""
    own = {field.name for field in fields(write)}
    if "selection" in own:
        own = own - {"selection"} | {"flow", "environment", "package"}
    return frozenset(own | {"dry_run", "reason", "confirmation_code", "if_state"})


@dataclass(frozen=True)
class Attempts:
    """Middleware around all others: takes arguments as they were given, and records what ends before its tool."""

    log: AuditLog
    is_read_only: bool

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass the call on as the current attempt, and end that where nobody else has."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        ctx = replace(ctx, params=_as_given(ctx.params or {}))
        attempt = self._attempt(ctx.params or {}, Who(caller(), client_name(ctx.session)))
        if attempt is None:
            return await call_next(ctx)
        try:
            with attempt.is_current():
                result = await call_next(ctx)
        except BaseException as error:
            if not attempt.has_ended:
                await attempt.end(_refusal(error, ctx.params or {}))
            # The model reads results alone, and it is the model that has to call again.
            if _is_about_state(error):
                return CallToolResult(content=[TextContent(type="text", text=_STATE)], is_error=True)
            raise
        # A question on its way to a person is no attempt yet: its answer comes with another call.
        if not attempt.has_ended and not is_input_required(result):
            await attempt.end({"status": "refused", "message": _text_of(result)})
        return result

    async def record(self, call: Mapping[str, Any], who: Who, message: str) -> None:
        """Record a `tools/call` with these parameters that was refused before the SDK has seen it."""
        if attempt := self._attempt(_as_given(call), who):
            await attempt.end({"status": "refused", "message": message})

    def _attempt(self, call: Mapping[str, Any], who: Who) -> Attempt | None:
        """The attempt that a call with these parameters is; None for one of a tool that only looks.

        A click is an attempt of the tool whose change it is about.
        """
        is_click, call = call.get("name") == CONFIRM, behind(call)
        name, came = call.get("name"), call.get("arguments")
        write = WRITES.get(name) if isinstance(name, str) else None
        if write is None:
            return Attempt(self.log, CONFIRM, {}, who) if is_click else None
        known = arguments_of(write)
        arguments = {key: value for key, value in came.items() if key in known} if isinstance(came, Mapping) else {}
        return Attempt(self.log, write.name, arguments, who)


def _as_given(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a call without what its host added to the arguments, or filled them up with.

    Nobody sees it after this: not the tool, not the log, and not the SDK, which takes an answer for the very arguments
    that its question was about.
    """
    arguments = call.get("arguments")
    return {**call, "arguments": given(arguments)} if isinstance(arguments, Mapping) else call


def _refusal(error: BaseException, call: Mapping[str, Any]) -> dict[str, str]:
    """What the audit log says of a call that ended with this error before it reached its tool."""
    if isinstance(error, ValidationError):
        message = _MALFORMED if isinstance(call.get("arguments"), Mapping) else _NO_OBJECT
    elif isinstance(error, MCPError):
        message = _STATE if _is_about_state(error) else f"Refused: {clean_text(error.message)}"
    else:
        return ending(error, str(error))
    return {"status": "refused", "message": message}


def _is_about_state(error: BaseException) -> bool:
    """Whether the SDK does not take the request state that came with an answer."""
    data = error.data if isinstance(error, MCPError) else None
    return isinstance(data, Mapping) and data.get("reason") == "invalid_request_state"


def _text_of(result: HandlerResult) -> str:
    """The text that a call was answered with."""
    told = result if isinstance(result, CallToolResult) else CallToolResult.model_validate(result)
    return "\n".join(block.text for block in told.content if isinstance(block, TextContent))
