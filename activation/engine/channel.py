"""A connection to one Redis server: dialling it, commands and replies, and errors in our own words.

Built on redis-py's connection (its parser, its handshake); its clients are not used: they retry, follow redirects and
name hosts in ways that would pass the address guard by. Nothing of redis-py's messages leaves this module, because
they print commands with their data.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hiredis import pack_command
from redis import exceptions
from redis.connection import Connection

from activation.engine import tls
from activation.engine.endpoint import Endpoint
from activation.engine.errors import (
    DestinationAddressRefused,
    DestinationError,
    DestinationMisconfigured,
    DestinationTimeout,
    DestinationUnreachable,
    Redirected,
)
from activation.engine.parser import NOT_ENOUGH_DATA, Parser, Usual
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply, code_of, fault
from projects.warehouses.addresses import AddressError, NameUnknown

Command = Sequence[str | bytes | int]


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
    """redis-py's connection over a socket that we dial: RESP2, no client-info round trips, no retries.

    What goes out and comes back well takes a short way around redis-py's layers, which cost a read as much as the rest
    of it; what does not is told by them.
    """

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
            parser_class=Parser,
            driver_info=None,
        )

    def replies_at_hand(self, most: int) -> list[Reply]:
        """Return up to `most` replies that have come already and are no errors."""
        replies: list[Reply] = self._parser.replies_at_hand(most)
        return replies

    def send_at_once(self, packed: Sequence[bytes | memoryview]) -> None:
        """Send what is packed, over the connection as it is."""
        sock: Any = self._sock
        try:
            for each in packed:
                sock.sendall(each)
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            raise

    def next_reply(self) -> Reply:
        """Return the next reply; what is wrong with it or with the connection is raised as redis-py does."""
        try:
            reply = self._parser.plain_reply()
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            raise
        return self.read_response() if reply is NOT_ENOUGH_DATA else reply

    def take_usual(self, usual: Usual) -> bool:
        """Receive replies as `Parser.take_usual` does."""
        try:
            taken: bool = self._parser.take_usual(usual)
        except BaseException:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's
            raise
        return taken

    def own_socket(self) -> socket.socket:
        """Return the socket of an open connection."""
        return cast("socket.socket", self._sock)

    def _connect(self) -> socket.socket:
        try:
            sock = self._endpoint.dial(self.socket_connect_timeout or 0)
            sock.settimeout(self.socket_timeout)
        except ssl.SSLError as error:
            refused = tls.refused(error, self._endpoint.text)
        else:
            return sock
        raise refused


def packed(commands: Sequence[Command]) -> bytes:
    """Write commands as Redis reads them, one after the other."""
    return b"".join([pack_command(tuple(command)) for command in commands])  # type: ignore[arg-type]  # any length


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
        return [packed([command])]

    def send(self, packed: Sequence[bytes | memoryview], *, commands: int = 1) -> None:
        """Send packed commands; replies are read later, in order. Never on another connection than before."""
        if not self.is_open:  # redis-py would open a new one without a word
            raise DestinationUnreachable(f"The connection to {self.endpoint.text} broke.", code="connection_closed")
        self.pending += commands
        self._translated(self._connection.send_at_once, packed)

    def ask(self, *command: str | bytes | int) -> Reply | DestinationError:
        """Run one command and return its reply; an error reply is returned, a broken connection raised."""
        self.send(self.pack(command))
        return self.read_reply()

    def read(self) -> Reply:
        """Read the next reply. Raises `DestinationError`."""
        reply = self._translated(self._connection.next_reply)
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

    def read_replies(self, count: int) -> list[Reply | DestinationError]:
        """Read replies as `read_reply` does; those that came together are taken together, at a fraction of the cost."""
        replies: list[Reply | DestinationError] = []
        while len(replies) < count:
            replies.append(self.read_reply())
            at_hand = self._connection.replies_at_hand(count - len(replies))
            self.pending -= len(at_hand)
            replies += at_hand
        return replies

    def read_usual(self, usual: Usual, *, replies: int) -> bool:
        """Read so many replies at once if they are as usual; else none is read. Raises `DestinationError`."""
        taken: bool = self._translated(self._connection.take_usual, usual)
        if taken:
            self.pending -= replies
        return taken

    def usable(self) -> bool:
        """Tell whether an idle connection is still open and silent."""
        try:
            return self.is_open and not self._connection.can_read(0)
        except (exceptions.RedisError, OSError):
            return False

    def own_socket(self) -> socket.socket:
        """Return the socket of an open connection that has nothing pending, for who goes on with it alone."""
        return self._connection.own_socket()

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py's

    def _translated(self, call: Callable[..., Reply], *arguments: object) -> Reply:
        """Call, and raise our own errors outside the handler, so that not even their context holds the driver's."""
        try:
            return call(*arguments)
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
