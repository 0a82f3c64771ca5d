"""Which servers a destination has: the one that was typed, or those that a cluster or sentinels tell of."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from activation.engine.errors import DestinationError
from activation.engine.node import Node
from activation.engine.slots import SLOTS

REFRESH_EVERY = 0.25
Found = TypeVar("Found")


class Topology(Protocol):
    """What readers and writers ask: who owns a key, and who copies it. Raises `DestinationError` throughout."""

    def node_for(self, key: str | bytes) -> Node:
        """Return the primary that owns a key, as far as we know."""
        ...

    def spread(self, keys: Sequence[str | bytes]) -> Mapping[Node, Sequence[int]]:
        """Return the positions of the keys by the primary that owns them, as far as we know."""
        ...

    def known_for(self, key: str | bytes) -> Node | None:
        """Return what `node_for` returns, if that needs nobody to be asked."""
        ...

    def owners(self) -> list[Node]:
        """Return the primary of each slot; the same object for as long as nothing new was learned."""
        ...

    def primaries(self) -> list[Node]:
        """Return every primary."""
        ...

    def copies_of(self, key: str | bytes) -> Sequence[tuple[str, int]]:
        """Return where a key's replicas are said to be; none where nobody tells."""
        ...

    def refresh(self) -> None:
        """Ask now."""
        ...

    def expire(self) -> None:
        """Have the next look-up ask again: something did not go where we sent it."""
        ...


class OneServer:
    """A destination of one server."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def node_for(self, _: str | bytes) -> Node:
        return self._node

    def spread(self, keys: Sequence[str | bytes]) -> Mapping[Node, Sequence[int]]:
        return {self._node: range(len(keys))}

    def known_for(self, _: str | bytes) -> Node | None:
        return self._node

    def owners(self) -> list[Node]:
        return [self._node] * SLOTS

    def primaries(self) -> list[Node]:
        return [self._node]

    def copies_of(self, _: str | bytes) -> Sequence[tuple[str, int]]:
        return ()

    def refresh(self) -> None:
        """There is nobody to ask."""

    def expire(self) -> None:
        """There is nothing to learn."""


class Remembered(Generic[Found]):
    """Something found out once and kept until it is marked as old; then one caller at a time looks again.

    While it cannot be found out anew, what was known goes on being used. Thread safe.
    """

    def __init__(self, find: Callable[[Found | None], Found]) -> None:
        """`find` is given what is known, and raises `DestinationError`."""
        self._find = find
        self._found: Found | None = None
        self._stale = True
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def get(self) -> Found:
        """Return what is known, looking again at most every `REFRESH_EVERY` seconds when it is old."""
        if self._found is None:
            with self._lock:
                if self._found is None:
                    self._look()
        elif self._is_due() and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(DestinationError):
                    self._look()
            finally:
                self._lock.release()
        assert self._found is not None
        return self._found

    def known(self) -> Found | None:
        """Return what is known; None when `get` would look."""
        return None if self._is_due() else self._found

    def refresh(self) -> None:
        """Look now."""
        with self._lock:
            self._look()

    def expire(self) -> None:
        """Mark it as old."""
        self._stale = True

    def _is_due(self) -> bool:
        return self._stale and time.monotonic() - self._looked_at > REFRESH_EVERY

    def _look(self) -> None:
        # Cleared before the question: what goes wrong while it is asked makes the answer old again.
        self._looked_at, self._stale = time.monotonic(), False
        try:
            self._found = self._find(self._found)
        except DestinationError:
            self._stale = True
            raise


def most_telling(failures: Sequence[DestinationError]) -> DestinationError:
    """Return the failure that a person should see: one that waiting does not mend, else the last."""
    return next((failure for failure in failures if not failure.transient), failures[-1])
