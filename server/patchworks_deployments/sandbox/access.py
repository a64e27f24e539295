"""Who may do what, and how often: API keys, login tokens, and the request limit."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil

from patchworks_deployments.sandbox.refusals import Refusal, invalid

API_KEY = "sandbox-key"
"""May do everything. Sent raw in `Authorization`, without a scheme."""

READ_ONLY_KEY = "sandbox-read-only-key"
"""May only read."""

USERNAME = "operator@example.com"
PASSWORD = "sandbox-password"  # noqa: S105 - opens nothing but the sandbox

TOKEN_LIFETIME = timedelta(days=1)
WINDOW = timedelta(minutes=1)

Clock = Callable[[], datetime]


class Access:
    """The keys and the login tokens that are valid now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued = 0
        self._expiry: dict[str, datetime] = {}

    def check(self, authorization: str | None, *, write: bool) -> None:
        """Raise the 401 or 403 that these credentials deserve."""
        if authorization == READ_ONLY_KEY:
            if write:
                raise Refusal(HTTPStatus.FORBIDDEN, "This API key may only read.")
        elif authorization != API_KEY and not self._is_valid_token(authorization):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "Unauthenticated.")

    def log_in(self, credentials: Mapping[str, object]) -> dict[str, object]:
        """Issue a token. The user name is taken as `username` or as `email`, as the documentation names both."""
        user = credentials.get("username") or credentials.get("email")
        password = credentials.get("password")
        given = {"username": user, "password": password}
        if missing := [name for name, value in given.items() if not value]:
            raise invalid({name: [f"The {name} field is required."] for name in missing})
        if (user, password) != (USERNAME, PASSWORD):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "These credentials do not match our records.")
        self._issued += 1
        token = f"s3cr3t-token-{self._issued}"
        self._expiry[token] = self._clock() + TOKEN_LIFETIME
        return {"message": "Logged in.", "token": token, "expires_in": int(TOKEN_LIFETIME.total_seconds())}

    def revoke_tokens(self) -> None:
        """Forget every token issued so far."""
        self._expiry.clear()

    def _is_valid_token(self, authorization: str | None) -> bool:
        scheme, _, token = (authorization or "").partition(" ")
        expiry = self._expiry.get(token)
        return scheme.lower() == "bearer" and expiry is not None and self._clock() < expiry


class Throttle:
    """A number of requests for each minute, counted from the first one, as Laravel's limiter does."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._ends = clock()
        self._used = 0

    def admit(self) -> dict[str, str]:
        """Count one request and return the headers for its answer, or raise the 429."""
        now = self._clock()
        if now >= self._ends:
            self._ends, self._used = now + WINDOW, 0
        if self._used < self._limit:
            self._used += 1
            return self._counts()
        pause = {
            "Retry-After": str(ceil((self._ends - now).total_seconds())),
            "X-RateLimit-Reset": str(int(self._ends.timestamp())),
        }
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too Many Attempts.", headers=self._counts() | pause)

    def _counts(self) -> dict[str, str]:
        return {"X-RateLimit-Limit": str(self._limit), "X-RateLimit-Remaining": str(self._limit - self._used)}
