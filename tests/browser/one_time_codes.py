"""The codes an authenticator app shows (RFC 6238), by an implementation of its own."""

import base64
import hashlib
import hmac
import struct
import time

PERIOD, TYPING = 30, 5.0


def code(secret: str) -> str:
    """Return the present code of a key, once it is good for some seconds more: typing it takes a moment."""
    left = PERIOD - time.time() % PERIOD
    if left < TYPING:
        time.sleep(left)
    return _code(secret)


def _code(secret: str) -> str:
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // PERIOD), hashlib.sha1)
    offset = digest[-1] & 0x0F
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 10**6:06}"
