"""The faults of the matrix: what each is called, and how it strikes at the k-th request of a case."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from patchworks_deployments.settings import Settings
from support.faults import Acted, Answered, Late, Step, Which, delay, every, list_of_version, listing, reply, single
from support.matrix import answers
from support.matrix.answers import ACCEPTED, EMPTY, HTML, NO_PAGE, NO_ROUTE, NULL, REFUSALS, dripping, throttled
from support.matrix.stage import LOGIN_PATH, MEDDLINGS, Stage, deploys_the_same

TIMEOUT: float = Settings.model_fields["timeout"].default
"""Seconds after which the server gives up on an answer."""


@dataclass(frozen=True)
class MatrixFault:
    """One column of the matrix.

    `acts` is one that makes a difference only at a write. After one that `passes`, an honest answer can be had within
    some five seconds. `is_login` needs a server that logs in, `is_of_update` an update. `seconds` is how long a slow
    server takes for each answer.
    """

    name: str
    strike: Callable[[Stage, int], object]
    acts: bool = False
    passes: bool = True
    is_login: bool = False
    throttles: bool = False
    is_of_update: bool = False
    seconds: float = 0.0


def _once(name: str, step: Step, **more: bool) -> MatrixFault:
    return _staged(name, lambda _: step, **more)


def _staged(name: str, step: Callable[[Stage], Step], **more: bool) -> MatrixFault:
    """One whose step depends on what is played."""

    def strike(stage: Stage, k: int) -> None:
        stage.upstream.on(stage.is_nth(k), step(stage))

    return MatrixFault(name, strike, **more)


def _for_ever(name: str, step: Step, **more: bool) -> MatrixFault:
    return MatrixFault(f"{name} for ever", _from_then_on(step), passes=False, **more)


def _slow(seconds: int) -> MatrixFault:
    return MatrixFault(f"{seconds} s slow for ever", _from_then_on(delay(seconds)), seconds=seconds)


def _from_then_on(step: Step) -> Callable[[Stage, int], object]:
    return lambda stage, k: stage.upstream.always(stage.is_from_nth(k), step)


# Somebody else ------------------------------------------------------------------------------------


def _meddled(name: str, do: Callable[[Stage], None]) -> tuple[MatrixFault, MatrixFault]:
    def meddling(stage: Stage) -> Callable[[httpx2.Request], None]:
        return lambda _: stage.meddle(do)

    return (
        _staged(f"somebody {name} before", meddling),
        _staged(f"somebody {name} after", lambda stage: Acted(meddling(stage))),
    )


def _instead(stage: Stage) -> Step:
    """The request is swallowed, and somebody else does what it was to do."""

    def strike(request: httpx2.Request) -> None:
        stage.meddle(deploys_the_same)
        raise httpx2.ReadTimeout("injected", request=request)

    return strike


# The network --------------------------------------------------------------------------------------


def _refused(seconds: float, name: str, *, hangs: bool = False) -> MatrixFault:
    def strike(stage: Stage, k: int) -> None:
        if k == 1:
            stage.front.refuse(seconds, hangs=hangs)
        stage.upstream.before(stage.is_nth(k - 1), lambda _: stage.front.refuse(seconds, hangs=hangs))

    return MatrixFault(name, strike, passes=seconds < math.inf)


def _hanging_login(name: str, logins: float) -> MatrixFault:
    """The token is good no more, and so many logins are not answered."""

    def strike(stage: Stage, k: int) -> None:
        left = logins

        def hangs(request: httpx2.Request) -> bool:
            nonlocal left
            is_login = request.url.path == LOGIN_PATH and stage.number >= k
            left -= is_login
            return is_login and left >= 0

        stage.upstream.on(stage.is_nth(k), lambda _: stage.sandbox.revoke_tokens()).always(hangs, httpx2.ReadTimeout)

    return MatrixFault(name, strike, passes=logins < math.inf, is_login=True)


def _stale(
    name: str, reads: float = math.inf, seconds: float = math.inf, *, of: Which = every, passes: bool = True
) -> MatrixFault:
    def strike(stage: Stage, k: int) -> None:
        stage.upstream.lag(stage.is_nth(k), of=of, reads=reads, seconds=seconds)

    return MatrixFault(name, strike, acts=True, passes=passes)


def _half(stage: Stage) -> Step:
    """Of an update only the queue priority takes."""

    def halve(request: httpx2.Request) -> None:
        if not request.content:
            return
        fields = httpx2.Response(200, content=request.content).json()
        fields.pop("virtual_environment_id", None)
        halved = httpx2.Request(request.method, request.url, json=fields)
        request.stream = halved.stream

    del stage
    return halve


ONCE: tuple[MatrixFault, ...] = (
    _refused(1, "refused"),
    # So long that no repetition of the client's machine, after 1 and 3 s, would connect before it gives up after 5 s.
    _refused(4, "connect hangs", hangs=True),
    _once("reset", httpx2.ReadError),
    _once("swallowed", httpx2.ReadTimeout),
    _once("429", throttled(), throttles=True),
    _once("429 after 1", throttled(1), throttles=True),
    _once("429 after 60", throttled(60), passes=False, throttles=True),
    *(_once(str(status), reply(status)) for status in (500, 502, 503, 504)),
    _once("HTML", HTML),
    _once("null", NULL),
    _once("empty", EMPTY),
    _once("accepted", ACCEPTED),
    _staged("another", answers.FOREIGN),
    _staged("neighbour", answers.NEIGHBOUR),
    *(_once(str(status), reply(status, REFUSALS[status]), passes=False) for status in (401, 403)),
    _once("gateway 404", NO_ROUTE),
    _once("HTML 404", NO_PAGE),
    _once("cut", Answered(answers.cut)),
    _once("broken off", Answered(answers.broken_off)),
    _once("drips 3 s", dripping(3)),
    _once("never ends", dripping(math.inf)),
    _once("bomb", Answered(answers.bomb)),
    _staged("token revoked", lambda s: lambda _: s.sandbox.revoke_tokens(), is_login=True),
    _hanging_login("login hangs", 1),
    *(fault for name, do in MEDDLINGS.items() for fault in _meddled(name, do)),
)

AT_WRITES: tuple[MatrixFault, ...] = (
    _once("reset after acting", Acted(httpx2.ReadError), acts=True),
    _once("lost", Acted(httpx2.ReadTimeout), acts=True),
    *(_once(f"{seconds} s late", Late(TIMEOUT + seconds, httpx2.ReadTimeout), acts=True) for seconds in (1, 3, 20)),
    _once("reset, 2 s late", Late(2, httpx2.ReadError), acts=True),
    _once("reset, 20 s late", Late(20, httpx2.ReadError), acts=True),
    _once("504, 2 s late", Late(2, reply(504)), acts=True),
    _once("504, 20 s late", Late(20, reply(504)), acts=True),
    *(_once(f"{status} after acting", Acted(reply(status)), acts=True) for status in (500, 502, 503, 504)),
    _once("HTML after acting", Acted(HTML), acts=True),
    _once("null after acting", Acted(NULL), acts=True),
    _once("empty after acting", Acted(EMPTY), acts=True),
    _staged("another after acting", answers.acted(answers.FOREIGN), acts=True),
    _staged("neighbour after acting", answers.acted(answers.NEIGHBOUR), acts=True),
    _once("gateway 404 after acting", Acted(NO_ROUTE), acts=True),
    _once("HTML 404 after acting", Acted(NO_PAGE), acts=True),
    *(_once(str(status), reply(status, REFUSALS[status]), acts=True) for status in (409, 422)),
    *(_stale(f"stale {reads} reads", reads=reads) for reads in (1, 2, 3)),
    _stale("stale 4 s", seconds=4),
    _stale("stale 30 s", seconds=30, passes=False),
    *(
        _stale(f"stale {name} {seconds} s", seconds=seconds, of=of, passes=seconds < 5)
        for name, of in {"listing": listing, "version's list": list_of_version, "record": single}.items()
        for seconds in (4, 30)
    ),
    _staged("swallowed, and somebody deploys the same", _instead, acts=True),
    _staged("half", _half, acts=True, is_of_update=True),
)

FOR_EVER: tuple[MatrixFault, ...] = (
    _refused(math.inf, "refused for ever"),
    _refused(math.inf, "connect hangs for ever", hangs=True),
    _hanging_login("login hangs for ever", math.inf),
    _slow(3),
    _slow(7),
    *(_for_ever(f"no {what}", answers.without(*fields)) for what, fields in answers.UNTOLD.items()),
    _for_ever("reset", httpx2.ReadError),
    _for_ever("swallowed", httpx2.ReadTimeout),
    _for_ever("429", throttled(), throttles=True),
    _for_ever("429 after 30", throttled(30), throttles=True),
    *(_for_ever(str(status), reply(status)) for status in (500, 503)),
    _for_ever("HTML", HTML),
    _for_ever("null", NULL),
    _for_ever("empty", EMPTY),
    _for_ever("accepted", ACCEPTED),
    *(_for_ever(str(status), reply(status, REFUSALS[status])) for status in (401, 403)),
    _for_ever("gateway 404", NO_ROUTE),
    _for_ever("HTML 404", NO_PAGE),
    _for_ever("lost", Acted(httpx2.ReadTimeout)),
    _for_ever("never ends", dripping(math.inf)),
)

FAULTS = {fault.name: fault for fault in (*ONCE, *AT_WRITES, *FOR_EVER)}
assert len(FAULTS) == len(ONCE) + len(AT_WRITES) + len(FOR_EVER), "each fault has a name of its own"
