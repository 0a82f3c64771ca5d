"""Redis Cluster's hash slots (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""

import binascii
from functools import cache, lru_cache
from itertools import count

SLOTS = 16_384
TAGS = 256


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key: CRC16 (XMODEM) of it, or of its first non-empty {hash tag}."""
    data = key.encode() if isinstance(key, str) else key
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return binascii.crc_hqx(data, 0) % SLOTS


@cache
def spaced_tags() -> tuple[str, ...]:
    """Return 256 short texts, the first of which falls in slot 0, the next in slot 64, and so on: those of `tag_of`.

    Whatever slots a primary owns, a tag among these falls in one of them unless it owns fewer than 64 in a row; for
    such a primary `tag_of` makes one. The texts are part of key names: the same in every release. The first call takes
    a seventh of a second.
    """
    spacing = SLOTS // TAGS
    found: dict[int, str] = {}
    number = 0
    while len(found) < TAGS:
        text = format(number, "x")
        slot = slot_of(text)
        if slot % spacing == 0:
            found.setdefault(slot, text)
        number += 1
    return tuple(found[slot] for slot in sorted(found))


@lru_cache(maxsize=1_024)
def tag_of(slot: int) -> str:
    """Return a short text that falls in a slot, the same in every release; takes some milliseconds the first time."""
    return next(text for number in count() if slot_of(text := format(number, "x")) == slot)
