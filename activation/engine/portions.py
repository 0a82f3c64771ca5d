"""Cuts and joins Arrow batches into portions of a good size for one encoding and one write."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

FIRST_ROWS = 4_000


def portions(batches: Iterable[pa.RecordBatch], *, rows: int, size: int) -> Iterator[pa.RecordBatch]:
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
                yield _joined(held)
                held, held_rows, held_size, most = [], 0, 0, min(rows, 2 * most)
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _fitting(batch: pa.RecordBatch, size: int) -> int:
    """Return how many rows of a batch make about `size` bytes."""
    return int(size * batch.num_rows // max(1, batch.nbytes))
