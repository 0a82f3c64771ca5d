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
from itertools import chain, compress, zip_longest
from typing import Self

from activation.engine.bookkeeping import Claim, FenceMissing, FenceMoved, Ledger, scripts_refused
from activation.engine.channel import Channel
from activation.engine.chunks import Chunk, ChunkReport, Packed, Request, chunks_of, exchange, turns
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
from activation.engine.replies import Reply, fault
from activation.engine.rows import Rows, bulk, pairs
from activation.engine.scripts import CHUNK, CHUNK_OF_DOCUMENTS, WITNESS, Script
from activation.engine.transactions import Transactions

LARGEST_VALUE = 16_000_000
# Answers of a server that changed its role or loads its data: what it acknowledged before may be gone.
_ROLE_CHANGED = frozenset({"readonly", "loading", "masterdown", "unblocked"})
_FENCED_OFF: dict[bytes, type[FenceMissing | FenceMoved]] = {b"missing": FenceMissing, b"moved": FenceMoved}
_FIXED_WORDS = 8  # EVALSHA, digest, 0, fence, partition, claim, field, count
# A sync takes at most this much of the time of a server that applications read from, all its partitions together.
_SHARE = 0.5
_LONGEST_PAUSE = 0.05
_READERS = Readers()


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
        self._transactions: Transactions | None = None
        self._broken = True

    @property
    def field_of_commands(self) -> str | None:
        """The field whose HSETs rows are best packed as; None when they are best packed as keys and values."""
        return None if self._transactions is None else self._field

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._tags = self._ledger.placed(self.claim)
            # Both, for a failover between the two look-ups may name different ones.
            for node in dict.fromkeys([*self._deployment.primaries(), *(node for _, node in self._tags)]):
                self._channels[node] = opening.enter_context(node.connection())
            self._transactions = self._begun()
            self._stack = opening.pop_all()
        self._broken = False
        return self

    def _begun(self) -> Transactions | None:
        """Return what writes in transactions, where the destination can."""
        settings = self._deployment.settings
        if settings.cluster_mode or settings.use_json_module or len(self._channels) > 1:
            return None
        [(node, channel)] = self._channels.items()
        transactions = Transactions(channel, self._ledger.fence_of(node), self.claim)
        return transactions if transactions.possible() else None

    def __exit__(self, *_: object) -> None:
        self._broken = True
        self._stack.close()

    def write(self, rows: Rows) -> ChunkReport:
        """Set the field of each row's key to its value, or remove it.

        Give some megabytes at a time, no key twice. After an error some of the chunks may be written.
        """
        report = ChunkReport()
        if self._deployment.settings.cluster_mode:
            rows = rows.joined()  # each primary takes its own
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
            for (_, node), reply in zip(self._tags, exchange(requests), strict=True):
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
                report.add(reply, chunk.positions)
            elif isinstance(refused, DestinationBusy) and refused.code not in _ROLE_CHANGED:
                busy = refused
                left.extend(chunk.positions)
            else:
                raise refused
        return sorted(left), busy

    def _chunks(self, rows: Rows, positions: Sequence[int]) -> list[Chunk]:
        """Cut the rows at `positions` into chunks, in an order that gives every primary work from the beginning on."""
        if not len(positions):
            return []
        small = any(map(_READERS.were_at, self._channels))
        by_node = self._by_node(rows, positions)
        lanes = [chunks_of(node, rows.take(own), own, among_readers=small) for node, own in by_node.items()]
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

    def _command(self, chunk: Chunk) -> Packed:
        count = len(chunk.positions)
        writes, words = (0, count) if chunk.removes else (count, 2 * count)
        fixed = (self._ledger.fence_of(chunk.node), self.claim.partition, self.claim.text, self._field, writes)
        body = pairs(chunk.body, self._field) if chunk.commands else chunk.body
        return [b"*%d\r\n%b%b" % (_FIXED_WORDS + words, self._call, b"".join(bulk(word) for word in fixed)), body]

    def _send(self, chunks: Sequence[Chunk]) -> list[Reply | DestinationError]:
        """Write commands in transactions; what is left of them, and all else, by script."""
        done = self._in_transactions(chunks)
        left = [number for number in range(len(chunks)) if number not in done]
        by_script = dict(zip(left, self._by_script([chunks[number] for number in left]), strict=True))
        return [
            [b"done", len(chunk.positions), 0, 0] if number in done else by_script[number]
            for number, chunk in enumerate(chunks)
        ]

    def _in_transactions(self, chunks: Sequence[Chunk]) -> set[int]:
        """Write what are commands, as far as all goes well; return the numbers of the chunks that are written."""
        numbers = [number for number, chunk in enumerate(chunks) if chunk.commands]
        if self._transactions is None or not numbers:
            return set()
        if not self._serves_readers():
            return set(compress(numbers, self._transactions.write([chunks[number] for number in numbers])))
        done: set[int] = set()
        for number in numbers:
            started = time.monotonic()
            if not all(self._transactions.write([chunks[number]])):
                break
            done.add(number)
            self._leave_room(started)
        return done

    def _by_script(self, chunks: Sequence[Chunk]) -> list[Reply | DestinationError]:
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
        if not self._serves_readers():
            return exchange(requests)
        replies: list[Reply | DestinationError] = []
        for turn in turns(requests):
            started = time.monotonic()
            answers = exchange(turn)
            _require_fence(answers)
            replies += answers
            if not all(isinstance(answer, ScriptUnknown) for answer in answers):
                self._leave_room(started)
        return replies

    def _serves_readers(self) -> bool:
        return any(_READERS.are_at(node) for node in self._channels)

    def _leave_room(self, started: float) -> None:
        """Pause after what was written, as long as readers are to have the server for themselves."""
        taken = time.monotonic() - started
        time.sleep(min(_LONGEST_PAUSE, taken * (self._among() / _SHARE - 1)))


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


def _teach(channel: Channel, script: Script) -> None:
    channel.send(channel.pack(("SCRIPT", "LOAD", script.text)))
    reply = channel.read_reply()
    if isinstance(reply, DestinationError):
        raise scripts_refused(reply)


def _refusal(reply: Reply | DestinationError, node: Node) -> Exception | None:
    if isinstance(reply, DestinationError):
        return scripts_refused(reply)
    if reply[0] == b"done":
        return None
    if reply[0] in _FENCED_OFF:
        return _FENCED_OFF[reply[0]]()
    return fault(reply[1].decode(), node.endpoint.text)
