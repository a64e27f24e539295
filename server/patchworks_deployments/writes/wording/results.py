"""A result of a write in lines, for hosts whose model reads the text alone: all that its JSON says, by its names."""

from collections.abc import Iterator
from typing import Any

from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.writes.outcome import NotSwitched, Told

IN_THE_QUESTION = {"before", "after", "lost"}
"""What a question says itself, where a result has one."""

PHRASES = {"also_changed", "lost"}
"""Lists of phrases; others are of names."""

LABELS = {
    "also_changed": "Changed without being asked",
    "lost": "Undo cannot bring back",
    "repair": "Repair",
    "undo": "Undo",
}
"""What lines begin with, where it is not the field's name."""

IN_SHORT = ("status", "verified", "confirmed_by", "gap_milliseconds")
"""What stands in one line at the end."""


def told(result: Told) -> str:
    """The result: its message, what a person has to agree to, and a line or more for each of the rest."""
    given = {name: value for name in type(result).model_fields if (value := getattr(result, name)) is not None}
    lines = [given.pop("message")]
    lines += rendering.meanings(given.pop("matched", {}), given.pop("left_out", {}))
    if question := given.pop("question", None):
        lines.append(question)
        given = {name: value for name, value in given.items() if name not in IN_THE_QUESTION}
    lines += _states(given.pop("before", None), given.pop("after", None))
    code = given.pop("confirmation_code", None)
    in_short = [f"{name}: {str(given.pop(name)).lower()}" for name in IN_SHORT if name in given]
    lines += [line for name, value in given.items() for line in _lines(name, value)]
    return "\n".join([*lines, "; ".join(in_short), *([f"confirmation_code: {code}"] if code else [])])


def _states(before: Deployment | None, after: Deployment | None) -> Iterator[str]:
    """The deployment, and what of it is different; where it is another one, both."""
    if before:
        yield f"Before: {rendering.describe(before)}"
    if before and after and before.id == after.id:
        differences = comparing.differences(before, after)
        yield from differences
        # What no write sets can have changed, too: a name, or what Patchworks tells.
        if not differences and before.listed() != after.listed():
            yield f"After: {rendering.describe(after)}"
    elif after:
        yield f"After: {rendering.describe(after)}"


def _lines(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a result holds
    label = LABELS.get(name, name)
    match value:
        case ToolCall():
            yield f"{label}: {rendering.call(value)}"
        case Deployment():
            yield f"{name}: {rendering.describe(value)}"
        case [NotSwitched(), *_]:
            yield from (f"{name} {', '.join(missed.deployments)}: {missed.why}" for missed in value)
        case list() if name == "now":
            yield rendering.there_now(value)
        case list():
            yield f"{label}: {('; ' if name in PHRASES else ', ').join(value)}"
        case _:
            raise AssertionError(name)
