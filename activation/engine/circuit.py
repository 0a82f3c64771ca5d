"""A circuit breaker: while a server is down, callers are told at once, and one in a while finds out."""

import threading
import time

from activation.engine.errors import DestinationUnreachable


class Circuit:
    """Answers at once while a server is down, and lets one call in every `rest` seconds find out."""

    def __init__(self, trip_after: int, rest: float) -> None:
        self._trip_after, self._rest = trip_after, rest
        self._failures = 0
        self._next_try = 0.0
        self._lock = threading.Lock()

    def enter(self, where: str) -> None:
        """Raise `DestinationUnreachable` while the circuit is open, but for the one call that tries."""
        if not self._trip_after or self._failures < self._trip_after:
            return
        with self._lock:
            now = time.monotonic()
            if now >= self._next_try:
                self._next_try = now + self._rest
                return
        raise DestinationUnreachable(f"{where} was not reachable a moment ago.", code="circuit_open")

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._next_try = time.monotonic() + self._rest

    def succeeded(self) -> None:
        if self._failures:
            with self._lock:
                self._failures = 0
