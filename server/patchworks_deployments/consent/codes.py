"""Short codes for clients that cannot ask: each proves that its preview was seen."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Sequence

from patchworks_deployments.writes.plan import AnyPlan

CODE_SECONDS = 600
"""Seconds for which a confirmation code is good; the SDK's own request state lives as long."""

_STAMP = re.compile("[0-9a-f]{8}")
"""A code's expiry: seconds since the epoch in hexadecimal digits, eight of them until 2106."""


class Codes:
    """Short codes that prove a preview was seen: an HMAC over all that the write would do and rest on.

    Nothing is kept of them: a code is void once its write was carried out, because `Plan.times_done` is part of it.
    """

    def __init__(self, keys: Sequence[bytes], server: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = list(keys) or [secrets.token_bytes(32)]
        self._server = server
        self._clock = clock

    def issue(self, plan: AnyPlan, account: str, caller: str) -> str:
        """A code for exactly this change by this caller in this account, good for `CODE_SECONDS` seconds."""
        expiry = int(self._clock()) + CODE_SECONDS
        return f"{expiry:x}-{self._mac(self._keys[0], plan, (account, caller, expiry))}"

    def is_good(self, code: str, plan: AnyPlan, account: str, caller: str) -> bool:
        """Whether the code is for this change, and not too old."""
        stamp, _, mac = code.strip().lower().partition("-")
        expiry = int(stamp, 16) if _STAMP.fullmatch(stamp) else 0
        bound = account, caller, expiry
        genuine = [hmac.compare_digest(self._mac(key, plan, bound).encode(), mac.encode()) for key in self._keys]
        return any(genuine) and expiry > int(self._clock())

    def _mac(self, key: bytes, plan: AnyPlan, bound: tuple[str, str, int]) -> str:
        told = [self._server, *bound, plan.write.name, plan.write.arguments, plan.fingerprint, plan.times_done]
        digest = hmac.new(key, json.dumps(told, sort_keys=True).encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:10]).decode().lower()
