"""Keeps to a limit of rows per second, so that a sync leaves a destination room for its readers."""

import time
from collections.abc import Callable


class Pace:
    """A limit of rows per second, shared with others by telling it `among` how many; without a limit it never waits."""

    def __init__(
        self,
        rows_per_second: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rows_per_second
        self.among = 1  # how many loads share the limit at the moment
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    def portion(self, most: int) -> int:
        """Return how many rows to write at a time: what half a second allows, and `most`."""
        return most if self._rate is None else max(1, min(most, self._rate // 2))

    def wait(self, rows: int) -> None:
        """Wait until what was let through before has had its time; then let `rows` through."""
        if self._rate is None:
            return
        now = self._clock()
        if self._free_at > now:
            self._sleep(self._free_at - now)
        self._free_at = max(self._free_at, now) + rows * self.among / self._rate
