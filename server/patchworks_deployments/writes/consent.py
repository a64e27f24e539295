"""Who must agree to a write, how they are asked, and the codes for clients that cannot ask.

No setting and no argument lets a destructive write go unconfirmed: see `Policy.must_ask`.
"""

import abc
import base64
import hashlib
import hmac
import json
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.model import rendering
from patchworks_deployments.model.text import clean_text
from patchworks_deployments.settings import Settings
from patchworks_deployments.writes.outcome import ConfirmedBy, NotDone
from patchworks_deployments.writes.plan import AnyPlan, Risk

CODE_SECONDS = 600
"""Seconds for which a confirmation code is good; the SDK's own request state lives as long."""

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


class Form(BaseModel, abc.ABC):
    """What a person fills in. Sending it is not agreeing: `agrees_to` looks at what was filled in."""

    @abc.abstractmethod
    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether this answer lets the change happen."""


class Agreement(Form):
    """The form for most writes: a box that is never ticked beforehand."""

    agree: bool = Field(default=False, title="Yes, do this", description="Tick to let it happen.")

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the box is ticked."""
        del plan
        return self.agree


class TypedId(Form):
    """The form for what a tick is too little for: the id that the question names, typed."""

    typed_id: str = Field(title="Id", description="Type the id that the question names.", max_length=64)

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the id is that of the deployment or the version in question."""
        return self.typed_id.strip() == plan.must_be_typed


class Decision(BaseModel):
    """What stands between a call and its write where no person is asked: that it may go ahead, or why it does not."""

    outcome: ConfirmedBy | NotDone


Consent = Form | Decision
"""What lets a write happen or not: the form that a person sent, or the decision for which nobody was asked."""


@dataclass(frozen=True)
class Policy:
    """Which writes ask, and whom."""

    confirm: Literal["destructive", "all"]
    confirm_by: Literal["auto", "human", "code"]
    protected: frozenset[str]

    @classmethod
    def from_settings(cls, settings: Settings) -> "Policy":
        """The policy that the settings name; environments are compared as `_folded`."""
        protected = frozenset(_folded(entry) for entry in settings.protected_environments)
        return cls(settings.confirm, settings.confirm_by, protected)

    def must_ask(self, plan: AnyPlan) -> bool:
        """Whether somebody has to agree."""
        return plan.risk is Risk.DESTRUCTIVE or self.confirm == "all" or bool(self.protected_among(plan))

    def protected_among(self, plan: AnyPlan) -> list[str]:
        """The protected environments that the plan touches, named for people.

        What is not known of an environment counts as protected: its id if ids are listed, its name if names are.
        """
        found = {
            rendering.named(name, identifier) if name or identifier else "an environment that is not known"
            for identifier, name in plan.environments
            if self._is_listed(identifier, numbers=True) or self._is_listed(name, numbers=False)
        }
        return sorted(found)

    def _is_listed(self, known_as: str | None, *, numbers: bool) -> bool:
        if known_as is None:
            return any(entry.isdigit() is numbers for entry in self.protected)
        return _folded(known_as) in self.protected


def _folded(text: str) -> str:
    """An environment's id or name as it is compared: cleaned like the API's own, without regard to case."""
    return unicodedata.normalize("NFKC", clean_text(text) or "").casefold()


_STAMP = re.compile("[0-9a-f]{8}")
"""A code's expiry: seconds since the epoch in hexadecimal digits, eight of them until 2106."""


class Codes:
    """Short codes that prove a preview was seen: an HMAC over all that the write would do and rest on.

    Stateless but for one thing: a code that was used is remembered until it expires, so that a state which
    comes back cannot be acted on twice.
    """

    def __init__(self, keys: Sequence[bytes], server: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = list(keys) or [secrets.token_bytes(32)]
        self._server = server
        self._clock = clock
        self._used: dict[str, int] = {}

    def issue(self, plan: AnyPlan, caller: str) -> str:
        """A code for exactly this change by this caller, good for `CODE_SECONDS` seconds."""
        expiry = int(self._clock()) + CODE_SECONDS
        return f"{expiry:x}-{self._mac(self._keys[0], plan, caller, expiry)}"

    def redeem(self, code: str, plan: AnyPlan, caller: str) -> bool:
        """Whether the code is good for this change; it is used up by that."""
        stamp, _, mac = code.strip().lower().partition("-")
        expiry = int(stamp, 16) if _STAMP.fullmatch(stamp) else 0
        now = int(self._clock())
        self._used = {used: until for used, until in self._used.items() if until > now}
        genuine = [
            hmac.compare_digest(self._mac(key, plan, caller, expiry).encode(), mac.encode()) for key in self._keys
        ]
        if not any(genuine) or expiry <= now or mac in self._used:
            return False
        self._used[mac] = expiry
        return True

    def _mac(self, key: bytes, plan: AnyPlan, caller: str, expiry: int) -> str:
        bound = [self._server, caller, plan.write.name, plan.write.arguments, plan.fingerprint, expiry]
        digest = hmac.new(key, json.dumps(bound, sort_keys=True).encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:10]).decode().lower()


def ask(plan: AnyPlan, protected: Sequence[str]) -> Elicit[Form]:
    """The question for a person: `protected` environments at its top, and all that was read at its end.

    In the newer era an answer counts only while the question stays the same, so it has to change with any of that.
    """
    lines = [f"Protected environment: {', '.join(protected)}"] if protected else []
    lines += [plan.question(), f"As read: state {plan.fingerprint}"]
    if plan.must_be_typed:
        lines.append(f"{plan.typed_to}, type its id: {plan.must_be_typed}")
    return Elicit("\n".join(lines), TypedId if plan.must_be_typed else Agreement)


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who calls, and how: what a decision needs to know beside the plan."""

    caller: str
    can_ask: bool
    dry_run: bool
    code: str | None


def decide(plan: AnyPlan, call: Call, policy: Policy, codes: Codes) -> Decision | Elicit[Form]:
    """What stands between this call and its write: nothing, a question, a code, or a refusal."""
    if not plan.is_needed:
        return Decision(outcome=NotDone("unchanged", _UNCHANGED))
    if call.dry_run:
        return Decision(outcome=NotDone("preview", "Dry run: nothing was changed."))
    if not policy.must_ask(plan):
        return Decision(outcome="not_required")
    protected = policy.protected_among(plan)
    if call.can_ask and (protected or policy.confirm_by != "code"):
        return ask(plan, protected)
    if protected or policy.confirm_by == "human":
        return Decision(outcome=NotDone("refused", _NO_HUMAN_PROTECTED if protected else _NO_HUMAN))
    return Decision(outcome=_by_code(plan, call, codes))


def _by_code(plan: AnyPlan, call: Call, codes: Codes) -> ConfirmedBy | NotDone:
    if call.code and codes.redeem(call.code, plan, call.caller):
        return "code"
    message = _STALE_CODE if call.code else _SHOW_PREVIEW
    return NotDone("confirmation_required", message, codes.issue(plan, call.caller))


def agreement(plan: AnyPlan, consent: ElicitationResult[Consent]) -> ConfirmedBy | NotDone:
    """Who agreed to the plan, or why it does not go ahead."""
    if not isinstance(consent, AcceptedElicitation):
        return NotDone("declined", "The person did not agree. Nothing was changed.")
    if isinstance(consent.data, Decision):
        return consent.data.outcome
    return "human" if consent.data.agrees_to(plan) else NotDone("declined", _FORM_NOT_FILLED_IN)


@dataclass(frozen=True)
class Services:
    """What is opened once for the process and used by every call."""

    client: DeploymentsClient
    policy: Policy
    codes: Codes


def services(ctx: Context[Services, Any]) -> Services:
    """The process's services, from any call."""
    return ctx.request_context.lifespan_context
