"""What stands between a call and its write: nothing, a question, a code, or a refusal.

No setting and no argument lets a destructive write go unconfirmed: see `Policy.must_ask`.
"""

from dataclasses import dataclass

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult
from pydantic import BaseModel

from patchworks_deployments.api.credentials import Account
from patchworks_deployments.consent.codes import Codes
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.consent.question import Form, ask
from patchworks_deployments.writes.outcome import ConfirmedBy, NotDone
from patchworks_deployments.writes.plan import AnyPlan

_UNCHANGED = "It already is as wanted; nothing was sent and nobody was asked."
_NO_HUMAN = (
    "A human must agree to this, and this client cannot ask one (it does not support elicitation). Nothing was "
    "changed. Use a client that can ask, or let a person set PATCHWORKS_CONFIRM_BY=auto to allow codes."
)
_NO_HUMAN_PROTECTED = (
    "This touches a protected environment, where only a human may agree, and this client cannot ask one (it does "
    "not support elicitation). Nothing was changed. A person can do it from a client that can ask."
)
_SHOW_PREVIEW = (
    "Nothing was changed yet. Show this preview to the person. Only if they agree, call again with the same "
    "arguments and this confirmation_code within 10 minutes."
)
_STALE_CODE = (
    "That code is not good for this: it is wrong, expired, used, or the deployment or the arguments changed since. "
    "Nothing was changed. Show this new preview to the person. Only if they agree, call again with the new "
    "confirmation_code within 10 minutes."
)
_FORM_NOT_FILLED_IN = (
    "The person sent the form without agreeing (box not ticked, or another id typed). Nothing was changed."
)


class Decision(BaseModel):
    """What stands between a call and its write where no person is asked: that it may go ahead, or why it does not."""

    outcome: ConfirmedBy | NotDone


Consent = Form | Decision
"""What lets a write happen or not: the form that a person sent, or the decision for which nobody was asked."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who calls, and how: what a decision needs to know beside the plan."""

    account: Account
    caller: str
    can_ask: bool
    dry_run: bool
    code: str | None


def decide(plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision | Elicit[Form]:
    """What stands between this call and its write: nothing, a question, a code, or a refusal."""
    if not plan.is_needed:
        return Decision(outcome=NotDone("unchanged", _UNCHANGED))
    if not call.dry_run and not policy.must_ask(plan):
        return Decision(outcome="not_required")
    protected = policy.protected_among(plan)
    question = ask(plan, protected, call.account.name)
    if call.dry_run:
        return Decision(outcome=NotDone("preview", "Dry run: nothing was changed.", question=question.text))
    if call.can_ask and (protected or policy.confirm_by != "code"):
        return Elicit(question.text, question.form)
    if protected or policy.confirm_by == "human":
        return Decision(outcome=NotDone("refused", _NO_HUMAN_PROTECTED if protected else _NO_HUMAN))
    return Decision(outcome=_by_code(plan, call, codes, question.text))


def _by_code(plan: AnyPlan, call: Call, codes: Codes, question: str) -> ConfirmedBy | NotDone:
    if call.code and codes.is_good(call.code, plan, call.account.digest, call.caller):
        return "code"
    message = _STALE_CODE if call.code else _SHOW_PREVIEW
    return NotDone("confirmation_required", message, codes.issue(plan, call.account.digest, call.caller), question)


def agreement(plan: AnyPlan, consent: ElicitationResult[Consent]) -> ConfirmedBy | NotDone:
    """Who agreed to the plan, or why it does not go ahead."""
    if not isinstance(consent, AcceptedElicitation):
        return NotDone("declined", "The person did not agree. Nothing was changed.")
    if isinstance(consent.data, Decision):
        return consent.data.outcome
    return "human" if consent.data.agrees_to(plan) else NotDone("declined", _FORM_NOT_FILLED_IN)
