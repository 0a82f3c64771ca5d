"""One Redis server: a bounded pool of connections and a circuit breaker."""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from activation.engine.channel import Channel, Command, Limits, packed
from activation.engine.circuit import Circuit
from activation.engine.endpoint import Endpoint
from activation.engine.errors import DestinationError, DestinationTimeout, DestinationUnreachable
from activation.engine.line import Line
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply

SURELY_OPEN_FOR = 0.005


class NotAtHand(Exception):
    """What is needed to answer within the event loop is not there; a thread that may wait can answer."""


class Node:
    """A server and its pool. Thread safe; a forked child starts with an empty pool.

    `greet` is called with every new connection; one that it raises over is closed. `broken` is called whenever the
    server could not be reached, or is not what it was thought to be.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: RedisSettings,
        limits: Limits,
        greet: Callable[[Channel], None] | None = None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._limits = limits
        self._greet = greet
        self._broken = broken
        self._circuit = Circuit(limits.trip_after, rest=limits.rest, first_rest=limits.first_rest)
        self._line = Line(self._open_anew, seconds=limits.command)
        self._start_empty()

    def execute(self, *command: str | bytes | int) -> Reply:
        """Run one command. Raises `DestinationError`."""
        channel = self._lend()
        try:
            channel.send(channel.pack(command))
            return channel.read()
        except DestinationUnreachable:
            self._failed()
            raise
        finally:
            self._take_back(channel)

    async def ask(self, *command: str | bytes | int) -> Reply:
        """Run one command that changes nothing over the connection that all callers of the event loop share.

        An error reply is a `hiredis.ReplyError`. Raises `DestinationUnreachable`, and `NotAtHand` when there is no
        such connection at the moment, or it breaks: one that is closed is no server that fails, though very many may
        wait on it. Whoever asks once more finds out.
        """
        self._circuit.look(self.endpoint.text)
        shared = self._line.get()
        if shared is None:
            raise NotAtHand
        try:
            reply = await shared.ask(command)
        except DestinationTimeout:
            self._failed()
            raise
        except DestinationUnreachable:
            raise NotAtHand from None
        self._circuit.succeeded()
        return reply

    def pipeline(self, commands: Sequence[Command]) -> list[Reply | DestinationError]:
        """Run commands in one round trip; an error reply stands in the place of its reply.

        Raises `DestinationUnreachable` when the connection breaks, and then none of them may count as done.
        """
        with self.connection() as connection:
            connection.send([packed(commands)], commands=len(commands))
            return connection.read_replies(len(commands))

    @contextlib.contextmanager
    def connection(self) -> Iterator[Channel]:
        """Lend a connection; one that broke, or was left in the middle of something, is closed.

        Raises `DestinationError`.
        """
        channel = self._lend()
        try:
            yield channel
        except DestinationUnreachable:
            self._failed()
            raise
        finally:
            self._take_back(channel)

    def close(self) -> None:
        """Close the idle connections; those on loan are closed when they come back."""
        self._closed = True
        self._line.close()
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def _start_empty(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._idle: deque[Channel] = deque()
        # One permit a connection. A queue, because the standard library's semaphore costs a read ten times as much.
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._limits.connections):
            self._permits.put(None)

    def _lend(self) -> Channel:
        """Take a connection out of the pool; `_take_back` must follow. Raises `DestinationError`."""
        self._circuit.enter(self.endpoint.text)
        if self._pid != os.getpid():
            self._start_empty()
        try:
            self._permits.get(timeout=self._limits.connect)
        except Empty:
            raise DestinationTimeout(
                f"All connections to {self.endpoint.text} are busy.", code="pool_exhausted"
            ) from None
        try:
            return self._open()
        except BaseException:
            self._permits.put(None)
            raise

    def _take_back(self, channel: Channel) -> None:
        try:
            if channel.pending or self._closed:
                channel.close()
            elif channel.is_open:
                self._circuit.succeeded()
                channel.used_at = time.monotonic()
                self._idle.append(channel)
        finally:
            self._permits.put(None)

    def _open(self) -> Channel:
        while True:
            try:
                channel = self._idle.pop()
            except IndexError:
                break
            # What answered a moment ago is as good as one in use; asking the system about it costs a tenth of a read.
            if time.monotonic() - channel.used_at < SURELY_OPEN_FOR or channel.usable():
                return channel
            channel.close()
        return self._open_anew()

    def _open_anew(self) -> Channel:
        try:
            return self._greeted(Channel(self.endpoint, self._settings, self._limits))
        except DestinationUnreachable:
            self._failed()
            raise

    def _failed(self) -> None:
        self._circuit.failed()
        self._broken()

    def _greeted(self, channel: Channel) -> Channel:
        try:
            if self._greet is not None:
                self._greet(channel)
        except BaseException:
            channel.close()
            self._broken()
            raise
        return channel
