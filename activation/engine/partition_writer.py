"""Writes one partition of a run through connections that stay open from its first chunk to its witness.

A server that restarts or fails over loses acknowledged writes from the tail only. So a witness, written last, proves
everything before it, but only if nothing was lost *between* two chunks: with a new connection in the middle a restart
would go unnoticed and the witness would prove less than it says. Therefore a partition has one connection to each
primary, and whatever ends one of them, or brings in a primary that had none, ends the partition: it starts again at
its first chunk. Applying a chunk twice is harmless.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Self

from activation.engine.bookkeeping import Claim, FenceMissing, FenceMoved, Ledger, scripts_refused
from activation.engine.connection import Deployment
from activation.engine.errors import (
    DestinationBusy,
    DestinationError,
    DestinationUnreachable,
    Redirected,
    ScriptUnknown,
)
from activation.engine.node import Channel, Command, Node, Reply
from activation.engine.replies import fault
from activation.engine.scripts import CHUNK, WITNESS

CHUNK_ROWS = 200
CHUNK_BYTES = 1_000_000
LARGEST_VALUE = 16_000_000
_ROW_FAULTS = {"WRONGTYPE": "wrong_type", "TOOLARGE": "too_large"}
# Answers of a server that changed its role or loads its data: what it acknowledged before may be gone.
_ROLE_CHANGED = frozenset({"readonly", "loading", "masterdown", "unblocked"})

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


class PartitionWriter:
    """Writes for one claim, from the first chunk to the witness. For one thread; a context manager.

    Raises `FenceMoved`, `FenceMissing` and `DestinationError`; after any of them it writes nothing more.
    """

    def __init__(
        self, deployment: Deployment, ledger: Ledger, claim: Claim, *, field: str, pauses: Sequence[float]
    ) -> None:
        self.claim = claim
        self._deployment = deployment
        self._ledger = ledger
        self._field = field
        self._pauses = tuple(pauses)
        self._stack = ExitStack()
        self._channels: dict[Node, Channel] = {}
        self._tags: list[tuple[str, Node]] = []
        self._broken = True

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._tags = self._ledger.placed()
            for node in self._deployment.primaries():
                self._channels[node] = opening.enter_context(node.connection())
            self._stack = opening.pop_all()
        self._broken = False
        return self

    def __exit__(self, *_: object) -> None:
        self._broken = True
        self._stack.close()

    def write(self, keys: Sequence[Text], values: Sequence[Text | None]) -> ChunkReport:
        """Set the field of each key to its value, and remove it where the value is None.

        Give a few thousand rows at a time, no key twice. After an error some of the chunks may be written.
        """
        rows, report = _Rows(keys, values), ChunkReport()
        with self._whole():
            left = [position for position in range(len(keys)) if _fits(rows, position, report)]
            for pause in (*self._pauses, None):
                left, busy = self._write_once(rows, left, report)
                if busy is None:
                    break
                self._deployment.expire()
                if pause is None:
                    raise busy
                time.sleep(pause)
                self._deployment.refresh()
        report.failures.sort()
        return report

    def witness(self) -> None:
        """Leave on every primary that all chunks before were acknowledged there: the claim, under every tag.

        It goes where the tags were when the partition began. A tag that moved since is no plain redirect: what the
        new owner holds of the partition is not proved by this connection.
        """
        with self._whole():
            requests = [
                (
                    self._channels[node],
                    ("EVAL", WITNESS.text, 2, *self._keys(tag), self.claim.partition, self.claim.text),
                )
                for tag, node in self._tags
            ]
            for (_, node), reply in zip(self._tags, _exchange(requests), strict=True):
                if isinstance(reply, Redirected):
                    self._deployment.expire()
                    raise _changed(node)
                if isinstance(reply, DestinationError):
                    raise scripts_refused(reply)
                if reply != 1:
                    raise FenceMissing if reply < 0 else FenceMoved

    def _keys(self, tag: str) -> tuple[str, str]:
        return self._ledger.key(tag, "fence"), self._ledger.key(tag, "witness")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Let nothing follow what did not come to its end."""
        if self._broken:
            raise DestinationUnreachable("The partition's connections were closed.", code="partition_broken")
        self._broken = True
        yield
        self._broken = False

    def _write_once(
        self, rows: _Rows, positions: Sequence[int], report: ChunkReport
    ) -> tuple[list[int], DestinationError | None]:
        """Send every chunk once; return the positions that Redis could not take at the moment, and why."""
        left: list[int] = []
        busy: DestinationError | None = None
        chunks = list(self._chunks(rows, positions))
        replies = self._send(chunks, [self._command(rows, chunk) for chunk in chunks])
        for chunk, reply in zip(chunks, replies, strict=True):
            refused = _refusal(reply, chunk.node)
            if refused is None:
                _add(report, reply, chunk.positions)
            elif isinstance(refused, DestinationBusy) and refused.code not in _ROLE_CHANGED:
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
            if node not in self._channels:
                raise _changed(node)
            for piece in _pieces(rows, own):
                writes = [position for position in piece if rows.values[position] is not None]
                deletes = [position for position in piece if rows.values[position] is None]
                yield _Chunk(node, writes, deletes)

    def _command(self, rows: _Rows, chunk: _Chunk) -> Command:
        command: list[Text | int] = ["EVALSHA", CHUNK.sha, 0, self._ledger.fence_of(chunk.node)]
        command += (self.claim.partition, self.claim.text, self._field, len(chunk.writes))
        for position in chunk.writes:
            command += (rows.keys[position], rows.values[position] or "")
        command += (rows.keys[position] for position in chunk.deletes)
        return command

    def _send(self, chunks: Sequence[_Chunk], commands: Sequence[Command]) -> list[Reply | DestinationError]:
        """Send all chunks before the first reply is read, so that primaries work while we pack, and side by side."""
        replies = _exchange(
            [(self._channels[chunk.node], command) for chunk, command in zip(chunks, commands, strict=True)]
        )
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, ScriptUnknown)]
        if not unknown:
            return replies
        for channel in dict.fromkeys(self._channels[chunks[index].node] for index in unknown):
            _teach(channel)
        again = _exchange([(self._channels[chunks[index].node], commands[index]) for index in unknown])
        for index, reply in zip(unknown, again, strict=True):
            replies[index] = reply
        return replies


def _changed(node: Node) -> DestinationBusy:
    return DestinationBusy(
        f"{node.endpoint.text} took slots over, or gave them up, while a part of the sync was written.",
        code="primary_changed",
    )


def _fits(rows: _Rows, position: int, report: ChunkReport) -> bool:
    """Redis would cut the connection over a value beyond its limit, so those are refused here."""
    if rows.size(position) <= LARGEST_VALUE:
        return True
    report.failures.append((position, "too_large"))
    return False


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
