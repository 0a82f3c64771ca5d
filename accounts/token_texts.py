"""The text of a personal access token: `actv_<12 public>_<43 secret><6 checksum>`, all base62.

The prefix lets secret scanners recognise it, the public part finds its row, the secret is 32 random bytes, and the
checksum (CRC32 of everything before it) tells a mistyped or invented text apart without asking the database. The
format is fixed: tokens that people hold must go on working.
"""

import re
import secrets
import zlib
from dataclasses import dataclass, field

from accounts.identifiers import BASE62, base62

PREFIX = "actv"
PUBLIC_LENGTH = 12
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
_SECRET_BYTES = 32
_SHAPE = re.compile(
    rf"(?P<covered>{PREFIX}_(?P<public>[0-9A-Za-z]{{{PUBLIC_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


class TokenMalformed(Exception):
    """The text is not one that `make` can have made. Carries nothing of it."""


@dataclass(frozen=True)
class TokenText:
    """A token's whole text and the part of it that may be shown and stored."""

    public_part: str
    text: str = field(repr=False)


def make(public_part: str | None = None) -> TokenText:
    """Make a fresh token text, or another secret for the token of a public part."""
    public_part = public_part or "".join(secrets.choice(BASE62) for _ in range(PUBLIC_LENGTH))
    secret = base62(secrets.token_bytes(_SECRET_BYTES), length=SECRET_LENGTH)
    covered = f"{PREFIX}_{public_part}_{secret}"
    return TokenText(public_part=public_part, text=covered + _checksum(covered))


def public_part(text: str) -> str:
    """Return the 12 characters that name the token.

    Raises `TokenMalformed` when the shape or the checksum is wrong.
    """
    match = _SHAPE.fullmatch(text)
    if match is None or match["checksum"] != _checksum(match["covered"]):
        raise TokenMalformed
    return match["public"]


def _checksum(covered: str) -> str:
    return base62(zlib.crc32(covered.encode()).to_bytes(4), length=CHECKSUM_LENGTH)
