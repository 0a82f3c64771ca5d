"""Loads one partition: stream from the snapshot, encode, write behind the fence, honour deletes that came meanwhile.

Knows no records and no clock: what it must ask about, whether the partition still is ours and which profiles were
suppressed, comes in as arguments.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from activation.engine.encoding import Encoder
from activation.engine.partition_writer import ChunkReport
from activation.engine.profiles import suppression_digest

# Rows a write hands to the loader, which splits them into fenced chunks and pipelines those.
WRITE_ROWS = 4_000
# More row faults than this share of the rows, or this many from the first row on, and the run is not worth going on.
_MOST_FAULTS = 0.01
_FAULTS_IN_A_ROW = 100


class ClaimLost(Exception):
    """The partition is somebody else's by now; what this worker knows is out of date."""


class TooManyRowFaults(Exception):
    """So many rows were refused that something is wrong with all of them."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"The destination refused too many rows ({code}). Look at the failed rows' reasons on the run's page; "
            "nothing else was changed by them."
        )
        self.code = code


class Writer(Protocol):
    """What writes: `activation.engine.partition_writer.PartitionWriter`, or a stand-in that fails on demand."""

    def write(self, keys: Sequence[str], values: Sequence[str | None]) -> ChunkReport:
        """Write values, delete where a value is None; return what was acknowledged."""

    def witness(self) -> None:
        """Leave at the destination that everything before was acknowledged."""


@dataclass
class Counts:
    """What the destination acknowledged, in rows; `failures` counts refused rows by reason."""

    written: int = 0
    deleted: int = 0
    suppressed: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Rows the destination refused."""
        return self.failures.total()

    @property
    def rows(self) -> int:
        """All rows handled."""
        return self.written + self.deleted + self.suppressed + self.failed

    def as_fields(self) -> dict[str, int]:
        """Return the counts by the names of the records' columns."""
        return {
            "written": self.written,
            "deleted": self.deleted,
            "suppressed": self.suppressed,
            "failed": self.failed,
        }


@dataclass
class Suppressions:
    """The profiles that must not be written, kept up with while loading.

    `since(sequence)` returns the newest sequence number and the digests after the given one; `secrets` are the
    suppression keys by version.
    """

    since: Callable[[int], tuple[int, Sequence[str]]]
    secrets: Mapping[int, bytes]
    last: int = 0

    def news(self) -> set[str]:
        """Return the digests of profiles suppressed since the last call."""
        self.last, digests = self.since(self.last)
        return set(digests)

    def hits(self, keys: Iterable[str], digests: set[str]) -> list[str]:
        """Return those of `keys` whose digest is among `digests`."""
        secrets = list(self.secrets.values())
        return [key for key in keys if any(suppression_digest(secret, key) in digests for secret in secrets)]


@dataclass
class PartitionLoad:
    """The loading of one partition, from its first row to its last.

    `still_ours` is asked before each write. Raises `ClaimLost`, `TooManyRowFaults`, and what the writer and the
    streams raise.
    """

    writer: Writer
    encoder: Encoder
    suppressions: Suppressions
    still_ours: Callable[[], bool]
    counts: Counts = field(default_factory=Counts)

    def run(self, upserts: Iterable[pa.RecordBatch], deletes: Iterable[pa.RecordBatch], *, prefix: str) -> Counts:
        """Write every row of `upserts` (`_id` and the values), delete every `_id` of `deletes`, leave the witness."""
        for batch in upserts:
            for start in range(0, batch.num_rows, WRITE_ROWS):
                self._write_encoded(self.encoder.encode(batch.slice(start, WRITE_ROWS)))
        for batch in deletes:
            keys = pc.binary_join_element_wise(prefix, batch.column(0).cast(pa.string()), "")
            for start in range(0, len(keys), WRITE_ROWS):
                piece = keys.slice(start, WRITE_ROWS).to_pylist()
                self._write(piece, [None] * len(piece), upserts=False)
        if not self.still_ours():
            raise ClaimLost
        self.writer.witness()
        return self.counts

    def _write_encoded(self, piece: pa.RecordBatch) -> None:
        """Write rows that were encoded just now, so that they know every suppression the last write told of."""
        self._write(piece.column("key").to_pylist(), piece.column("json").to_pylist(), upserts=True)

    def _write(self, keys: Sequence[str], values: Sequence[str | None], *, upserts: bool) -> None:
        if not self.still_ours():
            raise ClaimLost
        report = self.writer.write(keys, values)
        self.counts.written += report.written
        held_back = report.deleted if upserts else 0  # among upserts only suppressed ones are deletes
        self.counts.deleted += report.deleted - held_back
        self.counts.suppressed += held_back
        self.counts.failures.update(code for _, code in report.failures)
        refused = {position for position, _ in report.failures}
        # First, because what was written stays written, also when the run fails.
        self._honour_new_deletes([key for n, key in enumerate(keys) if values[n] is not None and n not in refused])
        self._stop_when_hopeless(report, rows=len(keys))

    def _honour_new_deletes(self, written: Sequence[str]) -> None:
        """Take back those of the keys just written that somebody deleted meanwhile.

        A DELETE commits its suppression before it deletes the key. So either its delete came after our write, or its
        suppression is visible here, after our write was acknowledged.
        """
        digests = self.suppressions.news()
        if not digests:
            return
        self.encoder.suppress(digests)
        hits = self.suppressions.hits(written, digests)
        if hits:
            self.writer.write(hits, [None] * len(hits))
            self.counts.written -= len(hits)
            self.counts.suppressed += len(hits)

    def _stop_when_hopeless(self, report: ChunkReport, *, rows: int) -> None:
        if not report.failures:
            return
        failed, done = self.counts.failed, self.counts.rows
        from_the_start = failed == done and done >= min(_FAULTS_IN_A_ROW, rows)
        if from_the_start or (done >= _FAULTS_IN_A_ROW / _MOST_FAULTS and failed > done * _MOST_FAULTS):
            raise TooManyRowFaults(self.counts.failures.most_common(1)[0][0])
