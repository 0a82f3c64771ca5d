"""Writes one partition of a run through connections that stay open from its first chunk to its witness.

A server that restarts or fails over loses acknowledged writes from the tail only. So a witness, written last, proves
everything before it, but only if nothing was lost *between* two chunks: with a new connection in the middle a restart
would go unnoticed and the witness would prove less than it says. Therefore a partition has one connection to each
primary, and whatever ends one of them, or brings in a primary that had none, ends the partition: it starts again at
its first chunk. Applying a chunk twice is harmless.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Self

from activation.engine.bookkeeping import Claim, FenceMissing, FenceMoved, Ledger, scripts_refused
from activation.engine.channel import Channel, Reply
from activation.engine.connection import Deployment
from activation.engine.documents import member_path
from activation.engine.errors import (
    DestinationBusy,
    DestinationError,
    DestinationUnreachable,
    Redirected,
    ScriptUnknown,
)
from activation.engine.node import Node
from activation.engine.readers import Readers
from activation.engine.replies import fault
from activation.engine.rows import Rows, bulk, cut
from activation.engine.scripts import CHUNK, CHUNK_OF_DOCUMENTS, WITNESS, Script

CHUNK_ROWS = 200
CHUNK_BYTES = 1_000_000
LARGEST_VALUE = 16_000_000
_ROW_FAULTS = {"WRONGTYPE": "wrong_type", "TOOLARGE": "too_large", "UNENCODABLE": "unencodable"}
# Answers of a server that changed its role or loads its data: what it acknowledged before may be gone.
_ROLE_CHANGED = frozenset({"readonly", "loading", "masterdown", "unblocked"})
_FENCED_OFF: dict[bytes, type[FenceMissing | FenceMoved]] = {b"missing": FenceMissing, b"moved": FenceMoved}
_FIXED_WORDS = 8  # EVALSHA, digest, 0, fence, partition, claim, field, count
# A sync takes at most this much of the time of a server that applications read from, all its partitions together.
_SHARE = 0.5
_LONGEST_PAUSE = 0.05
_READERS = Readers()

Packed = Sequence[bytes | memoryview]
Request = tuple[Channel, Packed]


@dataclass
class ChunkReport:
    """What Redis acknowledged of a write, in rows.

    `deleted` counts acknowledged deletes, `absent` those of them that found nothing to delete. `failures` are rows
    that Redis refused, as (position in what was given, `wrong_type`, `too_large` or `unencodable`).
    """

    written: int = 0
    deleted: int = 0
    absent: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Chunk:
    """Rows of one primary as the end of a command, and their positions; all to be written or all to be removed."""

    node: Node
    positions: Sequence[int]
    removes: bool
    body: bytes | memoryview


class PartitionWriter:
    """Writes for one claim, from the first chunk to the witness. For one thread; a context manager.

    While applications read from a server, it pauses between chunks; `among` tells how many partitions are written at
    the same time. Raises `FenceMoved`, `FenceMissing` and `DestinationError`; after any of them it writes nothing more.
    """

    def __init__(
        self,
        deployment: Deployment,
        ledger: Ledger,
        claim: Claim,
        *,
        field: str,
        pauses: Sequence[float],
        among: Callable[[], int] = lambda: 1,
    ) -> None:
        self.claim = claim
        self._deployment = deployment
        self._ledger = ledger
        documents = deployment.settings.use_json_module
        self._script = CHUNK_OF_DOCUMENTS if documents else CHUNK
        self._call = b"$7\r\nEVALSHA\r\n" + bulk(self._script.sha) + bulk(0)
        self._field = member_path(field) if documents else field
        self._pauses = tuple(pauses)
        self._among = among
        self._stack = ExitStack()
        self._channels: dict[Node, Channel] = {}
        self._tags: list[tuple[str, Node]] = []
        self._broken = True

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._tags = self._ledger.placed(self.claim)
            # Both, for a failover between the two look-ups may name different ones.
            for node in dict.fromkeys([*self._deployment.primaries(), *(node for _, node in self._tags)]):
                self._channels[node] = opening.enter_context(node.connection())
            self._stack = opening.pop_all()
        self._broken = False
        return self

    def __exit__(self, *_: object) -> None:
        self._broken = True
        self._stack.close()

    def write(self, rows: Rows) -> ChunkReport:
        """Set the field of each row's key to its value, or remove it.

        Give some megabytes at a time, no key twice. After an error some of the chunks may be written.
        """
        report = ChunkReport()
        with self._whole():
            # Redis would cut the connection over a value beyond its limit, so those are refused here.
            report.failures = [(position, "too_large") for position in rows.larger_than(LARGEST_VALUE)]
            refused = {position for position, _ in report.failures}
            left: Sequence[int] = range(len(rows))
            if refused:
                left = [position for position in left if position not in refused]
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
            requests = [(self._channels[node], self._witness_of(tag, node)) for tag, node in self._tags]
            for (_, node), reply in zip(self._tags, _exchange(requests), strict=True):
                if isinstance(reply, Redirected):
                    self._deployment.expire()
                    raise _changed(node)
                if isinstance(reply, DestinationError):
                    raise scripts_refused(reply)
                if reply != 1:
                    raise FenceMissing if reply < 0 else FenceMoved

    def _witness_of(self, tag: str, node: Node) -> Packed:
        keys = self._ledger.key(tag, "fence"), self._ledger.key(tag, "witness")
        return self._channels[node].pack(("EVAL", WITNESS.text, 2, *keys, self.claim.partition, self.claim.text))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Let nothing follow what did not come to its end."""
        if self._broken:
            raise DestinationUnreachable("The partition's connections were closed.", code="partition_broken")
        self._broken = True
        yield
        self._broken = False

    def _write_once(
        self, rows: Rows, positions: Sequence[int], report: ChunkReport
    ) -> tuple[list[int], DestinationError | None]:
        """Send the rows at `positions` once; return those that Redis could not take at the moment, and why."""
        left: list[int] = []
        busy: DestinationError | None = None
        chunks = self._chunks(rows, positions)
        for chunk, reply in zip(chunks, self._send(chunks), strict=True):
            refused = _refusal(reply, chunk.node)
            if refused is None:
                _add(report, reply, chunk.positions)
            elif isinstance(refused, DestinationBusy) and refused.code not in _ROLE_CHANGED:
                busy = refused
                left.extend(chunk.positions)
            else:
                raise refused
        return sorted(left), busy

    def _chunks(self, rows: Rows, positions: Sequence[int]) -> list[_Chunk]:
        """Cut the rows at `positions` into chunks, in an order that gives every primary work from the beginning on."""
        if not len(positions):
            return []
        lanes = [_cut(node, rows.take(own), own) for node, own in self._by_node(rows, positions).items()]
        return [chunk for chunk in chain.from_iterable(zip_longest(*lanes)) if chunk is not None]

    def _by_node(self, rows: Rows, positions: Sequence[int]) -> dict[Node, Sequence[int]]:
        if not self._deployment.settings.cluster_mode:
            by_node: dict[Node, Sequence[int]] = {self._deployment.primaries()[0]: positions}
        else:
            owners, found = self._deployment.owners(), defaultdict[Node, list[int]](list)
            for position, slot in zip(positions, rows.take(positions).slots(), strict=True):
                found[owners[slot]].append(position)
            by_node = dict(found)
        for node in by_node:
            if node not in self._channels:
                raise _changed(node)
        return by_node

    def _command(self, chunk: _Chunk) -> Packed:
        count = len(chunk.positions)
        writes, words = (0, count) if chunk.removes else (count, 2 * count)
        fixed = (self._ledger.fence_of(chunk.node), self.claim.partition, self.claim.text, self._field, writes)
        return [b"*%d\r\n%b%b" % (_FIXED_WORDS + words, self._call, b"".join(bulk(word) for word in fixed)), chunk.body]

    def _send(self, chunks: Sequence[_Chunk]) -> list[Reply | DestinationError]:
        """Send all chunks before the first reply is read, so that primaries work while we send, and side by side."""
        requests = [(self._channels[chunk.node], self._command(chunk)) for chunk in chunks]
        replies = self._exchange(requests)
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, ScriptUnknown)]
        if not unknown:
            return replies
        for channel in dict.fromkeys(requests[index][0] for index in unknown):
            _teach(channel, self._script)
        again = self._exchange([requests[index] for index in unknown])
        for index, reply in zip(unknown, again, strict=True):
            replies[index] = reply
        return replies

    def _exchange(self, requests: Sequence[Request]) -> list[Reply | DestinationError]:
        """Send everything before the first reply is read, or leave readers their share between any two chunks.

        Between those a fence that has moved ends it: a sync that was stopped is not to go on pausing.
        """
        if not any(_READERS.are_at(node) for node in self._channels):
            return _exchange(requests)
        replies: list[Reply | DestinationError] = []
        for turn in _turns(requests):
            started = time.monotonic()
            answers = _exchange(turn)
            taken = time.monotonic() - started
            _require_fence(answers)
            replies += answers
            time.sleep(min(_LONGEST_PAUSE, taken * (self._among() / _SHARE - 1)))
        return replies


def _require_fence(replies: Sequence[Reply | DestinationError]) -> None:
    """Raise `FenceMoved` or `FenceMissing` where a chunk was refused for that."""
    for reply in replies:
        if not isinstance(reply, DestinationError) and (refused := _FENCED_OFF.get(reply[0])):
            raise refused


def _changed(node: Node) -> DestinationBusy:
    return DestinationBusy(
        f"{node.endpoint.text} took slots over, or gave them up, while a part of the sync was written.",
        code="primary_changed",
    )


def _cut(node: Node, rows: Rows, positions: Sequence[int]) -> Iterator[_Chunk]:
    """Cut rows of one primary: Redis serves nobody else while a script runs, so chunks stay small in rows and bytes."""
    writes, removes = rows.split()
    start = 0
    for count, body in cut(rows.take(writes).packed, rows=CHUNK_ROWS, size=CHUNK_BYTES):
        yield _Chunk(node, [positions[n] for n in writes[start : start + count]], removes=False, body=body)
        start += count
    for first in range(0, len(removes), CHUNK_ROWS):
        piece = removes[first : first + CHUNK_ROWS]
        keys = b"".join(map(bulk, rows.take(piece).keys()))
        yield _Chunk(node, [positions[n] for n in piece], removes=True, body=keys)


def _teach(channel: Channel, script: Script) -> None:
    channel.send(channel.pack(("SCRIPT", "LOAD", script.text)))
    reply = channel.read_reply()
    if isinstance(reply, DestinationError):
        raise scripts_refused(reply)


def _turns(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Yield the requests in order, at most one for each server at a time."""
    turn: dict[Channel, Request] = {}
    for request in requests:
        if request[0] in turn:
            yield list(turn.values())
            turn = {}
        turn[request[0]] = request
    if turn:
        yield list(turn.values())


def _exchange(requests: Sequence[Request]) -> list[Reply | DestinationError]:
    for channel, command in requests:
        channel.send(command)
    return [channel.read_reply() for channel, _ in requests]


def _refusal(reply: Reply | DestinationError, node: Node) -> Exception | None:
    if isinstance(reply, DestinationError):
        return scripts_refused(reply)
    if reply[0] == b"done":
        return None
    if reply[0] in _FENCED_OFF:
        return _FENCED_OFF[reply[0]]()
    return fault(reply[1].decode(), node.endpoint.text)


def _add(report: ChunkReport, reply: Reply, positions: Sequence[int]) -> None:
    _, written, deleted, absent, *failed = reply
    report.written += written
    report.deleted += deleted
    report.absent += absent
    for position, code in zip(failed[::2], failed[1::2], strict=True):
        report.failures.append((positions[position], _ROW_FAULTS[code.decode()]))
