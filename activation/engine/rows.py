"""Rows on their way to Redis: already in its wire format, so that none of them becomes a Python object.

The encoder writes each row's key and value as Redis reads them (RESP bulk strings,
https://redis.io/docs/latest/develop/reference/protocol-spec/), one text per row in an Arrow array. Rows that follow
each other in the array follow each other in memory, so a chunk of a command is a slice of that memory.
"""

from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Self, TypeAlias
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from activation.engine.slots import SLOTS, slot_of

Text = str | bytes
Array: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, repr=False)
class Rows:
    """Rows of one source, by position.

    Shapes:
        ids: text, the key without `prefix`.
        packed: key and value as two bulk strings, or in an HSET of the field if they are `commands`; NULL where
            that field is to be removed.
    """

    prefix: str
    ids: Array
    packed: Array
    commands: bool = False

    @classmethod
    def of(cls, keys: Sequence[Text], values: Sequence[Text | None], *, field: str | None = None) -> Self:
        """Pack a handful of rows, as commands if a field is given; None means: remove the field."""
        before, between = (b"", b"") if field is None else hset(field)
        packed = [
            None if value is None else before + bulk(key) + between + bulk(value)
            for key, value in zip(keys, values, strict=True)
        ]
        texts = [key if isinstance(key, str) else key.decode() for key in keys]
        return cls("", pa.array(texts, pa.string()), pa.array(packed, pa.binary()), commands=field is not None)

    @classmethod
    def gone(cls, prefix: str, ids: Array) -> Self:
        """Return rows whose field is to be removed."""
        return cls(prefix, ids.cast(pa.string()), pa.nulls(len(ids), pa.binary()))

    def __len__(self) -> int:
        return len(self.ids)

    def id(self, position: int) -> str:
        """Return a row's id."""
        text: str = self.ids[position].as_py()
        return text

    def key(self, position: int) -> str:
        """Return a row's key."""
        return self.prefix + self.id(position)

    def keys(self) -> list[str]:
        """Return every row's key."""
        return [self.prefix + text for text in self.ids.to_pylist()]

    def slice(self, start: int, count: int) -> "Rows":
        """Return the rows from a position on, without copying any."""
        return replace(self, ids=self.ids.slice(start, count), packed=self.packed.slice(start, count))

    def joined(self) -> "Rows":
        """Return the same rows, all of them one after the other in memory: what taking some of them does each time."""
        if not isinstance(self.packed, pa.ChunkedArray):
            return self
        return replace(self, ids=self.ids.combine_chunks(), packed=self.packed.combine_chunks())

    def take(self, positions: Sequence[int]) -> "Rows":
        """Return the rows at some positions, in ascending order, one after the other in memory."""
        if len(positions) == len(self):
            return self
        places = pa.array(positions, pa.int32())
        return replace(self, ids=self.ids.take(places), packed=self.packed.take(places))

    def removing(self, positions: Sequence[int]) -> "Rows":
        """Return the same rows, with those at some positions to be removed."""
        if not positions:
            return self
        gone = marked(len(self), positions)
        return replace(self, packed=pc.if_else(gone, pa.scalar(None, self.packed.type), self.packed))

    def split(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the positions of rows to write and of rows to remove."""
        if not self.packed.null_count:
            return range(len(self)), ()
        valid = self.packed.is_valid().to_pylist()
        return [n for n, there in enumerate(valid) if there], [n for n, there in enumerate(valid) if not there]

    def larger_than(self, size: int) -> list[int]:
        """Return the positions of rows that are larger than `size` bytes."""
        sizes = pc.binary_length(self.packed)
        largest = pc.max(sizes).as_py()
        if largest is None or largest <= size:
            return []
        return [position for position, found in enumerate(sizes.to_pylist()) if found is not None and found > size]

    def checksums(self) -> list[int]:
        """Return each key's checksum (`activation.engine.profiles.key_checksum`)."""
        ids: list[bytes] = self.ids.cast(pa.binary()).to_pylist()
        start = crc32(self.prefix.encode())  # CRC-32 goes on where it stopped, so the prefix counts once
        return list(map(crc32, ids, repeat(start)))

    def slots(self) -> Iterator[int]:
        """Yield each key's slot in a cluster (`activation.engine.slots`)."""
        prefix = self.prefix.encode()
        ids: list[bytes] = self.ids.cast(pa.binary()).to_pylist()
        if b"{" in prefix:
            return (slot_of(prefix + text) for text in ids)
        start = crc_hqx(prefix, 0)  # CRC16 goes on where it stopped, so the prefix counts once
        return (slot_of(prefix + text) if b"{" in text else crc_hqx(text, start) % SLOTS for text in ids)


def marked(count: int, positions: Iterable[int]) -> pa.Array:
    """Return `count` booleans that are true at some positions."""
    marks = bytearray(count)
    for position in positions:
        marks[position] = 1
    return pa.array(marks, pa.uint8()).cast(pa.bool_())


def bulk(text: Text | int) -> bytes:
    """Return a text as a bulk string."""
    data = text if isinstance(text, bytes) else str(text).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def hset(field: str) -> tuple[bytes, bytes]:
    """Return what stands before the key and before the value of an HSET."""
    return b"*4\r\n" + bulk("HSET"), bulk(field)


def pairs(commands: bytes | memoryview, field: str) -> bytes:
    """Return the keys and values of HSETs that follow each other."""
    data, (before, between) = bytes(commands), hset(field)
    found, start = [], 0
    while start < len(data):
        start += len(before)
        middle = _end(data, start)
        found.append(data[start:middle])
        start = _end(data, middle + len(between))
        found.append(data[middle + len(between) : start])
    return b"".join(found)


def _end(data: bytes, start: int) -> int:
    """Return where the bulk string that begins at `start` ends."""
    length = data.index(b"\r\n", start)
    return length + 2 + int(data[start + 1 : length]) + 2


def cut(packed: Array, *, rows: int, size: int) -> Iterator[tuple[int, memoryview]]:
    """Cut an array without NULLs into slices of its memory: count of rows and their bytes.

    Each has at most `rows` rows, and at most `size` bytes unless one row alone is larger.
    """
    for each in packed.chunks if isinstance(packed, pa.ChunkedArray) else [packed]:
        yield from _cut(each, rows, size)


def _cut(packed: pa.Array, rows: int, size: int) -> Iterator[tuple[int, memoryview]]:
    _, ends, data = packed.buffers()
    if not len(packed):
        return
    offsets = memoryview(ends).cast("i")[packed.offset : packed.offset + len(packed) + 1]
    content = memoryview(data) if data is not None else memoryview(b"")
    start, last = 0, len(packed)
    while start < last:
        stop = min(start + rows, last)
        if offsets[stop] - offsets[start] > size:
            stop = max(start + 1, bisect_right(offsets, offsets[start] + size, start + 1, stop) - 1)
        yield stop - start, content[offsets[start] : offsets[stop]]
        start = stop
