"""Cuts rows into chunks, each written as one step, and sends what is made of them.

A server serves nobody else during such a step, so chunks stay small in rows and in bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from activation.engine.channel import Channel
from activation.engine.errors import DestinationError
from activation.engine.node import Node
from activation.engine.replies import Reply
from activation.engine.rows import Rows, bulk, cut

CHUNK_ROWS = 200
# A transaction carries a row out in half the time that a script takes: it has read the commands before.
CHUNK_COMMANDS = 400
# Where applications read from the server, a read waits for no more than these.
CHUNK_AMONG_READERS = 60
CHUNK_BYTES = 1_000_000

_ROW_FAULTS = {"WRONGTYPE": "wrong_type", "TOOLARGE": "too_large", "UNENCODABLE": "unencodable"}

Packed = Sequence[bytes | memoryview]
Request = tuple[Channel, Packed]


@dataclass(frozen=True)
class Chunk:
    """Rows of one primary and their positions; all to be written or all to be removed.

    `body` is the end of a command, or whole `commands`.
    """

    node: Node
    positions: Sequence[int]
    removes: bool
    commands: bool
    body: bytes | memoryview


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

    def add(self, reply: Reply, positions: Sequence[int]) -> None:
        """Count what a script's reply tells of the rows at some positions (`activation.engine.scripts.CHUNK`)."""
        _, written, deleted, absent, *failed = reply
        self.written += written
        self.deleted += deleted
        self.absent += absent
        for position, code in zip(failed[::2], failed[1::2], strict=True):
            self.failures.append((positions[position], _ROW_FAULTS[code.decode()]))


def chunks_of(node: Node, rows: Rows, positions: Sequence[int], *, among_readers: bool = False) -> Iterator[Chunk]:
    """Yield the chunks of rows of one primary; `positions` tell where each row was in what is written."""
    writes, removes = rows.split()
    most, most_removes = CHUNK_COMMANDS if rows.commands else CHUNK_ROWS, CHUNK_ROWS
    if among_readers:
        most = most_removes = CHUNK_AMONG_READERS
    start = 0
    for count, body in cut(rows.take(writes).packed, rows=most, size=CHUNK_BYTES):
        where = [positions[n] for n in writes[start : start + count]] if removes else positions[start : start + count]
        yield Chunk(node, where, removes=False, commands=rows.commands, body=body)
        start += count
    for first in range(0, len(removes), most_removes):
        piece = removes[first : first + most_removes]
        keys = b"".join(map(bulk, rows.take(piece).keys()))
        yield Chunk(node, [positions[n] for n in piece], removes=True, commands=False, body=keys)


def turns(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Yield the requests in order, at most one for each server at a time."""
    turn: dict[Channel, Request] = {}
    for request in requests:
        if request[0] in turn:
            yield list(turn.values())
            turn = {}
        turn[request[0]] = request
    if turn:
        yield list(turn.values())


def exchange(requests: Sequence[Request]) -> list[Reply | DestinationError]:
    for channel, command in requests:
        channel.send(command)
    return [channel.read_reply() for channel, _ in requests]
