"""How often a token may call: a bucket a token in each process, filled at the token's rate, with room for a second.

There is no limit unless the token has one (`limits["rate"]`, requests a second). Nothing is asked of broker or cache;
with n processes a token gets at most n times its rate.
"""

import math
import threading
import time
from collections.abc import Callable

from accounts.identities import TokenIdentity

REMEMBERED_AT_MOST = 10_000


class Buckets:
    """The buckets of one process. `clock` counts seconds and never goes back."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[int, tuple[float, float]] = {}

    def wait_for(self, identity: TokenIdentity) -> float:
        """Take one request from the token's bucket: 0, or the seconds until there is one to take."""
        rate = identity.limits.get("rate")
        if not rate:
            return 0
        size = max(float(rate), 1.0)
        with self._lock:
            now = self._clock()
            content, filled_at = self._buckets.pop(identity.token_id, (size, now))
            content = min(size, content + (now - filled_at) * rate)
            taken = content >= 1
            while len(self._buckets) >= REMEMBERED_AT_MOST:
                del self._buckets[next(iter(self._buckets))]
            self._buckets[identity.token_id] = (content - 1 if taken else content, now)
        return 0 if taken else math.ceil((1 - content) / rate)

    def left(self, identity: TokenIdentity) -> int:
        """Return how many requests the token has left at once, as of its last one."""
        with self._lock:
            content, _ = self._buckets.get(identity.token_id, (0.0, 0.0))
        return int(content)


_buckets = Buckets()
wait_for = _buckets.wait_for
left = _buckets.left
