"""Chunks of whole commands, written in transactions that watch the fence: two thirds of what a script costs the server.

What makes it a fence (https://redis.io/docs/latest/develop/interact/transactions/): nothing that writes is sent before
the server has said that it watches the fence, that the fence stands at the claim, and that it queues. If the fence is
touched before the transaction is carried out, nothing of it is. Whatever does not go well is left to the script
(`activation.engine.scripts`), which tells why; writing rows twice is harmless.

A cluster takes no transaction over several slots, so its chunks are scripts always.
"""

from collections.abc import Sequence

from activation.engine.bookkeeping import Claim
from activation.engine.channel import Channel, packed
from activation.engine.chunks import Chunk
from activation.engine.errors import DestinationError
from activation.engine.rows import bulk

_EXEC = packed([("EXEC",)])
_ONE_IS_ZERO = bytes.maketrans(b"1", b"0")


class Transactions:
    """Writes for one claim over one connection, for one thread."""

    def __init__(self, channel: Channel, fence: str, claim: Claim) -> None:
        self._channel = channel
        self._claim = claim.text.encode()
        self._opening = packed([("WATCH", fence), ("HGET", fence, claim.partition), ("MULTI",)])
        self._opened = b"+OK\r\n%b+OK\r\n" % bulk(self._claim)

    def possible(self) -> bool:
        """Tell whether the server lets us: a Redis user may lack a right. Refusing EXEC ends a transaction too."""
        self._channel.send([self._opening], commands=3)
        watched, _, queues = self._channel.read_replies(3)
        if queues != b"OK":
            return False
        return not isinstance(self._channel.ask("EXEC"), DestinationError) and watched == b"OK"

    def write(self, chunks: Sequence[Chunk]) -> list[bool]:
        """Write chunks of commands, each in a transaction of its own; tell which of them are written to the last row.

        The others may be in part, and are to be written otherwise. Raises `DestinationError` with the connection.
        """
        written = [False] * len(chunks)
        self._channel.send([self._opening], commands=3)
        is_open = self._is_open()
        for place, chunk in enumerate(chunks):
            if not is_open:
                break
            count, last = len(chunk.positions), place == len(chunks) - 1
            closing = _EXEC if last else _EXEC + self._opening
            self._channel.send([chunk.body, closing], commands=count + (1 if last else 4))
            written[place], is_open = self._ended(count, last=last)
        return written

    def _ended(self, count: int, *, last: bool) -> tuple[bool, bool]:
        """Read what a transaction brought, and whether the next one is open."""
        usual = _Usual(count, b"" if last else self._opened)
        if self._channel.read_usual(usual, replies=count + (1 if last else 4)):
            return True, not last
        done = self._channel.read_replies(count + 1)[-1]
        whole = isinstance(done, list) and all(isinstance(reply, int) for reply in done)
        return whole, not last and self._is_open()

    def _is_open(self) -> bool:
        watched, fence, queues = self._channel.read_replies(3)
        if queues == b"OK" and watched == b"OK" and fence == self._claim:
            return True
        if queues == b"OK":
            self._channel.ask("DISCARD")
        elif watched == b"OK":
            self._channel.ask("UNWATCH")
        return False


class _Usual:
    """The bytes of the replies when all goes well: only whether a row's field was there before is not known."""

    def __init__(self, count: int, opened: bytes) -> None:
        self._queued = b"+QUEUED\r\n" * count + b"*%d\r\n" % count
        self._numbers = b":0\r\n" * count
        self._opened = opened
        self._at = len(self._queued), len(self._queued) + len(self._numbers)
        self.size = self._at[1] + len(opened)

    def fits(self, received: bytearray) -> bool:
        """Tell whether the beginning of the replies is as usual."""
        start, stop = self._at
        numbers = received[start:stop].translate(_ONE_IS_ZERO)
        return (
            self._queued.startswith(received[:start])
            and self._numbers.startswith(numbers)
            and self._opened.startswith(received[stop:])
        )
