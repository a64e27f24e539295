"""What stands between a call and its write: nothing, a question, a click in a page, a code, or a refusal.

No setting and no argument lets a destructive write go unconfirmed: see `Policy.must_ask`.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

from patchworks_deployments.api.credentials import Account
from patchworks_deployments.consent.answers import Answer
from patchworks_deployments.consent.clicks import Click
from patchworks_deployments.consent.codes import CODE_SECONDS, EXPIRED, OTHER, USED, Codes
from patchworks_deployments.consent.policy import Policy
from patchworks_deployments.consent.question import Question, ask
from patchworks_deployments.writes.outcome import ConfirmedBy, NotDone
from patchworks_deployments.writes.plan import AnyPlan

Decision: TypeAlias = ConfirmedBy | NotDone
"""That a write may go ahead, and by whose agreement, or why it does not."""

_UNCHANGED = "It already is as wanted; nothing was sent and nobody was asked."
_CANNOT_ASK = "This client cannot show questions."
_INSTEAD = "then a preview and a code take the place of the question"
_HUMAN = (
    "Only a human may agree to this. Nothing was changed. Use a client that shows questions, or let a person set "
    f"PATCHWORKS_CONFIRM_BY=code: {_INSTEAD}."
)
_PROTECTED = (
    "This touches a protected environment, where only a human may agree. Nothing was changed. A person can do it from "
    f"a client that shows questions; PATCHWORKS_CONFIRM_BY=code ({_INSTEAD}) does not count there."
)
_SHOW_PREVIEW = (
    "Nothing was changed yet. Show this preview to the person. Only if they agree, call again with the same "
    "arguments and this confirmation_code within 10 minutes."
)
_SHOW_NEW_PREVIEW = (
    "Nothing was changed. Show this new preview to the person. Only if they agree, call again with the same arguments "
    "and the new confirmation_code within 10 minutes."
)
_IF_IT_NEVER_SHOWS = f"If this client never shows a question, a person can set PATCHWORKS_CONFIRM_BY=code: {_INSTEAD}."
_NOT_THERE = f"PATCHWORKS_CONFIRM_BY=code ({_INSTEAD}) does not count in a protected environment."
_WAITING = (
    "Nothing was changed yet: this waits for a person. The page beside this result shows them the question, and its "
    "buttons are the only way to agree. Say so, and do not call again. Read the deployment later to see what became of "
    "it."
)
_IF_NO_PAGE = f"If no page appears, a person can set PATCHWORKS_CONFIRM_BY=code: {_INSTEAD}."
_NO_CLICK = (
    "Only a person's click in the page that shows the question can confirm a change. Nothing was changed. Call the "
    "tool itself, which shows the question."
)
_OTHER_ID = "The person typed another id than the one in question. Nothing was changed."
_VOID = {
    EXPIRED: f"The question has expired: it could be answered for {CODE_SECONDS // 60} minutes.",
    USED: "The question is void: since it was asked, this very change was tried, or a person has declined it.",
    OTHER: "The question was about something else: another state of the deployment, other arguments, another caller or "
    "another account.",
}
"""Why a click counts for nothing, for a person, who sees no code."""

_NOT_ASKED = "This server has not asked that question, or it was started anew since."
_CLICK_VOID = "Nothing was changed by this click. Ask again, which shows the question as it is now."
_SILENCE = (
    "Nobody answered the question within ten minutes, so it was withdrawn. Nothing was changed. "
    "Call again when a person is there to answer."
)
_NO = {
    "accept": "The person sent the form without agreeing (box not ticked, or another id typed). Nothing was changed.",
    "decline": "The person declined. Nothing was changed.",
    "cancel": "The person closed the question without answering. Nothing was changed.",
}
"""What a person has done who refused, by the client's word for it."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who calls, and how: what a decision needs to know beside the plan."""

    account: Account
    caller: str
    can_ask: bool
    shows_pages: bool
    dry_run: bool
    code: str | None
    click: Click | None


def decide(plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision | Question:
    """What stands between this call and its write: nothing, a question, a click, a code, or a refusal."""
    if not plan.is_needed:
        return NotDone("unchanged", _UNCHANGED)
    protected = policy.protected_among(plan)
    if call.dry_run:
        question = ask(plan, protected, call.account.name)
        return NotDone("preview", "Dry run: nothing was changed.", question=question.text)
    if call.click:
        return _by_click(call.click, plan, call, policy, codes)
    if not policy.must_ask(plan):
        return "not_required"
    # Who can ask has a good code only where a client answered a question unseen, as it would again.
    if call.code and not policy.wants_person(plan) and _by_code(plan, call, codes) == "code":
        return "code"
    is_asked = call.can_ask and policy.takes_person(plan)
    return ask(plan, protected, call.account.name) if is_asked else _by_nobody(None, plan, call, policy, codes)


def settle(answer: Answer, plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision:
    """What an answer to the question comes to: a person's yes or no, or, where nobody has seen it, the next way."""
    if answer.form and answer.form.agrees_to(plan):
        return "human"
    hint = _NOT_THERE if policy.protected_among(plan) else _IF_IT_NEVER_SHOWS
    if answer.word == "silence":
        return NotDone("refused", f"{_SILENCE} {hint}")
    if not (answer.is_no and answer.is_seen):
        return _by_nobody(answer, plan, call, policy, codes)
    if answer.seconds is None:
        return NotDone(
            "declined",
            f"The client answered '{answer.word}'. Nothing was changed. Another process had asked the question, or too "
            "many were asked since, so it cannot be told how long the answer took, and whether a person saw it. "
            f"{hint}",
        )
    return NotDone("declined", _NO[answer.word])


def _by_nobody(answer: Answer | None, plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision:
    """The next way where a client shows nobody the question: a page, or a code, if it may take an answer's place."""
    protected = policy.protected_among(plan)
    if call.shows_pages and policy.takes_person(plan):
        told = [answer.told] if answer else []
        if call.code and (why_not := codes.why_not(call.code, plan, call.account.digest, call.caller)):
            told.append(why_not)
        return NotDone(
            "waiting_for_person",
            " ".join([*told, _WAITING, _NOT_THERE if protected else _IF_NO_PAGE]),
            question=ask(plan, protected, call.account.name).text,
            page_code=codes.issue(plan, call.account.digest, call.caller, "page"),
        )
    if policy.wants_person(plan):
        message = f"{answer.told if answer else _CANNOT_ASK} {_PROTECTED if protected else _HUMAN}"
        return NotDone("refused", message, question=ask(plan, protected, call.account.name).text)
    found = _by_code(plan, call, codes)
    if answer is None or not isinstance(found, NotDone):
        return found
    return replace(found, message=f"{answer.told} {found.message} {_IF_IT_NEVER_SHOWS}")


def _by_click(click: Click, plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision:
    """What a click comes to. Its code is the only proof that it is one, so nothing counts without."""
    if not (click.code and call.shows_pages and policy.takes_person(plan)):
        return NotDone("refused", _NO_CLICK)
    if why_not := codes.why_not(click.code, plan, call.account.digest, call.caller, "page"):
        return NotDone("refused", f"{_VOID.get(why_not, _NOT_ASKED)} {_CLICK_VOID}")
    if click.agrees_to(plan):
        return "person_in_app"
    return NotDone("declined", _OTHER_ID if click.agree else _NO["decline"])


def _by_code(plan: AnyPlan, call: Call, codes: Codes) -> ConfirmedBy | NotDone:
    message = _SHOW_PREVIEW
    if call.code:
        why_not = codes.why_not(call.code, plan, call.account.digest, call.caller)
        if not why_not:
            return "code"
        message = f"{why_not} {_SHOW_NEW_PREVIEW}"
    code, question = codes.issue(plan, call.account.digest, call.caller), ask(plan, (), call.account.name)
    return NotDone("confirmation_required", message, code, question.text)
