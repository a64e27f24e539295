"""What a client answered to a question, how long it took, and whether a person can have read the question."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp_types import ElicitResult
from pydantic import ValidationError

from patchworks_deployments.consent.codes import CODE_SECONDS
from patchworks_deployments.consent.question import Form
from patchworks_deployments.model.text import decodings, inert
from patchworks_deployments.model.tokens import holds_token

UNREAD_SECONDS = 0.5
"""Seconds within which nobody has read a question, found its buttons and pressed one: a client that says no sooner has
not shown it. Those that do so take some milliseconds; the fastest person takes more than a second."""

PATIENCE_SECONDS = float(CODE_SECONDS)
"""Seconds for which a person may think: as long as a code, or the SDK's own request state, is good."""

MAX_ERROR_CHARACTERS = 100
"""Characters of a client's error that are passed on."""

MAX_ERROR_CODE = 10**9
"""A client's error code that is passed on is smaller than this, whatever its sign."""

MAX_ROUNDS = 4096
"""Questions without an answer of which it is known when they were asked; of older ones it is forgotten."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a client answered to a question; `seconds` is None where it is not known when the question was asked.

    `word` is `accept`, `decline`, `cancel`, `error` with its code, `unfit` for what is no answer to the question, or
    `silence`. A filled-in form comes with `accept` alone.
    """

    word: str
    seconds: float | None
    form: Form | None = None
    error: str = ""

    @classmethod
    def sent(cls, action: str, form: Form | None, seconds: float | None) -> "Answer":
        """What was answered in the protocol's own words, with the form as it was sent."""
        return cls(word=action, seconds=seconds, form=form if form and form.is_filled_in else None)

    @classmethod
    def failed(cls, code: int, message: str, seconds: float) -> "Answer":
        """An error in the place of an answer; its text is the client's: data, and not shown where it may hold a key."""
        told = message[: 4 * MAX_ERROR_CHARACTERS]
        words = "" if any(map(holds_token, decodings(told))) else inert(told, MAX_ERROR_CHARACTERS)
        return cls(word=f"error {code}" if abs(code) < MAX_ERROR_CODE else "error", seconds=seconds, error=words)

    @property
    def is_no(self) -> bool:
        """Whether it refuses what was asked, as a person can: by a button, or with a form that does not agree."""
        return self.word in {"decline", "cancel"} or self.form is not None

    @property
    def is_seen(self) -> bool:
        """Whether a person can have read the question before it came, as far as is known."""
        return self.seconds is None or self.seconds >= UNREAD_SECONDS

    @property
    def told(self) -> str:
        """What happened, of an answer that counts as nobody's, in words."""
        after = "" if self.seconds is None else f" after {_duration(self.seconds)}"
        if self.word.startswith("error"):
            return f"The client answered the question with {self.word}{self.error and f' ({self.error})'}{after}."
        if self.word == "unfit":
            return f"The client answered the question{after} with something that is no answer to it."
        if self.is_no:
            return f"The client answered '{self.word}'{after}, without showing the question."
        return f"The client answered '{self.word}'{after} without a filled-in form."

    def for_the_log(self) -> dict[str, Any]:
        """The fields of the audit log that tell it."""
        milliseconds = None if self.seconds is None else round(self.seconds * 1000)
        is_empty = self.word == "accept" and self.form is None
        return {"answer": "unfit" if is_empty else self.word, "answer_milliseconds": milliseconds}


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)} ms" if seconds < 1 else f"{round(seconds)} s"


@dataclass(frozen=True)
class Round:
    """A call that brings an answer: how many seconds after its question, if that is known, and whether it is one."""

    seconds: float | None = None
    is_fit: bool = True


class Rounds:
    """When questions were asked that end their call, by the request state that comes back with the answer.

    It is known to this process alone, for `PATIENCE_SECONDS`: no state is good for longer.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: OrderedDict[bytes, float] = OrderedDict()

    def ask(self, state: str) -> None:
        """A question leaves with this state, which no other question has."""
        now = self._clock()
        self._asked[_digest(state)] = now
        oldest = next(iter(self._asked.values()))
        while len(self._asked) > MAX_ROUNDS or now - oldest > PATIENCE_SECONDS:
            self._asked.popitem(last=False)
            oldest = next(iter(self._asked.values()))

    def seconds_since(self, state: object) -> float | None:
        """Seconds since the question with this state was asked; None where that is not known."""
        asked = self._asked.get(_digest(state)) if isinstance(state, str) else None
        return None if asked is None else self._clock() - asked


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode(errors="surrogatepass")).digest()


def made_fit(responses: object) -> tuple[dict[str, Any], bool]:
    """What a call brings as answers, such that the SDK takes it; and whether it was so already.

    What is no answer to a question becomes a form that nobody has filled in: it must not fail the call, or nobody would
    learn what happened. Where answers have no names, none is taken for one, and the question is asked anew.
    """
    if not isinstance(responses, dict):
        return {}, responses is None
    answers, is_fit = {}, True
    for name, response in responses.items():
        try:
            answer = ElicitResult.model_validate(response, by_name=False)
        except ValidationError:
            answer, is_fit = ElicitResult(action="accept"), False
        content = (answer.content or {}) if answer.action == "accept" else None
        answers[name] = {"action": answer.action} | ({} if content is None else {"content": content})
    return answers, is_fit
