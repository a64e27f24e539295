"""What every write has in common: what was asked for, what was read for it, and how it is carried out.

A `Write` is what a caller asks for. Its `plan` reads the deployments that it is about and returns a `Plan`, which a
person agrees to and which is then carried out. Nothing here changes anything by itself.
"""

import abc
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypeVar

from patchworks_deployments.api.client import DeploymentsClient
from patchworks_deployments.audit.attempt import Attempt, Intent
from patchworks_deployments.errors import (
    AuditLogUnwritable,
    DeploymentsError,
    InvalidArgument,
    NoAnswer,
    OutOfTime,
    Unreachable,
    crash,
)
from patchworks_deployments.model import comparing, rendering
from patchworks_deployments.model.deployment import Deployment, ToolCall
from patchworks_deployments.startup import Stop
from patchworks_deployments.writes.beside import ALONE, Beside
from patchworks_deployments.writes.outcome import ConfirmedBy, NotDone, ReplaceResult, SwitchResult, WriteResult
from patchworks_deployments.writes.wording.lines import Words

logger = logging.getLogger(__name__)

Result = TypeVar("Result", WriteResult, SwitchResult, ReplaceResult)
Outcome = TypeVar("Outcome")

UNTOLD = (
    "Patchworks does not tell the same as when the person was asked, so it cannot be seen whether it is still so. "
    "Nothing was changed by this call. Ask again later."
)
"""What a result says of a plan that cannot be compared with what is there now."""

BESIDE_DIFFERS = (
    "What is known of the deployments beside it is not what it was when the person was asked. "
    "Nothing was changed by this call. Ask again."
)
"""What a result says where only what is beside the deployment differs, be it by a change or by what could be read."""

Environment = tuple[str | None, str | None]
"""An environment's id and name; the name is None where it is not known, and both are where neither is."""


class Risk(StrEnum):
    """What a write can do to work that is running."""

    ADDITIVE = "additive"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, kw_only=True)
class Write(abc.ABC):
    """What a caller asks to be changed. There is one class for each tool; its docstring is the tool's description."""

    name: ClassVar[str]
    title: ClassVar[str]
    risk: ClassVar[Risk]
    is_idempotent: ClassVar[bool]
    """Whether calling the tool twice is the same as calling it once."""

    @property
    @abc.abstractmethod
    def arguments(self) -> dict[str, Any]:
        """The tool's arguments that bear on the outcome, as far as they were given."""

    def call(self) -> ToolCall:
        """The tool call that asks for it."""
        return ToolCall(tool=self.name, arguments=self.arguments)

    @abc.abstractmethod
    async def plan(self, client: DeploymentsClient) -> "Plan[Any]":
        """Read what the write is about. Raises `InvalidArgument` where it makes no sense, `UpstreamError`."""


@dataclass(frozen=True, kw_only=True)
class Plan(abc.ABC, Generic[Result]):
    """A write, and every deployment that was read for it: its `basis`, and what is said of those `beside` it."""

    outdated: ClassVar[str] = (
        "The deployment changed while the person was asked, so what they agreed to is no longer what would happen. "
        "Nothing was changed by this call. Read it again and ask again."
    )
    """What a result says of a plan that is no longer true."""

    if_it_changes: ClassVar[str] = "If anything of this changes before the answer, nothing is done"
    """What becomes of an answer to a question that is no longer true."""

    how_to_split: ClassVar[str] = "Look at the other deployments of the flow, and delete those that nobody needs."
    """What to do where a question cannot hold all of it."""

    write: Write
    basis: tuple[Deployment, ...]
    times_done: int = 0
    """How often this write was tried or declined lately on this very state, as far as agreeing to it needs to know."""
    beside: Beside = ALONE

    @property
    def risk(self) -> Risk:
        """What carrying it out can do to work that is running."""
        return Risk.DESTRUCTIVE if self.beside.must_ask else self.write.risk

    @property
    def fingerprint(self) -> str:
        """A digest that changes with anything that was read for the write."""
        return comparing.fingerprint(self.basis, *self.beside.read)

    @property
    def must_be_typed(self) -> str | None:
        """What a person has to type to agree, where ticking a box is not enough."""
        return None

    @property
    def lines(self) -> int:
        """Lines that carrying it out leaves in the audit log: of each write its intent and its outcome."""
        return 2

    @property
    @abc.abstractmethod
    def is_needed(self) -> bool:
        """False when everything is already as wanted."""

    @property
    @abc.abstractmethod
    def environments(self) -> list[Environment]:
        """The environments that the write touches."""

    @property
    @abc.abstractmethod
    def words(self) -> Words:
        """What a person is asked.

        It depends on what was read and on nothing else, because the SDK asks anew when a question changes: a clock
        in it would ask for ever, and a fact left out of it would let an old answer count for a new state.
        """

    def question(self) -> str:
        """The question without what stands around it: what is protected, and whose account it is."""
        return "\n".join(self.words.lines())

    def why_not_still_so(self, now: "AnyPlan") -> str | None:
        """What a result says where the plan as it is read `now` is not this one any more; None where it is."""
        if comparing.fingerprint(now.basis) != comparing.fingerprint(self.basis):
            is_told = not comparing.tell_less(now.basis, self.basis) and not comparing.tell_less(self.basis, now.basis)
            return self.outdated if is_told else UNTOLD
        return None if now.fingerprint == self.fingerprint else BESIDE_DIFFERS

    def readable(self, frame: str = "") -> Self:
        """This plan, if its question and the frame around it can be shown whole. Raises `InvalidArgument` otherwise."""
        if len(self.question()) > rendering.MAX_QUESTION_CHARACTERS or len(frame) > rendering.MAX_FRAME_CHARACTERS:
            raise InvalidArgument(
                "This touches more than a person can be shown in one question.",
                next_step=self.how_to_split,
            )
        return self

    def must_be_compared(self, *, asked_live: bool) -> bool:
        """Whether everything has to be read again before the write, to see that what was agreed to is still true.

        In the protocol's older era a question is a request within the call (`asked_live`), so that a person may have
        thought for minutes since the plan was read. In the newer era a question ends the call, and the SDK reads anew
        and compares when the answer comes with the next one.
        """
        return asked_live

    @abc.abstractmethod
    async def carry_out(self, acting: "Acting") -> Result:
        """Do what was agreed to, and find out what became of it.

        Raises `UpstreamError` when certainly nothing was changed.
        """

    @abc.abstractmethod
    def not_done(self, reason: NotDone) -> Result:
        """The result of a write that does not go ahead."""

    def only_if(self, state: str | None) -> Self:
        """This plan, if `state` is None or still the fingerprint of its target. Raises `StateMoved`."""
        comparing.require(state, self.basis)
        return self


AnyPlan: TypeAlias = Plan[Any]


def environments_of(deployments: Iterable[Deployment]) -> list[Environment]:
    """The environments of the deployments; one that is not known counts too."""
    return [
        (d.virtual_environment_id, d.virtual_environment_name)
        for d in deployments
        if d.virtual_environment_id or d.virtual_environment_name or d.hides_environment
    ]


class Tell(Protocol):
    """Tells subscribers of a change."""

    def __call__(self, flow_version_id: str, *states: Deployment | None) -> Awaitable[None]:
        """Of the deployment of this flow version that was read as `states`, before and after."""


@dataclass(frozen=True, kw_only=True)
class Acting:
    """What carrying out a write needs: the client, the attempt that it is, why, who agreed, whom to tell, and a stop.

    One that `is_step` is one of several writes: also reading back waits where Patchworks throttles, because what comes
    next rests on it, and nobody asks for its own undo. What became of those that are each `is_one_of_many` is looked
    for with one call for all. Once the first is sent, a call that `must_finish` goes on to the last, however long that
    takes; a step that `must_fill` the place which it has emptied is sent also where the audit log takes no intent.
    """

    client: DeploymentsClient
    attempt: Attempt
    stop: Stop
    reason: str | None
    agreed: ConfirmedBy
    tell: Tell
    is_step: bool = False
    is_one_of_many: bool = False
    must_finish: bool = False
    must_fill: bool = False

    async def answer_to(self, sending: Awaitable[Outcome]) -> Outcome:
        """What Patchworks answers, whoever calls it off. Raises `NoAnswer` where a stop has no more time for it."""
        with self.stop.finishing():
            return await sending
        raise NoAnswer("The server was stopped before Patchworks answered.")

    async def unless_stopped(self, work: Awaitable[Outcome]) -> Outcome:
        """What the work comes to. Raises `Unreachable` where a stop finds it reading or waiting."""
        with self.stop.waiting():
            return await work
        raise Unreachable("The server is stopping.", next_step="Call again once it is back.")

    async def intend(self, write: Write, before: Deployment | None, beside: Iterable[Deployment]) -> None:
        """Record the write before it is sent. Raises `AuditLogUnwritable` and `OutOfTime`: then it may not be sent."""
        intent = Intent(
            arguments=write.arguments,
            before=before.to_json() if before else None,
            beside=None if before else [deployment.id for deployment in beside],
            confirmed_by=self.agreed,
            account=self.client.account().mark,
        )
        try:
            await self.attempt.intend(intent)
        except AuditLogUnwritable:
            if not self.must_fill:
                raise
        must_go_on = self.must_finish and self.attempt.call and self.attempt.call.has_sent
        if self.stop.has_begun.is_set() and not must_go_on:  # while the disk was at it
            raise OutOfTime("The server is stopping.", next_step="Call again once it is back.")
        self.attempt.is_sent = self.attempt.is_in_doubt = True

    def changed(self, flow_version_id: str, *states: Deployment | None) -> None:
        """Have subscribers told of it, once the audit log has the attempt's line."""
        self.attempt.then(partial(self.tell, flow_version_id, *states))

    async def step(self, write: Write, act: Callable[["Acting"], Awaitable[WriteResult]]) -> WriteResult:
        """Make one of the several writes of a call, and record it as soon as it is over, whatever ends it.

        The log calls it by its write's name: `delete`. An error of our own ends it, and not the call, which alone can
        say what became of the others, or bring back what is gone.
        """
        told = {name: value for name, value in write.arguments.items() if value != ""}  # an id that nobody knows
        step = self.attempt.step(write.name.removesuffix("_deployment"), {**told, "reason": self.reason})
        try:
            result = await act(replace(self, attempt=step))
        except AuditLogUnwritable as error:
            result = WriteResult(status="refused", message=error.said(is_read=True))
        except DeploymentsError as error:
            result = WriteResult(status="failed", message=error.said(is_read=True))
        except Exception as error:  # what was sent must be told
            logger.exception("%s", step.tool)
            self.attempt.trouble = crash(error)
            result = self._broken_off(step, self.attempt.trouble)
        except BaseException:
            if step.is_sent:
                await step.end(self._broken_off(step, "It was called off, or the server stopped.").record())
            raise
        await step.end(result.record())
        for unrecorded in step.unrecorded.values():
            self.attempt.trouble = unrecorded.what
        return result

    @staticmethod
    def _broken_off(step: Attempt, why: str) -> WriteResult:
        if step.is_in_doubt:
            return WriteResult(status="unknown", message=f"{why} It was sent, and whether it was done is not known.")
        fate = "What was sent had been refused." if step.is_sent else "It was not sent."
        return WriteResult(status="failed", message=f"{why} {fate}")
