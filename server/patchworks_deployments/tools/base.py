"""How a tool behaves whatever it does: strict arguments, short errors, small schemas, an audit line per attempt."""

import difflib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar, cast

import anyio
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import ValidationError

from patchworks_deployments.errors import AuditLogUnwritable, DeploymentsError, UpstreamError
from patchworks_deployments.model.text import clean_text
from patchworks_deployments.model.values import faults
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes import audit
from patchworks_deployments.writes.audit import AuditLog, Who, line
from patchworks_deployments.writes.changes import RISKS, Plan, Risk
from patchworks_deployments.writes.consent import Call, Decision, Form, decide
from patchworks_deployments.writes.services import WRITE_SCOPE, Services, caller, can_ask, may_write, services, who

logger = logging.getLogger(__name__)


MAX_UNKNOWN_NAMED = 5
"""Unknown arguments that a refusal names."""


class StrictTool(Tool):
    """A tool that refuses arguments it does not know and reports errors in its own words."""

    @classmethod
    def create(cls, function: Callable[..., Any], title: str, hints: ToolAnnotations) -> Self:
        """The tool made of `function`, its docstring and its signature."""
        tool = cast("Self", cls.from_function(function, title=title, annotations=hints))
        tool.description = " ".join(tool.description.split())
        tool.parameters = _compact(tool.parameters) | {"additionalProperties": False}
        tool.fn_metadata.output_schema = _compact(tool.fn_metadata.output_schema)
        return tool

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401 - the SDK's signature
        """Run the tool; every anticipated failure leaves as `ToolError` with its own text alone."""
        known = self.parameters["properties"]
        if unknown := [name for name in arguments if name not in known][:MAX_UNKNOWN_NAMED]:
            raise ToolError(f"{'; '.join(_unknown(name, known) for name in unknown)} Nothing was changed.")
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{faults(error.__cause__)}. Nothing was changed.") from error.__cause__
            if isinstance(error.__cause__, DeploymentsError):
                raise ToolError(str(error.__cause__)) from error.__cause__
            # Our own code raises no ToolError inside: this one is the SDK's, about a form, by its resolver's name.
            if type(error.__cause__) is ToolError:
                raise ToolError(_UNFIT_FORM) from error.__cause__
            raise


class WriteTool(StrictTool):
    """A tool that changes something: each attempt leaves one line in the audit log."""

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401 - the SDK's signature
        """Run the tool and record what became of it; a question on its way to a human is no attempt yet."""
        started = time.monotonic()
        try:
            _require_write_scope()
            result = await super().run(arguments, context, convert_result)
        except BaseException as error:
            self._record(context, arguments, started, _ending(error))
            raise
        if isinstance(result, InputRequiredResult):
            return result
        if not isinstance(result, CallToolResult):
            raise TypeError(f"{self.name} must return a CallToolResult")
        trouble = self._record(context, arguments, started, result.structured_content or {})
        return _with_remark(result, f"This call is missing in the audit log: {trouble.what}") if trouble else result

    def _record(
        self,
        context: Context[Services, Any],
        arguments: dict[str, Any],
        started: float,
        result: Mapping[str, Any],
    ) -> AuditLogUnwritable | None:
        """Append the line; what kept it from being written goes to the process's log and to the caller."""
        known = {name: value for name, value in arguments.items() if name in self.parameters["properties"]}
        line = audit.line(self.name, known, result, who(context), time.monotonic() - started)
        try:
            services(context).audit.record(line)
        except AuditLogUnwritable as error:
            logger.error("%s %s: %s", self.name, result.get("status"), error.what)  # noqa: TRY400 - the traceback says no more
            return error
        return None


def write_hints(tool: str, *, idempotent: bool) -> ToolAnnotations:
    """The hints of a tool that changes something; whether it is destructive its risk says."""
    return ToolAnnotations(
        read_only_hint=False,
        destructive_hint=RISKS[tool] is Risk.DESTRUCTIVE,
        idempotent_hint=idempotent,
        open_world_hint=True,
    )


def _with_remark(result: CallToolResult, remark: str) -> CallToolResult:
    """The result that says one thing more, to people and to programs."""
    outcome = result.structured_content or {}
    return result.model_copy(
        update={
            "content": [*result.content, TextContent(type="text", text=remark)],
            "structured_content": {**outcome, "message": f"{outcome.get('message', '')} {remark}"},
        }
    )


def _ending(error: BaseException) -> dict[str, str]:
    """Status and message for the audit log of a call that ended without a result."""
    if isinstance(error, anyio.get_cancelled_exc_class()):
        message = "The caller called it off. What had been sent by then has lines of its own."
        return {"status": "cancelled", "message": message}
    if isinstance(error, ToolError):
        status = "failed" if isinstance(error.__cause__, UpstreamError) else "refused"
        return {"status": status, "message": str(error)}
    return {"status": "failed", "message": f"Ended by {type(error).__name__}: {clean_text(str(error))}"}


_UNFIT_FORM = (
    "The client answered the question with a form that does not fit it. Nothing was changed. "
    "Call again, so that the person can answer anew."
)


READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
"""The hints of a tool that only looks."""


def _require_write_scope() -> None:
    if not may_write():
        raise ToolError(f"This needs the scope {WRITE_SCOPE}, which the token lacks. Nothing was changed.")


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    shown = clean_text(name, 60)
    nearest = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}."
    return f'"{shown}" is not an argument of this tool: {hint}'


def _compact(schema: Any) -> Any:  # noqa: ANN401 - a JSON schema
    """The schema without titles and null defaults, which say nothing and cost tokens."""
    if isinstance(schema, list):
        return [_compact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _compact(field) for name, field in value.items()} if key == "properties" else _compact(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }


SomePlan = TypeVar("SomePlan", bound=Plan)


def consent_to(plan: Callable[..., Awaitable[SomePlan]]) -> Resolve:
    """The resolver for a tool whose resolver `plan` reads what the tool would do."""

    async def consent(
        ctx: Context[Services, Any],
        planned: Annotated[SomePlan, Resolve(plan)],
        dry_run: bool | None,
        confirmation_code: str | None,
    ) -> Decision | Elicit[Form]:
        held = services(ctx)
        call = Call(caller=caller(), can_ask=can_ask(ctx), dry_run=bool(dry_run), code=confirmation_code)
        return decide(planned, call, held.policy, held.codes)

    return Resolve(consent)


@dataclass(frozen=True)
class Refusals:
    """The tools that change something, and the log of what they were called for in vain."""

    log: AuditLog
    write_tools: Mapping[str, WriteTool]

    @classmethod
    def of(cls, settings: Settings, tools: Iterable[Tool]) -> Self:
        """For these tools, of which some only look."""
        return cls(AuditLog(settings.audit_log), {tool.name: tool for tool in tools if isinstance(tool, WriteTool)})

    def record(self, call: Mapping[str, Any], who: Who, message: str) -> None:
        """One line for a refused `tools/call` with these parameters; none if its tool only looks."""
        tool = self.write_tools.get(str(call.get("name")))
        if tool is None:
            return
        given = call.get("arguments")
        arguments = given if isinstance(given, Mapping) else {}
        known = {name: arguments[name] for name in tool.parameters["properties"] if name in arguments}
        try:
            self.log.record(line(tool.name, known, {"status": "refused", "message": message}, who, 0.0))
        except AuditLogUnwritable as error:
            logger.error("%s refused: %s", tool.name, error.what)  # noqa: TRY400 - the traceback says no more
