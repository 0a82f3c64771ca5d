"""One source's field of a destination: who may write it, writing it, and whether everything written is still there.

A run begins (run key, fences), each partition is written behind its fence and leaves a witness
(`activation.engine.partition_writer`), then the fences are closed, everything is checked and the marker is set.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

from activation.engine import memory
from activation.engine.bookkeeping import (
    Bookkeeping,
    Claim,
    FenceMissing,
    FenceMoved,
    Ledger,
    WitnessMissing,
)
from activation.engine.channel import Limits
from activation.engine.chunks import ChunkReport
from activation.engine.connection import connect
from activation.engine.memory import Memory
from activation.engine.partition_writer import PartitionWriter
from activation.engine.redis_settings import RedisSettings
from activation.engine.rows import Rows, Text

__all__ = [
    "Bookkeeping",
    "ChunkReport",
    "Claim",
    "FenceMissing",
    "FenceMoved",
    "Loader",
    "PartitionWriter",
    "WitnessMissing",
]


class Loader:
    """Writes one source's field of a destination. For one thread; a context manager."""

    def __init__(
        self,
        settings: RedisSettings,
        bookkeeping: Bookkeeping,
        field: str,
        *,
        allow_private: bool,
        forbidden: Sequence[tuple[str, int]] = (),
        connect_timeout: float = 2.0,
        command_timeout: float = 10.0,
        pauses: Sequence[float] = (0.0, 0.1, 0.3, 1.0),
    ) -> None:
        """`pauses` are the seconds between repeats of chunks that Redis could not take at the moment.

        The first repeat comes at once: a slot that moved needs no waiting, only another look at who owns it.
        """
        limits = Limits(connect_timeout, command_timeout, connections=2)
        self._deployment = connect(settings, allow_private=allow_private, forbidden=forbidden, limits=limits)
        self._ledger = Ledger(self._deployment, bookkeeping)
        self._field = field
        self._pauses = tuple(pauses)

    def begin(
        self,
        run: str,
        run_attempt: int,
        partitions: int,
        *,
        partition_attempt: int = 1,
        still_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """Set up the run's key and the fences of partitions 0 … `partitions` - 1 on every primary.

        Again for the same attempt it changes nothing. `still_ours` tells whether the attempt is the run's present one;
        whoever begins or finishes after it said so keeps the destination.

        Raises:
            FenceMoved: the attempt is not the present one any more.
            FenceMissing: a primary lost its marker or run key meanwhile.
            DestinationError: some primaries may have begun.

        """
        self._ledger.begin(run, run_attempt, partitions, partition_attempt, still_ours)

    def move_fence(self, claim: Claim, *, reopen: bool = False) -> bool:
        """Move a partition's fence to a claim on every primary, so that no earlier claim writes any more.

        False when the fence is missing, closed or further already; it never moves back. With `reopen` a closed one
        moves too, to a later attempt than it was closed at: the partition is to be loaded once more. Raises
        `DestinationError`, and then it may have moved on some primaries only: repeat it.
        """
        return self._ledger.move(claim, reopen=reopen)

    def close_fences(self, run: str, run_attempt: int, partitions: int) -> None:
        """Close the fences of a run's attempt: nobody writes for it any more. Raises `DestinationError`."""
        self._ledger.close(run, run_attempt, partitions)

    def partition(self, claim: Claim, *, among: Callable[[], int] = lambda: 1) -> PartitionWriter:
        """Return what writes a partition, from its first chunk to its witness; a context manager.

        Nothing else of this loader may be used meanwhile. `among` tells how many partitions are being written into the
        destination, which share the room that its readers leave. Entering raises `DestinationError`.
        """
        return PartitionWriter(
            self._deployment, self._ledger, claim, field=self._field, pauses=self._pauses, among=among
        )

    def write(self, claim: Claim, keys: Sequence[Text], values: Sequence[Text | None]) -> ChunkReport:
        """Write a few rows behind the fence, each value under its key; None removes the field. Leaves no witness."""
        with self.partition(claim) as writer:
            return writer.write(Rows.of(keys, values, field=writer.field_of_commands))

    def marker(self) -> str | None:
        """Return the run whose snapshot the destination holds; None when unknown or lost on some primary."""
        return self._ledger.marker()

    def set_marker(self, run: str, *, base: str | None, witnesses: Mapping[int, str]) -> None:
        """Mark every primary with the run, after checking that each still holds all that the run wrote.

        `base` is the run that an incremental run builds upon (None for a full one), `witnesses` tell the text of the
        claim (`Claim.text`) with which each partition was done. Calling it again is fine.

        Raises:
            FenceMissing: a primary lost the run's key, or the marker of `base`: it was emptied, restored or replaced.
            WitnessMissing: some partitions' last writes are gone; those are to be loaded again.
            DestinationError: it is not known; some primaries may be marked.

        """
        self._ledger.mark(run, base, witnesses)

    def run_key_present(self, run: str) -> bool:
        """Tell whether every primary still has the run's key: none of them was emptied since `begin`."""
        return self._ledger.run_is_there(run)

    def evictions(self) -> dict[str, int] | None:
        """Return how many keys each primary evicted since it started, by run id; None when one does not tell.

        Raises `DestinationError`, but not for a user who may not ask.
        """
        return memory.evictions(self._deployment)

    def memory(self) -> dict[str, Memory] | None:
        """Return each primary's memory by its `host:port`; None when one does not tell. Raises as `evictions`."""
        return memory.memory(self._deployment)

    def finish(self, run: str, *, marker: bool = False) -> None:
        """Remove the run's key, fences and witnesses; the marker stays, unless it is to go as well."""
        self._ledger.finish(run, marker=marker)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._deployment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
