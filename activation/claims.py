"""Keeps a claim alive while a worker works: heartbeats from a side thread, and word of a lost claim at once.

The thread has a database connection of its own, closes it at the end, and never waits for the work.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import Error, connection

HEARTBEAT_EVERY = 2.0


class Heartbeat:
    """Calls `beat` every two seconds until the block ends; `lost` is set once `beat` says the claim is gone.

    A beat that fails (our database is away for a moment) is repeated; the lease decides whether that took too long.
    """

    def __init__(self, beat: Callable[[], bool], *, on_lost: Callable[[], None] = lambda: None) -> None:
        self._beat = beat
        self.on_lost = on_lost
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    @property
    def ours(self) -> bool:
        """Whether the claim is still ours, as far as the last beat knows."""
        return not self._lost.is_set()

    def confirm(self) -> bool:
        """Beat now, before a step that must not be taken by two; tell whether the claim is still ours."""
        if self.ours and not self._beat():
            self._lost.set()
        return self.ours

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.wait(HEARTBEAT_EVERY):
                try:
                    ours = self._beat()
                except Error:
                    connection.close()
                    continue
                if not ours:
                    self._lost.set()
                    self.on_lost()
                    return
        finally:
            connection.close()
