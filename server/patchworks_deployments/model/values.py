"""The types of the tools' arguments: lenient about how models write them, strict about what they mean."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError

from patchworks_deployments.model.deployment import Clearable, Include, Maybe
from patchworks_deployments.model.reading import NUMBER_BOUND, is_identifier, read_time

ADDED_BY_HOSTS = frozenset({"toolCallId", "sessionId", "action", "chatInput", "tool", "task_progress"})
"""What n8n and Cline add to the arguments of any tool, for themselves. No tool here may call an argument so."""


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that somebody has given: without what hosts add, and without null, "" and [].

    A host in strict mode fills each argument that it leaves out, with null or with what is empty of the right type.
    """
    return {
        name: value for name, value in arguments.items() if name not in ADDED_BY_HOSTS and value not in (None, "", [])
    }


# What may be long is measured before anything is done with it: a caller must not keep the process from all others.

MAX_VALUES = 200
"""Values of one list, or of one text that holds several."""

NO_ID = "must be an id as Patchworks writes them: digits, the first no zero"

TOO_MANY_VALUES = f"has too many values, and may have at most {MAX_VALUES}"

MAX_PAGE = 1_000_000
"""A page's number; accounts have a few hundred."""


def _few(value: Any) -> Any:  # noqa: ANN401 - whatever else it is, is looked at later
    if isinstance(value, list) and len(value) > MAX_VALUES:
        raise ValueError(f"has {len(value)} values, and may have at most {MAX_VALUES}")
    return value


EXACT_FLOATS = 2**53
"""Below this a float is one whole number and not also the next."""


def _as_text(value: object) -> object:
    """A whole number as text: models pass ids either way, and some hosts make each number a float on its way."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        return value
    if abs(value) >= (EXACT_FLOATS if isinstance(value, float) else NUMBER_BOUND):
        raise ValueError("is too large a number: write it as text")
    return str(int(value))


def _as_list(value: object) -> object:
    """A list, which may come as comma-separated text, or as its one value."""
    if not isinstance(value, str):
        return [value] if isinstance(value, int | float) else _few(value)
    if value.count(",") >= MAX_VALUES:
        raise ValueError(TOO_MANY_VALUES)
    return [part.strip() for part in value.split(",")]


def _as_values(value: object) -> object:
    """Several values, which may come as a list, as comma-separated text."""
    if not isinstance(value, list) or not value:
        return _as_text(value)
    texts = [text for text in map(_as_text, _few(value)) if isinstance(text, str)]
    if len(texts) != len(value):
        raise ValueError("must be text, or a list of texts")
    return ",".join(texts)


def _one_name(value: object) -> object:
    """A list of ids is as good as a text of them, but several names would become one that holds commas."""
    if not isinstance(value, list) or len(value) < 2:  # noqa: PLR2004 - several
        return value
    texts = [_as_text(part) for part in _few(value)]
    if not all(isinstance(text, str) and is_identifier(text) for text in texts):
        raise ValueError("must be one name, or ids")
    return texts


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic reports ValueError
    return value


def _is_identifier(value: str) -> str:
    if not is_identifier(value):
        raise ValueError(NO_ID)
    return value


def _are_identifiers(value: str) -> str:
    if value.count(",") >= MAX_VALUES:
        raise ValueError(TOO_MANY_VALUES)
    return ",".join(_is_identifier(part.strip()) for part in value.split(","))


def _is_deployment_name(value: str) -> str:
    parts = value.strip().split("/", 2)
    if len(parts) not in {1, 2}:
        raise ValueError("must be a deployment's id, or flow_version_id/deployment_id")
    return "/".join(_is_identifier(part) for part in parts)


def _is_small(value: int) -> int:
    if abs(value) >= NUMBER_BOUND:
        raise ValueError("is too large a number")
    return value


def _is_page(value: int) -> int:
    if value > MAX_PAGE:
        raise ValueError(f"must be at most {MAX_PAGE}")
    return value


def _is_plain(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be text without line breaks or control characters")
    return value


def _is_time(value: str) -> str:
    if read_time(value) is None:
        raise ValueError("must be an ISO 8601 time such as 2026-03-02T09:00:00Z")
    return value


_LongText = Annotated[str, StringConstraints(max_length=500)]
_ShortText = Annotated[str, StringConstraints(max_length=100)]
_Text = Annotated[_LongText, BeforeValidator(_as_values), AfterValidator(_is_plain)]

Identifier = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_identifier)]
Identifiers = Annotated[str, BeforeValidator(_as_values), AfterValidator(_are_identifiers)]
WholeNumber = Annotated[int, BeforeValidator(_no_bool), AfterValidator(_is_small)]
Page = Annotated[int, Field(ge=1), AfterValidator(_is_page)]

FlowVersionId = Identifier
DeploymentId = Identifier
OptionalIdentifiers = Maybe[Identifiers]
OptionalText = Maybe[_Text]
OptionalPart = Maybe[Annotated[_Text, BeforeValidator(_one_name)]]
OptionalIdentifier = Maybe[Identifier]
OptionalNumber = Maybe[WholeNumber]
OptionalFlag = Maybe[bool]
OptionalTime = Maybe[Annotated[str, AfterValidator(_is_time)]]
OptionalIncludes = Maybe[Annotated[list[Include], BeforeValidator(_as_list)]]
OptionalClear = Maybe[Annotated[list[Clearable], BeforeValidator(_as_list)]]

DeploymentName = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_deployment_name)]
OptionalDeploymentNames = Maybe[Annotated[list[DeploymentName], BeforeValidator(_as_list)]]

Sort = Literal[
    "created_at",
    "-created_at",
    "enabled_at",
    "-enabled_at",
    "flow_name",
    "-flow_name",
    "flow_version_iteration",
    "-flow_version_iteration",
]

# Every tool that changes something has these, so each word here is paid for seven times.
DryRun = OptionalFlag
Reason = Annotated[Maybe[_LongText], Field(description="For the audit log.")]
Code = Annotated[Maybe[_ShortText], Field(description="Only after the person agreed.")]
IfState = Annotated[Maybe[_ShortText], Field(description="From an undo.")]

MAX_FAULTS = 5
"""Clauses of a refusal; a call with more bad arguments than these is put right step by step."""

_OWN_WORDS = {"missing": "is required", "extra_forbidden": "is not known"}


def faults(error: ValidationError) -> str:
    """One short clause for each bad argument, without the library's links and without repeating the input."""
    clauses: dict[str, None] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        where = f"{fault['loc'][0]}: " if fault["loc"] else ""
        clauses[where + _OWN_WORDS.get(fault["type"], message)] = None
    return "; ".join(list(clauses)[:MAX_FAULTS])
