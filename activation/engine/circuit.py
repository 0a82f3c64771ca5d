"""A circuit breaker: while a server is down, callers are told at once, and one in a while finds out."""

import threading
import time
from collections.abc import Callable

from activation.engine.errors import DestinationUnreachable


class Circuit:
    """Answers at once while a server is down, and lets one call at a time find out.

    It opens after `trip_after` failures in a row (never, if 0). The first try comes `first_rest` seconds later, so that
    a server that only paused costs little more than its pause; each that fails doubles the time to the next, up to
    `rest` seconds. `clock` counts seconds and never goes back.
    """

    def __init__(
        self, trip_after: int, *, rest: float, first_rest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trip_after, self._rest, self._first_rest = trip_after, rest, first_rest
        self._clock = clock
        self._failures = 0
        self._next_rest = first_rest
        self._next_try = 0.0
        self._lock = threading.Lock()

    def enter(self, where: str) -> None:
        """Raise `DestinationUnreachable` while the circuit is open, but for the one call that tries."""
        if not self._is_open():
            return
        with self._lock:
            now = self._clock()
            if now >= self._next_try:
                self._next_rest = min(self._next_rest * 2, self._rest)
                # Until the try has failed nobody else tries, unless it takes very long.
                self._next_try = now + self._rest
                return
        raise _unreachable(where)

    def look(self, where: str) -> None:
        """Raise as `enter` does; who may pass takes nobody's turn to try."""
        if self._is_open() and self._clock() < self._next_try:
            raise _unreachable(where)

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._next_try = self._clock() + self._next_rest

    def succeeded(self) -> None:
        if self._failures:
            with self._lock:
                self._failures, self._next_rest = 0, self._first_rest

    def _is_open(self) -> bool:
        return 0 < self._trip_after <= self._failures


def _unreachable(where: str) -> DestinationUnreachable:
    return DestinationUnreachable(f"{where} was not reachable a moment ago.", code="circuit_open")
