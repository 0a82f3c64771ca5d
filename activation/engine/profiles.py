"""Names a profile in Redis: the key layout, the rules its parts follow, digest and checksum of a suppressed key.

The layout is that of the hosted product: nothing is escaped, so a value may hold colons, braces and any other
character, and a key is always looked up whole, never parsed.
"""

import hashlib
import hmac
import re
import zlib

from projects.warehouses.port import BLANKS

RESERVED_ENTITY = "_activation"  # the loader's own keys live under this name
MAX_ID_CHARACTERS = 100
NORMALISATIONS = ("trim", "lower")

_ADOPTED_ID = re.compile(r"[^\s:]{1,100}")
_TO_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class NameRefused(Exception):
    """A name cannot be part of a key; the message says which rule it breaks."""


def prefix(workspace_id: str, destination_id: str, entity: str, id_type: str) -> str:
    """Return the text before the id's value in the keys of an entity's id type, with the closing colon."""
    return f"{workspace_id}:{destination_id}:{entity}:{id_type}:"


def key(workspace_id: str, destination_id: str, entity: str, id_type: str, value: str) -> str:
    """Return the Redis key of a profile: `{workspaceId}:{destinationId}:{entity}:{idType}:{idValue}`."""
    return prefix(workspace_id, destination_id, entity, id_type) + value


def check_adopted_id(text: str) -> str:
    """Return an adopted workspace or destination id as it is: 1 to 100 characters without blanks or colons.

    Raises:
        NameRefused: it breaks that rule.

    """
    if _ADOPTED_ID.fullmatch(text) is None or not text.isprintable():
        raise NameRefused("An id has 1 to 100 characters and neither blanks nor colons.")
    return text


def check_entity(name: str) -> str:
    """Return an entity's name as it is: not blank, and not the name under which the loader keeps its own keys.

    Raises:
        NameRefused: it breaks that rule.

    """
    if not name.strip():
        raise NameRefused("An entity needs a name.")
    if name == RESERVED_ENTITY:
        raise NameRefused(f"No entity may be called {RESERVED_ENTITY}: this name is kept for the sync's own keys.")
    return name


def normalise(value: str, steps: tuple[str, ...]) -> str:
    """Return an id's value normalised exactly as a warehouse does it (`Dialect.normalise`): ASCII only.

    Raises:
        ValueError: a step is none of `NORMALISATIONS`.

    """
    for step in steps:
        if step not in NORMALISATIONS:
            raise ValueError(f"an id cannot be normalised by {step!r}")
        value = value.strip(BLANKS) if step == "trim" else value.translate(_TO_LOWER)
    return value


def suppression_digest(secret: bytes, key: str) -> str:
    """Return the digest under which a suppressed key is known: 64 hex characters.

    A keyed digest in the manner of HMAC, but of hex texts: `sha256(hex(secret) + sha256(hex(secret) + key))`. The outer
    pass keeps the inner state from being extended; without the secret a leaked table of digests cannot be tried
    against e-mails.
    """
    secret_text = secret.hex()
    inner = hashlib.sha256((secret_text + key).encode()).hexdigest()
    return hashlib.sha256((secret_text + inner).encode()).hexdigest()


def key_checksum(key: str) -> int:
    """Return the CRC-32 of a key: 32 bits that tell most keys apart at a tenth of the digest's cost."""
    return zlib.crc32(key.encode())


def sealed_checksum(secret: bytes, digest: str, checksum: int) -> int:
    """Seal the checksum of a suppressed key for storage; the same call with a sealed one opens it.

    A checksum as it is could be tried against e-mails without any secret. Under a mask that only the secret's holder
    can make, and no two digests share, it tells as little as the digest.
    """
    mask = hmac.digest(secret, f"checksum\0{digest}".encode(), "sha256")
    return checksum ^ int.from_bytes(mask[:4], "big")
