"""Secrets at rest and keyed digests, with key sets that are not `SECRET_KEY`.

Each key set is a mapping of version → 32 bytes, newest first, parsed by `config.settings` from the environment.
Nothing here logs, prints or raises a secret: a failure names the key version only.
"""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """A stored secret was encrypted with a key that `ENCRYPTION_KEYS` no longer holds."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be decrypted with the present ENCRYPTION_KEYS. "
            "Add the key it was encrypted with back to the list, or enter the secret again."
        )


def encrypt(text: str) -> str:
    """Encrypt `text` with the newest key of `ENCRYPTION_KEYS`; returns a Fernet token."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Decrypt what `encrypt` made, with whichever key of the set it was made with.

    Raises `SecretUnreadable`.
    """
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def newest_version(keys: dict[int, bytes]) -> int:
    """Return the version that new digests are made with: the first of the set."""
    return next(iter(keys))


def digest(key: bytes, text: str) -> bytes:
    """HMAC-SHA256 of `text`: 32 bytes."""
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _fernet() -> MultiFernet:
    keys: dict[int, bytes] = settings.ENCRYPTION_KEYS
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys.values()])
