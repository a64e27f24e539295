"""Short codes for clients that cannot ask: each proves that its preview was seen."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from patchworks_deployments.writes.plan import AnyPlan

Audience: TypeAlias = Literal["model", "page"]
"""Who gets a code and may use it, where the other cannot: the model, or the page that a host shows to a person."""

CODE_SECONDS = 600
"""Seconds for which a confirmation code is good; the SDK's own request state lives as long."""

MAC_CHARACTERS, MARK_CHARACTERS = 16, 4
"""Characters of five bits each: 80 bits say what a code is good for, and 20 that this server made it."""

_CODE = re.compile(
    # Around it stands what cannot be mistaken: quotes, spaces, a dot, and the name of the argument.
    r"[\W_]*(?:(?:confirmation[\W_]*)?code[\W_]+)?"
    # Its expiry: seconds since the epoch in hexadecimal digits, eight of them until 2106.
    rf"([0-9a-f]{{8}})-([a-z2-7]{{{MAC_CHARACTERS}}})([a-z2-7]{{{MARK_CHARACTERS}}})[\W_]*"
)

FOREIGN = "That code is not from this server, or it was mistyped."
FOREIGN_SINCE_START = (
    f"{FOREIGN} This server takes only codes that it has made since its start. Where it is started anew for each call, "
    "or several serve the same people, a person has to set PATCHWORKS_STATE_KEYS."
)
EXPIRED = f"That code has expired: it was good for {CODE_SECONDS // 60} minutes."
USED = "That code is void: since it was given, this very change was tried, or a person has declined it."
OTHER = "That code was issued for something else: other arguments, another state, another caller or another account."


class Codes:
    """Short codes that prove a preview was seen: an HMAC over all that the write would do and rest on.

    Nothing is kept of them: a code is void once its write was carried out, because `Plan.times_done` is part of it.
    `foreign` is what is said of a code that none of the keys has made.
    """

    def __init__(
        self, keys: Sequence[bytes], server: str, clock: Callable[[], float] = time.time, foreign: str = FOREIGN
    ) -> None:
        self._keys = keys
        self._server = server
        self._clock = clock
        self._foreign = foreign

    def issue(self, plan: AnyPlan, account: str, caller: str, audience: Audience = "model") -> str:
        """A code for exactly this change by this caller in this account, good for `CODE_SECONDS` seconds."""
        stamp = f"{int(self._clock()) + CODE_SECONDS:x}"
        mac = _mac(self._keys[0], f"{stamp} {plan.times_done} {self._told(plan, account, caller, audience)}")
        return f"{stamp}-{mac}{_mark(self._keys[0], stamp, mac)}"

    def why_not(self, code: str, plan: AnyPlan, account: str, caller: str, audience: Audience = "model") -> str | None:
        """Why the code is not good for this change, in a sentence; None where it is good.

        It helps nobody to make one: whoever hits the mark by chance hears another reason, and is as far from the rest.
        """
        found = _CODE.fullmatch(code.lower())
        if not found:
            return self._foreign
        stamp, mac, mark = found.groups()
        if not any(_is_same(_mark(key, stamp, mac), mark) for key in self._keys):
            return self._foreign
        if int(stamp, 16) <= int(self._clock()):
            return EXPIRED
        told = self._told(plan, account, caller, audience)
        for times in range(plan.times_done, -1, -1):
            if any(_is_same(_mac(key, f"{stamp} {times} {told}"), mac) for key in self._keys):
                return None if times == plan.times_done else USED
        return OTHER

    def _told(self, plan: AnyPlan, account: str, caller: str, audience: Audience) -> str:
        told = [self._server, audience, account, caller, plan.write.name, plan.write.arguments, plan.fingerprint]
        return json.dumps(told, sort_keys=True)


def _mac(key: bytes, told: str, characters: int = MAC_CHARACTERS) -> str:
    digest = hmac.new(key, told.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().lower()[:characters]


def _mark(key: bytes, stamp: str, mac: str) -> str:
    """What shows that the rest of a code was made with the key."""
    return _mac(key, f"{stamp} {mac}", MARK_CHARACTERS)


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
