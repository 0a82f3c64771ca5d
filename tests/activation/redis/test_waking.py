"""A writer is woken once a transaction, however many pieces its server answers it in."""

import socket
import threading
from typing import Any

import pytest

from activation.engine import parser
from activation.engine.transactions import _Usual
from tests.activation.redis.test_replies_together import channel_over

COUNT = 40
REPLIES = b"+QUEUED\r\n" * COUNT + b"*%d\r\n" % COUNT + b":1\r\n" * COUNT


class Counted(socket.socket):
    """A socket that counts how often it is read."""

    reads = 0

    def recv_into(self, *arguments: Any) -> int:
        self.reads += 1
        return super().recv_into(*arguments)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch):
    """Give a connected TCP socket that counts, and the server's end of it."""
    monkeypatch.setattr(parser, "_SHORT_OF_USUAL", 5)  # seconds, for a machine that is busy
    with socket.create_server(("127.0.0.1", 0)) as listener, Counted(socket.AF_INET, socket.SOCK_STREAM) as ours:
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
        with theirs:
            theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ours.settimeout(10)
            yield ours, theirs


def test_replies_in_many_pieces_wake_the_writer_once(pair):
    ours, theirs = pair
    channel = channel_over(ours)
    channel.send([b"written"], commands=COUNT + 1)
    paused = threading.Event()

    def answer() -> None:
        for start in range(0, len(REPLIES), 50):
            theirs.sendall(REPLIES[start : start + 50])
            paused.wait(0.005)

    server = threading.Thread(target=answer)
    server.start()
    try:
        assert channel.read_usual(_Usual(COUNT, b""), replies=COUNT + 1)
    finally:
        server.join()
    assert (ours.reads, channel.pending) == (1, 0)


def test_a_shorter_answer_is_found_after_a_while(pair, monkeypatch):
    monkeypatch.setattr(parser, "_SHORT_OF_USUAL", 0.01)
    ours, theirs = pair
    channel = channel_over(ours)
    channel.send([b"written"])
    theirs.sendall(b"-OOM command not allowed\r\n")
    assert not channel.read_usual(_Usual(COUNT, b""), replies=COUNT + 1)
    assert channel.read_reply().code == "oom"
