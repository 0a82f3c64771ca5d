"""Reads a partition of a table of ours page by page, so that no transaction of the warehouse stays open meanwhile.

A long transaction keeps PostgreSQL from cleaning up after everybody else, and a load takes as long as Redis does.
Tables of ours are ordered and indexed by partition and id and never change, so a page begins after the last id of the
one before: each row is read once, in the order in which it lies on the disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import pyarrow as pa

ROW_ID = '"_id" COLLATE "C"'
ORDER = f'"_part", {ROW_ID}'
FIRST_ROWS = 200  # nothing is known about the rows' size yet
MOST_ROWS = 20_000
PAGE_BYTES = 8 << 20  # what a page is to be in Arrow, whatever its rows' size
GROWTH = 16  # a page's first rows may be smaller than what follows


@dataclass(frozen=True)
class Page:
    """At most `rows` rows of the partition `number` of a table (quoted), those after the id `last`."""

    table: str
    number: int
    expressions: Sequence[str]
    rows: int = FIRST_ROWS
    last: str | None = None

    def query(self) -> str:
        """Return the SELECT of `_id` and the expressions.

        The id is written in hexadecimal, so nothing in it can be read as SQL. (A bound parameter would be as safe,
        but takes COPY away, and with it a third of the speed.)
        """
        columns = ", ".join(['"_id"', *(f"{text} AS v{place}" for place, text in enumerate(self.expressions))])
        after = "" if self.last is None else f" AND {ROW_ID} > convert_from('\\x{self.last.encode().hex()}', 'UTF8')"
        return (
            f'SELECT {columns} FROM {self.table} WHERE "_part" = {self.number:d}{after}'
            f" ORDER BY {ROW_ID} LIMIT {self.rows:d}"
        )

    def after(self, batches: Sequence[pa.RecordBatch]) -> Self | None:
        """Return the page that follows the one with these batches, or None when it was the last."""
        count = sum(batch.num_rows for batch in batches)
        if count < self.rows:
            return None
        size = sum(batch.nbytes for batch in batches) / count
        fitting = min(MOST_ROWS, self.rows * GROWTH, int(PAGE_BYTES / max(1, size)))
        return replace(self, rows=max(1, fitting), last=str(batches[-1].column(0)[-1]))
