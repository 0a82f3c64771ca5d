"""Bulk writes into a destination, each chunk behind the fence; counted is only what Redis acknowledged.

Rows go in chunks of at most 200, one script each (`activation.engine.scripts`), several chunks in flight per primary.
Applying a chunk twice is harmless. A connection that breaks is never repeated here: the caller starts its partition
again at the first chunk, because what the server did with the lost chunk is unknown.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from activation.engine.bookkeeping import Bookkeeping, Claim, FenceMissing, FenceMoved, Ledger, scripts_refused
from activation.engine.connection import connect
from activation.engine.errors import DestinationBusy, DestinationError, ScriptUnknown
from activation.engine.node import Channel, Command, Limits, Node, Reply
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import fault
from activation.engine.scripts import CHUNK

__all__ = ["Bookkeeping", "ChunkReport", "Claim", "FenceMissing", "FenceMoved", "Loader"]

CHUNK_ROWS = 200
CHUNK_BYTES = 1_000_000
LARGEST_VALUE = 16_000_000
_ROW_FAULTS = {"WRONGTYPE": "wrong_type", "TOOLARGE": "too_large"}

Text = str | bytes


@dataclass
class ChunkReport:
    """What Redis acknowledged of a write, in rows.

    `deleted` counts acknowledged deletes, `absent` those of them that found nothing to delete. `failures` are rows
    that Redis refused, as (position in what was given, `wrong_type` or `too_large`).
    """

    written: int = 0
    deleted: int = 0
    absent: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Chunk:
    """Rows of one primary by their positions: first those to write, then those to delete."""

    node: Node
    writes: Sequence[int]
    deletes: Sequence[int]

    @property
    def positions(self) -> Sequence[int]:
        return [*self.writes, *self.deletes]


@dataclass(frozen=True)
class _Rows:
    keys: Sequence[Text]
    values: Sequence[Text | None]

    def size(self, position: int) -> int:
        return len(self.keys[position]) + len(self.values[position] or "")


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

    def begin(self, run: str, run_attempt: int, partitions: int, *, partition_attempt: int = 1) -> None:
        """Set up the run's key and the fences of partitions 0 … `partitions` - 1 on every primary.

        Again for the same attempt it changes nothing. Raises `FenceMoved` when a later attempt began, and
        `DestinationError`.
        """
        self._ledger.begin(run, run_attempt, partitions, partition_attempt)

    def move_fence(self, claim: Claim) -> bool:
        """Move a partition's fence to a claim on every primary, so that no earlier claim writes any more.

        False when the fence is missing, closed or further already; it never moves back. Raises `DestinationError`,
        and then it may have moved on some primaries only: repeat it.
        """
        return self._ledger.move(claim)

    def close_fences(self, run: str, run_attempt: int, partitions: int) -> None:
        """Close the fences of a run's attempt: nobody writes for it any more. Raises `DestinationError`."""
        self._ledger.close(run, run_attempt, partitions)

    def write(self, claim: Claim, keys: Sequence[Text], values: Sequence[Text | None]) -> ChunkReport:
        """Set the field of each key to its value, and remove it where the value is None.

        Give a few thousand rows at a time, no key twice. Raises `FenceMoved`, `FenceMissing` and `DestinationError`;
        some of the chunks may be written then, and writing them again is harmless.
        """
        rows, report = _Rows(keys, values), ChunkReport()
        left = [position for position in range(len(keys)) if self._fits(rows, position, report)]
        for pause in (*self._pauses, None):
            left, busy = self._write_once(claim, rows, left, report)
            if busy is None:
                break
            self._deployment.expire()
            if pause is None:
                raise busy
            time.sleep(pause)
            self._deployment.refresh()
        report.failures.sort()
        return report

    def marker(self) -> str | None:
        """Return the run whose snapshot the destination holds; None when unknown or lost on some primary."""
        return self._ledger.marker()

    def set_marker(self, run: str) -> None:
        """Mark every primary with the run. Raises `FenceMissing` when one of them lost the run's key."""
        self._ledger.mark(run)

    def run_key_present(self, run: str) -> bool:
        """Tell whether every primary still has the run's key: none of them was emptied since `begin`."""
        return self._ledger.run_is_there(run)

    def finish(self, run: str) -> None:
        """Remove the run's key and fences; the marker stays."""
        self._ledger.finish(run)

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._deployment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fits(self, rows: _Rows, position: int, report: ChunkReport) -> bool:
        """Redis would cut the connection over a value beyond its limit, so those are refused here."""
        if rows.size(position) <= LARGEST_VALUE:
            return True
        report.failures.append((position, "too_large"))
        return False

    def _write_once(
        self, claim: Claim, rows: _Rows, positions: Sequence[int], report: ChunkReport
    ) -> tuple[list[int], DestinationError | None]:
        """Send every chunk once; return the positions that Redis could not take at the moment, and why."""
        left: list[int] = []
        busy: DestinationError | None = None
        chunks = list(self._chunks(rows, positions))
        replies = self._send(chunks, [self._command(claim, rows, chunk) for chunk in chunks])
        for chunk, reply in zip(chunks, replies, strict=True):
            refused = _refusal(reply, chunk.node)
            if refused is None:
                _add(report, reply, chunk.positions)
            elif isinstance(refused, DestinationBusy):
                busy = refused
                left.extend(chunk.positions)
            else:
                raise refused
        return left, busy

    def _chunks(self, rows: _Rows, positions: Sequence[int]) -> Iterator[_Chunk]:
        by_node: dict[Node, list[int]] = defaultdict(list)
        if self._deployment.settings.cluster_mode:
            for position in positions:
                by_node[self._deployment.node_for(rows.keys[position])].append(position)
        elif positions:
            by_node[self._deployment.primaries()[0]].extend(positions)
        for node, own in by_node.items():
            for piece in _pieces(rows, own):
                writes = [position for position in piece if rows.values[position] is not None]
                deletes = [position for position in piece if rows.values[position] is None]
                yield _Chunk(node, writes, deletes)

    def _command(self, claim: Claim, rows: _Rows, chunk: _Chunk) -> Command:
        command: list[Text | int] = ["EVALSHA", CHUNK.sha, 0, self._ledger.fence_of(chunk.node)]
        command += (claim.partition, claim.text, self._field, len(chunk.writes))
        for position in chunk.writes:
            command += (rows.keys[position], rows.values[position] or "")
        command += (rows.keys[position] for position in chunk.deletes)
        return command

    def _send(self, chunks: Sequence[_Chunk], commands: Sequence[Command]) -> list[Reply | DestinationError]:
        """Send all chunks before the first reply is read, so that primaries work while we pack, and side by side."""
        with ExitStack() as stack:
            channels: dict[Node, Channel] = {}
            for chunk in chunks:
                if chunk.node not in channels:
                    channels[chunk.node] = stack.enter_context(chunk.node.connection())
            replies = _exchange(
                [(channels[chunk.node], command) for chunk, command in zip(chunks, commands, strict=True)]
            )
            unknown = [index for index, reply in enumerate(replies) if isinstance(reply, ScriptUnknown)]
            if not unknown:
                return replies
            for channel in dict.fromkeys(channels[chunks[index].node] for index in unknown):
                _teach(channel)
            again = _exchange([(channels[chunks[index].node], commands[index]) for index in unknown])
            for index, reply in zip(unknown, again, strict=True):
                replies[index] = reply
            return replies


def _teach(channel: Channel) -> None:
    channel.send(channel.pack(("SCRIPT", "LOAD", CHUNK.text)))
    reply = channel.read_reply()
    if isinstance(reply, DestinationError):
        raise scripts_refused(reply)


def _exchange(requests: Sequence[tuple[Channel, Command]]) -> list[Reply | DestinationError]:
    for channel, command in requests:
        channel.send(channel.pack(command))
    return [channel.read_reply() for channel, _ in requests]


def _pieces(rows: _Rows, positions: Sequence[int]) -> Iterator[list[int]]:
    """Cut into chunks: Redis serves nobody else while a script runs, so they stay small in rows and bytes."""
    piece: list[int] = []
    size = 0
    for position in positions:
        if piece and (len(piece) == CHUNK_ROWS or size + rows.size(position) > CHUNK_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(position)
        size += rows.size(position)
    if piece:
        yield piece


def _refusal(reply: Reply | DestinationError, node: Node) -> Exception | None:
    if isinstance(reply, DestinationError):
        return scripts_refused(reply)
    match reply[0]:
        case b"done":
            return None
        case b"missing":
            return FenceMissing()
        case b"moved":
            return FenceMoved()
    return fault(reply[1].decode(), node.endpoint.text)


def _add(report: ChunkReport, reply: Reply, positions: Sequence[int]) -> None:
    _, written, deleted, absent, *failed = reply
    report.written += written
    report.deleted += deleted
    report.absent += absent
    for position, code in zip(failed[::2], failed[1::2], strict=True):
        report.failures.append((positions[position], _ROW_FAULTS[code.decode()]))
