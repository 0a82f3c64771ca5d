"""Looks whether applications read from a server, so that a sync can leave them room.

A server that runs a sync's scripts serves nobody else meanwhile. It counts the commands that reads of profiles use
(`INFO commandstats`); scripts of ours use none of them. A server that does not tell counts as one without readers.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from activation.engine.errors import DestinationError
from activation.engine.node import Node

READS = frozenset({"cmdstat_hgetall", "cmdstat_hmget", "cmdstat_json.get", "cmdstat_json.mget"})
READS_PER_SECOND = 20.0  # fewer than these are somebody who looks around
LOOK_EVERY = 0.5


@dataclass(frozen=True)
class _Look:
    at: float
    calls: int | None
    busy: bool


class Readers:
    """What one process knows of who reads from which server. Safe to use from many threads.

    One of them asks a server, and the others go by what it said before: nobody waits for a server that does not answer.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looks: dict[str, _Look] = {}
        self._next: dict[str, float] = {}

    def are_at(self, node: Node) -> bool:
        """Tell whether a server has readers; it is asked every half second at most. Raises nothing."""
        place, now = node.endpoint.text, self._clock()
        with self._lock:
            last, is_due = self._looks.get(place), now >= self._next.get(place, now)
            if is_due:
                self._next[place] = now + LOOK_EVERY
        if not is_due:
            return last is not None and last.busy
        look = _compared(last, _calls(node), now)
        with self._lock:
            if self._looks.get(place) is last:  # else somebody who asked later was answered sooner
                self._looks[place] = look
        return look.busy

    def were_at(self, node: Node) -> bool:
        """Tell whether a server had readers when it was last asked."""
        with self._lock:
            last = self._looks.get(node.endpoint.text)
        return last is not None and last.busy


def _compared(last: _Look | None, calls: int | None, now: float) -> _Look:
    if last is None or last.calls is None or calls is None or calls < last.calls:
        return _Look(now, calls, busy=False)
    return _Look(now, calls, busy=calls - last.calls >= READS_PER_SECOND * (now - last.at))


def _calls(node: Node) -> int | None:
    try:
        lines = node.execute("INFO", "commandstats").decode(errors="replace").splitlines()
    except DestinationError:
        return None
    counted = (line.partition(":calls=")[::2] for line in lines)
    return sum(int(rest.partition(",")[0]) for name, rest in counted if name in READS)
