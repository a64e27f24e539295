"""What all tools share: strict arguments, short errors, small schemas; and for those that write, consent and record."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, TypeAlias, cast

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ValidationError

from patchworks_deployments.app.page import PAGE_URI
from patchworks_deployments.app.shown import KEY, change
from patchworks_deployments.audit.attempt import current_attempt
from patchworks_deployments.caller import WRITE_SCOPE, is_stateless, may_write, shows_pages
from patchworks_deployments.consent.decision import Decision
from patchworks_deployments.consent.once import key_of
from patchworks_deployments.consent.services import Services, services
from patchworks_deployments.errors import DeploymentsError, InvalidArgument, NoAnswer, Unreachable, UpstreamError, crash
from patchworks_deployments.model.deployment import Output
from patchworks_deployments.model.text import clean_text
from patchworks_deployments.model.values import NO_ID, faults
from patchworks_deployments.resources.subscriptions import tell
from patchworks_deployments.startup import STOPPING
from patchworks_deployments.writes.outcome import FAILURES, NotDone
from patchworks_deployments.writes.plan import Acting, Plan, Result, Risk, Write
from patchworks_deployments.writes.wording.results import told

Ctx: TypeAlias = Context[Services, Any]

MAX_UNKNOWN_NAMED = 5
"""Unknown arguments that a refusal names."""

MAX_TEXT_CHARACTERS = 30_000
"""Characters of an argument, whatever it is: of 200 names of deployments with the longest ids, as some hosts send them,
which write a list as text."""

FIND_IDS = "To find ids by name, use deployment_overview."
"""What to do where a name stands for an id."""

REPORT = "Whoever runs this server finds more on its stderr."
"""What to do about an error of our own."""

USED = (
    "Another call came first: what was agreed to was carried out by it, or declined. One agreement lets one write "
    "happen, so nothing was changed by this call. Read the deployment, and call again if it has to be done."
)


class DeploymentTool(Tool):
    """A tool that refuses arguments it does not know and reports errors in its own words.

    Each call of one that writes ends with a line in the audit log, whatever becomes of it.
    """

    writes: bool = False

    @classmethod
    def reading(cls, function: Callable[..., Any], title: str, *, has_page: bool = False) -> Self:
        """A tool that only looks; the function's docstring describes it."""
        hints = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
        tool = cls._create(function, title, function.__doc__, hints)
        return tool.model_copy(update={"meta": _page()}) if has_page else tool

    @classmethod
    def writing(cls, function: Callable[..., Any], write: type[Write]) -> Self:
        """A tool that changes something; the write says what, and its docstring describes the tool."""
        hints = ToolAnnotations(
            read_only_hint=False,
            destructive_hint=write.risk is Risk.DESTRUCTIVE,
            idempotent_hint=write.is_idempotent,
            open_world_hint=True,
        )
        return cls._create(function, write.title, write.__doc__, hints).model_copy(
            update={"name": write.name, "writes": True, "meta": _page()}
        )

    @classmethod
    def confirming(cls, function: Callable[..., Any], title: str) -> Self:
        """A tool for the page alone, which carries out what a person has clicked."""
        hints = ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
        )
        return cls._create(function, title, function.__doc__, hints).model_copy(
            update={"writes": True, "meta": _page(visibility=["app"])}
        )

    @classmethod
    def _create(cls, function: Callable[..., Any], title: str, description: str | None, hints: ToolAnnotations) -> Self:
        said = " ".join((description or "").split())
        tool = cast("Self", cls.from_function(function, title=title, description=said, annotations=hints))
        tool.parameters = _compact(tool.parameters)
        if told := tool.fn_metadata.output_schema:
            tool.fn_metadata.output_schema = _outline(told)
        return tool

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,
    ) -> Any:  # noqa: ANN401 - the SDK's signature
        """Run the tool. Every anticipated failure leaves as `ToolError`, with our words alone."""
        try:
            self._require_permission(arguments)
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            said = _in_our_words(error, is_read=not self.writes)
            said.__cause__ = error.__cause__
            await self._end(ending(said, str(said)))
            raise said  # noqa: B904 - from the same cause
        except BaseException as error:
            await self._end(ending(error, str(error)))
            raise

    async def _end(self, result: Mapping[str, Any]) -> None:
        if self.writes and not (attempt := current_attempt()).has_ended:
            is_open = attempt.has_sent and result["status"] == "failed"
            await attempt.end({**result, "status": "unknown"} if is_open else result)

    def _require_permission(self, arguments: Mapping[str, Any]) -> None:
        """Raise `ToolError` for a caller who may not write, and for arguments that are unknown or much too long."""
        if self.writes and not may_write():
            raise ToolError(f"This needs the scope {WRITE_SCOPE}, which the token lacks. Nothing was changed.")
        end = " Nothing was changed." if self.writes else ""
        known = self.parameters["properties"]
        if unknown := [name for name in arguments if name not in known][:MAX_UNKNOWN_NAMED]:
            raise ToolError(f"{'; '.join(_unknown(name, known) for name in unknown)}{end}")
        # Before the SDK looks into a text, because it could be JSON.
        for name, value in arguments.items():
            if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
                most = f"may have at most {MAX_TEXT_CHARACTERS}"
                raise ToolError(f"{name}: has {len(value)} characters, and {most}.{end}")


def _page(**more: object) -> dict[str, Any]:
    """What a definition says to a host that shows pages: which one belongs to its results."""
    return {"ui": {"resourceUri": PAGE_URI, **more}}


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    nearest = difflib.get_close_matches(name[:60], known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}."
    return f'"{clean_text(name, 60)}" is not an argument of this tool: {hint}'


def _in_our_words(error: ToolError, *, is_read: bool) -> ToolError:
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        said = faults(cause)
        cause = InvalidArgument(f"{said}.", next_step=FIND_IDS if NO_ID in said else "")
    if isinstance(cause, DeploymentsError):
        return ToolError(cause.said(is_read=is_read))
    if isinstance(cause, ToolError):  # of a tool that this one has called
        return cause
    if is_read or not isinstance(error, UnexpectedToolError):
        return error
    # An error of our own stays one: by the class the SDK knows that it has to be logged.
    what = crash(cause if isinstance(cause, Exception) else error)
    kind = NoAnswer if current_attempt().has_sent else Unreachable
    return UnexpectedToolError(kind(what, next_step=REPORT).said())


def ending(error: BaseException, message: str) -> dict[str, str]:
    """Status and message for the audit log of a call that ended without a result."""
    if isinstance(error, anyio.get_cancelled_exc_class()):
        who = "The server was stopped." if STOPPING in message else "The caller called it off."
        return {"status": "cancelled", "message": f"{who} What had been sent by then has lines of its own."}
    if isinstance(error, ToolError):
        is_ours = isinstance(error, UnexpectedToolError) or isinstance(error.__cause__, UpstreamError)
        return {"status": "failed" if is_ours else "refused", "message": message}
    return {"status": "failed", "message": f"Ended by {type(error).__name__}: {clean_text(message)}"}


KEYWORDS = frozenset({"type", "description", "enum", "items", "properties", "required"})
"""The keywords of a schema that every host takes: the strict mode of some models refuses `default` and `maxLength`."""


def _compact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of arguments in `KEYWORDS` alone. Arguments are held to all of it, and what is refused says why."""
    compact = {keyword: value for keyword, value in schema.items() if keyword in KEYWORDS}
    if "properties" in compact:
        compact["properties"] = {name: _compact(field) for name, field in compact["properties"].items()}
    if "items" in compact:
        compact["items"] = _compact(compact["items"])
    return compact


def _outline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a result holds at its first level, by name and type.

    What is deeper is seen in the result itself. Spelt out for each tool, it would cost a model thousands of tokens
    before its first call; and there are hosts that resolve no `$ref`.
    """
    properties = {name: {"type": field.get("type", "object")} for name, field in schema["properties"].items()}
    return {"type": "object", "properties": properties, "required": schema["required"]}


def answer(
    text: str, value: Output, *, is_error: bool = False, for_page: Mapping[str, Any] | None = None
) -> CallToolResult:
    """A result in both its channels: the value as data, and the `text` that says the same; and what the page gets."""
    content = TextContent(type="text", text=text)
    meta = {KEY: for_page} if for_page else None
    return CallToolResult(content=[content], structured_content=value.to_json(), is_error=is_error, _meta=meta)


# Writing ------------------------------------------------------------------------------------------


async def is_first(ctx: Ctx, plan: Plan[Any]) -> bool:
    """Use up all that was or will be agreed to on this reading; False if another call has done so."""
    held = services(ctx)
    return await held.once.take(key_of(plan, held.client.account().digest), plan.times_done)


async def act(ctx: Ctx, plan: Plan[Result], agreed: Decision, reason: str | None) -> CallToolResult:
    """Do what was agreed to, or say why not. All tools that write end here."""
    held, attempt = services(ctx), current_attempt()
    asked_live = agreed == "human" and not is_stateless(ctx)
    if not isinstance(agreed, NotDone):
        await attempt.keep_room(plan.lines)  # before all is read once more in vain
        if plan.must_be_compared(asked_live=asked_live):
            why = plan.why_not_still_so(await plan.write.plan(held.client))
            agreed = NotDone("refused", why) if why else agreed
    if agreed in {"human", "person_in_app", "code"} and not await is_first(ctx, plan):
        agreed = NotDone("refused", USED)
    if isinstance(agreed, NotDone):
        result = plan.not_done(agreed)
    else:
        await held.stop.waits_no_more()
        acting = Acting(
            client=held.client, attempt=attempt, stop=held.stop, reason=reason, agreed=agreed, tell=partial(tell, ctx)
        )
        try:
            result = await plan.carry_out(acting)
        except UpstreamError as error:
            result = plan.not_done(NotDone("failed", str(error))).model_copy(update={"confirmed_by": agreed})
    for remark in attempt.lacks_of_steps():
        result = result.remarked(remark)
    await attempt.end(result.record())
    for remark in attempt.lacks():
        result = result.remarked(remark)
    not_done = agreed if isinstance(agreed, NotDone) else None
    for_page = change(plan, not_done, reason) if shows_pages(ctx) else None
    return answer(told(result), result, is_error=result.status in FAILURES, for_page=for_page)
