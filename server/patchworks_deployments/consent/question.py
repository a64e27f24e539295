"""The question that a person is asked, and the forms that a person fills in."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from patchworks_deployments.model import rendering
from patchworks_deployments.writes.plan import AnyPlan, Environment
from patchworks_deployments.writes.wording.lines import TITLE_COLUMNS, Line, Stake, fit, joined, listed, whole
from patchworks_deployments.writes.wording.phrases import called

KEPT_FORMS = 256
"""Forms that are kept, because making one takes half a millisecond, and each question is built more than once."""

MAX_TYPED_CHARACTERS = 64
"""Characters of a typed id that are looked at; ids have at most 19."""


def _typed(sent: object) -> str:
    return sent.strip()[:MAX_TYPED_CHARACTERS] if isinstance(sent, str) else ""


class Form(BaseModel, abc.ABC):
    """What a person fills in. Sending it is not agreeing: `agrees_to` looks at what was filled in.

    A client may send anything: what is not of the right type has not been filled in. What it is shown is `published`,
    whose root has no other keys, because there are hosts that refuse a question with any.
    """

    published: ClassVar[dict[str, Any]]

    @property
    @abc.abstractmethod
    def is_filled_in(self) -> bool:
        """Whether there is an answer at all, be it yes or no."""

    @abc.abstractmethod
    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether this answer lets the change happen."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        """What a client is shown."""
        del schema, handler
        return cls.published


class Agreement(Form):
    """The form for most writes: a box that is never ticked beforehand."""

    agree: Annotated[bool | None, BeforeValidator(lambda sent: sent if isinstance(sent, bool) else None)] = None

    @property
    def is_filled_in(self) -> bool:
        """Whether the box was sent, ticked or not."""
        return self.agree is not None

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the box is ticked."""
        del plan
        return bool(self.agree)


class TypedId(Form):
    """The form for what a tick is too little for: the id that the question names, typed."""

    typed_id: Annotated[str, BeforeValidator(_typed)] = ""

    @property
    def is_filled_in(self) -> bool:
        """Whether anything was typed."""
        return bool(self.typed_id)

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether the id is that of the deployment or the version in question."""
        return self.is_filled_in and self.typed_id == plan.must_be_typed


@dataclass(frozen=True)
class Question:
    """What a person is asked, and the form for the answer."""

    text: str
    form: type[Form]


def ask(plan: AnyPlan, protected: Sequence[Environment], account: str) -> Question:
    """The question for a person: the whole deed with the `protected` environments in three lines, then the rest.

    In the newer era an answer counts only while the question stays the same, so it has to change with all that was
    read: what else it rests on is in its last line. Raises `InvalidArgument` where it cannot be shown whole.
    """
    plan.readable(frame=", ".join(rendering.named(name, identifier) for identifier, name in protected))
    words = plan.words
    lines = [*words.lines([_protected(protected)] if protected else []), f"Account: {account}"]
    if plan.times_done:
        # A write counts also if it was refused, or nobody knows what became of it; and so does a person's no.
        often = "once" if plan.times_done == 1 else f"{plan.times_done} times"
        lines.append(f"This was tried or declined {often} lately on this very state.")
    lines.append(f"{plan.if_it_changes} (state {plan.fingerprint}).")
    return Question("\n".join(lines), _form(words.agreed, plan.must_be_typed))


def _protected(environments: Sequence[Environment]) -> Stake:
    names = [
        called(name, identifier) if name or identifier else ("an unknown one",) for identifier, name in environments
    ]
    first = "protected environment: " if len(names) == 1 else f"{len(names)} protected environments: "
    ways = tuple((first, *which) for which in listed(names))
    return Stake(ways, (whole((first, *joined(names, ", "))),))


def _form(agreed: Sequence[Line], must_be_typed: str | None) -> type[Form]:
    if must_be_typed is None:
        return _box(fit(*(("Yes, ", *way) for way in agreed), columns=TITLE_COLUMNS))
    return _field(fit(*((f"Type {must_be_typed} to ", *way) for way in agreed), columns=TITLE_COLUMNS))


@lru_cache(KEPT_FORMS)
def _box(title: str) -> type[Form]:
    described = {
        "type": "boolean",
        "title": title,
        "description": "Without a tick nothing is changed.",
        "default": False,
    }
    return _published(Agreement, agree=described)


@lru_cache(KEPT_FORMS)
def _field(title: str) -> type[Form]:
    described = {"type": "string", "title": title, "description": "Anything but this id changes nothing."}
    return _published(TypedId, typed_id=described)


def _published(form: type[Form], **properties: dict[str, Any]) -> type[Form]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    made = create_model(form.__name__, __base__=form)
    made.published = schema
    return made
