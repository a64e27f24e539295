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

    Stateless but for one thing: a code that was used is remembered until it expires, so that a state which
    comes back cannot be acted on twice.
    """

    def __init__(self, keys: Sequence[bytes], server: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = list(keys) or [secrets.token_bytes(32)]
        self._server = server
        self._clock = clock
        self._used: dict[str, int] = {}

    def issue(self, plan: AnyPlan, caller: str) -> str:
        """A code for exactly this change by this caller, good for `CODE_SECONDS` seconds."""
        expiry = int(self._clock()) + CODE_SECONDS
        return f"{expiry:x}-{self._mac(self._keys[0], plan, caller, expiry)}"

    def redeem(self, code: str, plan: AnyPlan, caller: str) -> bool:
        """Whether the code is good for this change; it is used up by that."""
        stamp, _, mac = code.strip().lower().partition("-")
        expiry = int(stamp, 16) if _STAMP.fullmatch(stamp) else 0
        now = int(self._clock())
        self._used = {used: until for used, until in self._used.items() if until > now}
        genuine = [
            hmac.compare_digest(self._mac(key, plan, caller, expiry).encode(), mac.encode()) for key in self._keys
        ]
        if not any(genuine) or expiry <= now or mac in self._used:
            return False
        self._used[mac] = expiry
        return True

    def _mac(self, key: bytes, plan: AnyPlan, caller: str, expiry: int) -> str:
        bound = [self._server, caller, plan.write.name, plan.write.arguments, plan.fingerprint, expiry]
        digest = hmac.new(key, json.dumps(bound, sort_keys=True).encode(), hashlib.sha256).digest()
        return base64.b32encode(digest[:10]).decode().lower()
