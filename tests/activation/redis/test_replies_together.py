"""Replies that are read together: whatever they are and wherever they are cut, each is what it is by itself."""

import socket
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activation.engine.channel import Channel, Limits
from activation.engine.endpoint import Endpoint
from activation.engine.errors import DestinationError, DestinationUnreachable
from activation.engine.redis_settings import RedisSettings
from activation.engine.replies import Reply
from projects.warehouses.addresses import AddressPolicy


class Scripted:
    """A socket that hands out what a server said in given pieces, then says nothing more."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def recv_into(self, buffer: Any) -> int:
        if not self.pieces:
            raise TimeoutError
        piece = self.pieces.pop(0)
        if len(piece) > len(buffer):
            self.pieces.insert(0, piece[len(buffer) :])
            piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def sendall(self, _: bytes) -> None: ...

    def settimeout(self, _: float | None) -> None: ...

    def shutdown(self, _: int) -> None: ...

    def close(self) -> None: ...


def channel_over(sock: Scripted) -> Channel:
    class Dialled(Endpoint):
        def dial(self, within: float) -> socket.socket:
            return sock  # type: ignore[return-value]  # it has all that is used of one

    settings = RedisSettings.from_plain({"address": "127.0.0.1:6379"}, {})
    return Channel(Dialled("127.0.0.1", 6379, AddressPolicy(allow_private=True)), settings, Limits())


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(parts: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


values = st.binary(max_size=40) | st.sampled_from([b"", b"\r\n", b"$-1\r\n", b"-ERR x\r\n", b"*1\r\n"])
hashes = st.lists(st.tuples(values, values), max_size=4).map(
    lambda pairs: array([bulk(part) for pair in pairs for part in pair])
)
large = st.integers(0, 200_000).map(lambda size: array([bulk(b"view"), bulk(b"\xff" * size)]))
errors = st.sampled_from(  # but LOADING, after which a connection is given up
    [
        b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        b"-ERR unknown command 'HGETALL'\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-ASK 3999 127.0.0.1:6381\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    ]
)
odd = st.sampled_from(
    [b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b":-12\r\n", b":0\r\n", b"+OK\r\n", b"+\r\n", b"*1\r\n*0\r\n"]
)
within = errors.map(lambda error: array([bulk(b"name"), error]))


def alone(said: bytes) -> Any:
    """Read a reply by itself, by the plain parser; an error is its code."""
    reader = hiredis.Reader()
    reader.feed(said)
    reply = reader.gets()
    return told(DestinationError(str(reply), code="") if isinstance(reply, hiredis.ReplyError) else reply)


def told(reply: Reply | DestinationError) -> Any:
    """Tell replies apart by what they hold; of an error only that it is one."""
    if isinstance(reply, list):
        return [told(part) for part in reply]
    return "an error" if isinstance(reply, Exception) else reply


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Replies, and the pieces in which they come."""
    said = draw(st.lists(hashes | odd | errors | within | large, min_size=1, max_size=12))
    whole = b"".join(said)
    cuts = sorted(draw(st.lists(st.integers(1, max(1, len(whole) - 1)), max_size=8)))
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    return said, [piece for piece in pieces if piece]


@settings(max_examples=400, deadline=None)
@given(conversations(), values)
def test_each_reply_is_what_it_is_by_itself(conversation, following):
    said, pieces = conversation
    sock = Scripted()
    channel = channel_over(sock)
    sock.pieces = list(pieces)
    channel.send([b"asked"], commands=len(said))

    assert [told(reply) for reply in channel.read_replies(len(said))] == [alone(one) for one in said]
    assert channel.pending == 0

    sock.pieces = [bulk(following)]
    assert channel.ask("GET", "x") == following, "what comes next is not mixed up with them"


@settings(max_examples=200, deadline=None)
@given(conversations())
def test_replies_that_do_not_all_come_are_none(conversation):
    said, pieces = conversation
    sock = Scripted()
    channel = channel_over(sock)
    sock.pieces = [*pieces[:-1], pieces[-1][:-1]]
    channel.send([b"asked"], commands=len(said))

    with pytest.raises(DestinationUnreachable):
        channel.read_replies(len(said))
    assert not channel.is_open
