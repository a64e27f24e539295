"""The question that a person is asked, and the forms that a person fills in."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field, field_validator

from patchworks_deployments.writes.plan import AnyPlan


class Form(BaseModel, abc.ABC):
    """What a person fills in. Sending it is not agreeing: `agrees_to` looks at what was filled in."""

    @property
    @abc.abstractmethod
    def is_filled_in(self) -> bool:
        """Whether the field was there, in the right type."""

    @abc.abstractmethod
    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether this answer lets the change happen."""


class Agreement(Form):
    """The form for most writes: a box that is never ticked beforehand."""

    agree: bool = Field(default=False, title="Yes, do this", description="Tick to let it happen.")

    @field_validator("agree", mode="wrap")
    @classmethod
    def _is_bool(cls, sent: object, _: object) -> object:
        return sent if isinstance(sent, bool) else None

    @property
    def is_filled_in(self) -> bool:
        """Whether the box was sent, ticked or not."""
        return "agree" in self.model_fields_set and isinstance(self.agree, bool)

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the box is ticked."""
        del plan
        return self.agree is True


class TypedId(Form):
    """The form for what a tick is too little for: the id that the question names, typed."""

    typed_id: str = Field(default="", title="Id", description="Type the id that the question names.", max_length=64)

    @field_validator("typed_id", mode="wrap")
    @classmethod
    def _is_text(cls, sent: object, _: object) -> object:
        return sent if isinstance(sent, str) else ""

    @property
    def is_filled_in(self) -> bool:
        """Whether anything was typed."""
        return bool(self.typed_id.strip())

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the id is that of the deployment or the version in question."""
        return self.typed_id.strip() == plan.must_be_typed


@dataclass(frozen=True)
class Question:
    """What a person is asked, and the form for the answer."""

    text: str
    form: type[Form]


def ask(plan: AnyPlan, protected: Sequence[str], account: str) -> Question:
    """The question for a person: `protected` environments at its top, the account and all that was read at its end.

    In the newer era an answer counts only while the question stays the same, so it has to change with any of that.
    Raises `InvalidArgument` where it cannot be shown whole.
    """
    top = [f"Protected environment: {', '.join(protected)}"] if protected else []
    plan.readable(frame="".join(top))
    often = "once" if plan.times_done == 1 else f"{plan.times_done} times"
    # A write counts also if it was refused, or nobody knows what became of it.
    again = f", on which this was tried {often} lately" if plan.times_done else ""
    lines = [*top, plan.question(), f"Account: {account}", f"As read: state {plan.fingerprint}{again}"]
    if plan.must_be_typed:
        lines.append(f"{plan.typed_to}, type its id: {plan.must_be_typed}")
    return Question("\n".join(lines), TypedId if plan.must_be_typed else Agreement)
