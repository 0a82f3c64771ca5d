"""The pulse of beat and workers: the tick leaves a mark in our cache, readiness looks for it.

A lost cache costs nothing but this knowledge, so nothing here ever raises.
"""

import time

from django.core.cache import cache
from django_redis.exceptions import ConnectionInterrupted

KEY = "pulse"
REMEMBERED_FOR = 3600
LATE_AFTER = 15.0


def beat() -> None:
    """Note that a worker just ran the tick that beat sent."""
    try:
        cache.set(KEY, time.time(), REMEMBERED_FOR)
    except ConnectionInterrupted:
        return


def is_late() -> bool:
    """Tell whether no tick ran for a while, or whether one did cannot be known."""
    try:
        last = cache.get(KEY)
    except ConnectionInterrupted:
        return True
    return not isinstance(last, float) or time.time() - last > LATE_AFTER
