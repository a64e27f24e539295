"""Which cases there are: each write, in each era and way of consent, with each fault at each of its requests."""

import random
from collections.abc import Iterator, Sequence
from functools import cache

from support.clients import ERAS
from support.matrix.faults import AT_WRITES, FOR_EVER, ONCE, MatrixFault
from support.matrix.play import Case, Consent, requests_of
from support.matrix.writes import WRITES

CONSENTS: Sequence[Consent] = ("form", "code")


def clean_cases() -> Iterator[Case]:
    """Each write without a fault; where nobody is asked, and of variants, there is one way of consent."""
    for write in WRITES:
        for era in ERAS:
            for consent in CONSENTS if write.asks and not write.is_variant else CONSENTS[:1]:
                yield Case(write, era, consent)


def single_faults() -> Iterator[Case]:
    """Each fault at each request of each write."""
    for clean in clean_cases():
        for fault, k in _strikes(clean):
            yield Case(clean.write, clean.era, clean.consent, ((k, fault),))


def pairs(number: int, seed: int) -> Iterator[Case]:
    """So many of the cases with two faults, drawn by the seed; half of them strike a write first."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    clean = list(clean_cases())
    for _ in range(number):
        one = chance.choice(clean)
        strikes = _strikes(one)
        at_writes = [strike for strike in strikes if strike[0].acts]
        first = chance.choice(at_writes if chance.random() < 1 / 2 else strikes)
        # The requests that read back and read again come after those of the clean run.
        later = [strike for strike in strikes if first[1] <= strike[1] <= first[1] + 2]
        second, k = chance.choice(later)
        yield Case(one.write, one.era, one.consent, ((first[1], first[0]), (k + chance.choice((0, 0, 1)), second)))


def _strikes(clean: Case) -> list[tuple[MatrixFault, int]]:
    """The faults that make a difference to this write, each with each request that it can strike."""
    methods = _methods(clean)
    return [
        (fault, k)
        for k, method in enumerate(methods, 1)
        for fault in (*ONCE, *AT_WRITES, *FOR_EVER)
        if (method != "GET" or not fault.acts) and (clean.write.tool == "update_deployment" or not fault.is_of_update)
    ]


@cache
def _methods(clean: Case) -> Sequence[str]:
    return requests_of(clean)


def sample(number: int, seed: int) -> list[Case]:
    """So many cases, of each write about as many, a third of them with two faults."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    singles = list(single_faults())
    by_write = [[case for case in singles if case.write is write] for write in WRITES]
    share = number * 2 // 3 // len(WRITES)
    chosen = [case for cases in by_write for case in chance.sample(cases, share)]
    return [*chosen, *pairs(number - len(chosen), seed)]
