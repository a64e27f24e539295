"""Static bearer tokens from a file, each with scopes; the file holds their hashes."""

import hashlib
import logging
from pathlib import Path

from mcp.server.auth.provider import AccessToken

from patchworks_deployments.caller import READ_SCOPE, WRITE_SCOPE
from patchworks_deployments.errors import SettingsError

logger = logging.getLogger(__name__)


def hash_token(token: str) -> str:
    """What the file holds of a token. Tokens are long and random, so a plain digest is enough."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


Holders = dict[str, tuple[str, list[str]]]
"""Name and scopes by the token's hash."""


class StaticTokens:
    """Bearer tokens from a file: one line each, `name scope,scope sha256:digest`; `#` starts a comment.

    A changed file counts from the next request on. While what it holds is not right, the last right one counts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._holders = _read_holders(path)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The holder of the token, or None."""
        self._follow_file()
        holder = self._holders.get(hash_token(token))
        if holder is None:
            return None
        name, scopes = holder
        return AccessToken(token="", client_id=name, subject=name, scopes=scopes)

    def _follow_file(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._holders = _read_holders(self._path)
        except SettingsError as error:
            logger.error("%s The tokens that were read before still count.", error)  # noqa: TRY400 - the traceback says no more


def _version(path: Path) -> tuple[int, ...]:
    """Differs when the file was changed or replaced; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_holders(path: Path) -> Holders:
    """Raises `SettingsError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"PATCHWORKS_TOKENS_FILE cannot be read: {type(error).__name__}.") from None
    texts = [(number, line.partition("#")[0].split()) for number, line in enumerate(lines, 1)]
    holders = dict(_holder(number, parts) for number, parts in texts if parts)
    if not holders:
        raise SettingsError("PATCHWORKS_TOKENS_FILE holds no token. Make one with the command `token NAME`.")
    return holders


def _holder(number: int, parts: list[str]) -> tuple[str, tuple[str, list[str]]]:
    digest = parts[-1].removeprefix("sha256:")
    is_digest = len(digest) == 64 and all(c in "0123456789abcdef" for c in digest)  # noqa: PLR2004 - SHA-256 in hex
    scopes = parts[1].split(",") if len(parts) == 3 else []  # noqa: PLR2004 - name, scopes, digest
    if not is_digest or not scopes or set(scopes) - {READ_SCOPE, WRITE_SCOPE}:
        raise SettingsError(
            f"PATCHWORKS_TOKENS_FILE, line {number}: must be `name {READ_SCOPE},{WRITE_SCOPE} sha256:...`."
        )
    return "sha256:" + digest, (parts[0], scopes)
