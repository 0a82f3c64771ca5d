"""redis-py's parser with shorter ways for what is read all the time.

Private parts of redis-py are used: its parser's reader, buffer and socket.
"""

import select
import socket
import ssl
from typing import Any, Protocol

from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA, _HiredisParser

from activation.engine.replies import Reply

__all__ = ["NOT_ENOUGH_DATA", "Parser", "Usual"]

# Replies of fewer bytes than usual are rare, and looked at after so many seconds.
_SHORT_OF_USUAL = 0.05


class Usual(Protocol):
    """The bytes that replies are made of when all goes well."""

    size: int

    def fits(self, received: bytearray) -> bool:
        """Tell whether what was received so far is their beginning."""


class Parser(_HiredisParser):
    """redis-py's parser, which also hands out what it holds without asking the socket."""

    _held: Reply = NOT_ENOUGH_DATA

    def replies_at_hand(self, most: int) -> list[Reply]:
        """Return up to `most` replies that have come already; an error among them is kept for `read_response`."""
        replies: list[Reply] = []
        reader: Any = self._reader
        if reader is None:  # an error reply made redis-py close the connection
            return replies
        gets = reader.gets
        for _ in range(most):
            reply = gets()
            if reply is NOT_ENOUGH_DATA:
                break
            if isinstance(reply, Exception):
                self._held = reply
                break
            replies.append(reply)
        return replies

    def read_response(self, *arguments: Any, **options: Any) -> Reply:
        """Return the next reply as redis-py does."""
        if self._held is NOT_ENOUGH_DATA:
            return super().read_response(*arguments, **options)
        held, self._held = self._held, NOT_ENOUGH_DATA
        first = held[0] if isinstance(held, list) else held
        if isinstance(first, exceptions.ConnectionError):
            raise first
        return held

    def plain_reply(self) -> Reply:
        """Return the next reply in a third of the time, or nothing when it is one that `read_response` must judge."""
        reader: Any = self._reader
        if reader is None or self._held is not NOT_ENOUGH_DATA:
            return NOT_ENOUGH_DATA
        while (reply := reader.gets()) is NOT_ENOUGH_DATA:
            received = self._sock.recv_into(self._buffer)
            if not received:
                raise exceptions.ConnectionError
            reader.feed(self._buffer, 0, received)
        if isinstance(reply, Exception) or (type(reply) is list and reply and isinstance(reply[0], Exception)):
            self._held = reply
            return NOT_ENOUGH_DATA
        return reply

    def take_usual(self, usual: Usual) -> bool:
        """Receive replies without looking at each; tell whether they were as usual, or are kept for `read_response`."""
        reader: Any = self._reader
        if reader is None or self._held is not NOT_ENOUGH_DATA or reader.has_data():
            return False
        received = bytearray()
        _await(self._sock, usual.size)
        while len(received) < usual.size:
            count = self._sock.recv_into(self._buffer)
            if not count:
                raise exceptions.ConnectionError
            received += memoryview(self._buffer)[:count]
            if len(received) > usual.size or not usual.fits(received):
                reader.feed(received)
                return False
        return True


def _await(sock: Any, size: int) -> None:
    """Sleep until so many bytes have come, a connection is over, or what comes is not as much.

    A server answers as it reads, every few commands of a transaction. To be woken by each answer takes a third of what
    the answers cost us, and the server's time to wake us.
    """
    if isinstance(sock, ssl.SSLSocket):  # it may hold what has come already
        return
    coming = select.poll()
    coming.register(sock, select.POLLIN)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    coming.poll(_SHORT_OF_USUAL * 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
