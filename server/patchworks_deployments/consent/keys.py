"""The keys that seal codes and questions."""

import secrets

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from patchworks_deployments.settings import Settings
from patchworks_deployments.settings.keys import MIN_STATE_KEY_BYTES

_INFO = b"patchworks-deployments/keys/v1"
"""What a key is for: made of the same secret for anything else, it would be another one."""


def key_ring(settings: Settings) -> list[bytes]:
    """The keys of this server: the first one seals, and all are accepted.

    Without keys in the settings there is one: made of the API key or the bearer token, so that every process of the
    same account has it, or where there is no such secret, by chance, so that it ends with this process.

    One ring is enough for codes and questions: of each key the SDK makes one of its own, so that neither is ever taken
    for the other.
    """
    # Nothing is made beside the keys that are set: whoever takes one of them away wants its codes to be worthless.
    if settings.state_keys:
        return [key.get_secret_value().encode() for key in settings.state_keys]
    if settings.shared_secret:
        made = HKDF(algorithm=SHA256(), length=MIN_STATE_KEY_BYTES, salt=None, info=_INFO)
        return [made.derive(settings.shared_secret.get_secret_value().encode())]
    return [secrets.token_bytes(MIN_STATE_KEY_BYTES)]
