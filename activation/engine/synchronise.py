"""Loads one partition: stream from the snapshot, encode, write behind the fence, honour deletes that came meanwhile.

Knows no records and no clock: what it must ask about, whether the partition still is ours and which profiles were
suppressed, comes in as arguments.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import pyarrow as pa

from activation.engine.ahead import Ahead
from activation.engine.chunks import ChunkReport
from activation.engine.counts import Counts
from activation.engine.encoding import Encoder, Packed
from activation.engine.kept_out import KeptOut, Mark
from activation.engine.pace import Pace
from activation.engine.portions import portions
from activation.engine.row_faults import FaultLimit
from activation.engine.rows import Rows

__all__ = ["ClaimLost", "Counts", "PartitionLoad", "Suppressions"]

# What is encoded and written at a time, as it comes from the warehouse; the writer cuts it into fenced chunks.
WRITE_ROWS = 16_000
WRITE_BYTES = 8_000_000


class ClaimLost(Exception):
    """The partition is somebody else's by now; what this worker knows is out of date."""


class Writer(Protocol):
    """What writes: `activation.engine.partition_writer.PartitionWriter`, or a stand-in that fails on demand."""

    def write(self, rows: Rows) -> ChunkReport:
        """Write or remove each row; return what was acknowledged."""

    def witness(self) -> None:
        """Leave at the destination that everything before was acknowledged."""


@dataclass
class Suppressions:
    """The profiles that must not be written, kept up with while loading.

    `since(sequence)` returns the newest sequence number and the marks after the given one; `secrets` are the
    suppression keys by version.
    """

    since: Callable[[int], tuple[int, Sequence[Mark]]]
    secrets: Mapping[int, bytes] = field(repr=False)
    last: int = 0

    def news(self) -> Sequence[Mark]:
        """Return the marks of profiles suppressed since the last call."""
        self.last, marks = self.since(self.last)
        return marks

    def hits(self, rows: Rows, marks: Iterable[Mark]) -> list[int]:
        """Return the positions of rows whose profile is among `marks`."""
        return KeptOut(self.secrets.values(), marks).hits(rows)


@dataclass(frozen=True)
class _Piece:
    """Rows to write at a time. The encoder knew the first `known` of the news when it made them."""

    rows: Rows
    upserts: bool
    known: int


def _nothing() -> None:
    """Do nothing: nothing waits."""


@dataclass
class PartitionLoad:
    """The loading of one partition, from its first row to its last.

    Reading and encoding go on in a side thread while this one writes. `still_ours` is asked before each write, `cancel`
    is called when the load ends early, to stop the statement that is being read. `limit` tells how many refused rows
    the run bears. Raises `ClaimLost`, `TooManyRowFaults`, and what the writer and the streams raise.
    """

    writer: Writer
    encoder: Encoder | Packed
    suppressions: Suppressions
    still_ours: Callable[[], bool]
    counts: Counts = field(default_factory=Counts)
    pace: Pace = field(default_factory=Pace)
    cancel: Callable[[], None] = _nothing
    limit: FaultLimit = field(default_factory=FaultLimit)
    # Each news' marks, in order. This thread appends, after a write; the side thread reads.
    _news: list[Sequence[Mark]] = field(default_factory=list, init=False, repr=False)

    def run(self, upserts: Iterable[pa.RecordBatch], deletes: Iterable[pa.RecordBatch], *, prefix: str) -> Counts:
        """Write every row of `upserts` (batches for `encoder`), delete every `_id` of `deletes`, leave the witness."""
        with Ahead(self._pieces(upserts, deletes, prefix), cancel=self.cancel) as pieces:
            for piece in pieces:
                self._write(piece)
        if not self.still_ours():
            raise ClaimLost
        self.limit.look_back(self.counts)
        self.writer.witness()
        return self.counts

    def _pieces(
        self, upserts: Iterable[pa.RecordBatch], deletes: Iterable[pa.RecordBatch], prefix: str
    ) -> Generator[_Piece, None, None]:
        """Read and encode; run by the side thread, to which streams and encoder belong meanwhile."""
        rows, known = self.pace.portion(WRITE_ROWS), 0
        for batch in portions(upserts, rows=rows, size=WRITE_BYTES):
            fresh = self._news[known:]
            known += len(fresh)
            self.encoder.suppress(chain.from_iterable(fresh))
            yield _Piece(self.encoder.pack(batch), upserts=True, known=known)
        for batch in portions(deletes, rows=rows, size=WRITE_BYTES):
            yield _Piece(Rows.gone(prefix, batch.column(0)), upserts=False, known=0)

    def _write(self, piece: _Piece) -> None:
        self.pace.wait(len(piece.rows))
        if not self.still_ours():
            raise ClaimLost
        rows = self._without_the_deleted(piece) if piece.upserts else piece.rows
        report = self.writer.write(rows)
        self.counts.written += report.written
        held_back = report.deleted if piece.upserts else 0  # among upserts only suppressed ones are deletes
        self.counts.deleted += report.deleted - held_back
        self.counts.suppressed += held_back
        self.counts.fail((rows.id(position), reason) for position, reason in report.failures)
        refused = {position for position, _ in report.failures}
        # First, because what was written stays written, also when the run fails.
        self._honour_new_deletes(rows, refused=refused)
        self.limit.look(self.counts, refused, rows=len(rows))

    def _without_the_deleted(self, piece: _Piece) -> Rows:
        """Hold back those whom news told of since the piece was encoded, so that every write knows all news so far."""
        late = chain.from_iterable(self._news[piece.known :])
        return piece.rows.removing(self.suppressions.hits(piece.rows, late))

    def _honour_new_deletes(self, rows: Rows, *, refused: set[int]) -> None:
        """Take back those of the rows just written that somebody deleted meanwhile.

        A DELETE commits its suppression before it deletes the key. So either its delete came after our write, or its
        suppression is visible here, after our write was acknowledged. What is encoded by now, but not yet written, is
        looked through before its own write.
        """
        marks = self.suppressions.news()
        if not marks:
            return
        self._news.append(marks)
        written = [position for position in rows.split()[0] if position not in refused]
        sent = rows.take(written)
        hits = self.suppressions.hits(sent, marks)
        if hits:
            gone = sent.take(hits)
            self.writer.write(gone.removing(range(len(gone))))
            self.counts.written -= len(hits)
            self.counts.suppressed += len(hits)
