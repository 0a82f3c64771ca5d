"""One Redis server: dialling it, a bounded pool of connections, a circuit breaker, and errors in our own words.

Built on redis-py's connection (its parser, its handshake); its clients are not used: they retry, follow redirects and
name hosts in ways that would pass the address guard by. Nothing of redis-py's messages leaves this module, because
they print commands with their data.
"""

import contextlib
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from redis import exceptions
from redis.connection import Connection

from activation.engine import tls
from activation.engine.circuit import Circuit
from activation.engine.endpoint import Endpoint
from activation.engine.errors import (
    DestinationAddressRefused,
    DestinationError,
    DestinationMisconfigured,
    DestinationTimeout,
    DestinationUnreachable,
    Redirected,
)
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import code_of, fault
from projects.warehouses.addresses import AddressError, NameUnknown

Command = Sequence[str | bytes | int]
SURELY_OPEN_FOR = 0.005
Reply = Any  # what RESP2 holds: bytes, int, None or a list of these


@dataclass(frozen=True)
class Limits:
    """Time limits in seconds, and how many connections one process opens to a server.

    `trip_after` failures in a row open the circuit, for `first_rest` seconds at first and for up to `rest`; 0 means no
    circuit breaker.
    """

    connect: float = 0.2
    command: float = 0.1
    connections: int = 32
    trip_after: int = 0
    rest: float = 0.5
    first_rest: float = 0.1


class _Connection(Connection):
    """redis-py's connection over a socket that we dial: RESP2, no client-info round trips, no retries."""

    def __init__(self, endpoint: Endpoint, settings: RedisSettings, limits: Limits) -> None:
        self._endpoint = endpoint
        super().__init__(  # type: ignore[no-untyped-call]  # redis-py's
            host=endpoint.host,
            port=endpoint.port,
            db=settings.database,
            username=settings.username or None,
            password=settings.password or None,
            socket_connect_timeout=limits.connect,
            socket_timeout=limits.command,
            protocol=2,
            driver_info=None,
        )

    def _connect(self) -> socket.socket:
        try:
            sock = self._endpoint.dial(self.socket_connect_timeout or 0)
            sock.settimeout(self.socket_timeout)
        except ssl.SSLError as error:
            refused = tls.refused(error, self._endpoint.text)
        else:
            return sock
        raise refused


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
        greet: "Callable[[Channel], None] | None" = None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.endpoint = endpoint
        self._settings = settings
        self._limits = limits
        self._greet = greet
        self._broken = broken
        self._circuit = Circuit(limits.trip_after, rest=limits.rest, first_rest=limits.first_rest)
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

    def pipeline(self, commands: Sequence[Command]) -> list[Reply | DestinationError]:
        """Run commands in one round trip; an error reply stands in the place of its reply.

        Raises `DestinationUnreachable` when the connection breaks, and then none of them may count as done.
        """
        with self.connection() as connection:
            packed = b"".join(piece for command in commands for piece in connection.pack(command))
            connection.send([packed], commands=len(commands))
            return [connection.read_reply() for _ in commands]

    @contextlib.contextmanager
    def connection(self) -> Iterator["Channel"]:
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

    def _lend(self) -> "Channel":
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

    def _take_back(self, channel: "Channel") -> None:
        try:
            if channel.pending or self._closed:
                channel.close()
            elif channel.is_open:
                self._circuit.succeeded()
                channel.used_at = time.monotonic()
                self._idle.append(channel)
        finally:
            self._permits.put(None)

    def _open(self) -> "Channel":
        while True:
            try:
                channel = self._idle.pop()
            except IndexError:
                break
            # What answered a moment ago is as good as one in use; asking the system about it costs a tenth of a read.
            if time.monotonic() - channel.used_at < SURELY_OPEN_FOR or channel.usable():
                return channel
            channel.close()
        try:
            return self._greeted(Channel(self.endpoint, self._settings, self._limits))
        except DestinationUnreachable:
            self._failed()
            raise

    def _failed(self) -> None:
        self._circuit.failed()
        self._broken()

    def _greeted(self, channel: "Channel") -> "Channel":
        try:
            if self._greet is not None:
                self._greet(channel)
        except BaseException:
            channel.close()
            self._broken()
            raise
        return channel


class Channel:
    """An open connection, for one thread at a time. Every error that leaves it is ours."""

    def __init__(self, endpoint: Endpoint, settings: RedisSettings, limits: Limits) -> None:
        self.endpoint = endpoint
        self.pending = 0
        self.used_at = 0.0
        self._connection = _Connection(endpoint, settings, limits)
        self._translated(self._connection.connect)

    @property
    def is_open(self) -> bool:
        return bool(self._connection.is_connected)

    def pack(self, command: Command) -> list[bytes]:
        """Write a command as Redis reads it."""
        packed: list[bytes] = self._connection.pack_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
        return packed

    def send(self, packed: Sequence[bytes | memoryview], *, commands: int = 1) -> None:
        """Send packed commands; replies are read later, in order. Never on another connection than before."""
        if not self.is_open:  # redis-py would open a new one without a word
            raise DestinationUnreachable(f"The connection to {self.endpoint.text} broke.", code="connection_closed")
        self.pending += commands
        self._translated(self._connection.send_packed_command, packed, check_health=False)

    def ask(self, *command: str | bytes | int) -> Reply | DestinationError:
        """Run one command and return its reply; an error reply is returned, a broken connection raised."""
        self.send(self.pack(command))
        return self.read_reply()

    def read(self) -> Reply:
        """Read the next reply. Raises `DestinationError`."""
        reply = self._translated(self._connection.read_response)
        self.pending -= 1
        return reply

    def read_reply(self) -> Reply | DestinationError:
        """Read the next reply; an error reply is returned, a broken connection raised."""
        try:
            return self.read()
        except DestinationUnreachable:
            raise
        except DestinationError as error:
            return error

    def usable(self) -> bool:
        """Tell whether an idle connection is still open and silent."""
        try:
            return self.is_open and not self._connection.can_read(0)
        except (exceptions.RedisError, OSError):
            return False

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's

    def _translated(self, call: Callable[..., Reply], *arguments: object, **options: object) -> Reply:
        """Call, and raise our own errors outside the handler, so that not even their context holds the driver's."""
        try:
            return call(*arguments, **options)
        except (exceptions.RedisError, AddressError, OSError) as error:
            if isinstance(error, exceptions.ResponseError) and self.pending:
                self.pending -= 1
            ours = _ours(error, self.endpoint.text)
        raise ours


def _ours(error: Exception, where: str) -> DestinationError:
    # In TLS 1.3 a server looks at the client's certificate after we think the handshake is over.
    alert = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    if alert is not None and tls.is_about_our_certificate(alert):
        return tls.refused(alert, where)
    match error:
        case NameUnknown():
            ours: DestinationError = DestinationUnreachable(str(error), code="name_unknown")
        case AddressError():
            ours = DestinationAddressRefused(str(error))
        case exceptions.AskError():
            ask = not isinstance(error, exceptions.MovedError)
            ours = Redirected(error.slot_id, error.host, error.port, ask=ask)
        case exceptions.ResponseError() | exceptions.AuthenticationError():
            ours = fault(code_of(f"{error.status_code or ''} {error}".strip()), where)
        case exceptions.TimeoutError() | TimeoutError():
            ours = DestinationTimeout(f"{where} did not answer in time.")
        case exceptions.InvalidResponse():
            ours = DestinationMisconfigured(f"{where} does not answer as a Redis does.", code="not_redis")
        case _:
            ours = DestinationUnreachable(f"{where} cannot be reached, or the connection broke.")
    return ours


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
