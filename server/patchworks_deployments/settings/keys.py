"""What the keys are made of that seal codes and questions."""

from pydantic import SecretStr

SANDBOX_KEY = "sandbox-key"
"""What the sandbox takes as its API key; no secret, as it opens nothing else."""

MIN_STATE_KEY_BYTES = 32
"""Bytes; the SDK asks the same of the keys that seal its request state."""

MIN_SECRET_CHARACTERS = 20
"""Characters of a secret of which a key may be made. Whoever sees a code could try secrets until one makes it: twenty
characters have 80 bits even if all are hexadecimal digits, as many as the code itself, so there is nothing to gain."""

NO_SHARED_KEY = (
    "several workers need PATCHWORKS_STATE_KEYS, unless there is an API key or a bearer token of at least "
    f"{MIN_SECRET_CHARACTERS} characters, of which each makes the same key: without one none can finish what another "
    'began. Make one with: python -c "import secrets; print(secrets.token_hex(32))"'
)


def long_enough(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Raises `ValueError` for a key that is too short to seal anything."""
    if any(len(key.get_secret_value().encode()) < MIN_STATE_KEY_BYTES for key in keys):
        raise ValueError(f"each key must have at least {MIN_STATE_KEY_BYTES} bytes")
    return keys


def can_make_a_key(secret: SecretStr) -> bool:
    """Whether a key that is made of it gives nothing away: it is too long to be guessed, or public anyway."""
    value = secret.get_secret_value()
    return len(value) >= MIN_SECRET_CHARACTERS or value == SANDBOX_KEY
