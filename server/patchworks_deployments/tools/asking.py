"""Asking a person whether a plan may be carried out, in both eras of the protocol, and taking what comes back."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import anyio
import anyio.lowlevel
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve
from mcp.shared.exceptions import MCPError
from mcp_types.methods import is_input_required
from pydantic import ValidationError

from patchworks_deployments.api.pacing import deadline, told_what_for
from patchworks_deployments.audit.attempt import current_attempt
from patchworks_deployments.caller import caller, can_ask, is_stateless, shows_pages
from patchworks_deployments.consent.answers import PATIENCE_SECONDS, Answer, Round, Rounds, made_fit
from patchworks_deployments.consent.clicks import current_click
from patchworks_deployments.consent.decision import Call, Decision, decide, settle
from patchworks_deployments.consent.once import RedisAway, key_of
from patchworks_deployments.consent.question import Form, Question
from patchworks_deployments.consent.services import services
from patchworks_deployments.tools.base import Ctx, is_first
from patchworks_deployments.writes.outcome import NotDone
from patchworks_deployments.writes.plan import Plan

_MEANWHILE = "Meanwhile another call tried the same, or was declined as well, so read the deployment."
"""What is said with a no that was not the first to come of several calls about the same."""

SomePlan = TypeVar("SomePlan", bound=Plan[Any])


async def counted(ctx: Ctx, plan: SomePlan) -> SomePlan:
    """The plan that knows how often it was tried or declined already, if somebody has to agree to it."""
    held = services(ctx)
    if not held.policy.must_ask(plan):
        return plan
    return replace(plan, times_done=await held.once.times(key_of(plan, held.client.account().digest)))


def consent_to(plan: Callable[..., Awaitable[SomePlan]]) -> Resolve:
    """Make the resolver that says whether what the resolver `plan` has read may go ahead, and asks for that if need be.

    In the newer era the SDK asks, between the two steps of it, with the end of the call.
    """

    async def decide_or_ask(
        ctx: Ctx, planned: Annotated[SomePlan, Resolve(plan)], dry_run: bool | None, confirmation_code: str | None
    ) -> Decision | Answer | Elicit[Form]:
        held = services(ctx)
        decided = decide(planned, _call(ctx, dry_run, confirmation_code), held.policy, held.codes)
        declined = decided if isinstance(decided, NotDone) and decided.status == "declined" else None
        if (click := current_click()) and (declined or decided == "person_in_app"):  # else nothing shows that it is one
            current_attempt().answered = click.for_the_log()
        if declined:
            return await _taken_back(ctx, planned, declined)
        if not isinstance(decided, Question):
            return decided
        return Elicit(decided.text, decided.form) if is_stateless(ctx) else await _answered_live(ctx, decided)

    async def settled(
        ctx: Ctx,
        planned: Annotated[SomePlan, Resolve(plan)],
        came: Annotated[ElicitationResult[Any], Resolve(decide_or_ask)],
        dry_run: bool | None,
        confirmation_code: str | None,
    ) -> Decision:
        answer = _answer_of(came)
        if not isinstance(answer, Answer):
            return answer
        current_attempt().answered = answer.for_the_log()
        held = services(ctx)
        decided = settle(answer, planned, _call(ctx, dry_run, confirmation_code), held.policy, held.codes)
        if isinstance(decided, NotDone) and decided.status == "declined":
            return await _taken_back(ctx, planned, decided)
        return decided

    return Resolve(settled)


def _call(ctx: Ctx, dry_run: bool | None, code: str | None) -> Call:
    account = services(ctx).client.account()
    return Call(
        account=account,
        caller=caller(),
        can_ask=can_ask(ctx),
        shows_pages=shows_pages(ctx),
        dry_run=bool(dry_run),
        code=code,
        click=current_click(),
    )


async def _taken_back(ctx: Ctx, plan: Plan[Any], no: NotDone) -> NotDone:
    """A person's no, which makes void each question and code that was given for the same before."""
    with suppress(RedisAway):  # while it is away, no agreement is taken either
        if not await is_first(ctx, plan):
            return replace(no, message=f"{no.message} {_MEANWHILE}")
    return no


# The older era: within the call ---------------------------------------------------------------------


async def _answered_live(ctx: Ctx, question: Question) -> Answer:
    """Ask, and wait for the answer. A question that nobody answers in time is withdrawn, by the SDK."""
    watch = services(ctx).watch
    asked, schema = watch(), render_elicitation_schema(question.form)
    answer = Answer(word="silence", seconds=PATIENCE_SECONDS)
    told_what_for("Waiting for a person's answer")
    with anyio.move_on_after(PATIENCE_SECONDS):
        try:
            sent = await ctx.session.elicit_form(question.text, schema, ctx.request_id)
        except MCPError as error:
            # A client that is gone leaves an error like one that answers with it, and then the call is cancelled.
            await anyio.lowlevel.checkpoint_if_cancelled()
            answer = Answer.failed(error.code, error.message, watch() - asked)
        except ValidationError:
            answer = Answer(word="unfit", seconds=watch() - asked)
        else:
            form = question.form.model_validate(sent.content or {}) if sent.action == "accept" else None
            answer = Answer.sent(sent.action, form, watch() - asked)
    told_what_for(None)
    deadline().restart()
    return answer


# The newer era: with the next call -------------------------------------------------------------------


class Answering:
    """Middleware around the SDK's reading of a call: makes its answers fit, and knows how long they took."""

    def __init__(self, watch: Callable[[], float]) -> None:
        self._rounds = Rounds(watch)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass the request on. A state in it belongs to the question that it answers, one in its result to the next."""
        params = ctx.params or {}
        if ctx.method != "tools/call":
            return await call_next(ctx)
        seconds, is_fit = self._rounds.seconds_since(params.get("requestState")), True
        if "inputResponses" in params:
            responses, is_fit = made_fit(params["inputResponses"])
            ctx = replace(ctx, params={**params, "inputResponses": responses})
        token = _round.set(Round(seconds, is_fit))
        try:
            result = await call_next(ctx)
        finally:
            _round.reset(token)
        if is_input_required(result) and isinstance(result, Mapping):
            self._rounds.ask(str(result["requestState"]))
        return result


_round: ContextVar[Round] = ContextVar("round")


def _answer_of(came: ElicitationResult[Any]) -> Answer | Decision:
    """The answer that the first step of a resolver has come to, or its decision where nobody was asked."""
    if isinstance(came, AcceptedElicitation) and not isinstance(came.data, Form):
        answer: Answer | Decision = came.data
        return answer
    this = _round.get()
    if not isinstance(came, AcceptedElicitation):
        return Answer.sent(came.action, None, this.seconds)
    sent = Answer.sent("accept", came.data, this.seconds)
    return sent if sent.form or this.is_fit else replace(sent, word="unfit")
