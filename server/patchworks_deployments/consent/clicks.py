"""A person's click in the page that a host shows beside a result."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from patchworks_deployments.writes.plan import AnyPlan


@dataclass(frozen=True, kw_only=True)
class Click:
    """What the page sends when a person clicks: the page's code, yes or no, and what was typed.

    That it comes from the page shows its code alone, which the server sends in a result's `_meta`. A host keeps that
    from the model, and whether it does cannot be seen from here.
    """

    code: str | None
    agree: bool
    typed_id: str | None

    def agrees_to(self, plan: AnyPlan) -> bool:
        """Whether it lets the change happen: it is a yes, and the id was typed where one has to be."""
        typed = (self.typed_id or "").strip()
        return self.agree and (plan.must_be_typed is None or typed == plan.must_be_typed)

    def for_the_log(self) -> dict[str, Any]:
        """The fields of the audit log that tell it. When the page was shown is not known."""
        return {"answer": "accept" if self.agree else "decline", "answer_milliseconds": None}


_click: ContextVar[Click | None] = ContextVar("click", default=None)


def current_click() -> Click | None:
    """The click that the present call carries out, None for any other call."""
    return _click.get()


@contextmanager
def clicked(click: Click) -> Iterator[None]:
    """Calls within are those of the click."""
    token = _click.set(click)
    try:
        yield
    finally:
        _click.reset(token)
