"""One connection that all reads of an event loop share: what is asked in one turn of the loop goes out together.

So the price of a send, a receive and the changes of threads around them is shared as well, which is most of what a read
costs otherwise (redis.io calls it pipelining). Only for commands that change nothing: whoever cannot be answered here
asks once more, over a connection of its own (`activation.engine.node`), which judges what is wrong.
"""

import asyncio
import ssl
from collections import deque
from typing import Any

from hiredis import Reader, pack_command

from activation.engine.channel import Channel, Command
from activation.engine.errors import DestinationTimeout, DestinationUnreachable
from activation.engine.replies import Reply

_RECEIVED_AT_ONCE = 65_536
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Shared:
    """A connection of one event loop, all of whose methods run in that loop.

    `channel` is open and greeted, and belongs to this object from now on. `seconds` is the time limit of a command.
    """

    def __init__(self, channel: Channel, *, seconds: float) -> None:
        self._channel = channel
        self._socket: Any = channel.own_socket()
        self._socket.setblocking(False)
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._reader: Any = Reader()  # its stub knows no buffers
        self._buffer = bytearray(_RECEIVED_AT_ONCE)
        self._asked: deque[asyncio.Future[Reply]] = deque()
        self._due: deque[tuple[int, float]] = deque()  # replies that must have come, counted from the first, by when
        self._questions = self._replies = self._received = 0
        self._overdue_from = 0.0  # at the earliest
        self._unsent: list[bytes] = []
        self._flushes = self._watches = self._waits_to_write = self._ends = False
        self.is_open = True
        self._loop.add_reader(self._socket, self._receive)

    def ask(self, command: Command) -> "asyncio.Future[Reply]":
        """Send a command with all others of this turn; an error reply comes as a `hiredis.ReplyError`.

        The future raises `DestinationUnreachable` or `DestinationTimeout` when no reply comes.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._asked.append(future)
        self._questions += 1
        self._unsent.append(pack_command(tuple(command)))  # type: ignore[arg-type]  # any length
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush)
        return future

    def end(self) -> None:
        """Close the connection as soon as nobody waits for a reply."""
        self._ends = True
        if not self._asked:
            self._close()

    def _flush(self) -> None:
        self._flushes = False
        if not self.is_open:
            return
        self._due.append((self._questions, self._loop.time() + self._seconds))
        self._watch()
        if not self._waits_to_write:
            self._send()

    def _watch(self) -> None:
        if not self._watches:
            self._watches = True
            self._loop.call_at(max(self._due[0][1], self._overdue_from), self._look_at_the_clock)

    def _send(self) -> None:
        data = b"".join(self._unsent)
        try:
            sent = self._socket.send(data)
        except _NOT_NOW:
            sent = 0
        except OSError:
            self._fail(DestinationUnreachable(f"The connection to {self._channel.endpoint.text} broke."))
            return
        self._unsent = [data[sent:]] if sent < len(data) else []
        self._wait_to_write(bool(self._unsent))

    def _wait_to_write(self, wanted: bool) -> None:  # noqa: FBT001 - what follows from the bytes left
        if wanted and not self._waits_to_write:
            self._loop.add_writer(self._socket, self._send)
        elif not wanted and self._waits_to_write:
            self._loop.remove_writer(self._socket)
        self._waits_to_write = wanted

    def _receive(self) -> None:
        """Take what has come, and hand out the replies in it."""
        if not self.is_open:
            return
        received, replies = self._received, self._replies
        try:
            self._feed()
        except _NOT_NOW:
            pass
        except (OSError, EOFError):
            self._fail(DestinationUnreachable(f"The connection to {self._channel.endpoint.text} broke."))
            return
        try:
            while self._asked and (reply := self._reader.gets()) is not False:
                future = self._asked.popleft()
                self._replies += 1
                if not future.done():
                    future.set_result(reply)
        except Exception:  # noqa: BLE001 - hiredis has one for each way of not being Redis; the text may hold data
            self._fail(DestinationUnreachable(f"{self._channel.endpoint.text} does not answer as a Redis does."))
            return
        rest = self._reader.has_data()
        if not self._asked and (rest or self._ends):  # what nobody asked for would be the next one's answer
            self._close()
        elif self._received > received and (rest or self._replies == replies):
            # A long reply is on its way, which may take longer than the time limit as long as more of it comes.
            self._overdue_from = self._loop.time() + self._seconds

    def _feed(self) -> None:
        """Read from the socket until it is empty. Raises `EOFError` when the server is gone."""
        buffer, sock = self._buffer, self._socket
        while True:
            received = sock.recv_into(buffer)
            if not received:
                raise EOFError
            self._reader.feed(buffer, 0, received)
            self._received += received
            # A socket tells again when there is more; what TLS has read already is told by nobody.
            if not (received == len(buffer) or (isinstance(sock, ssl.SSLSocket) and sock.pending())):
                return

    def _look_at_the_clock(self) -> None:
        """Fail when a reply is overdue, unless it has come and only we are late."""
        self._watches = False
        if self._is_overdue():
            self._receive()
        if self._is_overdue():
            self._fail(DestinationTimeout(f"{self._channel.endpoint.text} did not answer in time."))
        elif self._due and self.is_open:
            self._watch()

    def _is_overdue(self) -> bool:
        while self._due and self._due[0][0] <= self._replies:
            self._due.popleft()
        return bool(self._due) and self.is_open and self._loop.time() >= max(self._due[0][1], self._overdue_from)

    def _fail(self, error: DestinationUnreachable) -> None:
        asked, self._asked = self._asked, deque()
        self._close()
        for future in asked:
            if not future.done():
                future.set_exception(error)

    def _close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._socket)
            self._wait_to_write(False)
            self._channel.close()
