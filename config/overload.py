"""Refuses what a process cannot get done soon, at once and before any work, so that what it accepts stays quick.

A server that takes everything answers nobody in time once more comes than it can do: all wait for the sum of those
before them. So some requests are at work, some wait for their turn, and whoever finds the queue full, or has waited
too long in it, is told to come back. That costs some microseconds: no token is checked, nothing is asked of anybody.
A short body that came along is taken off the connection, which could not be used again otherwise, and not looked at.

The API and pages have queues of their own, so that neither starves the other. The server needs more threads than both
may hold (`threads`), so that there is always one to refuse, and to answer health checks, which never wait here.
"""

import itertools
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from config.body_lengths import is_short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Room(NamedTuple):
    """How many requests may be at work, how many wait, and how many seconds at most."""

    active: int
    waiting: int
    seconds: float

    @property
    def threads(self) -> int:
        """Return the threads that all of them hold."""
        return self.active + self.waiting


API_REQUESTS_AT_ONCE = 16  # unless the setting of this name says otherwise
WAITING_FOR_EACH = 5  # of those at work: a burst of 96 calls is served, the last after some 40 ms
# A browser asks for a page's files together, over six connections.
PAGES = Room(active=4, waiting=60, seconds=5.0)
SPARE_THREADS = 2
# Plain reads that are under way in the event loop, which takes some 60 µs for each: the last is answered in time.
READS_IN_LOOP = 1024


def api(active: int) -> Room:
    """Return the room for the API, of whose requests `active` are at work."""
    return Room(active, waiting=active * WAITING_FOR_EACH, seconds=0.1)


def threads(active: int) -> int:
    """Return the threads that a server needs at most. Those that wait want nothing, not even the interpreter's lock."""
    return api(active).threads + PAGES.threads + SPARE_THREADS


class Refusal(NamedTuple):
    """A ready answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Queue:
    """Lets requests work as `room` says, first come first served. `refusals` are by method; "" is for all others.

    `most` is how many may be at work or wait.
    """

    def __init__(self, room: Room, refusals: "Mapping[str, Refusal]") -> None:
        self.most = room.threads
        self._free, self._most_waiting, self._seconds = room
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()
        self._refusals = refusals
        self._refused = itertools.count()  # its `next` is atomic, adding to a number is not

    @property
    def refused(self) -> int:
        """Return how many requests were refused so far."""
        # Of a count only its text tells where it stands without moving it on.
        return int(repr(self._refused)[len("count(") : -1])

    def guard(self, handler: "WSGIApplication") -> "WSGIApplication":
        """Return a callable that asks the handler when it is a request's turn."""

        def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
            if not self._enter():
                return self._refuse(environ, start_response)
            try:
                body = handler(environ, start_response)
            except BaseException:
                self.leave()
                raise
            if isinstance(body, list):
                self.leave()
                return body
            return _Unfinished(body, self)

        return answer

    def _enter(self) -> bool:
        """Wait for a turn; False if there is none to be had."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._waiting) >= self._most_waiting:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=self._seconds):
            return True
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # it was given the turn in that very moment

    def leave(self) -> None:
        """Give the turn to who waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def refusal(self, method: str) -> Refusal:
        """Count a refusal, and return it."""
        next(self._refused)
        return self._refusals.get(method) or self._refusals[""]

    def _refuse(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        refusal = self.refusal(environ["REQUEST_METHOD"])
        length: str = environ.get("CONTENT_LENGTH", "")
        if is_short(length):
            with suppress(OSError):
                environ["wsgi.input"].read(int(length))
        start_response(refusal.status, refusal.headers)
        return [refusal.body]


class _Unfinished:
    """An answer that is still being made while it is sent. Servers close it in any case (PEP 3333)."""

    def __init__(self, body: "Iterable[bytes]", queue: Queue) -> None:
        self._body, self._queue = body, queue

    def __iter__(self) -> "Iterator[bytes]":
        return iter(self._body)

    def close(self) -> None:
        """End the answer and give its turn away."""
        try:
            getattr(self._body, "close", lambda: None)()
        finally:
            self._queue.leave()
