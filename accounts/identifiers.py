"""Public ids: 27-character KSUIDs (https://github.com/segmentio/ksuid), the same shape as the hosted product's.

A KSUID is 4 bytes of seconds since 2014-05-13T16:53:20Z and 16 random bytes, written as 27 base62 characters; it
sorts by the second it was made in and needs no coordination between processes.
"""

import secrets
import time

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KSUID_LENGTH = 27
_KSUID_EPOCH = 1_400_000_000
_PAYLOAD_BYTES = 16


def base62(data: bytes, *, length: int) -> str:
    """Write `data`, read as one big-endian number, as exactly `length` base62 characters.

    Raises `ValueError` when the number does not fit.
    """
    number = int.from_bytes(data)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    if number:
        message = f"{len(data)} bytes do not fit in {length} base62 characters"
        raise ValueError(message)
    return "".join(reversed(digits))


def new_public_id() -> str:
    """Make a fresh 27-character KSUID."""
    seconds = int(time.time()) - _KSUID_EPOCH
    return base62(seconds.to_bytes(4) + secrets.token_bytes(_PAYLOAD_BYTES), length=KSUID_LENGTH)
