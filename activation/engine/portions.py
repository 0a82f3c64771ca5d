"""Puts Arrow batches together in portions of a good size for one encoding and one write, without copying their rows.

Copying them into one piece of memory took as long as reading them from the warehouse's process (measured).
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

FIRST_ROWS = 4_000


def portions(batches: Iterable[pa.RecordBatch], *, rows: int, size: int) -> Iterator[pa.Table]:
    """Yield the batches' rows in portions of at most `rows` rows and, beyond single rows, about `size` bytes.

    The first is small and each next one twice as large, so that the destination has work at once.
    """
    most = min(rows, FIRST_ROWS)
    held: list[pa.RecordBatch] = []
    held_rows = held_size = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            room = min(most - held_rows, _fitting(batch, size - held_size))
            piece = batch.slice(start, max(1, room))
            start += piece.num_rows
            held.append(piece)
            held_rows += piece.num_rows
            held_size += piece.nbytes
            if held_rows >= most or held_size >= size:
                yield pa.Table.from_batches(held)
                held, held_rows, held_size, most = [], 0, 0, min(rows, 2 * most)
    if held:
        yield pa.Table.from_batches(held)


def _fitting(batch: pa.RecordBatch, size: int) -> int:
    """Return how many rows of a batch make about `size` bytes."""
    return int(size * batch.num_rows // max(1, batch.nbytes))
